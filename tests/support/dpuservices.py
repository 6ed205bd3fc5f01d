"""Builders for DPUServices and what surrounds them, and a stand-in for Argo CD on the in-memory host cluster."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from tests.support import world as worlds

from dpf.api import core, names
from dpf.api.argocd import Application
from dpf.api.dpucluster import DPUCluster, DPUClusterSpec, DPUClusterStatus
from dpf.api.dpuservice import DPUService, DPUServiceSpec
from dpf.api.dpuserviceinterface import DPUServiceInterface, DPUServiceInterfaceSpec
from dpf.api.dpuservicenad import DPUServiceNAD, DPUServiceNADSpec
from dpf.api.meta import Key, ObjectMeta
from dpf.kube.client import Client

DPF = names.DPF_NAMESPACE
CLUSTERS = "dpf-clusters"
TENANT = "tenant"
LONG_AGO = "2025-12-01T00:00:00Z"


def a_service(
    name: str = "blueman", namespace: str = TENANT, *, created: str | None = LONG_AGO, deleting: bool = False,
    labels: dict[str, str] | None = None, **spec: Any,
) -> DPUService:
    """A DPUService; `spec` is merged over a minimal one, in wire form."""
    minimal = {"helmChart": {"source": {
        "repoURL": "https://helm.ngc.nvidia.com/nvidia/doca", "version": "1.0.8", "chart": "doca-blueman",
    }}}
    return DPUService(
        metadata=ObjectMeta(
            name=name, namespace=namespace, uid=f"uid-{namespace}-{name}", creationTimestamp=created, labels=labels,
            deletionTimestamp="2026-01-01T00:00:00Z" if deleting else None, generation=1,
        ),
        spec=msgspec.convert({**minimal, **spec}, DPUServiceSpec),
    )


def a_cluster(
    name: str = "dpu-1", namespace: str = CLUSTERS, *, labels: dict[str, str] | None = None, phase: str = "Ready",
    created: str | None = LONG_AGO, deleting: bool = False,
) -> DPUCluster:
    """A DPUCluster whose kubeconfig is in the Secret `<name>-admin-kubeconfig`."""
    return DPUCluster(
        metadata=ObjectMeta(
            name=name, namespace=namespace, labels=labels, creationTimestamp=created,
            deletionTimestamp="2026-01-01T00:00:00Z" if deleting else None,
            finalizers=["test/stay"] if deleting else None,
        ),
        spec=DPUClusterSpec(type="static", kubeconfig=f"{name}-admin-kubeconfig"),
        status=DPUClusterStatus(phase=phase),
    )


def a_kubeconfig_secret(cluster: Key, content: bytes | None = None) -> core.Secret:
    """The Secret with the administrator's kubeconfig of `cluster`."""
    raw = worlds.a_kubeconfig(cluster) if content is None else content
    return core.Secret(
        metadata=ObjectMeta(name=f"{cluster.name}-admin-kubeconfig", namespace=cluster.namespace),
        data={"super-admin.conf": base64.b64encode(raw).decode()},
    )


def a_pull_secret(
    name: str = "regcred", namespace: str = TENANT, *, content: str = "e30=", labelled: bool = True, **fields: Any
) -> core.Secret:
    """A pull secret of the host cluster, labelled for mirroring unless told otherwise."""
    labels = {names.IMAGE_PULL_SECRET_LABEL: ""} if labelled else None
    return core.Secret(
        metadata=ObjectMeta(name=name, namespace=namespace, labels=labels),
        type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": content}, **fields,
    )


def an_interface(
    name: str = "app", namespace: str = TENANT, *, service_id: str = "hbn", network: str = "mynad",
    interface: str | None = None, consumer: str | None = None, uid: str | None = None, **metadata: Any,
) -> DPUServiceInterface:
    """A DPUServiceInterface of the type `service`; `interface` is its name in the pod, its own name by default.

    `consumer` has a claim on it, which a DPUService of that `uid` made, or somebody by hand (None).
    """
    claim = {names.CONSUMED_BY_ANNOTATION: consumer, f"{names.CONSUMED_BY_ANNOTATION}-uid": uid}
    annotations = {key: value for key, value in claim.items() if value is not None} or None
    block = {"serviceID": service_id, "network": network, "interfaceName": interface or name}
    spec = {"interfaceType": "service", "service": block}
    return DPUServiceInterface(
        metadata=ObjectMeta(name=name, namespace=namespace, annotations=annotations, **metadata),
        spec=msgspec.convert({"template": {"spec": {"template": {"spec": spec}}}}, DPUServiceInterfaceSpec),
    )


def a_nad(
    name: str = "mynad", namespace: str = TENANT, *, resource_type: str = "sf", trusted: bool = False
) -> DPUServiceNAD:
    """A DPUServiceNAD."""
    annotations = {names.TRUSTED_SFS_ANNOTATION: ""} if trusted else None
    return DPUServiceNAD(
        metadata=ObjectMeta(name=name, namespace=namespace, annotations=annotations),
        spec=DPUServiceNADSpec(resourceType=resource_type),
    )


async def report(
    host: Client, app: Application, *, sync: str = "Synced", health: str = "Healthy", **status: Any
) -> None:
    """Argo CD writes this status on the Application."""
    patch = {"status": {"sync": {"status": sync}, "health": {"status": health}, **status}}
    await host.patch(Application, app.metadata.name, app.metadata.namespace, patch=patch)


async def finish_deletion(host: Client, app: Application) -> None:
    """Argo CD has removed what the Application installed. It does not look at a paused one."""
    skip = (app.metadata.annotations or {}).get("argocd.argoproj.io/skip-reconcile")
    if app.metadata.deletionTimestamp is not None and skip != "true":
        await host.patch(
            Application, app.metadata.name, app.metadata.namespace, patch={"metadata": {"finalizers": None}}
        )
