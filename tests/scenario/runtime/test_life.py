"""The life of an object under a controller: creation, change, settling, deletion, pause, failure, restart."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

import msgspec
import pytest
from tests.scenario.runtime.toy import (
    FINALIZER,
    NAMESPACE,
    OWNER_LABEL,
    Snapshot,
    Toy,
    ToyController,
    ToyStatus,
    a_toy,
)
from tests.support.crash import crash_everywhere
from tests.support.world import World, a_world

from dpf.api.core import ConfigMap, Event, Namespace
from dpf.api.meta import Condition, ObjectMeta
from dpf.kube import errors
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.memory import Request
from dpf.runtime import conditions
from dpf.runtime.plan import Plan


def toys(world: World) -> list[ToyController]:
    return [ToyController(world.registry)]


async def live(world: World) -> None:
    async with world.controllers(toys) as manager:
        await manager.settle()


def the_toy(world: World) -> Toy:
    (toy,) = world.host.objects(Toy)
    return toy


def a_toy_world(*dpu_clusters: str, finalizers: list[str] | None = None, **spec: Any) -> World:
    world = a_world(dpu_clusters=dpu_clusters)
    for cluster in world.dpus.values():
        cluster.add(Namespace(metadata=ObjectMeta(name=NAMESPACE)))
    world.host.add(a_toy(finalizers=finalizers, **spec))
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


async def test_a_settled_object_causes_no_write_and_no_event() -> None:
    world = a_toy_world(parts={"a": "1"})
    async with world.controllers(toys) as manager:
        await manager.settle()
        written, events = list(world.writes), world.host.objects(Event)
        for _ in range(5):
            manager.controllers[0].enqueue_all()
            await manager.settle()
        assert world.writes == written
        assert world.host.objects(Event) == events


async def test_the_echo_of_our_own_status_is_no_further_pass() -> None:
    world = a_toy_world(parts={"a": "1"})
    async with world.controllers(toys) as manager:
        passes = await manager.settle()
    # The finalizer, then the work, then one more for the ConfigMap that appeared.
    assert passes == 3


async def test_resync_looks_again_and_writes_nothing() -> None:
    world = a_toy_world(parts={"a": "1"})
    async with world.controllers(toys) as manager:
        await manager.settle()
        written = list(world.writes)
        world.clock.advance(ToyController.resync_s * 1.2)
        assert await manager.settle() == 1
        assert world.writes == written


async def test_a_change_of_a_child_is_repaired() -> None:
    world = a_toy_world(parts={"a": "1"})
    async with world.controllers(toys) as manager:
        await manager.settle()
        await world.host.delete(ConfigMap, "toy-a", NAMESPACE)
        await manager.settle()
        assert [c.data for c in world.host.objects(ConfigMap)] == [{"content": "1"}]


async def test_a_change_of_the_spec_is_carried_out_and_generation_observed() -> None:
    world = a_toy_world(parts={"a": "1", "b": "2"})
    async with world.controllers(toys) as manager:
        await manager.settle()
        await world.host.patch(Toy, "toy", NAMESPACE, patch={"spec": {"parts": {"a": "9", "b": None}}})
        await manager.settle()
    assert {c.metadata.name: c.data for c in world.host.objects(ConfigMap)} == {"toy-a": {"content": "9"}}
    toy = the_toy(world)
    assert toy.status.parts == {"a": "9"}, "a key that is gone must be removed from status too"
    assert toy.status.observedGeneration == toy.metadata.generation == 2


async def test_deletion_removes_children_first_and_the_finalizer_last() -> None:
    world = a_toy_world(parts={"a": "1"})
    async with world.controllers(toys) as manager:
        await manager.settle()
        before = len(world.writes)
        await world.host.delete(Toy, "toy", NAMESPACE)
        await manager.settle()
        assert world.host.objects(Toy) == ()
        assert world.host.objects(ConfigMap) == ()
        assert world.writes[before:] == [
            "host: delete Toy toys/toy", "host: delete ConfigMap toys/toy-a", "host: patch/status Toy toys/toy",
            "host: patch Toy toys/toy",
        ]
        world.clock.advance(10_000)
        assert await manager.settle() == 0, "an object that is gone is not looked at again"


async def test_an_object_being_deleted_without_our_finalizer_is_left_alone() -> None:
    world = a_toy_world(parts={"a": "1"}, finalizers=["somebody.else/finalizer"])
    await world.host.delete(Toy, "toy", NAMESPACE)
    before = list(world.writes)
    await live(world)
    assert world.writes == before


async def test_the_finalizers_of_others_are_kept() -> None:
    world = a_toy_world(finalizers=["somebody.else/finalizer"])
    async with world.controllers(toys) as manager:
        await manager.settle()
        assert the_toy(world).metadata.finalizers == ["somebody.else/finalizer", FINALIZER]
        await world.host.delete(Toy, "toy", NAMESPACE)
        await manager.settle()
    assert the_toy(world).metadata.finalizers == ["somebody.else/finalizer"]


@pytest.mark.parametrize(("best_effort", "remains"), [(False, 1), (True, 0)], ids=["must succeed", "best effort"])
async def test_a_teardown_that_failed_keeps_the_object_unless_it_was_best_effort(
    best_effort: bool, remains: int,
) -> None:
    world = a_toy_world(parts={"a": "1"})
    async with world.controllers(lambda world: [Hasty(world.registry, best_effort=best_effort)]) as manager:
        await manager.settle()
        world.host.fail_next(lambda r: r.verb == "delete" and r.kind == "ConfigMap", errors.Forbidden("no"))
        await world.host.delete(Toy, "toy", NAMESPACE)
        await manager.settle()
        assert len(world.host.objects(Toy)) == remains
        world.clock.advance(1)
        await manager.settle()
    assert world.host.objects(Toy) == ()


async def test_a_paused_object_is_not_written() -> None:
    world = a_toy_world(parts={"a": "1"}, finalizers=[FINALIZER], paused=True)
    async with world.controllers(toys) as manager:
        await manager.settle()
        assert world.writes == []
        await world.host.patch(Toy, "toy", NAMESPACE, patch={"spec": {"paused": False}})
        await manager.settle()
    assert conditions.is_true(the_toy(world).status.conditions, "Ready")


async def test_a_failed_write_is_told_in_the_status_and_tried_again() -> None:
    world = a_toy_world(parts={"a": "1"})
    world.host.fail_next(is_apply, errors.Forbidden("exceeded quota: compute"))
    async with world.controllers(toys) as manager:
        await manager.settle()
        told = conditions.find(the_toy(world).status.conditions, "PartsReconciled")
        assert told is not None
        assert told.status == "False"
        assert told.message == "apply ConfigMap toys/toy-a in the host cluster: exceeded quota: compute"
        assert not conditions.is_true(the_toy(world).status.conditions, "Ready")
        world.clock.advance(1)
        await manager.settle()
    assert conditions.is_true(the_toy(world).status.conditions, "Ready")


async def test_the_same_failure_again_writes_no_status() -> None:
    world = a_toy_world(parts={"a": "1"})
    world.host.fail_next(is_apply, errors.Forbidden("no"), times=1000)
    async with world.controllers(toys) as manager:
        await manager.settle()
        patches = [w for w in world.writes if "status" in w]
        for _ in range(10):
            world.clock.advance(400)
            await manager.settle()
        assert [w for w in world.writes if "status" in w] == patches


async def test_a_failing_object_backs_off() -> None:
    world = a_toy_world(parts={"a": "1"})
    world.host.fail_next(is_apply, errors.ServerError("overloaded"), times=1000)
    async with world.controllers(toys) as manager:
        await manager.settle()
        before = len(world.host.requests)
        for _ in range(3600):
            world.clock.advance(1)
            await manager.settle()
        tries = sum(1 for r in world.host.requests[before:] if r.verb == "apply")
    assert 11 <= tries <= 30, "an hour at a cap of five minutes, with jitter"


async def test_a_conflict_on_the_status_is_tolerated() -> None:
    world = a_toy_world(parts={"a": "1"})
    world.host.fail_next(
        lambda r: r.verb == "patch" and r.subresource == "status", errors.Conflict("the object has been modified")
    )
    async with world.controllers(toys) as manager:
        await manager.settle()
        world.clock.advance(1)
        await manager.settle()
    assert conditions.is_true(the_toy(world).status.conditions, "Ready")


async def test_an_object_newer_than_the_pass_has_seen_is_neither_told_nor_given_up() -> None:
    world = a_toy_world(parts={"a": "1"})
    world.host.fail_next(is_apply, errors.Conflict("the object has been modified"))
    async with world.controllers(toys) as manager:
        await manager.settle()
        assert not [w for w in world.writes if "status" in w], "what a stale look concluded is not written"
        world.clock.advance(1)
        await manager.settle()
    assert conditions.is_true(the_toy(world).status.conditions, "Ready")
    assert not [event for event in world.host.objects(Event) if event.type == "Warning"]


async def test_a_stale_root_does_not_overwrite_the_conditions_of_others() -> None:
    world = a_toy_world(parts={"a": "1"}, finalizers=[FINALIZER])
    foreign = Condition(type="Seen", status="True", reason="Test", lastTransitionTime="2026-01-01T00:00:00Z")

    def write_in_between(request: Request) -> None:
        """Somebody else's condition arrives after our pass has read the root and before it writes."""
        if request.verb == "apply":
            world.host.on_request = None
            toy = the_toy(world)
            world.host.add(msgspec.structs.replace(
                toy, metadata=msgspec.structs.replace(toy.metadata, resourceVersion=None),
                status=ToyStatus(conditions=[foreign]),
            ))

    world.host.on_request = write_in_between
    async with world.controllers(toys) as manager:
        await manager.settle()
        world.clock.advance(1)
        await manager.settle()
    assert [c.type for c in the_toy(world).status.conditions or ()] == ["Ready", "PartsReconciled", "Seen"]


