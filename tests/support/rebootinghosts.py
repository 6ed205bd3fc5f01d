"""A host that its own agent reboots, and DPUs that wait for it, over an in-memory cluster.

    stage = a_stage(a_dpu("a"))
    await live(stage)           # one life of agent and controller, until nothing is due
    stage.machine.come_back()   # the host has restarted
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.world import NAMESPACE, World, a_world

from dpf.api import core, names
from dpf.api.dpu import DPU, DPUSpec, DPUStatus, RebootStatus
from dpf.api.dpunode import DPUNode, DPUNodeSpec, DPUNodeStatus, DPURef, NodeRebootMethod
from dpf.api.meta import Condition, ObjectMeta
from dpf.hostagent.reboot.controller import HostRebootController
from dpf.hostagent.reboot.memory import MemoryMachine
from dpf.provisioning.dpunode.controller import DPUNodeController
from dpf.runtime.manager import Manager

HOST = "worker-1"
AGENT = NodeRebootMethod(hostAgent={})


@dataclass(slots=True)
class Stage:
    """The world, and the machine that the agent runs on."""

    world: World
    machine: MemoryMachine = field(default_factory=MemoryMachine)

    @property
    def clusters(self) -> tuple[Any, ...]:
        """For crash injection."""
        return self.world.clusters

    @property
    def dpunode(self) -> DPUNode:
        """The host."""
        return next(d for d in self.world.host.objects(DPUNode) if d.metadata.name == HOST)

    @property
    def in_progress(self) -> Condition | None:
        """Its condition."""
        conditions = self.dpunode.status.conditions or ()
        return next((c for c in conditions if c.type == "DPUNodeRebootInProgress"), None)

    @property
    def told(self) -> dict[str, tuple[str | None, str | None]]:
        """Phase and reason of the reboot, by DPU."""
        statuses = {d.metadata.name: d.status.rebootStatus for d in self.world.host.objects(DPU)}
        return {name: (status.phase, status.reason) for name, status in statuses.items() if status is not None}

    def is_recorded(self) -> bool:
        """Whether something about a reboot stands on the DPUNode."""
        return any("host-agent-reboot" in key for key in self.dpunode.metadata.annotations or {})


def a_dpu(
    name: str, phase: str = "Rebooting", *, method: str | None = "SystemLevelReset", told: str | None = None,
    host: str = HOST, pci: str | None = "0000-0e-00", annotations: dict[str, str] | None = None,
) -> DPU:
    """A DPU of the host; in phase Rebooting it says by which method."""
    reboot = RebootStatus(phase=told, method=method) if phase == "Rebooting" else None
    return DPU(
        metadata=ObjectMeta(
            name=name, namespace=NAMESPACE, labels={names.DPUNODE_NAME_LABEL: host}, annotations=annotations,
        ),
        spec=DPUSpec(
            dpuNodeName=host, dpuDeviceName=f"d-{name}", serialNumber=name, bfb="b", dpuFlavor="f", pciAddress=pci
        ),
        status=DPUStatus(phase=phase, rebootStatus=reboot),
    )


def a_dpunode(name: str = HOST, method: NodeRebootMethod = AGENT, *dpus: DPU) -> DPUNode:
    """A host."""
    refs = [DPURef(name=f"d-{dpu.metadata.name}") for dpu in dpus]
    return DPUNode(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE), spec=DPUNodeSpec(dpus=refs, nodeRebootMethod=method),
        status=DPUNodeStatus(kubeNodeRef=name),
    )


def a_stage(
    *dpus: DPU, method: NodeRebootMethod = AGENT, node_annotations: dict[str, str] | None = None
) -> Stage:
    """The host, its Node, and DPUs."""
    world = a_world()
    node = core.Node(metadata=ObjectMeta(name=HOST, annotations=node_annotations))
    world.host.add(core.Namespace(metadata=ObjectMeta(name=NAMESPACE)), node, a_dpunode(HOST, method, *dpus), *dpus)
    return Stage(world)


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[Manager]:
    """One life of the agent and of the DPUNode controller."""
    async with stage.world.controllers(lambda w: [
        DPUNodeController(clusters=w.registry, clock=w.clock),
        HostRebootController(clusters=w.registry, dpunode=HOST, machine=stage.machine, clock=w.clock),
    ]) as manager:
        await manager.settle()
        yield manager


async def live(stage: Stage, *waits_s: float) -> None:
    """One life; after each wait it works on until nothing is due."""
    async with running(stage) as manager:
        for wait_s in waits_s:
            stage.world.clock.advance(wait_s)
            await manager.settle()
