"""DPUNodeMaintenance: requestors of DPUDeployments leave it when their services and chains work on the host's DPUs.

A host that is out of service for an upgrade goes back as soon as the last requestor has left: the maintenance itself is
the business of provisioning, and so are the requestors that are DPUs. Those of services in the host cluster are taken
off by `dpudeploymentnode`. Source: behaviour-service.md 6.11.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from dpf.api.dpu import DPU
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.kube.cache import Cache
from dpf.kube.clusters import ClusterRegistry
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch
from dpf.services.dpuready import remote
from dpf.services.dpuready.release import observe, plan, requestors, watches
from dpf.services.dpuready.release.snapshot import Snapshot

_READ = ("get", "list", "watch")


class RequestorController(Reconciler[DPUNodeMaintenance, Snapshot]):
    """One controller for all DPUNodeMaintenances. It writes no status."""

    kind = DPUNodeMaintenance
    name = "dpuready-requestors"
    field_owner = "dpuready-controller"
    observes_generation = False
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=DPUNodeMaintenance, verbs=(*_READ, "patch")),
        *(Permission(kind=kind, verbs=_READ) for kind in (DPU, DPUService, DPUServiceChain)),
        *remote.PERMISSIONS,
    )

    def __init__(self, *, clusters: ClusterRegistry) -> None:
        self._clusters = clusters

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """See `watches.build`."""
        return watches.build(self._cache)

    def selects(self, root: DPUNodeMaintenance) -> bool:
        """See `requestors.is_due`."""
        return requestors.is_due(root)

    async def observe(self, root: DPUNodeMaintenance) -> Snapshot:
        """See `observe.snapshot`."""
        return await observe.snapshot(self._clusters, root)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract of planners
        """See `plan.plan`."""
        return plan.plan(snapshot)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract of planners
        """Nothing: without a finalizer nobody waits for it."""
        return Plan()

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """Nothing: what is still waited for stands in the maintenance."""
        return Verdict(states={})

    def _cache(self) -> Cache:
        return self._clusters.host.cache
