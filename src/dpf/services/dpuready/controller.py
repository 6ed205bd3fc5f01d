"""DPU: operational conditions say whether an installed DPU works, and in words what does not.

They cover its Node, the pods of services on it, critical ones apart, and the interfaces and chains that are meant for
it. Everything else in the status is the business of provisioning, which lets a DPU pass its flavor's gate by these.
Source: api-provisioning.md section 3, behaviour-service.md 10.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from dpf.api.dpu import DPU
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.kube.cache import Cache
from dpf.kube.clusters import ClusterRegistry
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch
from dpf.services.dpuready import observe, plan, remote, status, watches
from dpf.services.dpuready.snapshot import Snapshot, is_installed

_READ = ("get", "list", "watch")


class DPUReadyController(Reconciler[DPU, Snapshot]):
    """One controller for all DPUs. It writes one field of their status."""

    kind = DPU
    name = "dpuready"
    field_owner = "dpuready-controller"
    observes_generation = False
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=DPU, verbs=_READ, subresources=("status",)),
        *(Permission(kind=kind, verbs=_READ) for kind in (
            DPUCluster, DPUService, DPUServiceInterface, DPUServiceChain,
        )),
        *remote.PERMISSIONS,
    )

    def __init__(self, *, clusters: ClusterRegistry) -> None:
        self._clusters = clusters

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """See `watches.build`."""
        return watches.build(self._cache)

    def selects(self, root: DPU) -> bool:
        """Installed DPUs, and those about which something is told still."""
        return is_installed(root) or root.status.operationalConditions is not None

    async def observe(self, root: DPU) -> Snapshot:
        """See `observe.snapshot`."""
        return observe.snapshot(self._clusters, root)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract of planners
        """See `plan.plan`."""
        return plan.plan(snapshot)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract of planners
        """Nothing: without a finalizer nobody waits for it."""
        return Plan()

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """See `status.compute`."""
        return status.compute(snapshot, now)

    def _cache(self) -> Cache:
        return self._clusters.host.cache
