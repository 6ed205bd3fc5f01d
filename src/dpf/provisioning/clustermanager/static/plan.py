"""Whether an administrator has handed over a usable kubeconfig. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dpf.api.dpucluster import ConditionReason, ConditionType, DPUCluster
from dpf.provisioning.dpucluster.kubeconfig import Unusable, Usable
from dpf.runtime import conditions
from dpf.runtime.conditions import State
from dpf.runtime.kubeconfigsecret import KEYS
from dpf.runtime.plan import Plan
from dpf.runtime.reconciler import Verdict

LOOK_AGAIN_S: Final = 5.0
LOOK_AGAIN_CREATED_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`access` is None while spec.kubeconfig is empty."""

    cluster: DPUCluster
    access: Usable | Unusable | None = None


def plan(snapshot: Snapshot) -> Plan:
    """Write nothing. The Secret is somebody else's and not watched, so look at it again; spec.kubeconfig is watched."""
    match snapshot.access:
        case None:
            return Plan()
        case Usable():
            return Plan(wake_after_s=LOOK_AGAIN_CREATED_S)
        case Unusable():
            return Plan(wake_after_s=LOOK_AGAIN_S)


def status(snapshot: Snapshot) -> Verdict:
    """Created, with what to do while it is False (reason EmptyKubeconfig, api-provisioning.md section 5)."""
    return Verdict(states={ConditionType.CREATED: _created(snapshot)})


def _created(snapshot: Snapshot) -> State:
    name = snapshot.cluster.spec.kubeconfig
    match snapshot.access:
        case Usable(server=server):
            return conditions.true(ConditionReason.CREATED, f"Secret {name!r} has a kubeconfig for {server}")
        case Unusable(why=why, advice=advice):
            message = f"No usable kubeconfig: {why}. Next step: {advice}"
            return conditions.false(ConditionReason.EMPTY_KUBECONFIG, message)
        case None:
            return conditions.false(
                ConditionReason.EMPTY_KUBECONFIG,
                "spec.kubeconfig is empty. Next step: put the administrator's kubeconfig of the cluster into a Secret "
                f"of namespace {snapshot.cluster.metadata.namespace} under the key {KEYS[0]}, and name that Secret in "
                "spec.kubeconfig",
            )
