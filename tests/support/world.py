"""A host cluster, DPU clusters and a clock, all in memory, and controllers that are stepped over them.

    world = a_world(dpu_clusters=("dpu-1",))
    world.host.add(...)
    async with world.controllers(lambda world: [MyController(...)]) as manager:
        await manager.settle()

Leaving the block and entering it again is a restart: everything that was only in memory is gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec
from tests.support.clock import FakeClock, turns

from dpf.api.meta import Key, Object
from dpf.kube.client import Client
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.memory import MemoryCluster
from dpf.kube.reflector import Timing
from dpf.runtime.clusterfollower import ClusterFollower
from dpf.runtime.manager import Manager, Settings
from dpf.runtime.metrics import Metrics
from dpf.runtime.reconciler import Reconciler

NAMESPACE = "dpf-operator-system"

_VOLATILE = ("uid", "resourceVersion", "creationTimestamp", "generation")


@dataclass(slots=True)
class World:
    """`registry` and `manager` are those of the running controllers."""

    host: MemoryCluster
    dpus: dict[Key, MemoryCluster]
    clock: FakeClock
    metrics: Metrics = field(default_factory=Metrics)
    registry: ClusterRegistry = field(init=False)

    @property
    def clusters(self) -> tuple[MemoryCluster, ...]:
        """All of them, the host first."""
        return (self.host, *self.dpus.values())

    @property
    def writes(self) -> list[str]:
        """Every write so far, in all clusters, except Events: `host: patch/status Toy ns/name`."""
        return [
            f"{cluster.name}: {write.verb} {write.kind} {write.key}"
            for cluster in self.clusters for write in cluster.writes if write.kind != "Event"
        ]

    @asynccontextmanager
    async def controllers(
        self, factory: Callable[[World], Sequence[Reconciler[Any, Any]]], *, follow: bool = False,
        may_write: Callable[[], bool] = lambda: True,
    ) -> AsyncIterator[Manager]:
        """Controllers over this world, caches complete. `follow` connects as DPUCluster objects say, else all are."""
        timing = Timing(clock=self.clock.monotonic, sleep=self.clock.sleep, rng=Random(1))
        registry = self.registry = ClusterRegistry(
            self.host, connect=lambda _connection, name: self._client(name), timing=timing, now=self.clock.now
        )
        follower = ClusterFollower(registry) if follow else None
        manager = Manager(registry, self.host, factory(self), Settings(
            clock=self.clock, random=Random(1), metrics=self.metrics, may_write=may_write,
        ))
        registry.start()
        try:
            if follower is not None:
                await follower.run()
            else:
                for key in self.dpus:
                    registry.ensure(key, a_kubeconfig(key))
            await turns()
            yield manager
        finally:
            await registry.aclose()

    def state(self, *kinds: type[Object]) -> dict[str, Any]:
        """All objects of these kinds in all clusters, without what differs between two equal lives."""
        return {
            f"{cluster.name}: {kind.resource.kind} {obj.metadata.namespace}/{obj.metadata.name}": _stable(obj)
            for cluster in self.clusters for kind in kinds for obj in cluster.objects(kind)
        }

    def _client(self, name: str) -> Client:
        return self.dpus[Key(*name.split("/"))]


def a_world(*, dpu_clusters: Sequence[str] = (), namespace: str = NAMESPACE, **memory: Any) -> World:
    """A world with DPU clusters of these names in `namespace`; `memory` goes to the host's MemoryCluster."""
    clock = FakeClock()
    dpus = {
        Key(namespace, name): MemoryCluster(f"{namespace}/{name}", now=clock.now) for name in dpu_clusters
    }
    return World(host=MemoryCluster(now=clock.now, **memory), dpus=dpus, clock=clock)


def a_kubeconfig(cluster: Key) -> bytes:
    """A kubeconfig that can be used; its token is made up."""
    return msgspec.json.encode({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{"name": "c", "cluster": {
            "server": f"https://{cluster.name}.{cluster.namespace}.example:6443", "insecure-skip-tls-verify": True,
        }}],
        "users": [{"name": "u", "user": {"token": "not-a-real-token"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    })


def _stable(obj: Object) -> Any:
    tree = msgspec.to_builtins(obj)
    for name in _VOLATILE:
        tree["metadata"].pop(name, None)
    for owner in tree["metadata"].get("ownerReferences", ()):
        owner.pop("uid", None)
    for condition in (tree.get("status") or {}).get("conditions", ()):
        condition.pop("lastTransitionTime", None)
    return tree
