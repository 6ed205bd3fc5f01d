"""Which requestors of a DPUNodeMaintenance are a DPUDeployment's: `<namespace>_<deployment>_<object>` (6.5).

Pure. Called by the observation, the planner and the watches. No object's name has an underscore, so that a DPU's name
is never taken for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dpf.api.dpunodemaintenance import ConditionType, DPUNodeMaintenance
from dpf.api.meta import Key, Object
from dpf.runtime import conditions
from dpf.services.dpudeployment import watches


@dataclass(frozen=True, slots=True, kw_only=True)
class Requestor:
    """`text` as it stands in the maintenance; `key` is the DPUService or DPUServiceChain that it names."""

    text: str
    deployment: Key
    key: Key

    def is_for(self, obj: Object) -> bool:
        """Whether `obj`, which has the name, belongs to that DPUDeployment."""
        return watches.owner_value(self.deployment) in watches.owner_index(obj)


def asking(maintenance: DPUNodeMaintenance) -> list[str]:
    """Everybody who needs the effect."""
    return (maintenance.spec.requestor if maintenance.spec is not None else None) or []


def parsed(maintenance: DPUNodeMaintenance) -> Iterator[Requestor]:
    """Those of DPUDeployments of the maintenance's namespace."""
    namespace = maintenance.metadata.namespace or ""
    for text in asking(maintenance):
        parts = text.split("_")
        if len(parts) == 3 and parts[0] == namespace and parts[1] and parts[2]:
            yield Requestor(text=text, deployment=Key(namespace, parts[1]), key=Key(namespace, parts[2]))


def dpunode_key(maintenance: DPUNodeMaintenance) -> Key:
    """The DPUNode that it is about."""
    name = maintenance.spec.dpuNodeName if maintenance.spec is not None else ""
    return Key(maintenance.metadata.namespace or "", name)


def is_due(maintenance: DPUNodeMaintenance) -> bool:
    """Whether there is anybody who may leave."""
    return maintenance.metadata.deletionTimestamp is None and any(True for _ in parsed(maintenance))


def is_applied(maintenance: DPUNodeMaintenance) -> bool:
    """Whether the host is out of service."""
    return conditions.is_true(maintenance.status.conditions, ConditionType.NODE_EFFECT_APPLIED)
