"""Which clusters a DPUService goes to, and what Argo CD calls them (behaviour-service.md 3.5).

Pure. Called by this kind's planner, its status and its observation (which needs the wanted names).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dpf.api import names
from dpf.api.argocd import Application
from dpf.api.core import Secret
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import DPUService
from dpf.api.meta import Key, object_key
from dpf.kube import selectors
from dpf.services.argocd import build
from dpf.services.dpuservice import naming
from dpf.services.dpuservice.snapshot import ClusterView, Connecting, Remote, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgoNames:
    """What Argo CD calls each DPUCluster, and the Secret of each."""

    aliases: Mapping[Key, str]
    secrets: Mapping[Key, str]


def problem(service: DPUService) -> str | None:
    """What is wrong with the spec's choice of clusters, for the user; None when it can be followed."""
    if service.spec is None:
        return "spec: the DPUService has none; set spec.helmChart"
    try:
        selectors.matches(service.spec.dpuClusterSelector, {})
    except selectors.SelectorError as error:
        return f"spec.dpuClusterSelector: {error}"
    return None


def selected(service: DPUService, clusters: Iterable[DPUCluster]) -> tuple[DPUCluster, ...]:
    """DPUClusters that the service goes to: selected and not being deleted. None for `deployInCluster`."""
    spec = service.spec
    if spec is None or spec.deployInCluster or problem(service):
        return ()
    return tuple(
        cluster for cluster in clusters
        if cluster.metadata.deletionTimestamp is None
        and selectors.matches(spec.dpuClusterSelector, cluster.metadata.labels)
    )


def views(snapshot: Snapshot) -> tuple[ClusterView, ...]:
    """The selected DPUClusters with what is known about them."""
    chosen = {object_key(c) for c in selected(snapshot.service, (view.cluster for view in snapshot.clusters))}
    return tuple(view for view in snapshot.clusters if view.key in chosen)


def is_connecting(snapshot: Snapshot) -> bool:
    """Whether it is not known yet if one of the selected clusters answers."""
    return any(isinstance(view.remote, Connecting) for view in views(snapshot))


def awaiting_namespace(snapshot: Snapshot) -> frozenset[Key]:
    """Selected clusters that answer, but in which the service's namespace has not been seen yet.

    Argo CD gives up on an Application after a few failed attempts, so none is made before it can work.
    """
    return frozenset(
        view.key for view in views(snapshot) if isinstance(view.remote, Remote) and view.remote.namespace is None
    )


def destinations(snapshot: Snapshot) -> tuple[build.Destination, ...]:
    """Where an Application of the service has to be, the unusable clusters included."""
    if snapshot.service.spec is not None and snapshot.service.spec.deployInCluster:
        return (build.Destination(name=build.IN_CLUSTER),)
    aliases = argo_names((view.cluster for view in snapshot.clusters), snapshot.cluster_secrets).aliases
    return tuple(build.Destination(name=aliases[view.key], cluster=view.key) for view in views(snapshot))


def argo_names(clusters: Iterable[DPUCluster], cluster_secrets: Iterable[Secret]) -> ArgoNames:
    """Names for all DPUClusters: those they hold, and none that a Secret of somebody else has."""
    every = tuple(clusters)
    owned: dict[Key, Secret] = {}
    foreign: list[Secret] = []
    for secret in cluster_secrets:
        owner = secret_owner(secret)
        if owner is None:
            foreign.append(secret)
        else:
            owned[owner] = secret
    return ArgoNames(
        aliases=naming.cluster_aliases(
            every, {key: build.cluster_name_in(secret) for key, secret in owned.items()},
            {build.cluster_name_in(secret) for secret in foreign},
        ),
        secrets=naming.cluster_secret_names(
            every, {key: secret.metadata.name for key, secret in owned.items()},
            {secret.metadata.name for secret in foreign},
        ),
    )


def secret_owner(secret: Secret) -> Key | None:
    """The DPUCluster that a cluster Secret stands for; None for one that somebody else made."""
    labels = secret.metadata.labels or {}
    if names.CLUSTER_LABEL not in labels or names.CLUSTER_NAMESPACE_LABEL not in labels:
        return None
    return Key(labels[names.CLUSTER_NAMESPACE_LABEL], labels[names.CLUSTER_LABEL])


def installed(
    snapshot: Snapshot, places: Iterable[build.Destination]
) -> list[tuple[build.Destination, Application | None]]:
    """The service's Application at each place, found by its labels and never by its name. Of two, the older counts."""
    found: dict[_Place, Application] = {}
    for application in sorted(snapshot.applications, key=naming.seniority, reverse=True):
        found[_place(application.metadata.labels or {})] = application
    return [(destination, found.get(_place(destination.labels))) for destination in places]


_Place = tuple[str | None, str | None]


def _place(labels: Mapping[str, str]) -> _Place:
    return labels.get(names.CLUSTER_LABEL), labels.get(names.CLUSTER_NAMESPACE_LABEL)
