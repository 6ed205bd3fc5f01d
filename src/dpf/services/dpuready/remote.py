"""What is followed in DPU clusters: service pods, DaemonSets and Nodes, their indexes, and what a change is.

Called by the watches and the observations of this package. A pod belongs to a DPU by the name of its Node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from dpf.api import core, names
from dpf.api.meta import Key
from dpf.api.serviceworkloads import ServiceDaemonSet, ServicePod
from dpf.kube.cache import Cache
from dpf.runtime.reconciler import Permission, Watch
from dpf.services.dpuready import workloads

BY_NODE: Final = "dpuready-node"
"""Service pods by the name of their Node."""

_READ: Final = ("get", "list", "watch")

PERMISSIONS: Final = tuple(
    Permission(kind=kind, verbs=_READ, everywhere=True) for kind in (core.Node, ServicePod, ServiceDaemonSet)
)


def build(of_nodes: Callable[[Iterable[str]], Iterable[Key]], everybody: Callable[[], Iterable[Key]]) -> list[Watch]:
    """Watches in DPU clusters. `of_nodes` names the roots that stand for these Nodes, `everybody` all of them."""

    def of_pod(old: ServicePod | None, new: ServicePod | None) -> Iterable[Key]:
        if _pod_facts(old) == _pod_facts(new):
            return ()
        return of_nodes({pod.spec.nodeName for pod in (old, new) if pod is not None and pod.spec.nodeName})

    def of_daemon_set(old: ServiceDaemonSet | None, new: ServiceDaemonSet | None) -> Iterable[Key]:
        if _daemon_set_facts(old) == _daemon_set_facts(new):
            return ()
        return everybody()

    def of_node(old: core.Node | None, new: core.Node | None) -> Iterable[Key]:
        if _node_facts(old) == _node_facts(new):
            return ()
        return of_nodes({node.metadata.name for node in (old, new) if node is not None})

    return [
        Watch(kind=ServicePod, maps=of_pod, labels=names.SERVICE_LABEL, everywhere=True, indexes={
            BY_NODE: _by_node,
        }),
        Watch(kind=ServiceDaemonSet, maps=of_daemon_set, everywhere=True),
        Watch(kind=core.Node, maps=of_node, everywhere=True),
    ]


def ids(cache: Cache) -> frozenset[str]:
    """Ids of the services that have a DaemonSet in the cluster. Raises NotSynced."""
    found = (workloads.service_id(daemon_set) for daemon_set in cache.list(ServiceDaemonSet))
    return frozenset(found_id for found_id in found if found_id is not None)


def _by_node(pod: ServicePod) -> Iterable[str]:
    return (pod.spec.nodeName,) if pod.spec.nodeName else ()


def _pod_facts(pod: ServicePod | None) -> object:
    if pod is None:
        return None
    meta = pod.metadata
    ready = next((c for c in pod.status.conditions or () if c.type == "Ready"), None)
    return meta.uid, meta.deletionTimestamp, workloads.service_id(pod), pod.spec, pod.status.phase, ready


def _daemon_set_facts(daemon_set: ServiceDaemonSet | None) -> object:
    """None for one without a service id: it concerns nobody."""
    if daemon_set is None or workloads.service_id(daemon_set) is None:
        return None
    return daemon_set.metadata.uid, workloads.service_id(daemon_set), daemon_set.spec.template.spec


def _node_facts(node: core.Node | None) -> object:
    """Without the times of heartbeats."""
    if node is None:
        return None
    told = tuple((c.type, c.status, c.reason, c.message) for c in node.status.conditions or ())
    return node.metadata.uid, node.metadata.labels, told
