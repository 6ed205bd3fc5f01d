"""Phase, version and Ready of a DPUCluster, from what a pass saw. Pure.

`Created` belongs to the cluster manager and is only read here. Sources: behaviour-provisioning.md section 12,
api-provisioning.md section 5.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dpf.api.dpucluster import ConditionReason, ConditionType, DPUCluster, Phase
from dpf.provisioning.dpucluster import clustertypes
from dpf.provisioning.dpucluster import plan as planner
from dpf.provisioning.dpucluster.plan import Snapshot
from dpf.provisioning.dpucluster.prober import Healthy, Unhealthy
from dpf.runtime import conditions
from dpf.runtime.conditions import State, Status
from dpf.runtime.reconciler import Verdict


def compute(snapshot: Snapshot, now: datetime) -> Verdict:
    """The status after this pass. A version once observed stays while the cluster does not answer."""
    if snapshot.cluster.metadata.deletionTimestamp:
        return Verdict(states={ConditionType.READY: _deleting()})
    phase = planner.phase(snapshot)
    fields: dict[str, Any] = {"phase": str(phase), "nodesCount": snapshot.nodes_count}
    if isinstance(snapshot.health, Healthy):
        fields["version"] = snapshot.health.version
    return Verdict(states={ConditionType.READY: ready(snapshot, phase, now)}, fields=fields)


def ready(snapshot: Snapshot, phase: Phase, now: datetime) -> State:
    """The Ready condition; its message says what is wrong and what to do, never with whose credentials."""
    if phase is Phase.FAILED:
        return _no_manager(snapshot.cluster)
    if not conditions.is_true(snapshot.cluster.status.conditions, ConditionType.CREATED):
        return _not_created(snapshot, phase, now)
    match snapshot.health:
        case Healthy(version=version):
            return conditions.true(
                ConditionReason.HEALTH_CHECK_PASSED, f"The API server at {snapshot.server} answers ({version})",
            )
        case Unhealthy() as unhealthy:
            return _unhealthy(snapshot, unhealthy, now)
        case None:
            return _not_created(snapshot, phase, now)


def _unhealthy(snapshot: Snapshot, unhealthy: Unhealthy, now: datetime) -> State:
    return conditions.false(ConditionReason.HEALTH_CHECK_FAILED, _complaint(snapshot, unhealthy, now))


def _complaint(snapshot: Snapshot, unhealthy: Unhealthy, now: datetime) -> str:
    cluster = snapshot.cluster
    who = f"The API server at {snapshot.server}" if snapshot.server else "The API server"
    advice = unhealthy.advice or clustertypes.advice(cluster.spec.type).down.format(
        name=cluster.metadata.name, namespace=cluster.metadata.namespace,
    )
    since = _since(cluster, now)
    return f"{who} cannot be used: {unhealthy.why}. Not ready since {since}. Next step: {advice}"


def _not_created(snapshot: Snapshot, phase: Phase, now: datetime) -> State:
    """The manager has the word; what the health check saw comes after it.

    The reason follows the phase: one that has been created has a health check (api-provisioning.md section 5).
    """
    word = _managers_word(snapshot.cluster)
    if phase not in (Phase.READY, Phase.NOT_READY):
        return conditions.false(ConditionReason.CLUSTER_NOT_READY, word)
    if isinstance(snapshot.health, Unhealthy):
        word = f"{word.rstrip('.')}. {_complaint(snapshot, snapshot.health, now)}"
    return conditions.false(ConditionReason.HEALTH_CHECK_FAILED, word)


def _managers_word(cluster: DPUCluster) -> str:
    """What the manager says, or that it says nothing."""
    created = conditions.find(cluster.status.conditions, ConditionType.CREATED)
    if created is not None and created.message:
        return created.message
    type_ = cluster.spec.type
    return f"No cluster manager for type {type_!r} has answered yet. If this stays: {clustertypes.advice(type_).silent}"


def _no_manager(cluster: DPUCluster) -> State:
    change = "Make the DPUCluster again with" if cluster.spec.kubeconfig else "Change it to"
    return conditions.false(
        conditions.Reason.FAILURE,
        f"spec.type {cluster.spec.type!r} names no cluster manager. {change} one of: {clustertypes.choices()}",
    )


def _deleting() -> State:
    return conditions.false(
        conditions.Reason.AWAITING_DELETION, "The cluster is being deleted; its manager removes the control plane",
    )


def _since(cluster: DPUCluster, now: datetime) -> str:
    """When Ready turned False; the same text on every later pass, so that nothing is written while nothing changes."""
    before = conditions.find(cluster.status.conditions, ConditionType.READY)
    if before is not None and before.status == Status.FALSE and before.lastTransitionTime:
        return before.lastTransitionTime
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
