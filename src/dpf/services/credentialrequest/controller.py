"""DPUServiceCredentialRequest: guarantees that a Secret holds a token for a ServiceAccount, and renews it in time.

Creates the ServiceAccount in the target cluster (a DPU cluster, or the host) and the Secret in the host cluster; what
the ServiceAccount may do there is granted by whoever installs the service. What belongs to others is neither taken
over nor deleted. Source: behaviour-service.md section 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from dpf.api import core, names
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservicecredentialrequest import ConditionType, DPUServiceCredentialRequest
from dpf.api.meta import Key, Object, object_key
from dpf.kube.clusters import ClusterRegistry
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch
from dpf.services.credentialrequest import apply, observe, plan, status, watches
from dpf.services.credentialrequest.credential import Times
from dpf.services.credentialrequest.plan import Intent
from dpf.services.credentialrequest.snapshot import Snapshot

_READ = ("get", "list", "watch")
_WRITE = (*_READ, "create", "patch", "delete")


class DPUServiceCredentialRequestController(Reconciler[DPUServiceCredentialRequest, Snapshot]):
    """One controller for all DPUServiceCredentialRequests of the host cluster."""

    kind = DPUServiceCredentialRequest
    name = "dpuservicecredentialrequest"
    field_owner = apply.FIELD_OWNER
    finalizer = names.DPUSERVICECREDENTIALREQUEST_FINALIZER
    condition_types = tuple(ConditionType)
    observes_generation = False
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(
            kind=DPUServiceCredentialRequest, verbs=(*_READ, "patch"), subresources=("status", "finalizers")
        ),
        Permission(kind=DPUCluster, verbs=_READ),
        Permission(kind=core.Secret, verbs=_WRITE),
        Permission(kind=core.ServiceAccount, verbs=_WRITE),
        Permission(kind=core.ServiceAccount, verbs=("create",), subresources=("token",)),
        Permission(kind=core.ServiceAccount, verbs=_WRITE, everywhere=True),
        Permission(kind=core.ServiceAccount, verbs=("create",), subresources=("token",), everywhere=True),
    )

    def __init__(self, *, clusters: ClusterRegistry) -> None:
        self._clusters = clusters

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """Requests, their targets, and everything that is made for them."""
        return watches.build(self._lookup)

    async def observe(self, root: DPUServiceCredentialRequest) -> Snapshot:
        """See `observe.snapshot`."""
        return await observe.snapshot(self._clusters, root)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:
        """See `plan.plan`."""
        return plan.plan(snapshot, now)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:
        """See `plan.plan_teardown`."""
        return plan.plan_teardown(snapshot, now)

    async def drive(self, intent: Intent) -> Times | None:
        """See `apply.carry_out`."""
        return await apply.carry_out(intent, self._clusters)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """See `status.compute`."""
        return status.compute(snapshot, applied)

    def _lookup(self, kind: type[Object], index: str, value: str) -> Iterable[Key]:
        return [object_key(obj) for obj in self._clusters.host.cache.by_index(kind, index, value)]
