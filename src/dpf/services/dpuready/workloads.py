"""What the services on one DPU's Node lack: pods that are missing, and pods that are not Ready.

Pure. Called by the planners of this package. A pod is expected where a DaemonSet of the DPU cluster, whose pods carry a
service id, selects the Node; taints are the chart's own matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dpf.api import core, names
from dpf.api.dpu import DPU
from dpf.api.meta import Object, object_key
from dpf.api.serviceworkloads import ServiceDaemonSet, ServicePod
from dpf.kube import selectors

_OVER: Final = frozenset({"Succeeded", "Failed"})
"""Phases of pods that do not run any more; a DaemonSet's are replaced, and their successors are what counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """Nothing is known about the Node. `settles`: this process has only just begun to ask, so nothing is concluded."""

    why: str
    settles: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """The Node of one DPU, the service pods on it, and the DaemonSets that want one there.

    `installed` are the ids of services of which the cluster has anything, on whatever node.
    """

    node: core.Node
    pods: tuple[ServicePod, ...] = ()
    daemon_sets: tuple[ServiceDaemonSet, ...] = ()
    installed: frozenset[str] = frozenset()


def service_id(obj: ServicePod | ServiceDaemonSet) -> str | None:
    """The service that the pod, or a pod of the DaemonSet, belongs to."""
    meta = obj.metadata if isinstance(obj, ServicePod) else obj.spec.template.metadata
    return (meta.labels or {}).get(names.SERVICE_LABEL)


def is_for(daemon_set: ServiceDaemonSet, node: core.Node) -> bool:
    """Whether the DaemonSet wants a pod on the Node. What nobody can read selects nothing."""
    spec, labels = daemon_set.spec.template.spec, node.metadata.labels or {}
    if any(labels.get(key) != value for key, value in (spec.nodeSelector or {}).items()):
        return False
    affinity = spec.affinity.nodeAffinity if spec.affinity is not None else None
    required = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity is not None else None
    try:
        return selectors.matches_node(required, labels, node.metadata.name)
    except selectors.SelectorError:
        return False


def wanted_labels(dpu: DPU) -> dict[str, str]:
    """Labels that the Node of the DPU is to have; those that steer revisions of services are among them."""
    cluster = dpu.spec.cluster if dpu.spec is not None else None
    return (cluster.nodeLabels if cluster is not None else None) or {}


def expects(view: NodeView, service: str) -> bool:
    """Whether a DaemonSet of this service id wants a pod on the Node."""
    return any(service_id(daemon_set) == service for daemon_set in view.daemon_sets)


def lacking(view: NodeView, service: str) -> Iterator[str]:
    """What pods of this service id lack on the Node, for people; nothing where all that are expected work."""
    for daemon_set in view.daemon_sets:
        if service_id(daemon_set) == service:
            yield from missing(view, daemon_set)
    yield from unready(view, (pod for pod in view.pods if service_id(pod) == service))


def missing(view: NodeView, daemon_set: ServiceDaemonSet) -> Iterator[str]:
    """That a DaemonSet has no pod on the Node yet."""
    uid = daemon_set.metadata.uid
    if not any(_is_controlled(pod, uid) for pod in view.pods if not _is_leaving(pod)):
        yield f"DaemonSet {object_key(daemon_set)} has no pod on Node {view.node.metadata.name} yet"


def unready(view: NodeView, pods: Iterable[ServicePod]) -> Iterator[str]:
    """Those of `pods` that should be Ready and are not, and why."""
    for pod in pods:
        if not _is_leaving(pod) and not is_ready(pod, view.node):
            yield f"Pod {object_key(pod)} is not ready{_complaint(pod)}"


def is_ready(pod: ServicePod, node: core.Node) -> bool:
    """Whether the pod serves on this Node.

    After a DPU is installed anew, pods of its former life may still be there under the name of the Node, Ready as they
    were left: one that is older than the Node has to have become Ready since.
    """
    found = next((c for c in pod.status.conditions or () if c.type == "Ready"), None)
    if found is None or found.status != "True":
        return False
    born = _moment(node.metadata.creationTimestamp)
    made, since = _moment(pod.metadata.creationTimestamp), _moment(found.lastTransitionTime)
    return born is None or made is None or made >= born or since is None or since >= born


def node_is_ready(node: core.Node) -> bool:
    """Whether the Node says that it is ready."""
    return any(c.type == "Ready" and c.status == "True" for c in node.status.conditions or ())


def _is_leaving(pod: ServicePod) -> bool:
    return pod.metadata.deletionTimestamp is not None or pod.status.phase in _OVER


def _is_controlled(obj: Object, uid: str | None) -> bool:
    return any(owner.uid == uid and owner.controller for owner in obj.metadata.ownerReferences or ())


def _complaint(pod: ServicePod) -> str:
    found = next((c for c in pod.status.conditions or () if c.type == "Ready"), None)
    told = (found.message or found.reason) if found is not None else None
    return f": {told}" if told else ""


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
