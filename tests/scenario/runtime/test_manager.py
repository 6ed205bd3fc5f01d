"""The manager as a process runs it: workers, waiting for caches, stopping, and who may write."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import pytest
from tests.scenario.runtime.toy import NAMESPACE, Snapshot, Toy, ToyController, a_toy
from tests.support.clock import turns
from tests.support.world import World, a_world

from dpf.api.core import ConfigMap, Lease
from dpf.api.meta import Key, object_key
from dpf.kube import errors
from dpf.runtime import conditions
from dpf.runtime.election import Elector
from dpf.runtime.manager import WORKERS, NotSettling
from dpf.runtime.plan import Applied, Patch, Plan, Step
from dpf.runtime.reconciler import Verdict, Watch


def toys(world: World) -> list[ToyController]:
    return [ToyController(world.registry)]


def a_toy_world(*names: str) -> World:
    world = a_world()
    world.host.add(*(a_toy(name, parts={"a": "1"}) for name in names or ("toy",)))
    return world


def ready(world: World) -> dict[str, bool]:
    return {t.metadata.name: conditions.is_true(t.status.conditions, "Ready") for t in world.host.objects(Toy)}


@pytest.fixture
def running() -> Iterator[list[asyncio.Task[None]]]:
    tasks: list[asyncio.Task[None]] = []
    yield tasks
    assert all(task.done() for task in tasks), "the manager was left running"


async def test_workers_bring_everything_to_ready(running: list[asyncio.Task[None]]) -> None:
    world = a_toy_world(*(f"toy-{n}" for n in range(20)))
    async with world.controllers(toys) as manager:
        running.append(asyncio.create_task(manager.run()))
        await turns(400)
        await manager.stop(running[0])
    assert set(ready(world).values()) == {True}
    assert len(ready(world)) == 20


async def test_no_pass_before_the_caches_are_complete(running: list[asyncio.Task[None]]) -> None:
    world = a_toy_world()
    world.host.fail_next(
        lambda r: r.verb == "list" and r.kind == "ConfigMap", errors.Forbidden("configmaps is forbidden"), times=3
    )
    async with world.controllers(toys) as manager:
        running.append(asyncio.create_task(manager.run()))
        await turns(100)
        assert world.writes == []
        await world.clock.run_for(30)
        assert ready(world) == {"toy": True}
        await manager.stop(running[0])


async def test_stopping_lets_a_pass_finish_and_starts_no_other(running: list[asyncio.Task[None]]) -> None:
    world = a_toy_world(*(f"toy-{n}" for n in range(WORKERS + 1)))
    async with world.controllers(lambda world: [Deliberate(world.registry)]) as manager:
        controller = manager.controllers[0].reconciler
        assert isinstance(controller, Deliberate)
        running.append(asyncio.create_task(manager.run()))
        await turns()
        assert controller.observing == WORKERS
        stopping = asyncio.create_task(manager.stop(running[0]))
        await turns()
        controller.go_on.set()
        await stopping
    assert sum(ready(world).values()) == WORKERS, "those that ran have finished, the last was not begun"
    assert controller.observing == 0


async def test_stopping_does_not_wait_for_caches(running: list[asyncio.Task[None]]) -> None:
    world = a_toy_world()
    world.host.fail_next(lambda r: r.kind == "Toy", errors.NotFound("the server could not find it"), times=10_000)
    async with world.controllers(toys) as manager:
        running.append(asyncio.create_task(manager.run()))
        await turns()
        stopping = asyncio.create_task(manager.stop(running[0]))
        await turns()
        assert stopping.done(), "without real time passing"


async def test_a_pass_that_does_not_end_is_cancelled(running: list[asyncio.Task[None]]) -> None:
    world = a_toy_world()
    async with world.controllers(lambda world: [Deliberate(world.registry)]) as manager:
        running.append(asyncio.create_task(manager.run()))
        await turns()
        await manager.stop(running[0], grace_s=0.01)
    assert running[0].cancelled()


async def test_a_stale_cache_does_not_make_us_write_the_same_status_twice() -> None:
    """The watch is silent for a while after our own write; a trigger from elsewhere starts a pass meanwhile."""
    world = a_toy_world()
    async with world.controllers(toys) as manager:
        await manager.settle()
        controller = manager.controllers[0]
        store = world.registry.host.cache.store(Toy)
        held_back: list[Any] = []
        absorb = store.absorb
        store.absorb = held_back.append  # type: ignore[method-assign]
        await world.host.patch(Toy, "toy", NAMESPACE, patch={"spec": {"parts": {"b": "2"}}})
        await turns()
        absorb(held_back.pop())
        await manager.settle()
        patches = [w for w in world.writes if "status" in w]
        controller.enqueue_all()
        await manager.settle()
        assert held_back, "the echo of our status patch is still on its way"
        assert [w for w in world.writes if "status" in w] == patches
        for batch in held_back:
            absorb(batch)
        store.absorb = absorb  # type: ignore[method-assign]
        await manager.settle()
        assert ready(world) == {"toy": True}
        assert [w for w in world.writes if "status" in w] == patches


async def test_a_controller_that_writes_in_every_pass_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpf.runtime.manager._MAX_PASSES", 50)
    world = a_toy_world()
    async with world.controllers(lambda world: [Restless(world.registry)]) as manager:
        with pytest.raises(NotSettling, match="restless"):
            await manager.settle()


async def test_without_leadership_nothing_is_written() -> None:
    world = a_toy_world()
    async with world.controllers(toys, may_write=lambda: False) as manager:
        await manager.settle()
    assert world.writes == []


async def test_of_two_managers_under_election_only_the_leader_writes() -> None:
    world = a_toy_world()
    electors = [
        Elector(world.host, namespace=NAMESPACE, name="dpf", identity=name, clock=world.clock, random=lambda: 0.0)
        for name in ("one", "two")
    ]
    lives = [asyncio.create_task(_lead(elector)) for elector in electors]
    await turns()
    async with world.controllers(toys, may_write=electors[0].may_write) as leader, \
            world.controllers(toys, may_write=electors[1].may_write) as standby:
        await standby.settle()
        assert [w for w in world.writes if "Lease" not in w] == []
        await leader.settle()
        assert ready(world) == {"toy": True}
        lives[0].cancel()
        await world.host.patch(Toy, "toy", NAMESPACE, patch={"spec": {"parts": {"a": None, "b": "2"}}})
        await world.clock.run_for(30)
        assert world.host.objects(Lease)[0].spec.holderIdentity == "two"
        before = len(world.writes)
        await leader.settle()
        assert world.writes[before:] == [], "the old leader may not write any more"
        await standby.settle()
    assert [c.metadata.name for c in world.host.objects(ConfigMap)] == ["toy-b"]
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)


@pytest.mark.parametrize("failure", [errors.NotSynced("not now"), ZeroDivisionError("a bug")], ids=["unsynced", "bug"])
async def test_a_mapping_that_fails_makes_the_controller_look_at_everything(failure: Exception) -> None:
    world = a_toy_world()
    async with world.controllers(lambda world: [Confused(world.registry, failure)]) as manager:
        await manager.settle()
        await world.host.delete(ConfigMap, "toy-a", NAMESPACE)
        await manager.settle()
    assert [c.metadata.name for c in world.host.objects(ConfigMap)] == ["toy-a"]


async def _lead(elector: Elector) -> None:
    await elector.acquire()
    await elector.keep()


class Deliberate(ToyController):
    """Its passes wait until they are told to go on; it has no finalizer, so the first pass is the real one."""

    finalizer = None

    def __init__(self, clusters: Any) -> None:
        super().__init__(clusters)
        self.go_on = asyncio.Event()
        self.observing = 0

    async def observe(self, root: Toy) -> Snapshot:
        self.observing += 1
        await self.go_on.wait()
        self.observing -= 1
        return await super().observe(root)


class Confused(ToyController):
    """Its mapping never says which toy an object belongs to."""

    def __init__(self, clusters: Any, failure: Exception) -> None:
        super().__init__(clusters)
        self._failure = failure

    @property
    def watches(self) -> Sequence[Watch]:
        return tuple(dataclasses.replace(watch, maps=self._fail) for watch in super().watches)

    def _fail(self, old: object, new: object) -> Iterable[Key]:
        raise self._failure


class Restless(ToyController):
    """Writes something new in every pass, which comes back as a change."""

    name = "restless"
    count = 0

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:
        self.count += 1
        patch = {"metadata": {"annotations": {"count": str(self.count)}}}
        action = Patch(kind=Toy, key=object_key(snapshot.toy), patch=patch, because="restless")
        return Plan(steps=(Step(name="parts", actions=(action,)),))

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:
        return Verdict(states={})

