"""Reboots of the own host: guarantees that DPUs that wait for one get it, once, and none in the middle of a sibling.

Runs on each host node, over the DPUNode of that host alone. Works for hosts whose reboot method is hostAgent (or gNOI,
its old name); the DPUNode controller drives the other methods, and tells when no DPU waits any more. DPUs are found by
their label with the name of the DPUNode. Source: behaviour-provisioning.md section 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from dpf.api import names
from dpf.api.dpu import DPU
from dpf.api.dpunode import ConditionType, DPUNode
from dpf.api.meta import Key, object_key
from dpf.api.provisioning import InstallInterface
from dpf.hostagent.reboot import apply, status
from dpf.hostagent.reboot import plan as planner
from dpf.hostagent.reboot.port import Machine
from dpf.hostagent.reboot.snapshot import Restart, Snapshot
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.dpunode import apply as reports
from dpf.provisioning.dpunode.reboot import Report
from dpf.provisioning.dpunode.snapshot import Snapshot as Seen
from dpf.runtime.clock import Clock
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch

_READ = ("get", "list", "watch")


class HostRebootController(Reconciler[DPUNode, Snapshot]):
    """One controller for one host. `dpunode` is the name of its DPUNode, in whatever namespace."""

    kind = DPUNode
    name = "host-reboot"
    field_owner = "dpf-host-agent"
    condition_types = (ConditionType.DPU_NODE_REBOOT_IN_PROGRESS,)
    keeps_unseen_conditions = False
    observes_generation = False
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=DPUNode, verbs=(*_READ, "patch"), subresources=("status",)),
        Permission(kind=DPU, verbs=_READ, subresources=("status",)),
    )

    def __init__(self, *, clusters: ClusterRegistry, dpunode: str, machine: Machine, clock: Clock) -> None:
        self.root_fields = f"metadata.name={dpunode}"
        self._clusters = clusters
        self._dpunode = dpunode
        self._machine = machine
        self._clock = clock

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """The DPUs of the host, and no others: there are as many agents as hosts."""
        return (Watch(kind=DPU, labels=f"{names.DPUNODE_NAME_LABEL}={self._dpunode}", maps=self._of_dpu),)

    def selects(self, root: DPUNode) -> bool:
        """See Reconciler."""
        return root.metadata.name == self._dpunode

    async def observe(self, root: DPUNode) -> Snapshot:
        """Its DPUs, and which boot runs."""
        namespace = root.metadata.namespace
        dpus = [dpu for dpu in self._clusters.host.cache.list(DPU, namespace) if _host(dpu) == self._dpunode]
        seen = Seen(dpunode=root, interface=InstallInterface.GNOI, dpus=tuple(sorted(dpus, key=object_key)))
        return Snapshot(seen=seen, boot_id=await self._machine.boot_id())

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:
        """See `plan.plan`."""
        return planner.plan(snapshot, now)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """A host that is being taken away is left alone."""
        return Plan()

    async def drive(self, intent: Restart | Report) -> None:
        """See `apply.carry_out`; reports are those of the DPUNode controller."""
        if isinstance(intent, Report):
            await reports.carry_out(intent, self._clusters.host.client, self._clock.now())
        else:
            await apply.carry_out(intent, self._machine, self._clusters.host.client)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """See `status.compute`."""
        return status.compute(snapshot, applied)

    def _of_dpu(self, old: DPU | None, new: DPU | None) -> Iterable[Key]:
        if old is not None and new is not None and _facts(old) == _facts(new):
            return ()
        namespaces = {dpu.metadata.namespace or "" for dpu in (old, new) if dpu is not None}
        return [Key(namespace, self._dpunode) for namespace in namespaces]


def _host(dpu: DPU) -> str:
    return dpu.spec.dpuNodeName if dpu.spec is not None else ""


def _facts(dpu: DPU) -> object:
    return dpu.status.phase, dpu.status.rebootStatus, dpu.metadata.annotations
