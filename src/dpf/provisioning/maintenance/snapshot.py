"""Every fact that a decision about one DPUNodeMaintenance needs, as plain values.

Pure. Filled by `observe`, read by `plan` and `status`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from dpf.api import core
from dpf.api.dpu import DPU, Phase
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import ConditionType, DPUNodeMaintenance
from dpf.api.meta import Key, object_key
from dpf.api.upkeep import Job, NodeMaintenance, PodDisruptionBudget
from dpf.provisioning.maintenance import naming
from dpf.provisioning.maintenance.naming import Effect
from dpf.runtime import conditions

PROCESSING: Final = "NodeEffectIsProcessing"
"""Reason of NodeEffectApplied: the host may be out of service from now on, and counts as such."""
FAILED: Final = "NodeEffectError"
"""Reason of NodeEffectApplied: as Processing, but something went wrong."""

_BUSY: Final = frozenset({
    Phase.INITIALIZE_INTERFACE, Phase.PERFORM_ARM_FORCE_RESTART, Phase.CONFIG_FW_PARAMETERS, Phase.UPDATE_FIRMWARE,
    Phase.PREPARE_BFB, Phase.OS_INSTALLING, Phase.DPU_CONFIG, Phase.REBOOTING, Phase.HOST_NETWORK_CONFIGURATION,
    Phase.DPU_CLUSTER_CONFIG, Phase.SERVICE_READINESS,
})
"""Phases in which a DPU relies on the effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many hosts may be out of service, and how long the DPUs of one host are waited for."""

    max_unavailable: int = 50
    sync_wait_s: float = 30.0
    sync_wait: str = "30s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenancy:
    """What runs on the Node, read from the server; what `NodeMaintenance` the operator has for it, where it is served.

    `pods` are those on the Node, `budgets` those of their namespaces.
    """

    operator_served: bool
    node_maintenance: NodeMaintenance | None = None
    pods: tuple[core.Pod, ...] = ()
    budgets: tuple[PodDisruptionBudget, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look. `node_name` is the Node of the host, None for a host that is none.

    `full` says that as many other hosts as may be are out of service. `dpus` are the requestors that are DPUs.
    `tenancy` is read for a drain that has begun or has to be undone. `action` is the ConfigMap of a customAction.
    """

    maintenance: DPUNodeMaintenance
    dpunode: DPUNode | None
    limits: Limits
    node_name: str | None = None
    node: core.Node | None = None
    dpus: tuple[DPU, ...] = ()
    full: bool = False
    job: Job | None = None
    action: core.ConfigMap | None = field(default=None, repr=False)
    tenancy: Tenancy | None = None

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return object_key(self.maintenance)

    @property
    def effect(self) -> Effect:
        """What is asked for."""
        wanted = self.maintenance.spec.nodeEffect if self.maintenance.spec is not None else None
        return naming.effect_of(wanted, in_kubernetes=self.node_name is not None)

    @property
    def busy(self) -> tuple[DPU, ...]:
        """Requestors that rely on the effect right now."""
        return tuple(dpu for dpu in self.dpus if dpu.status.phase in _BUSY)


def requestors(maintenance: DPUNodeMaintenance) -> list[str]:
    """Who needs the effect."""
    return (maintenance.spec.requestor if maintenance.spec is not None else None) or []


def is_forced(maintenance: DPUNodeMaintenance) -> bool:
    """Whether neither the limit nor the other DPUs of the host are waited for."""
    effect = maintenance.spec.nodeEffect if maintenance.spec is not None else None
    return effect is not None and effect.force


def is_applied(maintenance: DPUNodeMaintenance) -> bool:
    """Whether the effect is on the host."""
    return conditions.is_true(maintenance.status.conditions, ConditionType.NODE_EFFECT_APPLIED)


def is_committed(maintenance: DPUNodeMaintenance) -> bool:
    """Whether the host may be out of service because of it; written before anything is done to the host."""
    found = conditions.find(maintenance.status.conditions, ConditionType.NODE_EFFECT_APPLIED)
    return found is not None and (found.status == conditions.Status.TRUE or found.reason in (PROCESSING, FAILED))


def is_harmless(maintenance: DPUNodeMaintenance) -> bool:
    """Whether it leaves the host in service."""
    effect = maintenance.spec.nodeEffect if maintenance.spec is not None else None
    return effect is not None and effect.noEffect is not None


def dpunode_key(maintenance: DPUNodeMaintenance) -> Key:
    """The DPUNode that it is about."""
    name = maintenance.spec.dpuNodeName if maintenance.spec is not None else ""
    return Key(maintenance.metadata.namespace or "", name)


def sync_left_s(snapshot: Snapshot, now: datetime) -> float:
    """How much longer the other DPUs of the host are waited for; a start in the future counts as now."""
    if not has_siblings(snapshot.dpunode):
        return 0.0
    started = _moment(snapshot.maintenance.status.nodeEffectSyncStartTime) or now
    due = min(started, now) + timedelta(seconds=snapshot.limits.sync_wait_s)
    return max(0.0, (due - now).total_seconds())


def has_siblings(dpunode: DPUNode | None) -> bool:
    """Whether the host has more than one DPU."""
    return dpunode is not None and dpunode.spec is not None and len(dpunode.spec.dpus or ()) > 1


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
