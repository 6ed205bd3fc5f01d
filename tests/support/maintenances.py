"""Hosts with DPUs, what runs on them, and the DPUNodeMaintenance controller over an in-memory cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from tests.support.clock import turns
from tests.support.world import NAMESPACE, World, a_world

from dpf.api import core
from dpf.api.dpu import DPU, DPUSpec, DPUStatus
from dpf.api.dpunode import DPUNode, DPUNodeSpec, DPUNodeStatus, DPURef
from dpf.api.dpunodemaintenance import DPUNodeMaintenance, DPUNodeMaintenanceSpec, DPUNodeMaintenanceStatus
from dpf.api.meta import Condition, Key, LabelSelector, ObjectMeta, OwnerReference
from dpf.api.provisioning import NodeEffect
from dpf.api.upkeep import (
    NodeMaintenance,
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
    PodDisruptionBudgetStatus,
)
from dpf.provisioning.maintenance import naming
from dpf.provisioning.maintenance.controller import DPUNodeMaintenanceController
from dpf.provisioning.maintenance.snapshot import Limits
from dpf.runtime.manager import Manager

HOST = "worker1"
FINALIZER = "provisioning.dpu.nvidia.com/dpunodemaintenance-protection"


def a_node(name: str = HOST, **spec: Any) -> core.Node:
    """A Node of the host cluster."""
    return core.Node(metadata=ObjectMeta(name=name), spec=core.NodeSpec(**spec))


def a_dpunode(name: str = HOST, *, node: str | None = HOST, dpus: int = 1, ready: bool | None = None) -> DPUNode:
    """A host with so many DPUs; `node` None: no Node of the host cluster."""
    conditions = [Condition(type="Ready", status=str(ready), reason="Test")] if ready is not None else None
    return DPUNode(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE),
        spec=DPUNodeSpec(dpus=[DPURef(name=f"{name}-{n}") for n in range(dpus)]),
        status=DPUNodeStatus(kubeNodeRef=node, conditions=conditions),
    )


def a_maintenance(
    effect: Mapping[str, Any] | None, *requestors: str, dpunode: str = HOST, in_kubernetes: bool = True,
    status: DPUNodeMaintenanceStatus | None = None, annotations: Mapping[str, str] | None = None,
    created: str = "2026-01-01T00:00:00Z",
) -> DPUNodeMaintenance:
    """A maintenance as a DPU asks for it."""
    wanted = msgspec.convert(effect, NodeEffect) if effect is not None else None
    return DPUNodeMaintenance(
        metadata=ObjectMeta(
            name=naming.maintenance_name(dpunode, wanted, in_kubernetes=in_kubernetes), namespace=NAMESPACE,
            creationTimestamp=created, annotations=dict(annotations) if annotations else None,
        ),
        spec=DPUNodeMaintenanceSpec(dpuNodeName=dpunode, nodeEffect=wanted, requestor=list(requestors or ("dpu-0",))),
        status=status or DPUNodeMaintenanceStatus(),
    )


def a_pod(
    name: str, *, node: str = HOST, labels: Mapping[str, str] | None = None, owner: str | None = None,
    mirror: bool = False, ready: bool = True, phase: str = "Running",
) -> core.Pod:
    """A pod on a Node; `owner` is the kind of its controller."""
    owners = [OwnerReference(apiVersion="apps/v1", kind=owner, name="o", uid="u", controller=True)] if owner else None
    return core.Pod(
        metadata=ObjectMeta(
            name=name, namespace="apps", uid=f"uid-{name}", labels=dict(labels) if labels else None,
            ownerReferences=owners, annotations={"kubernetes.io/config.mirror": "x"} if mirror else None,
        ),
        spec=core.PodSpec(nodeName=node, containers=[core.Container(name="c", image="i")]),
        status=core.PodStatus(
            phase=phase, conditions=[core.NodeCondition(type="Ready", status=str(ready))],
        ),
    )


def a_budget(allowed: int = 0, *, app: str = "db") -> PodDisruptionBudget:
    """A budget for the pods of an app."""
    return PodDisruptionBudget(
        metadata=ObjectMeta(name=f"{app}-budget", namespace="apps"),
        spec=PodDisruptionBudgetSpec(selector=LabelSelector(matchLabels={"app": app})),
        status=PodDisruptionBudgetStatus(disruptionsAllowed=allowed),
    )


def a_dpu(name: str = "dpu-0", phase: str = "Node Effect", annotations: Mapping[str, str] | None = None) -> DPU:
    """A DPU that may be a requestor."""
    spec = DPUSpec(dpuNodeName=HOST, dpuDeviceName="d", serialNumber="s", bfb="bfb", dpuFlavor="flavor")
    metadata = ObjectMeta(name=name, namespace=NAMESPACE, annotations=dict(annotations) if annotations else None)
    return DPU(metadata=metadata, spec=spec, status=DPUStatus(phase=phase))


def the_operator() -> core.CustomResourceDefinition:
    """The maintenance operator's kind is served."""
    return core.CustomResourceDefinition(metadata=ObjectMeta(name="nodemaintenances.maintenance.nvidia.com"))


