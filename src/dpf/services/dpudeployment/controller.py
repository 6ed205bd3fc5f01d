"""DPUDeployment: DPUs with a flavor and a BFB, the services on them and the chain between them, kept as the spec says.

Creates DPUServices, DPUServiceInterfaces, a DPUServiceChain and DPUSets in its namespace and rolls them over when what
they are made from changes. Marks BFB, flavor, templates and configurations as in use. What the children mean for the
clusters is their own controllers' business; labels of host nodes are set by `dpudeploymentnode`. Decision:
docs/adr/0011.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from dpf.api import names
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpudeployment import ConditionType, DPUDeployment
from dpf.api.meta import Key, Object, object_key
from dpf.kube.clusters import ClusterRegistry
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch
from dpf.services.dpudeployment import dependencies, observe, plan, status, watches
from dpf.services.dpudeployment.snapshot import Snapshot

_READ = ("get", "list", "watch")


class DPUDeploymentController(Reconciler[DPUDeployment, Snapshot]):
    """One controller for all DPUDeployments of the host cluster."""

    kind = DPUDeployment
    name = "dpudeployment"
    field_owner = "dpudeploymentcontroller"
    finalizer = names.DPUDEPLOYMENT_FINALIZER
    condition_types = tuple(ConditionType)
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=DPUDeployment, verbs=(*_READ, "patch"), subresources=("status", "finalizers")),
        Permission(kind=DPFOperatorConfig, verbs=_READ),
        *(Permission(kind=kind, verbs=(*_READ, "create", "patch", "delete")) for kind in dependencies.CHILD_KINDS),
        *(Permission(kind=kind, verbs=(*_READ, "patch")) for kind in dependencies.KINDS),
    )

    def __init__(self, *, clusters: ClusterRegistry) -> None:
        self._clusters = clusters

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """See `watches.build`."""
        return watches.build(self._every_key, self._lookup)

    async def observe(self, root: DPUDeployment) -> Snapshot:
        """See `observe.snapshot`."""
        host = self._clusters.host
        return await observe.snapshot(host.cache, host.client, root)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:
        """See `plan.plan`."""
        return plan.plan(snapshot, now)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:
        """See `plan.plan_teardown`."""
        return plan.plan_teardown(snapshot, now)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """See `status.compute`."""
        return status.compute(snapshot, applied)

    def _every_key(self) -> Iterable[Key]:
        return self._clusters.host.cache.store(DPUDeployment).keys()

    def _lookup(self, kind: type[Object], index: str, value: str) -> Iterable[Key]:
        return [object_key(obj) for obj in self._clusters.host.cache.by_index(kind, index, value)]
