"""Carrying out plans against clusters in memory: order, isolation, texts, idempotence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support.clock import turns
from tests.support.crash import Crash, crash_at

from dpf.api.core import ConfigMap, Namespace
from dpf.api.meta import Key, ObjectMeta
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.kube.memory import MemoryCluster, Request
from dpf.runtime.executor import Executor, describe
from dpf.runtime.metrics import Metrics
from dpf.runtime.plan import HOST, Action, Applied, Apply, Delete, Drive, Finding, Patch, Plan, Severity, Step
from dpf.runtime.reconciler import DriverError
from dpf.runtime.writes import LeadershipLost, Writes

NS = "ns"
ONE, TWO = Key("dpf", "one"), Key("dpf", "two")


@dataclass
class Bench:
    clusters: dict[Key, MemoryCluster | str]
    may_write: Callable[[], bool] = lambda: True
    drive: Any = None

    async def run(self, *steps: Step) -> Applied:
        writes = Writes("test", metrics=Metrics(), may_write=self.may_write)
        executor = Executor(connect=self.connect, drive=self.drive, field_owner="test", writes=writes)
        return await executor.carry_out(Plan(steps=steps))

    def connect(self, key: Key) -> Client | str:
        return self.clusters[key]

    def names(self, key: Key = HOST) -> list[str]:
        cluster = self.clusters[key]
        assert isinstance(cluster, MemoryCluster)
        return [c.metadata.name for c in cluster.objects(ConfigMap)]


@pytest.fixture
def bench() -> Bench:
    clusters: dict[Key, MemoryCluster | str] = {}
    for key in (HOST, ONE, TWO):
        clusters[key] = cluster = MemoryCluster(str(key))
        cluster.add(Namespace(metadata=ObjectMeta(name=NS)))
    return Bench(clusters)


def memory(bench: Bench, key: Key = HOST) -> MemoryCluster:
    cluster = bench.clusters[key]
    assert isinstance(cluster, MemoryCluster)
    return cluster


def a_map(name: str = "a", **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=NS), data=data or None)


def apply(name: str = "a", cluster: Key = HOST, **data: str) -> Apply:
    return Apply(cluster=cluster, object=a_map(name, **data), because="test")


def step(*actions: Action, name: str = "step", **options: Any) -> Step:
    return Step(name=name, actions=actions, **options)


def on(verb: str, name: str | None = None) -> Callable[[Request], bool]:
    return lambda request: request.verb == verb and name in (None, request.key.name)


async def test_a_list_is_a_json_patch_which_replaces_whole_maps(bench: Bench) -> None:
    memory(bench).add(a_map("changed", k="v", foreign="x"))
    operation = {"op": "replace", "path": "/data", "value": {"k": "w"}}
    applied = await bench.run(step(
        Patch(kind=ConfigMap, key=Key(NS, "changed"), patch=(operation,), because="test"),
        Patch(kind=ConfigMap, key=Key(NS, "gone"), patch=(operation,), because="test"),
    ))
    assert [o.error is None for o in applied.step("step").outcomes] == [True, False]
    assert [c.data for c in memory(bench).objects(ConfigMap)] == [{"k": "w"}]


async def test_apply_patch_and_delete_change_the_world(bench: Bench) -> None:
    memory(bench).add(a_map("old"), a_map("changed", k="v"))
    applied = await bench.run(step(
        apply("new", k="v"),
        Patch(kind=ConfigMap, key=Key(NS, "changed"), patch={"data": {"k": "w"}}, because="test"),
        Delete(kind=ConfigMap, key=Key(NS, "old"), because="test"),
    ))
    assert applied.step("step").succeeded
    found = {c.metadata.name: c.data for c in memory(bench).objects(ConfigMap)}
    assert found == {"new": {"k": "v"}, "changed": {"k": "w"}}


async def test_delete_of_what_is_gone_is_done(bench: Bench) -> None:
    applied = await bench.run(step(Delete(kind=ConfigMap, key=Key(NS, "gone"), because="test")))
    assert applied.step("step").succeeded


async def test_delete_of_a_version_spares_an_object_that_has_changed_since(bench: Bench) -> None:
    memory(bench).add(ConfigMap(metadata=ObjectMeta(name="a", namespace=NS)))
    await memory(bench).patch(ConfigMap, "a", NS, patch={"data": {"b": "c"}})
    (before,) = memory(bench).objects(ConfigMap)
    read = {"kind": ConfigMap, "key": Key(NS, "a"), "uid": before.metadata.uid, "because": "test"}
    applied = await bench.run(step(Delete(**read, version="1")))
    assert [(o.error is not None, o.outdated) for r in applied.results for o in r.outcomes] == [(True, True)]
    assert bench.names() == ["a"]
    await bench.run(step(Delete(**read, version=before.metadata.resourceVersion)))
    assert bench.names() == []


async def test_delete_spares_a_namesake_with_another_uid(bench: Bench) -> None:
    memory(bench).add(a_map("a"))
    applied = await bench.run(step(Delete(kind=ConfigMap, key=Key(NS, "a"), uid="another", because="test")))
    assert applied.step("step").succeeded
    assert bench.names() == ["a"]


@pytest.mark.parametrize(("error", "retryable"), [
    (errors.Forbidden("exceeded quota"), False), (errors.Invalid("data: too long"), False),
    (errors.Conflict("field is owned by kubectl"), True), (errors.ServerError("etcdserver: no leader"), True),
], ids=["forbidden", "invalid", "conflict", "server error"])
async def test_a_refusal_becomes_an_outcome_with_object_cluster_and_reason(
    bench: Bench, error: errors.Error, retryable: bool,
) -> None:
    memory(bench, ONE).fail_next(on("apply"), error)
    applied = await bench.run(step(apply(cluster=ONE)))
    (outcome,) = applied.step("step").outcomes
    assert outcome.error == f"apply ConfigMap ns/a in cluster dpf/one: {error}"
    assert outcome.retryable is retryable


async def test_a_patch_that_meets_another_world_is_outdated(bench: Bench) -> None:
    """Changed or gone since the pass looked: the next look knows more. An apply without its namespace is a failure."""
    patch = Patch(kind=ConfigMap, key=Key(NS, "gone"), patch={"data": {"k": "v"}}, because="test")
    memory(bench).fail_next(on("apply", "b"), errors.NotFound("namespaces \"ns\" not found"))
    applied = await bench.run(step(patch, apply("b")))
    assert [outcome.outdated for outcome in applied.step("step").outcomes] == [True, False]


async def test_inside_a_step_every_action_is_tried(bench: Bench) -> None:
    memory(bench).fail_next(on("apply", "a"), errors.Forbidden("no"))
    applied = await bench.run(step(apply("a"), apply("b"), apply("c")))
    assert bench.names() == ["b", "c"]
    assert [o.error is None for o in applied.step("step").outcomes] == [False, True, True]


async def test_a_failed_step_stops_the_later_ones(bench: Bench) -> None:
    memory(bench).fail_next(on("apply", "a"), errors.Forbidden("no"))
    applied = await bench.run(step(apply("a"), name="first"), step(apply("b"), name="second"))
    assert not applied.step("second").ran
    assert bench.names() == []


@pytest.mark.parametrize("severity", list(Severity))
async def test_a_finding_stops_the_later_steps_but_not_its_own_actions(bench: Bench, severity: Severity) -> None:
    finding = Finding(severity=severity, message="not now")
    applied = await bench.run(step(apply("a"), name="first", findings=(finding,)), step(apply("b"), name="second"))
    assert applied.step("first").errors == ("not now",)
    assert not applied.step("second").ran
    assert bench.names() == ["a"]


async def test_a_best_effort_step_stops_nothing(bench: Bench) -> None:
    memory(bench).fail_next(on("apply", "a"), errors.Forbidden("no"))
    applied = await bench.run(step(apply("a"), name="first", blocks=False), step(apply("b"), name="second"))
    assert applied.step("second").succeeded
    assert not applied.step("first").succeeded
    assert bench.names() == ["b"]


async def test_a_cluster_that_is_not_connected_fails_alone(bench: Bench) -> None:
    bench.clusters[ONE] = "dpu cluster is not connected: connection refused"
    applied = await bench.run(step(apply("a", ONE), apply("a", TWO)))
    first, second = applied.step("step").outcomes
    assert first.error == (
        "apply ConfigMap ns/a in cluster dpf/one: dpu cluster is not connected: connection refused"
    )
    assert first.retryable
    assert second.error is None
    assert bench.names(TWO) == ["a"]


async def test_a_silent_cluster_is_asked_once_per_pass(bench: Bench) -> None:
    cluster = memory(bench, ONE)
    cluster.fail_next(on("apply"), errors.Timeout("no answer within 10 s"), times=10)
    applied = await bench.run(
        step(apply("a", ONE), apply("b", ONE), name="first", blocks=False), step(apply("c", ONE), name="second"),
    )
    assert sum(r.verb == "apply" for r in cluster.requests) == 1
    assert all("no answer within 10 s" in e for name in ("first", "second") for e in applied.step(name).errors)


async def test_a_slow_cluster_does_not_delay_another(bench: Bench) -> None:
    slow = Slow(memory(bench, ONE))
    bench.clusters[ONE] = slow  # type: ignore[assignment]
    running = asyncio.create_task(bench.run(step(apply("a", ONE), apply("a", TWO))))
    await turns()
    assert bench.names(TWO) == ["a"]
    assert not running.done()
    slow.answers.set()
    assert (await running).step("step").succeeded


async def test_cancellation_passes_through_and_leaves_nothing_running(bench: Bench) -> None:
    bench.clusters[ONE] = Slow(memory(bench, ONE))  # type: ignore[assignment]
    running = asyncio.create_task(bench.run(step(apply("a", ONE), apply("a", TWO))))
    await turns()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_crash_passes_through(bench: Bench) -> None:
    crash_at(1, memory(bench, ONE))
    with pytest.raises(Crash):
        await bench.run(step(apply("a", ONE), apply("a", TWO)))
    assert bench.names(ONE) == ["a"], "the write was carried out before the crash"


async def test_without_leadership_nothing_is_written(bench: Bench) -> None:
    bench.may_write = lambda: False
    with pytest.raises(LeadershipLost):
        await bench.run(step(apply("a")))
    assert bench.names() == []


@dataclass(frozen=True)
class Power:
    on: bool


async def test_intents_go_to_the_driver(bench: Bench) -> None:
    seen: list[Power] = []

    async def drive(intent: Power) -> str:
        seen.append(intent)
        return "it is on"

    bench.drive = drive
    applied = await bench.run(step(Drive(intent=Power(on=True), because="test"), apply("a")))
    assert applied.step("step").succeeded
    assert [outcome.answer for outcome in applied.step("step").outcomes] == ["it is on", None]
    assert seen == [Power(on=True)]
    assert bench.names() == ["a"]


async def test_a_driver_that_fails_gives_its_own_words(bench: Bench) -> None:
    async def drive(_: Power) -> None:
        raise DriverError("port 6443 is in use: stop the process that listens there", retryable=False)

    bench.drive = drive
    applied = await bench.run(step(Drive(intent=Power(on=True), because="test")))
    (outcome,) = applied.step("step").outcomes
    assert outcome.error == "port 6443 is in use: stop the process that listens there"
    assert not outcome.retryable


@pytest.mark.parametrize(("action", "text"), [
    (apply("a"), "apply ConfigMap ns/a in the host cluster"),
    (Delete(cluster=ONE, kind=Namespace, key=Key("", "x"), because=""), "delete Namespace x in cluster dpf/one"),
    (Patch(kind=ConfigMap, key=Key(NS, "a"), patch={}, because=""), "patch ConfigMap ns/a in the host cluster"),
    (Drive(intent=Power(on=True), because=""), "Power"),
], ids=["apply", "delete", "patch", "drive"])
def test_describe(action: Action, text: str) -> None:
    assert describe(action) == text


class Slow:
    """A cluster that answers when it is told to."""

    def __init__(self, inner: MemoryCluster) -> None:
        self._inner = inner
        self.answers = asyncio.Event()

    async def apply(self, obj: ConfigMap, **options: Any) -> ConfigMap:
        await self.answers.wait()
        return await self._inner.apply(obj, **options)
