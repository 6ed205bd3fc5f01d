"""The Kamaji cluster manager: guarantees that a DPUCluster of type kamaji has a control plane that Kamaji runs.

Makes the Service and the TenantControlPlane named like the DPUCluster and, where it asks for a virtual address, the
ConfigMap and the DaemonSet `<name>-keepalived`; writes spec.kubeconfig and the conditions Created, KeepalivedReady and
Upgraded. On deletion it removes what it made before its finalizer. Continues: Kamaji makes pods and the Secret
`<name>-admin-kubeconfig`; the health check of `provisioning.dpucluster` sets phase and Ready. Source:
behaviour-provisioning.md section 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from dpf.api import core, names
from dpf.api.dpucluster import ConditionType, DPUCluster
from dpf.api.kamaji import TenantControlPlane
from dpf.kube.client import Client
from dpf.provisioning.clustermanager import contract
from dpf.provisioning.clustermanager.kamaji import keepalived, observe, status, watches
from dpf.provisioning.clustermanager.kamaji import plan as planner
from dpf.provisioning.clustermanager.kamaji.snapshot import Snapshot
from dpf.provisioning.dpucluster import clustertypes
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Verdict, Watch

_WRITE = ("get", "create", "patch", "delete")


class KamajiClusterManager(contract.ClusterManager[Snapshot]):
    """Manager of DPUClusters whose control planes Kamaji runs."""

    type = clustertypes.KAMAJI
    name = "cluster-manager-kamaji"
    field_owner = "cluster-manager-kamaji"
    finalizer = names.CLUSTER_MANAGER_FINALIZER
    condition_types = (ConditionType.CREATED, ConditionType.KEEPALIVED_READY, ConditionType.UPGRADED)
    permissions: ClassVar[Sequence[Permission]] = (
        contract.DPUCLUSTER_PERMISSION,
        *(
            Permission(kind=kind, verbs=(*_WRITE, "list", "watch"))
            for kind in (core.Service, core.ConfigMap, core.DaemonSet, TenantControlPlane)
        ),
        Permission(kind=core.Secret, verbs=("get",)),
        Permission(kind=core.CustomResourceDefinition, verbs=("get",)),
    )

    def __init__(self, *, host: Client, keepalived_image: str = keepalived.IMAGE) -> None:
        self._host = host
        self._image = keepalived_image

    @property
    def watches(self) -> Sequence[Watch]:
        """What was made for a DPUCluster."""
        return watches.watches()

    async def observe(self, root: DPUCluster) -> Snapshot:
        """See `observe.snapshot`."""
        return await observe.snapshot(root, host=self._host)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """See `plan.plan`."""
        return planner.plan(snapshot, image=self._image)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """See `plan.teardown`."""
        return planner.teardown(snapshot)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """See `status.compute`."""
        return status.compute(snapshot, applied)
