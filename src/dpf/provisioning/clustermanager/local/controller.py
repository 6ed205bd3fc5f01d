"""The local cluster manager: guarantees that a DPUCluster of type dpf/local has a control plane on this machine.

Makes, through the port `driver.ControlPlane`, processes that it starts again when they die; in the DPU cluster the
objects that joining DPUs need; in the host cluster the Secret `<name>-admin-kubeconfig`, spec.kubeconfig and the
condition Created. On deletion it removes processes and data before its finalizer. Continues: the health check of
`provisioning.dpucluster`. Source: behaviour-provisioning.md section 12, the Kamaji manager's objects and phases.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from dpf.api import names
from dpf.api.core import Secret
from dpf.api.dpucluster import DPUCluster
from dpf.kube.client import Client
from dpf.provisioning.clustermanager import contract
from dpf.provisioning.clustermanager.local import apply, observe, status
from dpf.provisioning.clustermanager.local import plan as planner
from dpf.provisioning.clustermanager.local.driver import Access, ControlPlane
from dpf.provisioning.clustermanager.local.plan import Intent, Snapshot
from dpf.provisioning.dpucluster import clustertypes
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Verdict


class LocalClusterManager(contract.ClusterManager[Snapshot]):
    """Manager of DPUClusters whose control planes are processes of this machine."""

    type = clustertypes.LOCAL
    name = "cluster-manager-local"
    field_owner = apply.FIELD_OWNER
    finalizer = names.CLUSTER_MANAGER_FINALIZER
    permissions = (
        contract.DPUCLUSTER_PERMISSION,
        Permission(kind=Secret, verbs=("get", "create", "patch")),
    )

    def __init__(
        self, *, host: Client, control_plane: ControlPlane, connect: Callable[[Access], Client] = apply.connect,
    ) -> None:
        self._host = host
        self._control_plane = control_plane
        self._connect = connect

    async def observe(self, root: DPUCluster) -> Snapshot:
        """The control plane and the kubeconfig Secret."""
        return await observe.snapshot(root, host=self._host, control_plane=self._control_plane)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:
        """Start, install, hand over: what is missing."""
        return planner.plan(snapshot, now)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """Remove until nothing is found."""
        return planner.teardown(snapshot)

    async def drive(self, intent: Intent) -> None:
        """Carry out an intent of the plan."""
        await apply.carry_out(intent, control_plane=self._control_plane, connect=self._connect)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """Created."""
        return status.compute(snapshot, applied)
