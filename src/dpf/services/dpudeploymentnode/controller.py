"""Host Node: its labels say which revision of each in-cluster service of a DPUDeployment it runs.

Sets, moves and removes labels of one prefix, and takes requestors off DPUNodeMaintenances when the node has got what
they waited for. The services are made by `dpudeployment`; that a maintenance is needed, and carrying it out, is the
business of provisioning. Source: behaviour-service.md 6.11.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from dpf.api import core
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuservice import DPUService
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, Object, object_key
from dpf.kube.cache import Cache
from dpf.kube.clusters import ClusterRegistry
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch
from dpf.services.dpudeploymentnode import observe, plan, watches
from dpf.services.dpudeploymentnode.snapshot import Snapshot

_READ = ("get", "list", "watch")


class DPUDeploymentNodeController(Reconciler[core.Node, Snapshot]):
    """One controller for all Nodes of the host cluster. It writes no status and holds no Node back."""

    kind = core.Node
    name = "dpudeploymentnode"
    field_owner = "dpudeploymentnodecontroller"
    observes_generation = False
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=core.Node, verbs=(*_READ, "patch")),
        Permission(kind=DPUNodeMaintenance, verbs=(*_READ, "patch")),
        *(Permission(kind=kind, verbs=_READ) for kind in (DPUNode, DPUDeployment, DPUService, DPUSet)),
    )

    def __init__(self, *, clusters: ClusterRegistry) -> None:
        self._clusters = clusters

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """See `watches.build`."""
        return watches.build(watches.Lookups(
            keys=self._keys, dpunode=lambda key: self._cache.get(DPUNode, key),
            dpunodes=lambda namespace: self._cache.list(DPUNode, namespace),
        ))

    async def observe(self, root: core.Node) -> Snapshot:
        """See `observe.snapshot`."""
        return observe.snapshot(self._cache, root)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract of planners
        """See `plan.plan`."""
        return plan.plan(snapshot)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract of planners
        """Nothing: without a finalizer nobody waits for it."""
        return Plan()

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """Nothing: the status of a Node belongs to its kubelet."""
        return Verdict(states={})

    @property
    def _cache(self) -> Cache:
        return self._clusters.host.cache

    def _keys(self, kind: type[Object], index: str, value: str) -> Iterable[Key]:
        return [object_key(obj) for obj in self._cache.by_index(kind, index, value)]
