"""DPUNode: guarantees that it says which Node the host is, whether the host is in service, and goes with what is on it.

Carries the labels and annotations of its Node. Has the host rebooted for DPUs that need it, where that is done by
somebody outside or by a script. Deleting it deletes its DPUs and then its DPUDevices. Continues: DPUSets select it;
DPUNodeMaintenances take the host out of service. Source: behaviour-provisioning.md sections 4 and 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from dpf.api import core, names
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import ConditionType, DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Object
from dpf.api.upkeep import Job
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.dpunode import apply, observe, status, watches
from dpf.provisioning.dpunode import plan as planner
from dpf.provisioning.dpunode.reboot import Report
from dpf.provisioning.dpunode.snapshot import Snapshot
from dpf.runtime.clock import Clock
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch

_READ = ("get", "list", "watch")


class DPUNodeController(Reconciler[DPUNode, Snapshot]):
    """One controller for all DPUNodes of the host cluster."""

    kind = DPUNode
    name = "dpunode"
    field_owner = "dpunode-controller"
    finalizer = names.DPUNODE_FINALIZER
    condition_types = (
        ConditionType.READY, ConditionType.INVALID_DPU_DETAILS, ConditionType.OOB_BRIDGE_CONFIGURED,
        ConditionType.DPU_NODE_NODE_EFFECT_IN_PROGRESS, ConditionType.DPU_NODE_REBOOT_IN_PROGRESS,
    )
    observes_generation = False
    keeps_unseen_conditions = False
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=DPUNode, verbs=(*_READ, "patch", "delete"), subresources=("status", "finalizers")),
        Permission(kind=DPUDevice, verbs=(*_READ, "delete")),
        Permission(kind=DPU, verbs=(*_READ, "delete"), subresources=("status",)),
        Permission(kind=Job, verbs=(*_READ, "create", "patch", "delete")),
        Permission(kind=core.ConfigMap, verbs=("get",)),
        Permission(kind=core.Pod, verbs=("list",)),
        *(Permission(kind=kind, verbs=_READ) for kind in (core.Node, DPUNodeMaintenance, DPFOperatorConfig)),
    )

    def __init__(self, *, clusters: ClusterRegistry, clock: Clock) -> None:
        self._clusters = clusters
        self._clock = clock

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """See `watches.build`."""
        return watches.build(self._find, lambda: self._clusters.host.cache.store(DPUNode).keys())

    async def observe(self, root: DPUNode) -> Snapshot:
        """See `observe.snapshot_of`."""
        return await observe.snapshot_of(self._clusters.host.cache, self._clusters.host.client, root)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """See `plan.plan`."""
        return planner.plan(snapshot)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """See `plan.plan_teardown`."""
        return planner.plan_teardown(snapshot)

    async def drive(self, intent: Report) -> None:
        """See `apply.carry_out`."""
        await apply.carry_out(intent, self._clusters.host.client, self._clock.now())

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """See `status.compute`."""
        return status.compute(snapshot, applied)

    def _find(self, kind: type[Object], index: str, value: str) -> Iterable[Object]:
        return self._clusters.host.cache.by_index(kind, index, value)
