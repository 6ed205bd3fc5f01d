"""Reads what is on the Node of one DPU, from the cache of its cluster or from the cluster's API server.

Called by the observations of this package. No answer is a value, `Silent`; the host cluster is not read here.
"""

from __future__ import annotations

from typing import Final, TypeVar

from dpf.api import core, names
from dpf.api.dpu import DPU
from dpf.api.meta import Key, Object
from dpf.api.serviceworkloads import ServiceDaemonSet, ServicePod
from dpf.kube import errors
from dpf.kube.cache import Cache
from dpf.kube.client import Client
from dpf.kube.clusters import ClusterRegistry, Connecting, Unreachable
from dpf.services.dpuready import remote, workloads
from dpf.services.dpuready.workloads import NodeView, Silent

T = TypeVar("T", bound=Object)

NOT_LISTED: Final = "its pods have not been listed yet"


def cluster_key(dpu: DPU) -> Key | None:
    """The DPUCluster that the DPU joins; None while it has none."""
    cluster = dpu.spec.cluster if dpu.spec is not None else None
    if cluster is None or not cluster.name:
        return None
    return Key(cluster.namespace or dpu.metadata.namespace or "", cluster.name)


def cached(clusters: ClusterRegistry, key: Key, name: str) -> NodeView | Silent | None:
    """What the caches know of Node `name` in DPUCluster `key`; None when there is no such Node."""
    cluster = clusters.get(key)
    if isinstance(cluster, Unreachable):
        settles = isinstance(clusters.health(key), Connecting)
        return Silent(why=f"DPUCluster {key}: {cluster.why}", settles=settles)
    try:
        return _cached(cluster.cache, name)
    except errors.NotSynced:
        return Silent(why=f"DPUCluster {key}: {NOT_LISTED}", settles=True)


async def fresh(clusters: ClusterRegistry, key: Key, name: str) -> NodeView | Silent | None:
    """The same from the API server of the DPU cluster."""
    cluster = clusters.get(key)
    if isinstance(cluster, Unreachable):
        return Silent(why=f"DPUCluster {key}: {cluster.why}")
    try:
        return await _fresh(cluster.client, name)
    except errors.Error as error:
        return Silent(why=f"DPUCluster {key}: {error}")


def _cached(cache: Cache, name: str) -> NodeView | None:
    node = cache.get(core.Node, Key("", name))
    pods = cache.by_index(ServicePod, remote.BY_NODE, name)
    daemon_sets = cache.list(ServiceDaemonSet)
    if node is None:
        return None
    return _view(node, pods, daemon_sets, remote.ids(cache))


async def _fresh(client: Client, name: str) -> NodeView | None:
    try:
        node = await client.get(core.Node, name)
    except errors.NotFound:
        return None
    pods = await _listed(client, ServicePod, labels=names.SERVICE_LABEL, fields=f"spec.nodeName={name}")
    daemon_sets = await _listed(client, ServiceDaemonSet)
    return _view(node, pods, daemon_sets, frozenset())


def _view(
    node: core.Node, pods: tuple[ServicePod, ...], daemon_sets: tuple[ServiceDaemonSet, ...], ids: frozenset[str],
) -> NodeView:
    ours = [daemon_set for daemon_set in daemon_sets if workloads.service_id(daemon_set) is not None]
    return NodeView(
        node=node, pods=tuple(sorted(pods, key=lambda pod: pod.metadata.name)),
        daemon_sets=tuple(daemon_set for daemon_set in ours if workloads.is_for(daemon_set, node)), installed=ids,
    )


async def _listed(
    client: Client, kind: type[T], *, labels: str | None = None, fields: str | None = None
) -> tuple[T, ...]:
    """A complete list. What exists but cannot be read must not look absent."""
    listing = await client.list(kind, labels=labels, fields=fields)
    for item in listing.unreadable:
        raise errors.NotSynced(f"{kind.resource.kind} {item.key} cannot be read: {item.why}; correct the object")
    return listing.items