async def test_an_invalid_object_says_so_and_is_not_tried_again_and_again() -> None:
    world = a_toy_world(complaint="parts must not be empty")
    async with world.controllers(toys) as manager:
        await manager.settle()
        told = conditions.find(the_toy(world).status.conditions, "PartsReconciled")
        assert told is not None
        assert told.message == "parts must not be empty"
        for _ in range(5):
            world.clock.advance(60)
            assert await manager.settle() == 0


async def test_a_wake_up_comes_when_it_was_asked_for() -> None:
    world = a_toy_world(wake_after_s=30.0)
    async with world.controllers(toys) as manager:
        await manager.settle()
        world.clock.advance(29)
        assert await manager.settle() == 0
        world.clock.advance(1)
        assert await manager.settle() == 1


async def test_a_bug_in_one_pass_leaves_other_objects_alone(caplog: pytest.LogCaptureFixture) -> None:
    world = a_world()
    world.host.add(a_toy("good", parts={"a": "1"}), a_toy("bad", parts={"a": "1"}))
    async with world.controllers(lambda world: [Clumsy(world.registry)]) as manager:
        await manager.settle()
        world.clock.advance(1)
        await manager.settle()
    ready = {t.metadata.name: conditions.is_true(t.status.conditions, "Ready") for t in world.host.objects(Toy)}
    assert ready == {"good": True, "bad": False}
    assert b'dpf_reconcile_total{controller="toy",result="error"} 2.0' in world.metrics.exposition()


