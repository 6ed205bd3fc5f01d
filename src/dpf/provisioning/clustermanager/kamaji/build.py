"""The Service and the TenantControlPlane of a DPUCluster, exactly as they are written.

Pure. Kamaji names its Service like the TenantControlPlane and takes ours over: it becomes its controlling owner and
sets ports, so our owner reference does not claim control, and ports that are there are kept. The Service comes first,
because the API server chooses a node port, and Kamaji wants to be told which.
Source: behaviour-provisioning.md section 12.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from dpf.api import core
from dpf.api.dpucluster import DPUCluster
from dpf.api.kamaji import (
    Addons,
    AddonSpec,
    ComponentResources,
    ControlPlane,
    DeploymentSpec,
    KubeletSpec,
    KubernetesSpec,
    NetworkProfile,
    ServiceSpec,
    TenantControlPlane,
    TenantControlPlaneSpec,
)
from dpf.api.meta import Key, ObjectMeta, OwnerReference

TENANT_LABEL: Final = "tenant.clastix.io"
"""On everything that is made for a DPUCluster: its name."""
NAME_LABEL: Final = "kamaji.clastix.io/name"
"""Kamaji's, on the pods of a control plane."""
NODE_PORT_ANNOTATION: Final = "provisioning.dpu.nvidia.com/node-port"
"""On the TenantControlPlane: the node port that DPUs have been told. It does not move any more."""
API_SERVER_PORT: Final = 6443
PORT_NAME: Final = "kube-apiserver"
NODE_PORT: Final = "NodePort"
DATA_STORE: Final = "default"
REPLICAS: Final = 3
POD_CIDR: Final = "10.244.0.0/14"
"""Room for 1,024 nodes with a /24 each."""
CONTROL_PLANE_LABELS: Final = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
TOLERATIONS: Final = tuple(
    {"key": label, "operator": "Exists", "effect": "NoSchedule"} for label in CONTROL_PLANE_LABELS
)


def owner(cluster: DPUCluster, *, controls: bool = True) -> OwnerReference:
    """`cluster` as the owner of what is made for it."""
    return OwnerReference(
        apiVersion=DPUCluster.resource.api_version, kind=DPUCluster.resource.kind, name=cluster.metadata.name,
        uid=cluster.metadata.uid or "", controller=True if controls else None,
        blockOwnerDeletion=True if controls else None,
    )


def metadata(
    cluster: DPUCluster, name: str | None = None, *, controls: bool = True, annotations: dict[str, str] | None = None,
) -> ObjectMeta:
    """Metadata of an object made for `cluster`, named like it unless said otherwise."""
    return ObjectMeta(
        name=name or cluster.metadata.name, namespace=cluster.metadata.namespace,
        labels={TENANT_LABEL: cluster.metadata.name}, annotations=annotations,
        ownerReferences=[owner(cluster, controls=controls)],
    )


def service(cluster: DPUCluster, *, actual: core.Service | None, node_port: int | None) -> core.Service:
    """The Service of the API server; `node_port` None lets the API server choose."""
    return core.Service(
        metadata=metadata(cluster, controls=False),
        spec=core.ServiceSpec(
            type=NODE_PORT, selector={NAME_LABEL: cluster.metadata.name},
            ports=_ports((actual.spec.ports if actual is not None else None) or [], node_port),
        ),
    )


def control_plane(
    cluster: DPUCluster, *, version: str, node_port: int, vip: str | None = None,
) -> TenantControlPlane:
    """The TenantControlPlane.

    `port` is written without a virtual address, too: Kamaji makes it the node port, and its default is out of range.
    """
    return TenantControlPlane(
        metadata=metadata(cluster, annotations={NODE_PORT_ANNOTATION: str(node_port)}),
        spec=TenantControlPlaneSpec(
            dataStore=DATA_STORE,
            controlPlane=ControlPlane(deployment=_deployment(), service=ServiceSpec(serviceType=NODE_PORT)),
            kubernetes=KubernetesSpec(version=version, kubelet=KubeletSpec(cgroupfs="systemd")),
            networkProfile=NetworkProfile(address=vip, port=node_port, podCidr=POD_CIDR),
            addons=Addons(coreDNS=AddonSpec(), kubeProxy=AddonSpec()),
        ),
    )


def node_port_of(found: core.Service | None) -> int | None:
    """The node port of the API server, None while there is none."""
    ports = (found.spec.ports if found is not None else None) or ()
    return next((port.nodePort for port in ports if port.name == PORT_NAME and port.nodePort), None)


def told_node_port(found: TenantControlPlane | None) -> int | None:
    """The node port that a TenantControlPlane of ours was made with."""
    text = ((found.metadata.annotations or {}) if found is not None else {}).get(NODE_PORT_ANNOTATION, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else None


def name_of(cluster: DPUCluster) -> Key:
    """Namespace and name of the Service and the TenantControlPlane."""
    return Key(cluster.metadata.namespace or "", cluster.metadata.name)


def _ports(found: list[core.ServicePort], node_port: int | None) -> list[core.ServicePort]:
    if not any(port.name == PORT_NAME for port in found):
        return [core.ServicePort(
            name=PORT_NAME, protocol="TCP", port=API_SERVER_PORT, targetPort=API_SERVER_PORT, nodePort=node_port,
        )]
    return [
        msgspec.structs.replace(port, nodePort=node_port or port.nodePort) if port.name == PORT_NAME else port
        for port in found
    ]


def _deployment() -> DeploymentSpec:
    terms = [{"matchExpressions": [{"key": label, "operator": "Exists"}]} for label in CONTROL_PLANE_LABELS]
    nodes: dict[str, Any] = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return DeploymentSpec(
        replicas=REPLICAS, affinity={"nodeAffinity": nodes}, tolerations=list(TOLERATIONS),
        resources=ComponentResources(
            apiServer=_requests("250m", "512Mi"), controllerManager=_requests("125m", "256Mi"),
            scheduler=_requests("125m", "256Mi"),
        ),
    )


def _requests(cpu: str, memory: str) -> core.ResourceRequirements:
    return core.ResourceRequirements(requests={"cpu": cpu, "memory": memory})
