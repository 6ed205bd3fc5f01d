"""The static cluster manager: guarantees that `Created` tells whether spec.kubeconfig can be used.

Makes nothing, owns nothing, cleans nothing: it needs no finalizer. Source: behaviour-provisioning.md section 12.
"""

from __future__ import annotations

from datetime import datetime

from dpf.api.dpucluster import DPUCluster
from dpf.kube.client import Client
from dpf.provisioning.clustermanager import contract
from dpf.provisioning.clustermanager.static import plan as planner
from dpf.provisioning.clustermanager.static.plan import Snapshot
from dpf.provisioning.dpucluster import clustertypes, kubeconfig
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Verdict


class StaticClusterManager(contract.ClusterManager[Snapshot]):
    """Manager of DPUClusters that somebody else made."""

    type = clustertypes.STATIC
    name = "cluster-manager-static"
    field_owner = "cluster-manager-static"
    permissions = (contract.DPUCLUSTER_PERMISSION, contract.READ_SECRET_PERMISSION)

    def __init__(self, *, host: Client) -> None:
        self._host = host

    async def observe(self, root: DPUCluster) -> Snapshot:
        """The Secret that spec.kubeconfig names."""
        if not root.spec.kubeconfig:
            return Snapshot(cluster=root)
        return Snapshot(cluster=root, access=await kubeconfig.read(self._host, root))

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """When to look again."""
        return planner.plan(snapshot)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """Nothing to clean."""
        return Plan(release=True)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """Created."""
        return planner.status(snapshot)
