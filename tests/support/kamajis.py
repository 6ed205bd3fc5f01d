"""Kamaji as a test plays it, the DPUClusters that ask for it, and a CRD that accepts what Kamaji's accepts.

The played Kamaji does to our objects what the real one does: it becomes the controlling owner of the Service, gives it
its ports, reports, and makes the Secret with the administrator's kubeconfig. In a memory cluster it also chooses node
ports, which a real API server does by itself.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import msgspec
from tests.support.dpuclusters import NAME, NAMESPACE, a_dpucluster, a_kubeconfig

from dpf.api import core
from dpf.api.dpucluster import ClusterEndpoint, DPUCluster, Keepalived
from dpf.api.kamaji import TenantControlPlane
from dpf.api.meta import ObjectMeta, OwnerReference
from dpf.kube import errors
from dpf.kube.client import Client

NODE_PORT = 31234
VIP = "10.33.33.33"
SECRET = f"{NAME}-admin-kubeconfig"
KAMAJI_FINALIZER = "finalizer.kamaji.clastix.io"
KEEPALIVED = Keepalived(
    vip=VIP, virtualRouterID=126, interface="br-dpu", nodeSelector={"node-role.kubernetes.io/control-plane": ""},
)


def a_kamaji_cluster(
    *, keepalived: Keepalived | None = None, version: str | None = None, **given: Any,
) -> DPUCluster:
    """A DPUCluster of type kamaji, as the API server would return it."""
    cluster = a_dpucluster("kamaji", **given)
    endpoint = ClusterEndpoint(keepalived=keepalived) if keepalived is not None else None
    spec = msgspec.structs.replace(cluster.spec, version=version, clusterEndpoint=endpoint)
    return msgspec.structs.replace(cluster, spec=spec)


def the_crd() -> core.CustomResourceDefinition:
    """The CRD of TenantControlPlane: its identity, and defaults as Kamaji's CRD fills them in among our fields."""
    resource = TenantControlPlane.resource
    return core.CustomResourceDefinition(
        metadata=ObjectMeta(name=resource.qualified_name),
        spec={
            "group": resource.group, "scope": "Namespaced",
            "names": {
                "kind": resource.kind, "listKind": f"{resource.kind}List", "plural": resource.plural,
                "singular": resource.kind.lower(),
            },
            "versions": [{
                "name": resource.version, "served": True, "storage": True, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": _SCHEMA},
            }],
        },
    )


