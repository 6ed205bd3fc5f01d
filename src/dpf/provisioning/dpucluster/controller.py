"""DPUCluster: guarantees that phase, version and Ready tell whether the cluster can be used.

Hands a new DPUCluster to its cluster manager (Pending -> Creating), then asks the API server for its version: every
30 s while it answers, every 5 s while it does not. Writes status only; `Created` and spec.kubeconfig belong to the
manager. Continues: cluster managers (`provisioning.clustermanager`), whoever connects (`runtime.clusterfollower`).
Source: behaviour-provisioning.md section 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dpf.api import names
from dpf.api.core import Secret
from dpf.api.dpucluster import ConditionType, DPUCluster
from dpf.kube.client import Client
from dpf.provisioning.dpucluster import observe, status
from dpf.provisioning.dpucluster import plan as planner
from dpf.provisioning.dpucluster.plan import Snapshot
from dpf.provisioning.dpucluster.prober import Prober
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch


class DPUClusterController(Reconciler[DPUCluster, Snapshot]):
    """Phases and health of DPUClusters."""

    kind = DPUCluster
    name = "dpucluster"
    field_owner = "dpucluster-controller"
    finalizer = names.DPUCLUSTER_FINALIZER
    condition_types = (ConditionType.READY,)
    observes_generation = False
    permissions = (
        Permission(kind=DPUCluster, verbs=("get", "list", "watch", "patch"), subresources=("status", "finalizers")),
        # Read one by one and fresh (behaviour-service.md 1.2), so that no right to list Secrets is needed.
        Permission(kind=Secret, verbs=("get",)),
    )

    def __init__(self, *, host: Client, prober: Prober) -> None:
        self._host = host
        self._prober = prober

    @property
    def watches(self) -> Sequence[Watch]:
        """None beside the DPUClusters themselves: a manager reports through the condition `Created`."""
        return ()

    async def observe(self, root: DPUCluster) -> Snapshot:
        """The kubeconfig Secret and the answer of the API server."""
        return await observe.snapshot(root, host=self._host, prober=self._prober)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """When to look again."""
        return planner.plan(snapshot)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """Let go at once."""
        return planner.teardown(snapshot)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """Phase, version and Ready."""
        return status.compute(snapshot, now)
