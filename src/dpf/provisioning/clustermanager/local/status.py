"""The condition Created of a DPUCluster of the local manager, from what a pass saw and did. Pure."""

from __future__ import annotations

from typing import Final

from dpf.api.dpucluster import ConditionReason, ConditionType
from dpf.provisioning.clustermanager.local import plan as planner
from dpf.provisioning.clustermanager.local.plan import Snapshot
from dpf.runtime import conditions
from dpf.runtime.conditions import State
from dpf.runtime.plan import Applied
from dpf.runtime.reconciler import Verdict

_FAILURES: Final = (
    (planner.CONTROL_PLANE, "The control plane does not serve"),
    (planner.JOINING, "What joining DPUs need could not be installed"),
    (planner.KUBECONFIG, "The kubeconfig could not be handed over"),
)


def compute(snapshot: Snapshot, applied: Applied) -> Verdict:
    """Created is True once every step of the pass was found or made done.

    A pass that has just written spec.kubeconfig says nothing: the DPUCluster it read is outdated by its own write, and
    the next pass, which that write causes, sees everything done.
    """
    deleting = snapshot.cluster.metadata.deletionTimestamp is not None
    state = _deleting(applied) if deleting else _created(snapshot, applied)
    return Verdict(states={} if state is None else {ConditionType.CREATED: state})


def _created(snapshot: Snapshot, applied: Applied) -> State | None:
    for step, what in _FAILURES:
        errors = applied.step(step).errors
        if errors:
            # Failures of a step stand behind its findings: what was in the way says more than that one waits.
            return conditions.false(ConditionReason.CLUSTER_NOT_READY, f"{what}: {errors[-1]}")
    access = snapshot.control_plane.access
    if access is None:
        return conditions.false(ConditionReason.CLUSTER_NOT_READY, "The control plane does not serve")
    if not snapshot.cluster.spec.kubeconfig:
        return None
    return conditions.true(ConditionReason.CREATED, f"The control plane serves at {access.endpoint}")


def _deleting(applied: Applied) -> State:
    errors = applied.step(planner.CONTROL_PLANE).errors
    message = "The control plane is being removed"
    if errors:
        message = f"The control plane could not be removed: {errors[-1]}"
    return conditions.false(conditions.Reason.AWAITING_DELETION, message)
