"""The work queue: its promises one by one, and all of them together under random use."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.clock import FakeClock, turns

from dpf.runtime.queue import BACKOFF_CAP_S, Queue, ShutDown, backoff_s


def a_queue(clock: FakeClock | None = None, jitter: float = 0.0) -> Queue[str]:
    return Queue(clock=clock or FakeClock(), random=lambda: jitter)


def drain(queue: Queue[str]) -> list[str]:
    taken = []
    while (key := queue.take()) is not None:
        queue.done(key)
        taken.append(key)
    return taken


def test_keys_come_in_the_order_of_arrival_and_once() -> None:
    queue = a_queue()
    for key in ("a", "b", "a", "c", "b"):
        queue.add(key)
    assert len(queue) == 3
    assert drain(queue) == ["a", "b", "c"]


def test_a_key_being_worked_on_is_not_handed_out_again_until_it_is_done() -> None:
    queue = a_queue()
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    assert queue.take() is None
    assert queue.working == 1
    queue.done("a")
    assert queue.take() == "a"


def test_a_delayed_key_is_due_in_time_and_not_before() -> None:
    clock = FakeClock()
    queue = a_queue(clock)
    queue.add_after("a", 10)
    clock.advance(9.9)
    assert queue.take() is None
    assert queue.next_due_s() == pytest.approx(0.1)
    clock.advance(0.1)
    assert queue.next_due_s() == 0
    assert drain(queue) == ["a"]
    assert queue.next_due_s() is None


@pytest.mark.parametrize("delays", [(10, 5), (5, 10)], ids=["nearer later", "nearer first"])
def test_of_several_delays_the_nearest_counts(delays: tuple[float, float]) -> None:
    clock = FakeClock()
    queue = a_queue(clock)
    for delay in delays:
        queue.add_after("a", delay)
    clock.advance(5)
    assert drain(queue) == ["a"]
    clock.advance(100)
    assert drain(queue) == [], "the farther delay was superseded by the hand-out"


def test_looking_now_supersedes_looking_later() -> None:
    clock = FakeClock()
    queue = a_queue(clock)
    queue.add_after("a", 5)
    queue.add("a")
    assert drain(queue) == ["a"]
    clock.advance(5)
    assert drain(queue) == []


def test_a_delay_that_ends_during_the_work_is_kept() -> None:
    clock = FakeClock()
    queue = a_queue(clock)
    queue.add("a")
    assert queue.take() == "a"
    queue.add_after("a", 1)
    clock.advance(2)
    assert queue.take() is None
    queue.done("a")
    assert queue.take() == "a"


def test_backoff_doubles_up_to_the_cap() -> None:
    delays = [backoff_s(n, 0.0) for n in range(1, 15)]
    assert delays[:4] == [0.2, 0.4, 0.8, 1.6]
    assert delays[-1] == BACKOFF_CAP_S
    assert backoff_s(10**6, 0.0) == BACKOFF_CAP_S


def test_jitter_only_shortens_and_by_a_quarter_at_most() -> None:
    assert 0.75 * BACKOFF_CAP_S < backoff_s(99, 0.999) < BACKOFF_CAP_S


def test_failures_are_counted_per_key_and_forgotten() -> None:
    queue = a_queue()
    assert [queue.retry("a"), queue.retry("a"), queue.retry("b")] == [0.2, 0.4, 0.2]
    queue.forget("a")
    assert queue.retry("a") == 0.2


async def test_a_waiting_worker_gets_the_next_key() -> None:
    queue = a_queue()
    waiting = asyncio.create_task(queue.get())
    await turns()
    assert not waiting.done()
    queue.add("a")
    assert await waiting == "a"


async def test_a_waiting_worker_gets_a_delayed_key_and_an_even_nearer_one() -> None:
    clock = FakeClock()
    queue = a_queue(clock)
    workers = [asyncio.create_task(queue.get()) for _ in range(2)]
    await turns()
    queue.add_after("late", 10)
    await turns()
    queue.add_after("soon", 1)
    await turns()
    await clock.run_for(1)
    assert [w.result() for w in workers if w.done()] == ["soon"]
    await clock.run_for(9)
    assert sorted(w.result() for w in workers) == ["late", "soon"]


async def test_a_nearer_key_that_came_while_nobody_waited_is_not_late() -> None:
    clock = FakeClock()
    queue = a_queue(clock)
    queue.add_after("late", 100)
    worker = asyncio.create_task(queue.get())
    await turns()
    queue.add("now")
    assert await worker == "now"
    queue.add_after("soon", 5)
    queue.done("now")
    worker = asyncio.create_task(queue.get())
    await clock.run_for(5)
    assert worker.done()
    assert worker.result() == "soon"
    queue.shut_down()


def test_superseded_delays_do_not_pile_up() -> None:
    clock = FakeClock()
    queue = a_queue(clock)
    queue.add_after("on top of the heap", 1)
    for _ in range(10_000):
        queue.add_after("a", 600)
        queue.add("a")
        assert drain(queue) == ["a"]
    assert len(queue._heap) < 200


async def test_a_cancelled_worker_takes_no_key_with_it() -> None:
    queue = a_queue()
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await turns()
    queue.add("a")
    first.cancel()
    await turns()
    assert first.cancelled()
    assert await second == "a"


async def test_shutting_down_tells_everybody_and_takes_nothing_more() -> None:
    queue = a_queue()
    waiting = asyncio.create_task(queue.get())
    await turns()
    queue.add_after("later", 5)
    queue.shut_down()
    with pytest.raises(ShutDown):
        await waiting
    queue.add("a")
    assert queue.take() is None
    with pytest.raises(ShutDown):
        await queue.get()


KEYS = st.sampled_from("abc")
STEPS = st.lists(st.one_of(
    st.tuples(st.just("add"), KEYS), st.tuples(st.just("after"), KEYS, st.integers(1, 5)),
    st.tuples(st.just("retry"), KEYS), st.tuples(st.just("take")), st.tuples(st.just("done")),
    st.tuples(st.just("advance"), st.integers(1, 5)),
), max_size=60)


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_no_key_is_lost_or_handed_out_twice(steps: list[tuple[object, ...]]) -> None:
    """Whatever happens: never twice at once, and everything asked for is handed out after the last request for it."""
    clock, working, wanted = FakeClock(), [], set()
    queue = a_queue(clock)
    for step in steps:
        match step:
            case ("add", str(key)):
                queue.add(key)
                wanted.add(key)
            case ("after", str(key), int(delay)):
                queue.add_after(key, delay)
                wanted.add(key)
            case ("retry", str(key)):
                queue.retry(key)
                wanted.add(key)
            case ("advance", int(seconds)):
                clock.advance(seconds)
            case ("take",):
                key = queue.take()
                assert key not in working
                if key is not None:
                    working.append(key)
                    wanted.discard(key)
            case ("done",) if working:
                queue.done(working.pop(0))
    for key in working:
        queue.done(key)
    clock.advance(2 * BACKOFF_CAP_S)
    assert set(drain(queue)) >= wanted
    assert drain(queue) == []
