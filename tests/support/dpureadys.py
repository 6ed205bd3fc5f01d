"""DPUs that a DPUDeployment installed, what runs on their Nodes, and the controllers that look at it.

    stage = await a_stage()
    async with running(stage) as manager:
        await be_ready(stage, "producer", "dpu-1")
        await manager.settle()

The host `worker-1` is out of service because of its DPUs and of every revision of DPUDeployment `dd`. The DPUs are
Nodes of one DPU cluster, with DaemonSets of the services as charts make them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from tests.support import dpudeploymentnodes as nodes
from tests.support import dpudeployments as some
from tests.support import world as worlds
from tests.support.world import World

from dpf.api import core, names
from dpf.api.dpu import DPU, DPUSpec, DPUStatus
from dpf.api.dpucluster import DPUCluster, DPUClusterSpec, DPUClusterStatus
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, Object, ObjectMeta, OwnerReference
from dpf.api.serviceworkloads import (
    ServiceDaemonSet,
    ServiceDaemonSetSpec,
    ServicePod,
    ServicePodSpec,
    ServicePodStatus,
)
from dpf.kube.memory import MemoryCluster
from dpf.runtime.manager import Manager
from dpf.services.dpudeployment.controller import DPUDeploymentController
from dpf.services.dpuready.controller import DPUReadyController
from dpf.services.dpuready.release.controller import RequestorController
from dpf.services.dpuservice import daemonset

CLUSTER = Key(some.TENANT, "dpus")
CHAIN = [{"ports": [{"service": {"name": "producer", "interface": "eth0"}},
                    {"service": {"name": "consumer", "interface": "eth0"}}]}]
SERVICES = ("producer", "consumer")
JOINED = "2026-01-01T00:00:00Z"
KINDS: tuple[type[Object], ...] = (DPUNodeMaintenance, DPU, *some.CHILDREN)


def a_world(*others: Object) -> World:
    """A DPUDeployment with two services and a chain, everything that it names, and its DPU cluster."""
    deployment = some.a_deployment(services=SERVICES, serviceChains={"switches": CHAIN})
    world = worlds.a_world(dpu_clusters=(CLUSTER.name,), namespace=CLUSTER.namespace)
    world.host.add(deployment, *some.dependencies_of(deployment), a_cluster(), *others)
    return world


async def a_stage(*dpus: str, labelled: bool = True) -> World:
    """The children are made, DPUs of `worker-1` have joined, and their host is free for them."""
    world = a_world()
    async with world.controllers(lambda w: [DPUDeploymentController(clusters=w.registry)]) as manager:
        for _ in range(3):
            await manager.settle()
    found = dpus or ("dpu-1",)
    for name in found:
        add_dpu(world, name, labelled=labelled)
    world.host.add(nodes.a_dpunode(), nodes.a_maintenance(*requested(world), *found))
    for service in SERVICES:
        dpu_cluster(world).add(a_daemon_set(the_service(world, service)))
    return world


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Manager]:
    """The controllers run; leaving the block is the end of their process."""
    def controllers(w: World) -> list[Any]:
        return [RequestorController(clusters=w.registry), DPUReadyController(clusters=w.registry)]

    async with world.controllers(controllers) as manager:
        await manager.settle()
        yield manager


def a_cluster(*, labels: dict[str, str] | None = None) -> DPUCluster:
    """The DPUCluster."""
    return DPUCluster(
        metadata=ObjectMeta(name=CLUSTER.name, namespace=CLUSTER.namespace, labels=labels),
        spec=DPUClusterSpec(type="static", kubeconfig="k"), status=DPUClusterStatus(phase="Ready"),
    )


def a_dpu(
    name: str = "dpu-1", *, phase: str = "Node Effect Removal", labels: dict[str, str] | None = None,
    requestors: Sequence[str] = (), dpunode: str = nodes.DPUNODE, deleting: bool = False,
) -> DPU:
    """A DPU of a host that joins the cluster with these labels, and asks for the effect with these others."""
    spec: dict[str, Any] = {
        "dpuNodeName": dpunode, "dpuDeviceName": name, "serialNumber": name, "bfb": "bfb", "dpuFlavor": "flavor",
        "cluster": {"name": CLUSTER.name, "namespace": CLUSTER.namespace, "nodeLabels": labels or {}},
        "nodeEffect": {"drain": True, "nodeMaintenanceAdditionalRequestors": list(requestors)},
    }
    meta = some.metadata(name, deleting=deleting, finalizers=["test/stay"] if deleting else None)
    return DPU(metadata=meta, spec=msgspec.convert(spec, DPUSpec), status=DPUStatus(phase=phase))


def a_node(name: str, labels: dict[str, str] | None = None, *, ready: bool = True, created: str = JOINED) -> core.Node:
    """A Node of the DPU cluster."""
    told = core.NodeCondition(type="Ready", status=str(ready), reason="Kubelet", message="the kubelet says so")
    return core.Node(
        metadata=ObjectMeta(name=name, labels=labels, creationTimestamp=created),
        status=core.NodeStatus(conditions=[told]),
    )


def a_daemon_set(
    service: DPUService, name: str | None = None, *, namespace: str = "apps", priority: str | None = None
) -> ServiceDaemonSet:
    """What the chart of a service makes: its pods carry the id, and go where the service says."""
    own = service.spec.serviceDaemonSet if service.spec is not None else None
    required = msgspec.to_builtins(own.nodeSelector) if own is not None and own.nodeSelector is not None else None
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}} if required else None
    spec = {"template": {
        "metadata": {"labels": {names.SERVICE_LABEL: daemonset.service_id(service)}},
        "spec": {"affinity": affinity, "priorityClassName": priority},
    }}
    found = name or service.metadata.name
    return ServiceDaemonSet(
        metadata=ObjectMeta(name=found, namespace=namespace, uid=f"uid-{found}"),
        spec=msgspec.convert(spec, ServiceDaemonSetSpec),
    )


def a_pod(
    daemon_set: ServiceDaemonSet, node: str, *, ready: bool = True, created: str = "2026-01-01T00:01:00Z",
    since: str = "2026-01-01T00:02:00Z", phase: str = "Running",
) -> ServicePod:
    """A pod of a DaemonSet on a Node."""
    template = daemon_set.spec.template
    owner = OwnerReference(
        apiVersion="apps/v1", kind="DaemonSet", name=daemon_set.metadata.name, uid=daemon_set.metadata.uid or "",
        controller=True,
    )
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": since,
                 "reason": None if ready else "ContainersNotReady",
                 "message": None if ready else "containers with unready status: [app]"}
    return ServicePod(
        metadata=ObjectMeta(
            name=f"{daemon_set.metadata.name}-{node}", namespace=daemon_set.metadata.namespace,
            labels=template.metadata.labels, ownerReferences=[owner], creationTimestamp=created,
        ),
        spec=ServicePodSpec(nodeName=node, priorityClassName=template.spec.priorityClassName),
        status=msgspec.convert({"phase": phase, "conditions": [condition]}, ServicePodStatus),
    )


def add_dpu(world: World, name: str, *, labelled: bool = True, joined: bool = True, **fields: Any) -> None:
    """One more DPU of the DPUDeployment, with its Node; `labelled`: the Node has the labels of the revisions."""
    labels = wanted_labels(world)
    world.host.add(a_dpu(name, **{"labels": labels, "requestors": requested(world), **fields}))
    if joined:
        dpu_cluster(world).add(a_node(name, labels if labelled else None))


async def be_ready(world: World, service: str, *dpus: str, ready: bool = True) -> None:
    """The pods of a service run on these DPUs."""
    for name in dpus or ("dpu-1",):
        dpu_cluster(world).add(a_pod(daemon_set_of(world, service), name, ready=ready))


async def chain_ready(world: World) -> None:
    """The chain's own controller says that it is in place."""
    (chain,) = world.host.objects(DPUServiceChain)
    await some.report(world.host, chain)


