"""Ports of a service on DPUs, made reachable from the host cluster (behaviour-service.md 3.6).

Pure. Called by this kind's planner and status. The chart's Service of type NodePort opens ports on the DPU nodes. A
Service without selector in the host cluster leads to them through an EndpointSlice; Endpoints are kept for old readers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dpf.api import core, names
from dpf.api.dpuservice import ConfigPort, ConfigPorts, DPUService, DPUServiceSpec
from dpf.api.meta import NodeSelector, Object, ObjectMeta, OwnerReference, object_key
from dpf.kube import selectors
from dpf.runtime import diff
from dpf.runtime.plan import Action, Apply, Delete
from dpf.services.argocd import build
from dpf.services.dpuservice.snapshot import ClusterView, HostPorts, Remote, Snapshot

MANAGED_BY: Final = "dpuservice-manager"
_MANAGED_BY_LABEL: Final = "endpointslice.kubernetes.io/managed-by"
_SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
_SKIP_MIRROR_LABEL: Final = "endpointslice.kubernetes.io/skip-mirror"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """One port, both ends known: what the user asked for, and the port that the chart opened on the DPU nodes."""

    wanted: ConfigPort
    dpu: core.ServicePort

    @property
    def node_port(self) -> int:
        """Port on the DPU nodes."""
        return self.dpu.nodePort or 0


def plan(snapshot: Snapshot, spec: DPUServiceSpec) -> tuple[tuple[Action, ...], str | None]:
    """Actions in the host cluster, and what keeps the ports from being ready (None when nothing does).

    While they are not ready, what was exposed before stays, unless it leads to a cluster that the service has left.
    """
    chosen = snapshot.chosen
    if spec.configPorts is None or not spec.configPorts.ports or not chosen:
        return tuple(plan_removal(snapshot.ports)), None
    left = tuple(plan_removal(snapshot.ports, keep={view.key.name for view in chosen}))
    if len(chosen) > 1:
        return left, "multiple clusters are currently not supported"
    if snapshot.ports.occupant is not None:
        return left, _occupied(snapshot)
    view = chosen[0]
    actions, problem = _plan_one(snapshot, spec, spec.configPorts, view)
    if problem is not None:
        return left, f'config ports not ready yet for cluster "{view.key.name}": {problem}'
    return actions, None


def plan_removal(ports: HostPorts, keep: Collection[str] = ()) -> Iterator[Action]:
    """Removes what this module made, slices first, except for the clusters named in `keep`."""
    every: tuple[Object, ...] = (*ports.slices, *ports.endpoints, *ports.services)
    for obj in every:
        cluster = (obj.metadata.labels or {}).get(names.EXPOSED_PORT_LABEL)
        if obj.metadata.deletionTimestamp is None and cluster not in keep:
            yield Delete(kind=type(obj), key=object_key(obj), uid=obj.metadata.uid,
                         because=f"DPUService exposes no ports of cluster {cluster}")


def observed(snapshot: Snapshot) -> dict[str, list[ConfigPort]] | None:
    """`status.configPorts`: the ports as the host cluster serves them, by cluster; None when there are none."""
    spec = snapshot.service.spec
    configured = {port.name for port in spec.configPorts.ports} if spec and spec.configPorts else set()
    clusters = {view.key.name for view in snapshot.clusters}
    found: dict[str, list[ConfigPort]] = {}
    for service in snapshot.ports.services:
        cluster = (service.metadata.labels or {}).get(names.EXPOSED_PORT_LABEL, "")
        ports = [_as_config_port(p) for p in service.spec.ports or () if p.name in configured]
        if cluster in clusters and ports:
            found[cluster] = ports
    return found or None


def selector_problem(selector: NodeSelector | None) -> str | None:
    """What is wrong with the node selector, for the user; None when it can be followed."""
    try:
        selectors.matches_node(selector, {}, "")
    except selectors.SelectorError as error:
        return f"spec.serviceDaemonSet.nodeSelector: {error}"
    return None


def _plan_one(
    snapshot: Snapshot, spec: DPUServiceSpec, wanted: ConfigPorts, view: ClusterView
) -> tuple[tuple[Action, ...], str | None]:
    if not isinstance(view.remote, Remote):
        return (), view.problem or "its state is not known yet"
    selector = spec.serviceDaemonSet.nodeSelector if spec.serviceDaemonSet else None
    exposed, problem = _exposed(view.remote.services, wanted)
    problem = problem or selector_problem(selector)
    if problem is not None:
        return (), problem
    return tuple(_ensure(snapshot, wanted, view, view.remote, exposed, selector)), None


def _occupied(snapshot: Snapshot) -> str:
    return (
        f"Service {snapshot.key} exists in the host cluster and does not belong to this DPUService;"
        " remove it or give the DPUService another name"
    )


def _exposed(services: Iterable[core.Service], wanted: ConfigPorts) -> tuple[tuple[Exposed, ...], str | None]:
    """The ports with their node ports in the DPU cluster, or what is missing."""
    found = tuple(services)
    if len(found) != 1:
        return (), f"expected 1 service, got {len(found)}"
    by_name = {port.name: port for port in found[0].spec.ports or ()}
    closed = [p.name for p in wanted.ports if p.name in by_name and not by_name[p.name].nodePort]
    if closed:
        return (), f'nodePort is not set for service "{found[0].metadata.name}"'
    exposed = tuple(Exposed(wanted=p, dpu=by_name[p.name]) for p in wanted.ports if p.name in by_name)
    if len(exposed) != len(wanted.ports):
        return (), (
            f"creation of Service on DPU not ready yet, expected {len(wanted.ports)} nodePorts, got {len(exposed)}"
        )
    return exposed, None


def _ensure(
    snapshot: Snapshot, wanted: ConfigPorts, view: ClusterView, remote: Remote, exposed: tuple[Exposed, ...],
    selector: NodeSelector | None,
) -> Iterator[Apply]:
    """The Service before what fills it: a Service that is refused (a node port in use) leaves no endpoints behind."""
    labels = {**build.match_labels(snapshot.key), names.EXPOSED_PORT_LABEL: view.key.name}
    endpoints = tuple(_endpoints(remote.nodes, selector))
    because = f"ports of the service in DPUCluster {view.key} are exposed"
    pairs: tuple[tuple[tuple[Object, ...], Object], ...] = (
        (snapshot.ports.services, _service(snapshot, wanted, labels, exposed, view.key.name)),
        (snapshot.ports.slices, _slice(snapshot.service, labels, exposed, endpoints)),
        (snapshot.ports.endpoints, _twin(snapshot.service, labels, exposed, endpoints)),
    )
    for existing, desired in pairs:
        actual = next((o for o in existing if object_key(o) == object_key(desired)), None)
        if actual is None or not diff.covers(actual, desired):
            yield Apply(object=desired, because=because)


def _endpoints(nodes: Iterable[core.Node], selector: NodeSelector | None) -> Iterator[core.Endpoint]:
    """One endpoint for each selected DPU node with an IPv4 address. The DPUNode label names the host node."""
    for node in sorted(nodes, key=lambda n: n.metadata.name):
        labels = node.metadata.labels or {}
        address = _internal_ip(node)
        host = labels.get(names.DPUNODE_NAME_LABEL)
        if host and address and selectors.matches_node(selector, labels, node.metadata.name):
            yield core.Endpoint(addresses=[address], nodeName=host, conditions=core.EndpointConditions(ready=True))


def _internal_ip(node: core.Node) -> str | None:
    for address in node.status.addresses or ():
        if address.type == "InternalIP" and _can_be_endpoint(address.address):
            return address.address
    return None


def _can_be_endpoint(text: str) -> bool:
    """Whether the API server takes it: IPv4, and neither loopback nor link-local, multicast or unspecified."""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)


def _meta(service: DPUService, labels: Mapping[str, str]) -> ObjectMeta:
    owner = OwnerReference(
        apiVersion=DPUService.resource.api_version, kind=DPUService.resource.kind, name=service.metadata.name,
        uid=service.metadata.uid or "", controller=True, blockOwnerDeletion=True,
    )
    return ObjectMeta(
        name=service.metadata.name, namespace=service.metadata.namespace, labels=dict(labels), ownerReferences=[owner]
    )


def _service(
    snapshot: Snapshot, wanted: ConfigPorts, labels: Mapping[str, str], exposed: tuple[Exposed, ...], cluster: str
) -> core.Service:
    kept = _node_ports(snapshot, cluster) if wanted.serviceType == "NodePort" else {}
    ports = [
        core.ServicePort(
            name=e.wanted.name, port=e.wanted.port or e.dpu.port, protocol=e.wanted.protocol, targetPort=e.node_port,
            nodePort=e.wanted.nodePort or kept.get(e.wanted.name),
        )
        for e in exposed
    ]
    headless = wanted.serviceType == "None"
    return core.Service(
        metadata=_meta(snapshot.service, labels),
        spec=core.ServiceSpec(
            type="NodePort" if wanted.serviceType == "NodePort" else "ClusterIP",
            clusterIP="None" if headless else None, ports=ports, internalTrafficPolicy="Local",
            externalTrafficPolicy="Local" if wanted.serviceType == "NodePort" else None,
        ),
    )


def _node_ports(snapshot: Snapshot, cluster: str) -> dict[str, int]:
    """Node ports of the host Service by name: as it has them, else as status remembers them from one that is gone."""
    remembered = (snapshot.service.status.configPorts or {}).get(cluster, [])
    ports = {p.name: p.nodePort for p in remembered if p.nodePort}
    for service in snapshot.ports.services:
        ports |= {p.name: p.nodePort for p in service.spec.ports or () if p.name and p.nodePort}
    return ports


def _slice(
    service: DPUService, labels: Mapping[str, str], exposed: tuple[Exposed, ...], endpoints: tuple[core.Endpoint, ...]
) -> core.EndpointSlice:
    extra = {_MANAGED_BY_LABEL: MANAGED_BY, _SERVICE_NAME_LABEL: service.metadata.name}
    return core.EndpointSlice(
        metadata=_meta(service, {**(service.metadata.labels or {}), **labels, **extra}), addressType="IPv4",
        endpoints=list(endpoints), ports=_endpoint_ports(exposed),
    )


def _twin(
    service: DPUService, labels: Mapping[str, str], exposed: tuple[Exposed, ...], endpoints: tuple[core.Endpoint, ...]
) -> core.Endpoints:
    addresses = [core.EndpointAddress(ip=e.addresses[0], nodeName=e.nodeName) for e in endpoints]
    subsets = [core.EndpointSubset(addresses=addresses, ports=_endpoint_ports(exposed))] if addresses else []
    return core.Endpoints(metadata=_meta(service, {**labels, _SKIP_MIRROR_LABEL: "true"}), subsets=subsets)


def _endpoint_ports(exposed: tuple[Exposed, ...]) -> list[core.EndpointPort]:
    return [core.EndpointPort(name=e.wanted.name, port=e.node_port, protocol=e.wanted.protocol) for e in exposed]


def _as_config_port(port: core.ServicePort) -> ConfigPort:
    return ConfigPort(
        name=port.name or "", port=port.port, protocol=port.protocol or "TCP", nodePort=port.nodePort
    )
