"""The life of an object under a controller: creation, change, settling, deletion, pause, failure, restart."""

from __future__ import annotations

import pytest

from dpf.api.core import ConfigMap, Event
from dpf.api.meta import Key
from dpf.kube import errors
from dpf.kube.memory import Request
from dpf.runtime import conditions
from dpf.runtime.manager import Manager
from tests.scenario.runtime.toy import FINALIZER, NAMESPACE, Toy, ToyController, a_toy
from tests.support.clock import turns
from tests.support.crash import crash_everywhere
from tests.support.world import World, a_world

KEY = Key(NAMESPACE, "toy")


def toys(world: World) -> list[ToyController]:
    return [ToyController(world.registry)]


async def live(world: World) -> None:
    async with world.controllers(toys) as manager:
        await manager.settle()


def the_toy(world: World) -> Toy:
    (toy,) = world.host.objects(Toy)
    return toy


def a_toy_world(*dpu_clusters: str, **spec: object) -> World:
    world = a_world(dpu_clusters=dpu_clusters)
    for cluster in world.dpus.values():
        cluster.add_namespace = None  # type: ignore[attr-defined]
    world.host.add(a_toy(**spec))
    return world


async def test_a_new_object_gets_finalizer_then_children_then_status() -> None:
    world = a_toy_world(parts={"a": "1", "b": "2"})
    await live(world)
    assert world.writes == [
        "host: patch Toy toys/toy", "host: apply ConfigMap toys/toy-a", "host: apply ConfigMap toys/toy-b",
        "host: patch/status Toy toys/toy",
    ]
    toy = the_toy(world)
    assert toy.metadata.finalizers == [FINALIZER]
    assert [c.type for c in toy.status.conditions or ()] == ["Ready", "PartsReconciled"]
    assert conditions.is_true(toy.status.conditions, "Ready")
    assert toy.status.observedGeneration == toy.metadata.generation
    assert toy.status.parts == {"a": "1", "b": "2"}
