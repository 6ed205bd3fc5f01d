"""BFB: guarantees that a Ready BFB has its whole bundle on the volume, and that its versions are in the status.

Downloads the bundle beside the passes (`download`), resumes after a crash, reads its versions, and fetches it again
when the file has gone. A BFB is let go, with its files, once no DPUSet and no DPU refers to it. Writes the volume and
the status only. Continues: DPUs, which are installed from the file, and DPUDeployments, which compare the versions.
Decision: docs/adr/0012. Source: behaviour-provisioning.md section 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property

from dpf.api import names
from dpf.api.bfb import BFB, ConditionType
from dpf.api.dpu import DPU
from dpf.api.dpuset import DPUSet
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.bfb import observe, status, watches
from dpf.provisioning.bfb import plan as planner
from dpf.provisioning.bfb.download import Downloads
from dpf.provisioning.bfb.plan import Intent
from dpf.provisioning.bfb.snapshot import Snapshot
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch


class BFBController(Reconciler[BFB, Snapshot]):
    """One controller for all BFBs, over one volume."""

    kind = BFB
    name = "bfb"
    field_owner = "bfb-controller"
    finalizer = names.BFB_FINALIZER
    condition_types = tuple(ConditionType)
    keeps_unseen_conditions = False
    permissions = (
        Permission(kind=BFB, verbs=("get", "list", "watch", "patch"), subresources=("status", "finalizers")),
        Permission(kind=DPUSet, verbs=("list", "watch")),
        Permission(kind=DPU, verbs=("list", "watch")),
    )

    def __init__(self, *, clusters: ClusterRegistry, downloads: Downloads) -> None:
        self._clusters = clusters
        self._downloads = downloads
        self._world = observe.World(clusters=clusters, downloads=downloads)

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """Users, and other BFBs that want the same file name."""
        return watches.build(self._named)

    async def observe(self, root: BFB) -> Snapshot:
        """See `observe.snapshot`."""
        return await observe.snapshot(self._world, root)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:
        """See `plan.plan`."""
        return planner.plan(snapshot, now)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """See `plan.plan_teardown`."""
        return planner.plan_teardown(snapshot)

    async def drive(self, intent: Intent) -> None:
        """See `Downloads.carry_out`."""
        await self._downloads.carry_out(intent)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """See `status.compute`."""
        return status.compute(snapshot, applied, now)

    def _named(self, file_name: str) -> Iterable[BFB]:
        return self._clusters.host.cache.by_index(BFB, watches.BY_FILE, file_name)
