"""Our own last write of a root, until the cache has it."""

from __future__ import annotations

from tests.support.clock import FakeClock

from dpf.api.meta import Key
from dpf.runtime.freshness import BOUND_S, Freshness

KEY = Key("ns", "a")


def written(version: str = "10", *, echo: bool = True) -> tuple[Freshness, FakeClock]:
    clock = FakeClock()
    freshness = Freshness(clock)
    freshness.wrote(KEY, version, echo=echo)
    return freshness, clock


def test_a_root_nobody_wrote_is_fresh() -> None:
    assert Freshness(FakeClock()).lag_s(KEY, "1") is None


def test_an_older_root_is_held_for_the_bound_at_most() -> None:
    freshness, clock = written()
    assert freshness.lag_s(KEY, "9") == BOUND_S
    clock.advance(BOUND_S)
    assert freshness.lag_s(KEY, "9") is None


def test_versions_are_compared_as_numbers() -> None:
    freshness, _ = written("10")
    assert freshness.lag_s(KEY, "11") is None
    freshness, _ = written("10")
    assert freshness.lag_s(KEY, "9") is not None


def test_opaque_versions_are_compared_for_equality() -> None:
    freshness, _ = written("b")
    assert freshness.lag_s(KEY, "c") is not None
    assert freshness.lag_s(KEY, "b") is None


def test_the_event_about_our_own_status_is_an_echo_once() -> None:
    freshness, _ = written()
    assert freshness.is_echo(KEY, "10")
    assert not freshness.is_echo(KEY, "10")


def test_a_newer_event_is_none() -> None:
    freshness, _ = written()
    assert not freshness.is_echo(KEY, "11")


def test_an_older_event_is_none_and_leaves_the_echo_expected() -> None:
    freshness, _ = written()
    assert not freshness.is_echo(KEY, "9")
    assert freshness.is_echo(KEY, "10")


def test_a_key_that_is_held_is_woken_by_its_echo() -> None:
    freshness, _ = written()
    assert freshness.lag_s(KEY, "9") is not None
    assert not freshness.is_echo(KEY, "10")


def test_a_finalizer_is_no_echo() -> None:
    freshness, _ = written(echo=False)
    assert not freshness.is_echo(KEY, "10")


def test_a_root_that_is_gone_is_forgotten() -> None:
    freshness, _ = written()
    freshness.forget(KEY)
    assert freshness.lag_s(KEY, "1") is None
