"""Kubernetes Events: what is written, how often, and that nothing about it can hurt a pass."""

from __future__ import annotations

import pytest
from tests.support.clock import FakeClock

from dpf.api.core import ConfigMap, Event, Namespace
from dpf.api.meta import Key, ObjectMeta, object_key
from dpf.kube import errors
from dpf.kube.memory import MemoryCluster
from dpf.runtime import events
from dpf.runtime.events import BURST, REFILL_EVERY_S, REPEAT_S, Recorder
from dpf.runtime.metrics import Metrics
from dpf.runtime.plan import Action, Applied, Apply, Delete, Outcome, StepResult

ROOT = ConfigMap(metadata=ObjectMeta(name="root", namespace="ns", uid="u-1"))


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.cluster = MemoryCluster(now=self.clock.now)
        self.cluster.add(Namespace(metadata=ObjectMeta(name="ns")))
        self.metrics = Metrics()
        self.restart()

    def restart(self) -> None:
        self.recorder = Recorder(self.cluster, component="test", clock=self.clock, metrics=self.metrics)

    async def tell(self, *outcomes: Outcome, root: ConfigMap | Namespace = ROOT) -> None:
        self.recorder.record(root, Applied(results=(StepResult(name="step", ran=True, outcomes=outcomes),)))
        await self.recorder.drain()

    def dropped(self) -> float:
        return self.metrics.registry.get_sample_value("dpf_events_dropped_total", {"controller": "test"}) or 0.0

    @property
    def events(self) -> tuple[Event, ...]:
        return self.cluster.objects(Event)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def did(name: str = "a", error: str | None = None, because: str = "the service wants it") -> Outcome:
    action: Action = Apply(object=ConfigMap(metadata=ObjectMeta(name=name, namespace="ns")), because=because)
    return Outcome(action=action, error=error)


async def test_what_was_carried_out_is_told_with_its_because(bench: Bench) -> None:
    await bench.tell(did())
    (event,) = bench.events
    assert (event.type, event.reason, event.count) == ("Normal", "Applied", 1)
    assert event.message == "the service wants it: apply ConfigMap ns/a in the host cluster"
    assert (event.involvedObject.kind, event.involvedObject.name, event.involvedObject.uid) == (
        "ConfigMap", "root", "u-1"
    )
    assert event.metadata.namespace == "ns"
    assert event.source is not None
    assert event.source.component == event.reportingComponent == "test"


async def test_what_a_pass_did_for_one_reason_is_one_event(bench: Bench) -> None:
    await bench.tell(did("a"), did("b"), did("c", because="another reason"))
    assert sorted(event.message or "" for event in bench.events) == [
        "another reason: apply ConfigMap ns/c in the host cluster",
        "the service wants it: apply ConfigMap ns/a in the host cluster, apply ConfigMap ns/b in the host cluster",
    ]


async def test_a_failure_is_a_warning_with_the_error(bench: Bench) -> None:
    await bench.tell(did(error="apply ConfigMap ns/a in the host cluster: exceeded quota"))
    (event,) = bench.events
    assert (event.type, event.reason) == ("Warning", "ApplyFailed")
    assert event.message.endswith("exceeded quota")


async def test_nothing_carried_out_is_no_event(bench: Bench) -> None:
    await bench.tell()
    assert bench.events == ()


async def test_an_event_about_a_cluster_scoped_object_is_in_default(bench: Bench) -> None:
    await bench.tell(did(), root=Namespace(metadata=ObjectMeta(name="x", uid="u-2")))
    assert [e.metadata.namespace for e in bench.events] == ["default"]


async def test_the_same_again_counts_up_once_a_minute(bench: Bench) -> None:
    for _ in range(4):
        await bench.tell(did())
    assert [e.count for e in bench.events] == [1]
    bench.clock.advance(REPEAT_S)
    await bench.tell(did())
    (event,) = bench.events
    assert event.count == 5
    assert event.lastTimestamp == "2026-01-01T00:01:00Z"
    assert event.firstTimestamp == "2026-01-01T00:00:00Z"


async def test_a_restarted_controller_goes_on_counting(bench: Bench) -> None:
    await bench.tell(did())
    bench.restart()
    await bench.tell(did())
    assert [e.count for e in bench.events] == [2]


async def test_an_event_that_expired_is_made_anew(bench: Bench) -> None:
    await bench.tell(did())
    await bench.cluster.delete(Event, bench.events[0].metadata.name, "ns")
    bench.clock.advance(REPEAT_S)
    await bench.tell(did())
    assert [e.count for e in bench.events] == [1]


async def test_a_flood_about_one_object_is_held_back_and_counted(bench: Bench) -> None:
    await bench.tell(*(did(because=f"reason {n}") for n in range(BURST + 10)))
    assert len(bench.events) == BURST
    assert bench.dropped() == 10
    other = ConfigMap(metadata=ObjectMeta(name="other", namespace="ns", uid="u-3"))
    await bench.tell(did(), root=other)
    assert len(bench.events) == BURST + 1, "another object has its own allowance"
    bench.clock.advance(REFILL_EVERY_S)
    await bench.tell(did(because="one more"), did(because="and another"))
    assert len(bench.events) == BURST + 2


async def test_an_event_that_is_refused_is_dropped(bench: Bench) -> None:
    bench.cluster.fail_next(lambda r: r.verb == "create", errors.Forbidden("namespace is being terminated"))
    await bench.tell(did(), did(because="another reason"))
    assert len(bench.events) == 1
    assert bench.dropped() == 1


async def test_long_texts_and_names_are_cut(bench: Bench) -> None:
    root = ConfigMap(metadata=ObjectMeta(name="n" * 253, namespace="ns", uid="u-4"))
    await bench.tell(did(error="x" * 5000), root=root)
    (event,) = bench.events
    assert len(event.metadata.name) <= 253
    assert event.message is not None
    assert len(event.message) == 1024


def test_a_deletion_has_its_own_reason() -> None:
    outcome = Outcome(action=Delete(kind=ConfigMap, key=Key("ns", "a"), because="it is stale"))
    (note,) = events.notes_of(ROOT, [outcome])
    assert (note.reason, note.message) == ("Deleted", "it is stale: delete ConfigMap ns/a in the host cluster")
    assert object_key(ROOT) == Key(note.namespace, note.regarding.name or "")
