"""Which ports a node opens for NodePort Services, and the pods behind them.

Pure. Called by `agent`, carried out by `relay`. Only pods of this node are used, which is what externalTrafficPolicy
Local means; there is no kube-proxy that could reach the others. Source: Kubernetes, "Service", type NodePort.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dpf.api.core import Pod, Service, ServicePort


@dataclass(frozen=True, slots=True, order=True)
class NodePort:
    """One open port: TCP or UDP, and its number."""

    protocol: str
    number: int


@dataclass(frozen=True, slots=True, order=True)
class Backend:
    """One pod's port."""

    ip: str
    port: int


def wanted(services: Iterable[Service], pods: Iterable[Pod]) -> dict[NodePort, tuple[Backend, ...]]:
    """Every port to be open, with its ready pods in a stable order. A port without a ready pod is not open."""
    ready = [pod for pod in pods if _is_ready(pod)]
    ports: dict[NodePort, tuple[Backend, ...]] = {}
    for service in services:
        if service.spec.type not in {"NodePort", "LoadBalancer"} or not service.spec.selector:
            continue
        chosen = [pod for pod in ready if _selects(service, pod)]
        for port in service.spec.ports or ():
            backends = sorted({backend for pod in chosen if (backend := _backend(pod, port))})
            if port.nodePort and backends:
                ports[NodePort(port.protocol or "TCP", port.nodePort)] = tuple(backends)
    return ports


def _selects(service: Service, pod: Pod) -> bool:
    labels: Mapping[str, str] = pod.metadata.labels or {}
    selector = service.spec.selector or {}
    same_namespace = service.metadata.namespace == pod.metadata.namespace
    return same_namespace and all(labels.get(key) == value for key, value in selector.items())


def _backend(pod: Pod, port: ServicePort) -> Backend | None:
    """Where the Service's port leads in this pod; None when the pod has no port of that name."""
    target = port.targetPort if port.targetPort is not None else port.port
    number = target if isinstance(target, int) else _named(pod, target, port.protocol or "TCP")
    return Backend(pod.status.podIP, number) if number and pod.status.podIP else None


def _named(pod: Pod, name: str, protocol: str) -> int | None:
    if name.isdigit():
        return int(name)
    for container in pod.spec.containers:
        for port in container.ports or ():
            if port.name == name and (port.protocol or "TCP") == protocol:
                return port.containerPort
    return None


def _is_ready(pod: Pod) -> bool:
    """Ready, and not on its way out: a pod that is being deleted gets no new connections."""
    conditions = pod.status.conditions or ()
    return pod.metadata.deletionTimestamp is None and any(c.type == "Ready" and c.status == "True" for c in conditions)
