"""Whether an administrator has named a kubeconfig Secret. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from dpf.api.dpucluster import ConditionReason, ConditionType, DPUCluster
from dpf.runtime import conditions
from dpf.runtime.conditions import State
from dpf.runtime.kubeconfigsecret import KEYS
from dpf.runtime.reconciler import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that decides is in the DPUCluster."""

    cluster: DPUCluster


def compute(snapshot: Snapshot) -> Verdict:
    """Created, with what to do while it is False (reason EmptyKubeconfig, api-provisioning.md section 5)."""
    return Verdict(states={ConditionType.CREATED: _created(snapshot.cluster)})


def _created(cluster: DPUCluster) -> State:
    if cluster.spec.kubeconfig:
        return conditions.true(ConditionReason.CREATED, f"spec.kubeconfig names Secret {cluster.spec.kubeconfig!r}")
    return conditions.false(
        ConditionReason.EMPTY_KUBECONFIG,
        "spec.kubeconfig is empty. Next step: put the administrator's kubeconfig of the cluster into a Secret of "
        f"namespace {cluster.metadata.namespace} under the key {KEYS[0]}, and name that Secret in spec.kubeconfig",
    )
