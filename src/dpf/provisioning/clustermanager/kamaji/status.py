"""The conditions Created, KeepalivedReady and Upgraded of a DPUCluster of Kamaji, from what a pass saw and did. Pure.

Phase and Ready are the health check's (`provisioning.dpucluster`). Sources: behaviour-provisioning.md section 12,
resolutions.md row 27.
"""

from __future__ import annotations

from typing import Final

from dpf.api.core import DaemonSet
from dpf.api.dpucluster import ConditionReason, ConditionType, Keepalived
from dpf.provisioning.clustermanager.kamaji import plan as planner
from dpf.provisioning.clustermanager.kamaji.snapshot import Snapshot
from dpf.runtime import conditions
from dpf.runtime.conditions import State
from dpf.runtime.plan import Applied, Apply, Severity, StepResult
from dpf.runtime.reconciler import Verdict

_FAILURES: Final = (
    planner.INPUT, planner.KAMAJI, planner.ENDPOINT, planner.CONTROL_PLANE, planner.READINESS, planner.KUBECONFIG,
)


def compute(snapshot: Snapshot, applied: Applied) -> Verdict:
    """What can be said now; a condition of which nothing can be said keeps its value.

    A pass that has just written spec.kubeconfig says nothing: the DPUCluster it read is outdated by its own write, and
    the next pass, which that write causes, sees everything done.
    """
    if snapshot.cluster.metadata.deletionTimestamp is not None:
        return Verdict(states={ConditionType.CREATED: _deleting(applied)})
    if applied.step(planner.KUBECONFIG).outcomes and applied.step(planner.KUBECONFIG).succeeded:
        return Verdict(states={})
    states = {
        ConditionType.CREATED: _created(snapshot, applied),
        ConditionType.KEEPALIVED_READY: _keepalived(snapshot, applied),
        ConditionType.UPGRADED: _upgraded(snapshot, applied),
    }
    return Verdict(states={str(type_): state for type_, state in states.items() if state is not None})


def _created(snapshot: Snapshot, applied: Applied) -> State:
    for step in _FAILURES:
        result = applied.step(step)
        if result.errors:
            # Failures of a step stand behind its findings: what was in the way says more than that one waits.
            failed = any(outcome.error is not None for outcome in result.outcomes)
            message = result.errors[-1] if failed else "; ".join(result.errors)
            return conditions.false(ConditionReason.CLUSTER_NOT_READY, message)
    found = snapshot.control_plane
    endpoint = (found.status.controlPlaneEndpoint if found is not None else None) or "the address in its kubeconfig"
    return conditions.true(ConditionReason.CREATED, f"Kamaji runs the control plane at {endpoint}")


def _keepalived(snapshot: Snapshot, applied: Applied) -> State | None:
    asked, result = snapshot.keepalived, applied.step(planner.KEEPALIVED)
    if not result.ran:
        return None
    if result.errors:
        return _failed(result)
    if asked is None:
        return conditions.true(conditions.Reason.SUCCESS, "The DPUCluster asks for no virtual address")
    wrote = any(isinstance(o.action, Apply) for o in result.outcomes)
    return _deployed(asked, None if wrote else snapshot.daemonset)


def _deployed(asked: Keepalived, daemonset: DaemonSet | None) -> State:
    """From what the DaemonSet controller says; before it has said anything, that keepalived was handed to it."""
    where = f"{asked.vip} on interface {asked.interface}"
    seen = daemonset.status if daemonset is not None else None
    if daemonset is None or seen is None or seen.observedGeneration < (daemonset.metadata.generation or 1):
        return conditions.true(ConditionReason.DEPLOYED, f"Keepalived is deployed for {where}")
    if seen.desiredNumberScheduled == 0:
        return conditions.false(conditions.Reason.PENDING, (
            f"No node carries {where}: none matches spec.clusterEndpoint.keepalived.nodeSelector. "
            "Next step: correct the selector or label nodes"
        ))
    if seen.numberReady == 0:
        return conditions.false(conditions.Reason.PENDING, (
            f"No node carries {where}: none of {seen.desiredNumberScheduled} keepalived pods is ready. If this stays: "
            f"see the pods of DaemonSet {daemonset.metadata.namespace}/{daemonset.metadata.name}"
        ))
    return conditions.true(ConditionReason.DEPLOYED, f"Keepalived is deployed for {where}")


def _upgraded(snapshot: Snapshot, applied: Applied) -> State | None:
    """About a control plane that is in use."""
    found, result = snapshot.control_plane, applied.step(planner.UPGRADE)
    if found is None or not snapshot.handed_over or not result.ran:
        return None
    if result.errors:
        return _failed(result)
    target = planner.wanted_version(snapshot)
    current = found.status.kubernetesResources.version.version or found.spec.kubernetes.version or ""
    if result.outcomes or current != target:
        return conditions.false(
            conditions.Reason.PENDING, f"Kamaji upgrades the control plane from {current} to {target}",
        )
    return conditions.true(conditions.Reason.SUCCESS, f"The control plane runs Kubernetes {current}")


def _failed(result: StepResult) -> State:
    """What stands in the way; only a person can mend what is invalid."""
    final = any(finding.severity is Severity.INVALID for finding in result.findings)
    reason = conditions.Reason.FAILURE if final else conditions.Reason.ERROR
    return conditions.false(reason, "; ".join(result.errors))


def _deleting(applied: Applied) -> State:
    errors = [error for result in applied.results if result.ran for error in result.errors]
    message = "; ".join(errors) or "The control plane is being removed"
    return conditions.false(conditions.Reason.AWAITING_DELETION, message)
