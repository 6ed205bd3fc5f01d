"""DPUNodeMaintenance: guarantees that the effect is on the host before its requestors go on, and off it after the last.

At most as many hosts as allowed are out of service at any instant. Taints, labels and cordons Nodes, evicts pods or has
the maintenance operator do it, runs the Job of a customAction. Continues: requestors add and remove themselves, DPUs
and in-cluster services (`services.dpudeploymentnode`). Source: behaviour-provisioning.md section 6.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from dpf.api import core, names
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import ConditionType, DPUNodeMaintenance
from dpf.api.meta import Object
from dpf.api.upkeep import Job, NodeMaintenance, PodDisruptionBudget
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.maintenance import apply, observe, status, watches
from dpf.provisioning.maintenance import plan as planner
from dpf.provisioning.maintenance.admission import Admissions
from dpf.provisioning.maintenance.drain import Evict, Refusal
from dpf.provisioning.maintenance.snapshot import Limits, Snapshot
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch

_READ = ("get", "list", "watch")


class DPUNodeMaintenanceController(Reconciler[DPUNodeMaintenance, Snapshot]):
    """One controller for all DPUNodeMaintenances of the host cluster."""

    kind = DPUNodeMaintenance
    name = "dpunodemaintenance"
    field_owner = "dpunodemaintenance-controller"
    finalizer = names.DPUNODEMAINTENANCE_FINALIZER
    condition_types = tuple(ConditionType)
    observes_generation = False
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=DPUNodeMaintenance, verbs=(*_READ, "patch", "delete"), subresources=("status", "finalizers")),
        Permission(kind=DPUNode, verbs=_READ),
        Permission(kind=DPU, verbs=_READ),
        Permission(kind=DPFOperatorConfig, verbs=_READ),
        Permission(kind=core.Node, verbs=(*_READ, "patch")),
        Permission(kind=core.Pod, verbs=("list",)),
        Permission(kind=core.Pod, verbs=("create",), subresources=("eviction",)),
        Permission(kind=PodDisruptionBudget, verbs=("list",)),
        Permission(kind=core.ConfigMap, verbs=("get",)),
        Permission(kind=core.Event, verbs=("create", "patch")),
        Permission(kind=core.CustomResourceDefinition, verbs=("get",)),
        Permission(kind=Job, verbs=(*_READ, "create", "patch", "delete")),
        Permission(kind=NodeMaintenance, verbs=("get", "create", "patch", "delete")),
    )

    def __init__(self, *, clusters: ClusterRegistry, limits: Limits | None = None) -> None:
        """`limits` count as long as no DPFOperatorConfig says otherwise."""
        self._clusters = clusters
        self._world = observe.World(
            clusters=clusters, admissions=Admissions(clusters), limits=limits or Limits()
        )

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """See `watches.build`."""
        return watches.build(self._find)

    async def observe(self, root: DPUNodeMaintenance) -> Snapshot:
        """See `observe.snapshot`."""
        return await observe.snapshot(self._world, root)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:
        """See `plan.plan`."""
        return planner.plan(snapshot, now)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """See `plan.plan_teardown`."""
        return planner.plan_teardown(snapshot)

    async def drive(self, intent: Evict) -> tuple[Refusal, ...]:
        """See `apply.carry_out`."""
        return await apply.carry_out(intent, self._clusters.host.client)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """See `status.compute`."""
        return status.compute(snapshot, applied, now)

    def _find(self, kind: type[Object], index: str, value: str) -> Iterable[Object]:
        return self._clusters.host.cache.by_index(kind, index, value)