@dataclass(slots=True)
class Kamaji:
    """Kamaji over one cluster. It works when it is told to."""

    host: Client
    word: str = "Ready"
    chooses_node_ports: bool = True
    lets_go: bool = True
    """Whether it takes its finalizer off what is being deleted."""
    at_work: bool = True
    _next_port: int = NODE_PORT

    async def work(self) -> None:
        """Bring everything to where Kamaji would bring it."""
        if not self.at_work:
            return
        if self.chooses_node_ports:
            await self._choose_node_ports()
        for found in (await self.host.list(TenantControlPlane, NAMESPACE)).items:
            if found.metadata.deletionTimestamp is not None:
                await self._let_go(found)
            else:
                await self._run(found)

    async def report(self, word: str, version: str | None = None) -> None:
        """Say this about every control plane from now on."""
        self.word = word
        for found in (await self.host.list(TenantControlPlane, NAMESPACE)).items:
            await self._say(found, version or found.spec.kubernetes.version or "")

    async def _choose_node_ports(self) -> None:
        for service in (await self.host.list(core.Service, NAMESPACE)).items:
            ports = service.spec.ports or []
            if service.spec.type != "NodePort" or all(port.nodePort for port in ports):
                continue
            tree = msgspec.to_builtins(ports)
            for port in tree:
                if "nodePort" not in port:
                    port["nodePort"], self._next_port = self._next_port, self._next_port + 1
            await self._patch(core.Service, service.metadata.name, {"spec": {"ports": tree}})

    async def _run(self, found: TenantControlPlane) -> None:
        name = found.metadata.name
        if KAMAJI_FINALIZER not in (found.metadata.finalizers or ()):
            await self._patch(TenantControlPlane, name, {"metadata": {"finalizers": [KAMAJI_FINALIZER]}})
        await self._take_service(found)
        if self.word != "Ready":
            return
        if found.status.kubernetesResources.version.status is None:
            await self._say(found, found.spec.kubernetes.version or "")
        await self._hand_out(found)

    async def _hand_out(self, found: TenantControlPlane) -> None:
        name, port = f"{found.metadata.name}-admin-kubeconfig", found.spec.networkProfile.port
        try:
            await self.host.get(core.Secret, name, NAMESPACE)
        except errors.NotFound:
            await self._make_secret(found, name, port)

    async def _make_secret(self, found: TenantControlPlane, name: str, port: int | None) -> None:
        config = a_kubeconfig(f"https://{found.spec.networkProfile.address or '192.0.2.1'}:{port}")
        data = dict.fromkeys(("admin.conf", "super-admin.conf"), base64.b64encode(config).decode())
        await self.host.create(core.Secret(
            metadata=ObjectMeta(name=name, namespace=NAMESPACE, ownerReferences=[_owner(found)]), data=data,
        ))

    async def _take_service(self, found: TenantControlPlane) -> None:
        try:
            service = await self.host.get(core.Service, found.metadata.name, NAMESPACE)
        except errors.NotFound:
            service = await self.host.create(core.Service(
                metadata=ObjectMeta(name=found.metadata.name, namespace=NAMESPACE),
                spec=core.ServiceSpec(type="ClusterIP", ports=[core.ServicePort(name="kube-apiserver", port=6443)]),
            ))
        # An owner that has gone is taken off by the garbage collector, as long as there is another one.
        gone = {o.uid for o in service.metadata.ownerReferences or () if o.kind == TenantControlPlane.resource.kind}
        owners = [o for o in service.metadata.ownerReferences or () if o.uid not in gone - {found.metadata.uid}]
        assert all(o.uid == found.metadata.uid for o in owners if o.controller), "another controller owns the Service"
        if not any(o.uid == found.metadata.uid for o in owners):
            owners.append(_owner(found))
        port = found.spec.networkProfile.port
        ports = [{"name": "kube-apiserver", "protocol": "TCP", "port": port, "targetPort": port, "nodePort": port}]
        wanted = {
            "metadata": {
                "ownerReferences": msgspec.to_builtins(owners),
                "labels": {"kamaji.clastix.io/name": found.metadata.name},
            },
            "spec": {"type": "NodePort", "ports": ports, "selector": {"kamaji.clastix.io/name": found.metadata.name}},
        }
        have = (service.metadata.ownerReferences, msgspec.to_builtins(service.spec.ports), service.spec.type)
        if have != (owners, ports, "NodePort"):
            await self._patch(core.Service, found.metadata.name, wanted)

    async def _let_go(self, found: TenantControlPlane) -> None:
        if self.lets_go and found.metadata.finalizers:
            await self._patch(TenantControlPlane, found.metadata.name, {"metadata": {"finalizers": None}})

    async def _say(self, found: TenantControlPlane, version: str) -> None:
        network = found.spec.networkProfile
        status = {
            "kubernetesResources": {"version": {"version": version, "status": self.word}},
            "controlPlaneEndpoint": f"{network.address or '192.0.2.1'}:{network.port}",
        }
        await self.host.patch(
            TenantControlPlane, found.metadata.name, NAMESPACE, patch={"status": status}, subresource="status",
        )

    async def _patch(self, kind: Any, name: str, patch: dict[str, Any]) -> None:
        await self.host.patch(kind, name, NAMESPACE, patch=patch)


def _owner(found: TenantControlPlane) -> OwnerReference:
    resource = TenantControlPlane.resource
    return OwnerReference(
        apiVersion=resource.api_version, kind=resource.kind, name=found.metadata.name, uid=found.metadata.uid or "",
        controller=True, blockOwnerDeletion=True,
    )


def _map(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": properties, **more}


_STRING = {"type": "string"}
_SCHEMA = _map({
    "spec": _map({
        "dataStore": _STRING,
        "controlPlane": _map({
            "deployment": _map({
                "replicas": {"type": "integer", "format": "int32", "default": 2},
                "serviceAccountName": {**_STRING, "default": "default"},
            }),
            "service": _map({"serviceType": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"], **_STRING}},
                            required=["serviceType"]),
        }, required=["service"]),
        "kubernetes": _map({
            "version": _STRING,
            "kubelet": _map({
                "cgroupfs": {"enum": ["systemd", "cgroupfs"], **_STRING},
                "preferredAddressTypes": {
                    "type": "array", "items": _STRING, "default": ["InternalIP", "ExternalIP", "Hostname"],
                },
            }),
            "admissionControllers": {"type": "array", "items": _STRING, "default": ["LimitRanger", "ResourceQuota"]},
        }, required=["version", "kubelet"]),
        "networkProfile": _map({
            "address": _STRING, "port": {"type": "integer", "format": "int32", "default": 6443},
            "podCidr": {**_STRING, "default": "10.244.0.0/16"}, "serviceCidr": {**_STRING, "default": "10.96.0.0/16"},
            "clusterDomain": {**_STRING, "default": "cluster.local"},
        }),
        "addons": _map({"coreDNS": _map({}), "kubeProxy": _map({})}),
    }, required=["controlPlane", "kubernetes"]),
    "status": _map({"kubernetesResources": _map({"version": _map({
        "status": {**_STRING, "default": "Provisioning"}, "version": _STRING,
    })})}),
})
