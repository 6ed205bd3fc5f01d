"""The DPUCluster controllers over a world whose control planes live in memory and answer health checks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.support.clock import turns
from tests.support.dpuclusters import NAME, NAMESPACE
from tests.support.world import World, a_world

from dpf.api.core import Namespace
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Condition, ObjectMeta
from dpf.kube.client import Client
from dpf.kube.kubeconfig import Connection
from dpf.kube.memory import MemoryCluster, Request
from dpf.provisioning.clustermanager.local import plan
from dpf.provisioning.clustermanager.local.controller import LocalClusterManager
from dpf.provisioning.clustermanager.local.driver import Access, Identity
from dpf.provisioning.clustermanager.local.memory import VERSION, MemoryControlPlane
from dpf.provisioning.clustermanager.static.controller import StaticClusterManager
from dpf.provisioning.dpucluster.controller import DPUClusterController
from dpf.provisioning.dpucluster.memoryprober import MemoryProber
from dpf.provisioning.dpucluster.prober import Health, Healthy
from dpf.runtime.manager import Manager
from dpf.runtime.reconciler import Reconciler

AfterWrite = Callable[[Request], None]


class Planes(MemoryControlPlane):
    """Control planes in memory; `after_write` hears of every intent and of every write inside a DPU cluster."""

    after_write: AfterWrite | None = None

    async def ensure(self, identity: Identity) -> None:
        await super().ensure(identity)
        self._tell("ensure", identity)

    async def remove(self, identity: Identity) -> None:
        await super().remove(identity)
        self._tell("remove", identity)

    def client(self, access: Access) -> Client:
        client = super().client(access)
        assert isinstance(client, MemoryCluster)
        client.after_write = self.after_write
        return client

    def _tell(self, intent: str, identity: Identity) -> None:
        if self.after_write is not None:
            self.after_write(Request(verb=intent, kind="ControlPlane", key=identity.key))


@dataclass(slots=True)
class Prober:
    """Servers of `planes` answer when they serve; what was `set` stands above that."""

    planes: Planes
    told: MemoryProber = field(default_factory=MemoryProber)
    servers: set[str] = field(default_factory=set)

    def set(self, server: str, health: Health | None) -> None:
        """Let `server` answer like this; None: as it is."""
        if health is None:
            self.servers.discard(server)
        else:
            self.servers.add(server)
            self.told.set(server, health)

    async def probe(self, connection: Connection) -> Health:
        if connection.server not in self.servers and self.planes.serves(connection.server):
            return Healthy(version=VERSION)
        return await self.told.probe(connection)


@dataclass(slots=True)
class Stage:
    """What outlives a restart of the controllers."""

    world: World
    planes: Planes
    prober: Prober
    killed: bool = False

    @property
    def clusters(self) -> tuple[Stage, ...]:
        """For `crash_everywhere`: what is to be armed."""
        return (self,)

    @property
    def after_write(self) -> AfterWrite | None:
        """Hears of every write: of objects, of intents, and inside DPU clusters."""
        return self.planes.after_write

    @after_write.setter
    def after_write(self, hook: AfterWrite | None) -> None:
        self.world.host.after_write = self.planes.after_write = hook

    @asynccontextmanager
    async def controllers(self) -> AsyncIterator[Manager]:
        """One life of the controllers' process."""
        async with self.world.controllers(self._reconcilers) as manager:
            yield manager

    def _reconcilers(self, world: World) -> Sequence[Reconciler[Any, Any]]:
        return [
            DPUClusterController(clusters=world.registry, prober=self.prober),
            LocalClusterManager(host=world.host, control_plane=self.planes, connect=self.planes.client),
            StaticClusterManager(),
        ]

    @property
    def cluster(self) -> DPUCluster | None:
        return next((c for c in self.world.host.objects(DPUCluster) if c.metadata.name == NAME), None)

    @property
    def identity(self) -> Identity:
        cluster = self.cluster
        assert cluster is not None
        return plan.identity_of(cluster)

    @property
    def phase(self) -> str | None:
        return self.cluster.status.phase if self.cluster else None

    def condition(self, type_: str) -> Condition:
        assert self.cluster is not None
        (found,) = [c for c in self.cluster.status.conditions or () if c.type == type_]
        return found

    async def pass_time(self, manager: Manager, seconds: float, *, step_s: float = 1.0) -> None:
        """Let time pass in small steps, everything that falls due being worked on."""
        for _ in range(round(seconds / step_s)):
            self.world.clock.advance(step_s)
            await turns()
            await manager.settle()


def a_stage(*clusters: DPUCluster, slow: bool = False) -> Stage:
    """A host cluster with these DPUClusters and nothing running yet."""
    world = a_world()
    world.host.add(Namespace(metadata=ObjectMeta(name=NAMESPACE)), *clusters)
    planes = Planes(slow=slow)
    return Stage(world=world, planes=planes, prober=Prober(planes))


def any_order(seed: int) -> Callable[[Sequence[Any]], Any]:
    """A choice among controllers that differs from seed to seed."""
    return Random(seed).choice
