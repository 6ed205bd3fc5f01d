"""Controllers over several clusters: what comes, goes, fails and hangs there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tests.scenario.runtime.toy import NAMESPACE, OWNER_LABEL, Toy, ToyController, a_toy
from tests.support.clock import turns
from tests.support.world import NAMESPACE as DPF
from tests.support.world import World, a_kubeconfig, a_world

from dpf.api.core import ConfigMap, Namespace
from dpf.api.meta import Key, ObjectMeta
from dpf.kube import errors
from dpf.runtime import conditions
from dpf.runtime.reconciler import Watch

ONE, TWO = Key(DPF, "dpu-1"), Key(DPF, "dpu-2")


def toys(world: World) -> list[ToyController]:
    return [ToyController(world.registry)]


def a_toy_world() -> World:
    world = a_world(dpu_clusters=(ONE.name, TWO.name))
    for cluster in world.dpus.values():
        cluster.add(Namespace(metadata=ObjectMeta(name=NAMESPACE)))
    world.host.add(a_toy(parts={"a": "1"}, clusters=[ONE.name, TWO.name]))
    return world


def parts(world: World, key: Key) -> list[str]:
    return [c.metadata.name for c in world.dpus[key].objects(ConfigMap)]


def ready(world: World) -> bool:
    return conditions.is_true(world.host.objects(Toy)[0].status.conditions, "Ready")


async def test_every_cluster_gets_its_objects() -> None:
    world = a_toy_world()
    async with world.controllers(toys) as manager:
        await manager.settle()
    assert parts(world, ONE) == parts(world, TWO) == ["toy-a"]
    assert ready(world)


async def test_a_dead_cluster_delays_no_other_and_is_named_in_the_status() -> None:
    world = a_toy_world()
    world.dpus[ONE].fail_next(lambda _: True, errors.Unreachable("connection refused"), times=10_000)
    async with world.controllers(toys) as manager:
        await manager.settle()
        told = conditions.find(world.host.objects(Toy)[0].status.conditions, "PartsReconciled")
    assert parts(world, TWO) == ["toy-a"]
    assert told is not None
    assert told.message == (
        "apply ConfigMap toys/toy-a in cluster dpf-operator-system/dpu-1: "
        "dpu cluster is not connected: connection refused"
    )


async def test_a_cluster_that_comes_back_is_served_without_waiting_for_the_backoff() -> None:
    world = a_toy_world()
    world.dpus[ONE].fail_next(lambda _: True, errors.Unreachable("connection refused"), times=3)
    async with world.controllers(toys) as manager:
        await manager.settle()
        assert parts(world, ONE) == []
        for _ in range(60):
            await world.clock.run_for(1)
            await manager.settle()
        assert parts(world, ONE) == ["toy-a"]
        assert ready(world)


async def test_a_cluster_that_joins_later_is_served_at_once() -> None:
    world = a_toy_world()
    async with world.controllers(toys) as manager:
        world.registry.remove(ONE)
        await manager.settle()
        assert not ready(world)
        world.registry.ensure(ONE, a_kubeconfig(ONE))
        await turns()
        await manager.settle()
        assert parts(world, ONE) == ["toy-a"]
        assert ready(world)


async def test_a_change_in_a_dpu_cluster_is_repaired() -> None:
    world = a_toy_world()
    async with world.controllers(toys) as manager:
        await manager.settle()
        await world.dpus[TWO].delete(ConfigMap, "toy-a", NAMESPACE)
        await manager.settle()
    assert parts(world, TWO) == ["toy-a"]


async def test_a_watch_sees_its_labels_only_although_the_cache_holds_more() -> None:
    def wide(world: World) -> list[ToyController]:
        world.registry.host.cache.register(ConfigMap)
        return [Picky(world.registry)]

    world = a_toy_world()
    async with world.controllers(wide) as manager:
        await manager.settle()
        other = ConfigMap(metadata=ObjectMeta(name="other", namespace=NAMESPACE))
        await world.host.create(other)
        assert await manager.settle() == 0
        patch = {"metadata": {"labels": {"picky": "yes"}}}
        await world.host.patch(ConfigMap, "other", NAMESPACE, patch=patch)
        assert await manager.settle() == 1
        patch = {"metadata": {"labels": {"picky": "no"}}}
        await world.host.patch(ConfigMap, "other", NAMESPACE, patch=patch)
        assert await manager.settle() == 1, "to lose the label is to disappear"
        await world.host.delete(ConfigMap, "other", NAMESPACE)
        assert await manager.settle() == 0


async def test_objects_without_the_watched_label_trigger_nothing() -> None:
    world = a_toy_world()
    async with world.controllers(toys) as manager:
        await manager.settle()
        await world.dpus[ONE].create(ConfigMap(metadata=ObjectMeta(name="other", namespace=NAMESPACE)))
        await world.host.create(ConfigMap(metadata=ObjectMeta(name="other", namespace=NAMESPACE)))
        assert await manager.settle() == 0
        mine = ConfigMap(metadata=ObjectMeta(name="mine", namespace=NAMESPACE, labels={OWNER_LABEL: "toy"}))
        await world.dpus[ONE].create(mine)
        assert await manager.settle() > 0


class Picky(ToyController):
    """Is told about every ConfigMap with a certain label, whoever it belongs to."""

    @property
    def watches(self) -> Sequence[Watch]:
        index_only, remote = super().watches
        return (
            dataclasses.replace(index_only, maps=lambda old, new: ()), remote,
            Watch(kind=ConfigMap, maps=lambda old, new: [Key(NAMESPACE, "toy")], labels="picky=yes"),
        )
