"""How somebody asks for an effect on a host, and how he says that he needs it no more. Pure.

Called by planners of requestors (DPUs). Requestors that want the same of one host meet at one object, so each adds and
removes only itself, conditional on the version that was read. Source: behaviour-provisioning.md section 6 (DPU side).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance, DPUNodeMaintenanceSpec
from dpf.api.meta import Key, ObjectMeta, object_key
from dpf.api.provisioning import NodeEffect
from dpf.provisioning.maintenance import naming
from dpf.provisioning.maintenance import snapshot as values
from dpf.runtime.plan import Apply, Patch


def maintenance_key(dpunode: DPUNode, wanted: NodeEffect | None) -> Key:
    """The maintenance for this effect on this host."""
    in_kubernetes = bool(dpunode.status.kubeNodeRef)
    name = naming.maintenance_name(dpunode.metadata.name, wanted, in_kubernetes=in_kubernetes)
    return Key(dpunode.metadata.namespace or "", name)


def ask(
    existing: DPUNodeMaintenance | None, dpunode: DPUNode, wanted: NodeEffect | None, requestors: Sequence[str],
) -> Apply | Patch | None:
    """Make the maintenance, or join it; None when nothing is missing, or the former one is still on its way out.

    `requestors` are those to be added: the additional ones, then the DPU. `force` is only ever set, never taken back.
    """
    if existing is None:
        return _new(maintenance_key(dpunode, wanted), dpunode, wanted, requestors)
    if existing.metadata.deletionTimestamp is not None:
        return None
    have = values.requestors(existing)
    missing = [requestor for requestor in requestors if requestor not in have]
    change: dict[str, Any] = {"requestor": [*have, *missing]} if missing else {}
    if wanted is not None and wanted.force and not values.is_forced(existing):
        change["nodeEffect"] = {"force": True}
    return _patch(existing, change, "a DPU of the host needs the same effect") if change else None


def leave(existing: DPUNodeMaintenance, requestor: str) -> Patch | None:
    """Need it no more."""
    have = values.requestors(existing)
    if requestor not in have:
        return None
    kept = [other for other in have if other != requestor]
    return _patch(existing, {"requestor": kept}, f"{requestor} needs the effect no more")


def _new(key: Key, dpunode: DPUNode, wanted: NodeEffect | None, requestors: Sequence[str]) -> Apply:
    """The effect is spelled out, without what concerns only those who ask."""
    if wanted is None:
        named = naming.effect_of(None, in_kubernetes=bool(dpunode.status.kubeNodeRef))
        wanted = msgspec.convert({str(named): True}, NodeEffect)
    effect = msgspec.structs.replace(wanted, applyOnLabelChange=False, nodeMaintenanceAdditionalRequestors=None)
    spec = DPUNodeMaintenanceSpec(
        dpuNodeName=dpunode.metadata.name, nodeEffect=effect, requestor=list(dict.fromkeys(requestors)),
    )
    maintenance = DPUNodeMaintenance(metadata=ObjectMeta(name=key.name, namespace=key.namespace), spec=spec)
    return Apply(object=maintenance, because="the host has to be out of service for an installation")


def _patch(existing: DPUNodeMaintenance, change: dict[str, Any], because: str) -> Patch:
    patch = {"metadata": {"resourceVersion": existing.metadata.resourceVersion}, "spec": change}
    return Patch(kind=DPUNodeMaintenance, key=object_key(existing), patch=patch, because=because)
