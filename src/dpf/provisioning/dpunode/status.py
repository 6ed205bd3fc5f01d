"""Conditions and facts of a DPUNode, from what a pass saw. Pure.

Sources: behaviour-provisioning.md section 4, api-provisioning.md section 8.
"""

from __future__ import annotations

from typing import Any, Final

from dpf.api import names
from dpf.api.dpu import ConditionReason, Phase
from dpf.api.dpunode import ConditionType
from dpf.api.provisioning import InstallInterface
from dpf.provisioning.dpunode import plan as planner
from dpf.provisioning.dpunode import reboot
from dpf.provisioning.dpunode.snapshot import Snapshot
from dpf.runtime import conditions
from dpf.runtime.conditions import Reason, State
from dpf.runtime.plan import Applied
from dpf.runtime.reconciler import Verdict

BRIDGE_NOT_FOUND: Final = "BridgeNotFound"
WAIT_FOR_EXTERNAL: Final = "WaitForExternalReboot"
_NOTHING: Final = conditions.false(Reason.SUCCESS, "")
"""Bad news that there is none of."""


def compute(snapshot: Snapshot, applied: Applied) -> Verdict:
    """The status after this pass."""
    if snapshot.dpunode.metadata.deletionTimestamp is not None:
        left = [e for name in (planner.DPUS, planner.DEVICES) for e in applied.step(name).errors]
        message = left[0] if left else "The DPUNode is being deleted"
        return Verdict(states={ConditionType.READY: conditions.false(Reason.AWAITING_DELETION, message)})
    states = {
        str(ConditionType.READY): _ready(snapshot),
        str(ConditionType.INVALID_DPU_DETAILS): _invalid(snapshot),
        str(ConditionType.DPU_NODE_NODE_EFFECT_IN_PROGRESS): _effect(snapshot),
    }
    if snapshot.node is not None and snapshot.interface is not InstallInterface.REDFISH:
        states[str(ConditionType.OOB_BRIDGE_CONFIGURED)] = _bridge(snapshot)
    fields: dict[str, Any] = {"dpuInstallInterface": str(snapshot.interface), **_rebooting(snapshot, applied, states)}
    if snapshot.kube_node is not None:
        fields["kubeNodeRef"] = snapshot.kube_node
    return Verdict(states=states, fields=fields)


def _rebooting(snapshot: Snapshot, applied: Applied, states: dict[str, State]) -> dict[str, Any]:
    """The reboot's condition, into `states`, and its fields; of one that is driven elsewhere only the end."""
    waiting = reboot.participants(snapshot)
    if waiting and (not reboot.is_driven(snapshot.dpunode) or snapshot.hostless):
        return {}
    if not waiting:
        if not any(dpu.status.phase == Phase.REBOOTING for dpu in snapshot.dpus):
            states[str(ConditionType.DPU_NODE_REBOOT_IN_PROGRESS)] = _NOTHING
        return {"rebootInProgress": False}
    message = "; ".join([reboot.required(snapshot), *applied.step(reboot.REQUEST).errors])
    reason = WAIT_FOR_EXTERNAL if reboot.is_external(snapshot.dpunode) else ConditionReason.REBOOT_SCRIPT_WAITING
    states[str(ConditionType.DPU_NODE_REBOOT_IN_PROGRESS)] = conditions.true(str(reason), message)
    states[str(ConditionType.READY)] = conditions.false(Reason.PENDING, f"The host is being rebooted: {message}")
    found = reboot.winner(waiting)
    return {"rebootInProgress": True, "rebootMethod": str(found[0]) if found is not None else None}


def _ready(snapshot: Snapshot) -> State:
    """An effect and a reboot take a host out of service, and nothing else does."""
    if snapshot.effects:
        return conditions.false(Reason.PENDING, f"The host is out of service because of {_listed(snapshot)}")
    if any(dpu.status.phase == Phase.REBOOTING for dpu in snapshot.dpus):
        return conditions.false(Reason.PENDING, "The host is being rebooted")
    return conditions.true()


def _effect(snapshot: Snapshot) -> State:
    if not snapshot.effects:
        return _NOTHING
    return conditions.true(str(ConditionType.DPU_NODE_NODE_EFFECT_IN_PROGRESS), _listed(snapshot))


def _listed(snapshot: Snapshot) -> str:
    return "DPUNodeMaintenance " + ", ".join(effect.metadata.name for effect in snapshot.effects)


def _invalid(snapshot: Snapshot) -> State:
    wrong = [f"DPUDevice {name} does not exist" for name in snapshot.missing]
    wrong += [f"DPUDevice {name} is listed by another DPUNode as well" for name in snapshot.shared]
    return conditions.true(Reason.ERROR, "; ".join(wrong)) if wrong else _NOTHING


def _bridge(snapshot: Snapshot) -> State:
    labels = (snapshot.node.metadata.labels if snapshot.node is not None else None) or {}
    if labels.get(names.OOB_BRIDGE_CONFIGURED_LABEL, "false") != "false":
        return conditions.true(str(ConditionType.OOB_BRIDGE_CONFIGURED))
    return conditions.false(
        BRIDGE_NOT_FOUND,
        f"Node {snapshot.kube_node} does not report the bridge to the out-of-band ports (label "
        f"{names.OOB_BRIDGE_CONFIGURED_LABEL}). Next step: set up the bridge, with a default route of metric above 2",
    )
