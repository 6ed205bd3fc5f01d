"""DPUService: the chart runs on every selected DPU cluster, or in the host cluster, exactly as the spec says.

Claims the interfaces that the service lists; creates Applications, AppProjects and cluster Secrets for Argo CD, which
installs the charts; prepares namespaces and pull secrets in the DPU clusters; exposes config ports in the host cluster.
Whatever a chart creates belongs to Argo CD, DPUClusters and their kubeconfigs belong to the cluster managers, and of a
DPUServiceInterface only the claim is written here. Decisions: docs/adr/0002 and 0007.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from dpf.api import core, names
from dpf.api.argocd import Application, AppProject
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import ConditionType, DPUService
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicenad import DPUServiceNAD
from dpf.api.meta import Key, Object, object_key
from dpf.kube.clusters import ClusterRegistry
from dpf.runtime.mirrors import NONE, Mirrors
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch
from dpf.services.dpuservice import observe, plan, status, watches
from dpf.services.dpuservice.fleetcache import FleetCache
from dpf.services.dpuservice.snapshot import Snapshot

_READ = ("get", "list", "watch")
_WRITE = (*_READ, "create", "patch", "delete")


class DPUServiceController(Reconciler[DPUService, Snapshot]):
    """One controller for all DPUServices of the host cluster."""

    kind = DPUService
    name = "dpuservice"
    field_owner = "dpuservice-manager"
    finalizer = names.DPUSERVICE_FINALIZER
    condition_types = tuple(ConditionType)
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=DPUService, verbs=(*_READ, "patch"), subresources=("status", "finalizers")),
        Permission(kind=DPUCluster, verbs=_READ),
        Permission(kind=DPFOperatorConfig, verbs=_READ),
        Permission(kind=DPUServiceInterface, verbs=(*_READ, "patch")),
        Permission(kind=DPUServiceNAD, verbs=_READ),
        Permission(kind=Application, verbs=_WRITE),
        Permission(kind=AppProject, verbs=_WRITE),
        Permission(kind=core.Secret, verbs=_WRITE),
        Permission(kind=core.Namespace, verbs=(*_READ, "patch")),
        Permission(kind=core.Service, verbs=_WRITE),
        Permission(kind=core.EndpointSlice, verbs=_WRITE),
        Permission(kind=core.Endpoints, verbs=_WRITE),
        Permission(kind=core.Namespace, verbs=(*_READ, "create", "patch"), everywhere=True),
        Permission(kind=core.Secret, verbs=_WRITE, everywhere=True),
        Permission(kind=core.Service, verbs=_READ, everywhere=True),
        Permission(kind=core.Node, verbs=_READ, everywhere=True),
    )

    def __init__(
        self, *, clusters: ClusterRegistry, dpf_namespace: str = names.DPF_NAMESPACE, mirrors: Mirrors = NONE
    ) -> None:
        self._clusters = clusters
        self._mirrors = mirrors
        self._fleet = FleetCache(clusters.host.cache, dpf_namespace)

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """Table 3.1, as far as the kinds exist."""
        return watches.build(self._every_key, self._lookup)

    async def observe(self, root: DPUService) -> Snapshot:
        """See `observe.snapshot`."""
        return await observe.snapshot(self._clusters, self._fleet.current(), root, self._mirrors)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:
        """See `plan.plan`."""
        return plan.plan(snapshot, now)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:
        """See `plan.plan_teardown`."""
        return plan.plan_teardown(snapshot, now)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """See `status.compute`."""
        return status.compute(snapshot, applied, now)

    def _every_key(self) -> Iterable[Key]:
        return self._clusters.host.cache.store(DPUService).keys()

    def _lookup(self, kind: type[Object], index: str, value: str) -> Iterable[Key]:
        return [object_key(obj) for obj in self._clusters.host.cache.by_index(kind, index, value)]
