"""Killed after any write, or stepped in any order, the world of a credential request ends the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from tests.scenario.services.stage import at_random
from tests.support import credentialrequests as stage
from tests.support import dpuservices as some
from tests.support.crash import Crash, crash_at
from tests.support.credentialrequests import ACCOUNT, DPU, NAMESPACE, REQUEST, SECRET
from tests.support.world import World

from dpf.api import core
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservicecredentialrequest import DPUServiceCredentialRequest
from dpf.api.meta import Key
from dpf.runtime.manager import Manager

Story = Callable[[World, Manager], Awaitable[None]]
SECOND = Key(some.CLUSTERS, "dpu-2")
AT_FIRST, AT_SECOND = ({"name": key.name, "namespace": key.namespace} for key in (DPU, SECOND))


def a_rich_world() -> World:
    """Two requests in two clusters; one of them is what the stories are about."""
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(
        stage.a_request(), stage.a_request("neighbour", target=None, secret=Key(NAMESPACE, "neighbour")),
    )
    return world


async def create(world: World, manager: Manager) -> None:
    """Nothing but the request."""


async def everything(world: World, manager: Manager) -> None:
    """All that can be edited, at once."""
    await stage.edit(
        world, serviceAccount={"name": "android"}, targetCluster=AT_SECOND, secret={"name": "renamed"},
        type="tokenFile", duration="2h", metadata={"labels": {"team": "a"}},
    )


async def rename_secret(world: World, manager: Manager) -> None:
    await stage.edit(world, secret={"name": "renamed"})


async def rename_account(world: World, manager: Manager) -> None:
    await stage.edit(world, serviceAccount={"name": "android"})


async def retarget(world: World, manager: Manager) -> None:
    await stage.edit(world, targetCluster=AT_SECOND)


async def to_the_host(world: World, manager: Manager) -> None:
    await stage.edit(world, targetCluster=None)


async def three_quick_edits(world: World, manager: Manager) -> None:
    """The second and third come while the first is being carried out."""
    await stage.edit(world, serviceAccount={"name": "android"})
    await step(manager, 1)
    await stage.edit(world, targetCluster=AT_SECOND, secret={"name": "renamed"})
    await step(manager, 1)
    await stage.edit(world, serviceAccount={"name": "golem"}, targetCluster=AT_FIRST)


async def relabel(world: World, manager: Manager) -> None:
    await stage.edit(world, metadata={"labels": {"team": "a"}})


async def hand_deleted(world: World, manager: Manager) -> None:
    for kind, key, cluster in (
        (core.Secret, SECRET, world.host), (core.ServiceAccount, ACCOUNT, world.dpus[DPU]),
    ):
        if any(obj.metadata.name == key.name for obj in cluster.objects(kind, key.namespace)):
            await cluster.delete(kind, key.name, key.namespace)


async def recreate_cluster(world: World, manager: Manager) -> None:
    """The new cluster has everything of the old one, as after a restore: only the DPUCluster is another."""
    def found() -> DPUCluster | None:
        return next((c for c in world.host.objects(DPUCluster) if c.metadata.name == DPU.name), None)

    former = found()
    if former is not None and former.metadata.labels is None:
        await world.host.delete(DPUCluster, DPU.name, DPU.namespace)
        await manager.settle()
    if found() is None:
        world.host.add(some.a_cluster(DPU.name, DPU.namespace, labels={"again": "yes"}))
        await world.clock.run_for(1)


async def remove(world: World, manager: Manager) -> None:
    if any(r.metadata.name == REQUEST.name and r.metadata.deletionTimestamp is None
           for r in world.host.objects(DPUServiceCredentialRequest)):
        await world.host.delete(DPUServiceCredentialRequest, REQUEST.name, NAMESPACE)


async def remove_in_the_middle(world: World, manager: Manager) -> None:
    if any(r.metadata.name == REQUEST.name for r in world.host.objects(DPUServiceCredentialRequest)):
        await everything(world, manager)
        await step(manager, 2)
    await remove(world, manager)


STORIES: dict[str, Story] = {story.__name__: story for story in (
    create, everything, rename_secret, rename_account, retarget, to_the_host, three_quick_edits, relabel, hand_deleted,
    recreate_cluster, remove, remove_in_the_middle,
)}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
async def test_a_kill_after_any_write_ends_the_same(story: Story) -> None:
    undisturbed = a_rich_world()
    await stage.live(undisturbed, story)
    expected = stage.end_state(undisturbed)
    written = undisturbed.writes

    killed = 0
    for n in range(1, len(written) + 1):
        world = a_rich_world()
        countdown = crash_at(n, *world.clusters)
        await lives(world, story)
        killed += countdown.crashed
        assert stage.end_state(world) == expected, f"killed after write {n}: {written[n - 1]}"
    assert killed > len(written) // 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
async def test_any_order_ends_the_same(story: Story, seed: int) -> None:
    expected = a_rich_world()
    await stage.live(expected, story)

    world = a_rich_world()
    async with stage.running(world) as manager:
        await story(world, manager)
        await manager.settle(at_random(seed))
    assert stage.end_state(world) == stage.end_state(expected)


async def test_no_service_account_is_ever_made_that_the_status_does_not_name() -> None:
    """What a killed process leaves behind can be found by the next one, in whatever cluster it is."""
    world = a_rich_world()

    def look(_: object) -> None:
        for cluster in world.clusters:
            for made in cluster.objects(core.ServiceAccount, ACCOUNT.namespace):
                owner = (made.metadata.labels or {})["svc.dpu.nvidia.com/credential-request-name"]
                status = stage.request(world, owner).status
                assert status.serviceAccount == f"{made.metadata.namespace}/{made.metadata.name}"
                assert (status.targetCluster or "host") == cluster.name

    for cluster in world.clusters:
        cluster.after_write = look
    async with stage.running(world) as manager:
        for story in (everything, rename_account, to_the_host, three_quick_edits):
            await story(world, manager)
            await manager.settle()
    assert stage.is_ready(world)


async def test_a_crash_between_the_secret_and_the_status_costs_no_second_token() -> None:
    world = a_rich_world()
    crashed = False

    def crash(request: object) -> None:
        nonlocal crashed
        if not crashed and str(request) == f"apply Secret {SECRET}":
            crashed = True
            raise Crash("after the Secret")

    world.host.after_write = crash
    await lives(world, create)
    assert crashed
    assert len(world.dpus[DPU].tokens.issued) == 1
    assert stage.is_ready(world)


async def step(manager: Manager, passes: int) -> None:
    """So many passes, and no more."""
    (controller,) = manager.controllers
    for _ in range(passes):
        await manager._quiesce()
        key = controller.queue.take()
        if key is not None:
            await controller.work(key)


async def lives(world: World, story: Story) -> None:
    """A life that may end early, and as many more as it takes; a user who is interrupted begins again."""
    try:
        await stage.live(world, story)
    except BaseExceptionGroup as group:
        if group.subgroup(Crash) is None:
            raise
    except Crash:
        pass
    else:
        return
    await stage.live(world, story)
