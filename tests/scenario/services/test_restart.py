"""Killed after any write, or stepped in any order, the world ends the same (design.md sections 2 and 10)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

import pytest
from tests.scenario.services import stage
from tests.support import dpuservices as some
from tests.support.crash import Crash, crash_at
from tests.support.world import World

from dpf.api import core
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import DPUService
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.meta import Key, ObjectMeta
from dpf.runtime.manager import Manager
from dpf.services.argocd import build

SERVICE = Key(some.TENANT, "blueman")
Story = Callable[[World, Manager], Awaitable[None]]


def a_rich_world() -> World:
    """Everything that one DPUService can cause, and a neighbour that shares the namespace."""
    world = stage.a_stage("dpu-1", "dpu-2", dpu_1={"zone": "a"}, dpu_2={"zone": "b"})
    config = {"serviceType": "NodePort", "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}]}
    world.host.add(
        some.a_service(configPorts=config, dpuClusterSelector={"matchLabels": {"zone": "a"}}),
        some.a_service("dts", serviceID="dts", interfaces=["b", "a"]), some.a_pull_secret(),
        some.an_interface("a", service_id="dts"), some.an_interface("b", service_id="dts"),
    )
    first = next(iter(world.dpus.values()))
    first.add(
        core.Service(
            metadata=ObjectMeta(name="web", namespace=some.TENANT, labels=build.match_labels(SERVICE)),
            spec=core.ServiceSpec(ports=[core.ServicePort(name="web", port=80, protocol="TCP", nodePort=31000)]),
        ),
    )
    return world


async def create(world: World, manager: Manager) -> None:
    await stage.deliver(world, manager)


async def update(world: World, manager: Manager) -> None:
    await stage.deliver(world, manager)
    await stage.edit(world, DPUService, SERVICE, {
        "helmChart": {"source": {"version": "2"}}, "configPorts": None, "deployInCluster": None,
    })
    await stage.edit(world, DPUService, Key(some.TENANT, "dts"), {"interfaces": ["b"]})
    await manager.settle()
    await stage.deliver(world, manager)


async def deselect(world: World, manager: Manager) -> None:
    await stage.deliver(world, manager)
    for name, zone in (("dpu-1", "b"), ("dpu-2", "a")):
        await world.host.patch(DPUCluster, name, some.CLUSTERS, patch={"metadata": {"labels": {"zone": zone}}})
    await manager.settle()
    await stage.deliver(world, manager)


async def pause(world: World, manager: Manager) -> None:
    await stage.deliver(world, manager)
    await stage.edit(world, DPUService, SERVICE, {"paused": True})
    await manager.settle()


async def remove(world: World, manager: Manager) -> None:
    await stage.deliver(world, manager)
    for service in world.host.objects(DPUService):
        if service.metadata.deletionTimestamp is None:
            await world.host.delete(DPUService, service.metadata.name, some.TENANT)
    await manager.settle()
    await stage.deliver(world, manager)


STORIES: dict[str, Story] = {
    "create": create, "update": update, "deselect": deselect, "pause": pause, "delete": remove,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
async def test_a_kill_after_any_write_ends_the_same(story: Story) -> None:
    undisturbed = a_rich_world()
    await stage.live(undisturbed, story)
    expected = undisturbed.state(*stage.KINDS)
    ours = [w for w in undisturbed.writes if "Event" not in w]

    killed = 0
    for n in range(1, len(ours) + 1):
        world = a_rich_world()
        countdown = crash_at(n, *world.clusters)
        await _lives(world, story)
        killed += countdown.crashed
        assert world.state(*stage.KINDS) == expected, f"killed after write {n}: {ours[n - 1]}"
    assert killed > len(ours) // 2, "the writes of the story itself are few"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
async def test_any_order_ends_the_same(story: Story, seed: int) -> None:
    """Objects appear one by one, in any order; passes come between them, or not."""
    expected_world = a_rich_world()
    await stage.live(expected_world, story)

    shuffled = stage.a_stage("dpu-1", "dpu-2", dpu_1={"zone": "a"}, dpu_2={"zone": "b"})
    template = a_rich_world()
    shuffled.dpus.update(template.dpus)
    rng = Random(seed)
    kinds = (DPUService, DPUServiceInterface, core.Secret)
    objects = [obj for kind in kinds for obj in template.host.objects(kind, some.TENANT)]
    rng.shuffle(objects)
    async with stage.running(shuffled) as manager:
        for obj in objects:
            shuffled.host.add(obj)
            if rng.random() < 0.5:
                await manager.settle()
        await manager.settle()
        await story(shuffled, manager)
        await manager.settle()
    assert shuffled.state(*stage.KINDS) == expected_world.state(*stage.KINDS)


async def _lives(world: World, story: Story) -> None:
    """As many lives as it takes; the story goes on where a person or Argo CD would look and act again."""
    try:
        await stage.live(world, story)
    except BaseExceptionGroup as group:
        if group.subgroup(Crash) is None:
            raise
        await stage.live(world, story)
    except Crash:
        await stage.live(world, story)
