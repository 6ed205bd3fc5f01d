"""DPUSet: one DPU for each selected device, made from the template and replaced or changed when the template changes.

Guarantees that a device never has two DPUs, and that a rolling update takes no more DPUs out of service than the
strategy allows. Writes DPUs, and of others' DPUs the label that tells of a collision. Continues: the DPU controller,
which installs what a DPU asks for, and DPUDeployments, which wait for Ready. How many hosts a changed label takes out
of service at a time is decided by DPUNodeMaintenances. Source: behaviour-provisioning.md section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar

import dpf
from dpf.api import names
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.dpuset import ConditionType, DPUSet
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.dpuset import apply, observe, status, watches
from dpf.provisioning.dpuset import plan as planner
from dpf.provisioning.dpuset.pace import Pace
from dpf.provisioning.dpuset.plan import Intent
from dpf.provisioning.dpuset.snapshot import Snapshot
from dpf.runtime.clock import Clock
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch

_READ = ("get", "list", "watch")


class DPUSetController(Reconciler[DPUSet, Snapshot]):
    """One controller for all DPUSets of the host cluster. `version` is that of the platform, for labels of Nodes."""

    kind = DPUSet
    name = "dpuset"
    field_owner = "dpusetcontroller"
    finalizer = names.DPUSET_FINALIZER
    condition_types = tuple(ConditionType)
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=DPUSet, verbs=(*_READ, "patch"), subresources=("status", "finalizers")),
        Permission(kind=DPU, verbs=(*_READ, "create", "patch", "delete"), subresources=("status",)),
        Permission(kind=DPUNode, verbs=_READ),
        Permission(kind=DPUDevice, verbs=_READ),
        Permission(kind=DPUCluster, verbs=_READ),
        Permission(kind=DPFOperatorConfig, verbs=("list", "watch")),
    )

    def __init__(
        self, *, clusters: ClusterRegistry, clock: Clock, version: str = dpf.__version__,
        dpf_namespace: str = names.DPF_NAMESPACE,
    ) -> None:
        self._clusters = clusters
        self._pace = Pace(clock)
        self._world = observe.World(clusters=clusters, version=version, dpf_namespace=dpf_namespace)

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """See `watches.build`."""
        return watches.build(lambda: self._clusters.host.cache, self._pace.urge)

    async def observe(self, root: DPUSet) -> Snapshot:
        """See `observe.snapshot` and `pace`."""
        return await observe.snapshot(self._world, root, rests_s=self._pace.begin(root))

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:
        """See `plan.plan`."""
        return planner.plan(snapshot, now)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """See `plan.plan_teardown`."""
        return planner.plan_teardown(snapshot)

    async def drive(self, intent: Intent) -> None:
        """See `apply.carry_out`."""
        await apply.carry_out(self._clusters.host.client, intent, field_owner=self.field_owner)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """See `status.compute` and `pace`."""
        if not any(outcome.error for result in applied.results for outcome in result.outcomes):
            self._pace.end(snapshot.key, is_last=plan.release and not snapshot.dpus)
        return status.compute(snapshot, applied)
