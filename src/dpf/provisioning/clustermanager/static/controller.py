"""The static cluster manager: guarantees that `Created` tells whether spec.kubeconfig names a Secret.

Makes nothing, owns nothing, cleans nothing: it needs no finalizer. It does not look into the Secret; whether the
cluster can be used is the health check's to say (`provisioning.dpucluster`). Source: behaviour-provisioning.md
section 12.
"""

from __future__ import annotations

from datetime import datetime

from dpf.api.dpucluster import DPUCluster
from dpf.provisioning.clustermanager import contract
from dpf.provisioning.clustermanager.static import status
from dpf.provisioning.clustermanager.static.status import Snapshot
from dpf.provisioning.dpucluster import clustertypes
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Verdict


class StaticClusterManager(contract.ClusterManager[Snapshot]):
    """Manager of DPUClusters that somebody else made."""

    type = clustertypes.STATIC
    name = "cluster-manager-static"
    field_owner = "cluster-manager-static"
    permissions = (contract.DPUCLUSTER_PERMISSION,)

    async def observe(self, root: DPUCluster) -> Snapshot:
        """Nothing beside the DPUCluster."""
        return Snapshot(cluster=root)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """Nothing to do, and nothing to wait for: spec.kubeconfig is watched."""
        return Plan()

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """Nothing to clean."""
        return Plan(release=True)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """Created."""
        return status.compute(snapshot)
