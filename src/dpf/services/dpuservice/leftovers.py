"""Pull secrets that DPUServices have left in a DPU cluster: guarantees that they go once nobody needs them.

A DPUService takes its mirrored pull secrets along when it goes, but a cluster that is down at that moment must not keep
it, and a finalizer may be taken off by hand. This controller looks at each DPUCluster when it comes back, and whenever
a DPUService has gone: labelled pull secrets in a namespace that was made for DPUServices, and in which there is none
any more, are removed. It writes nothing else, neither in the host cluster nor into the status of the DPUCluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import ClassVar, Final

from dpf.api import core, names
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import DPUService
from dpf.api.meta import Key, Object, object_key
from dpf.kube.clusters import Cluster, ClusterRegistry
from dpf.runtime.plan import Applied, Plan, Step
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch
from dpf.services.dpuservice import prereqs

RECHECK_S: Final = 2.0
_READ = ("get", "list", "watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What is left in `cluster`; None when that cannot be told yet although the cluster answers."""

    cluster: Key
    pull_secrets: tuple[core.Secret, ...] | None = ()


class LeftoverController(Reconciler[DPUCluster, Leftovers]):
    """One look per DPUCluster."""

    kind = DPUCluster
    name = "dpuservice-leftovers"
    field_owner = "dpuservice-manager"
    observes_generation = False
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=DPUCluster, verbs=_READ),
        Permission(kind=DPUService, verbs=_READ),
        Permission(kind=core.Namespace, verbs=_READ, everywhere=True),
        Permission(kind=core.Secret, verbs=(*_READ, "delete"), everywhere=True),
    )

    def __init__(self, *, clusters: ClusterRegistry) -> None:
        self._clusters = clusters

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """A DPUService that has gone, and a pull secret that appears where there is none. Health comes by itself."""
        prereq, pull_secrets = f"{names.PREREQ_LABEL}=true", names.IMAGE_PULL_SECRET_LABEL
        return (
            Watch(kind=DPUService, maps=self._of_service),
            Watch(kind=core.Namespace, maps=_nobody, labels=prereq, everywhere=True),
            Watch(kind=core.Secret, maps=self._of_secret, labels=pull_secrets, everywhere=True),
        )

    async def observe(self, root: DPUCluster) -> Leftovers:
        """What the cluster's cache holds; before anything is removed, the host's API server says who is left."""
        key = object_key(root)
        cluster = self._clusters.get(key)
        if not isinstance(cluster, Cluster):
            return Leftovers(cluster=key)
        if not cluster.cache.is_synced(core.Namespace, core.Secret):
            return Leftovers(cluster=key, pull_secrets=None)
        candidates = self._candidates(cluster)
        abandoned = {ns for ns in {s.metadata.namespace or "" for s in candidates} if await self._is_abandoned(ns)}
        return Leftovers(
            cluster=key, pull_secrets=tuple(s for s in candidates if s.metadata.namespace in abandoned)
        )

    def plan(self, snapshot: Leftovers, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """Remove what is left."""
        if snapshot.pull_secrets is None:
            return Plan(wake_after_s=RECHECK_S)
        removal = prereqs.remove_pull_secrets(
            snapshot.cluster, snapshot.pull_secrets, because="no DPUService is left in the namespace"
        )
        return Plan(steps=(Step(name="pull-secrets", actions=tuple(removal)),))

    def plan_teardown(self, snapshot: Leftovers, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """Never asked for: without a finalizer, nothing is done for a DPUCluster that is being deleted."""
        return Plan(release=True)

    def status(self, snapshot: Leftovers, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """Nothing: the status belongs to others."""
        return Verdict(states={})

    def _candidates(self, cluster: Cluster) -> list[core.Secret]:
        in_use = {key.namespace for key in self._services()}
        found = [s for s in cluster.cache.list(core.Secret) if s.metadata.namespace not in in_use]
        return [
            s for s in found if names.IMAGE_PULL_SECRET_LABEL in (s.metadata.labels or {})
            and _is_ours(cluster.cache.get(core.Namespace, Key("", s.metadata.namespace or "")))
        ]

    async def _is_abandoned(self, namespace: str) -> bool:
        """Whether the namespace has no DPUService, not even one that cannot be read or that the cache has not seen."""
        listing = await self._clusters.host.client.list(DPUService, namespace)
        return not listing.items and not listing.unreadable

    def _services(self) -> Iterable[Key]:
        store = self._clusters.host.cache.store(DPUService)
        return (*store.keys(), *store.unreadable)

    def _of_service(self, _old: DPUService | None, new: DPUService | None) -> Iterable[Key]:
        return self._every_cluster() if new is None else ()

    def _of_secret(self, _old: core.Secret | None, new: core.Secret | None) -> Iterable[Key]:
        if new is None or any(key.namespace == new.metadata.namespace for key in self._services()):
            return ()
        return self._every_cluster()

    def _every_cluster(self) -> Iterable[Key]:
        return self._clusters.host.cache.store(DPUCluster).keys()


def _is_ours(namespace: core.Namespace | None) -> bool:
    return namespace is not None and (namespace.metadata.labels or {}).get(names.PREREQ_LABEL) == "true"


def _nobody(_old: Object | None, _new: Object | None) -> Iterable[Key]:
    """This watch only has the namespaces cached."""
    return ()