def hosts(*names: str, dpus: int = 1) -> World:
    """A world with these hosts, one of which is always `worker1`."""
    world = a_world()
    for name in names or (HOST,):
        world.host.add(a_node(name), a_dpunode(name, node=name, dpus=dpus))
    return world


@asynccontextmanager
async def running(world: World, *, maximum: int = 50, settle: bool = True) -> AsyncIterator[Manager]:
    """One life of the controller's process."""
    async with world.controllers(lambda w: [
        DPUNodeMaintenanceController(clusters=w.registry, limits=Limits(max_unavailable=maximum))
    ]) as manager:
        if settle:
            await manager.settle()
        yield manager


async def pass_time(world: World, manager: Manager, seconds: int, *, step_s: float = 1.0) -> None:
    """Let time pass, everything that falls due being worked on."""
    for _ in range(round(seconds / step_s)):
        world.clock.advance(step_s)
        await turns()
        await manager.settle()


def maintenance(world: World, name: str | None = None) -> DPUNodeMaintenance:
    """The maintenance as it is now."""
    (found,) = [m for m in world.host.objects(DPUNodeMaintenance) if name in (None, m.metadata.name)]
    return found


def told(world: World, type_: str = "NodeEffectApplied", name: str | None = None) -> tuple[str, str, str]:
    """Status, reason and message of a condition."""
    (found,) = [c for c in maintenance(world, name).status.conditions or () if c.type == type_]
    return found.status, found.reason, found.message


def applied(world: World) -> set[str]:
    """Hosts on which an effect is."""
    return {
        m.spec.dpuNodeName for m in world.host.objects(DPUNodeMaintenance) if m.spec is not None
        for c in m.status.conditions or () if c.type == "NodeEffectApplied" and c.status == "True"
    }


def node(world: World, name: str = HOST) -> core.Node:
    """A Node as it is now."""
    return next(n for n in world.host.objects(core.Node) if n.metadata.name == name)


async def request(world: World, *requestors: str, name: str) -> None:
    """Somebody changes who needs the effect."""
    await world.host.patch(DPUNodeMaintenance, name, NAMESPACE, patch={"spec": {"requestor": list(requestors)}})


async def be_drained(world: World, name: str = HOST) -> None:
    """The maintenance operator has done its work."""
    since = "2026-01-01T00:00:00Z"
    ready = {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": since}
    await world.host.patch(
        NodeMaintenance, name, NAMESPACE, patch={"status": {"conditions": [ready]}}, subresource="status"
    )


def key(name: str) -> Key:
    """A key in the namespace of these tests."""
    return Key(NAMESPACE, name)