def dpu_cluster(world: World) -> MemoryCluster:
    """The DPU cluster."""
    return world.dpus[CLUSTER]


def the_service(world: World, service: str) -> DPUService:
    """The current revision of a service."""
    return next(
        s for s in world.host.objects(DPUService)
        if (s.metadata.labels or {}).get(names.DPUDEPLOYMENT_SERVICE_LABEL) == service
        and s.spec is not None and not s.spec.paused
    )


def daemon_set_of(world: World, service: str) -> ServiceDaemonSet:
    """The DaemonSet of the current revision of a service."""
    wanted = the_service(world, service).metadata.name
    return next(d for d in dpu_cluster(world).objects(ServiceDaemonSet) if d.metadata.name == wanted)


def wanted_labels(world: World) -> dict[str, str]:
    """Labels that the DPUSet has for its Nodes."""
    (dpuset,) = world.host.objects(DPUSet)
    assert dpuset.spec is not None
    cluster = dpuset.spec.dpuTemplate.spec.cluster
    return dict((cluster.nodeLabels if cluster is not None else None) or {})


def requested(world: World) -> list[str]:
    """Requestors that the DPUSet adds to maintenances."""
    (dpuset,) = world.host.objects(DPUSet)
    effect = dpuset.spec.dpuTemplate.spec.nodeEffect if dpuset.spec is not None else None
    assert effect is not None
    return list(effect.nodeMaintenanceAdditionalRequestors or ())


def requestors(world: World) -> list[str]:
    """Who keeps the host out of service."""
    (maintenance,) = world.host.objects(DPUNodeMaintenance)
    return (maintenance.spec.requestor if maintenance.spec is not None else None) or []


def operational(world: World, name: str = "dpu-1") -> dict[str, tuple[str, str]]:
    """Status and message of each operational condition of a DPU."""
    dpu = next(d for d in world.host.objects(DPU) if d.metadata.name == name)
    return {c.type: (c.status, c.message) for c in dpu.status.operationalConditions or ()}