async def test_a_failed_read_is_not_taken_for_absence() -> None:
    world = a_toy_world(parts={"a": "1"})
    async with world.controllers(toys) as manager:
        await manager.settle()
        before = list(world.writes)
        world.registry.host.cache.store(ConfigMap).fail("lost contact")
        await world.host.patch(Toy, "toy", NAMESPACE, patch={"spec": {"parts": {}}})
        await manager.settle()
        await world.host.delete(Toy, "toy", NAMESPACE)
        await manager.settle()
    assert [w for w in world.writes if w not in before] == ["host: delete Toy toys/toy"]
    assert the_toy(world).metadata.finalizers == [FINALIZER]


async def test_history_lost_during_life_ends_converged() -> None:
    world = a_toy_world(parts={"a": "1"})
    async with world.controllers(toys) as manager:
        await manager.settle()
        world.host.end_watches()
        world.host.compact()
        await world.host.patch(Toy, "toy", NAMESPACE, patch={"spec": {"parts": {"a": None, "b": "2"}}})
        await world.clock.run_for(5)
        await manager.settle()
    assert [c.metadata.name for c in world.host.objects(ConfigMap)] == ["toy-b"]


@pytest.mark.parametrize("what", ["create", "change", "delete"])
async def test_a_crash_after_any_write_converges(what: str) -> None:
    async def act(world: World) -> None:
        async with world.controllers(toys) as manager:
            await manager.settle()

    tried = await crash_everywhere(lambda: _prepared(what), act, lambda world: world.state(Toy, ConfigMap))
    assert tried >= 3, "the scenario must write something, or it proves nothing"


def _prepared(what: str) -> World:
    names = ["dpu-1", "dpu-2"]
    world = a_toy_world(*names, parts={"a": "1", "b": "2"}, clusters=names, finalizers=[FINALIZER])
    if what == "create":
        return world
    for cluster in world.clusters:
        for name in ("toy-a", "toy-c"):
            metadata = ObjectMeta(name=name, namespace=NAMESPACE, labels={OWNER_LABEL: "toy"})
            cluster.add(ConfigMap(metadata=metadata, data={"content": "old"}))
    if what == "delete":
        (toy,) = world.host.objects(Toy)
        world.host.add(msgspec.structs.replace(
            toy, metadata=msgspec.structs.replace(toy.metadata, deletionTimestamp="2026-01-01T00:00:00Z"),
        ))
    return world


def is_apply(request: Request) -> bool:
    return request.verb == "apply"


class Hasty(ToyController):
    """Lets go in the same pass that cleans up."""

    def __init__(self, clusters: ClusterRegistry, *, best_effort: bool) -> None:
        super().__init__(clusters)
        self._best_effort = best_effort

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:
        steps = super().plan_teardown(snapshot, now).steps
        return Plan(steps=tuple(dataclasses.replace(s, blocks=not self._best_effort) for s in steps), release=True)


class Clumsy(ToyController):
    """Has a bug that one object triggers."""

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:
        if snapshot.toy.metadata.name == "bad":
            raise ZeroDivisionError("a bug")
        return super().plan(snapshot, now)
