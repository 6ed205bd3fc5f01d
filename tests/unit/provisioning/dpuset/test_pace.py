"""A large set rests after a pass, and is looked at at once when there is something to do."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from tests.support import dpusets as some
from tests.support.clock import FakeClock

from dpf.api.dpuset import DPUSet
from dpf.provisioning.dpuset.pace import LONGEST_S, RATIO, Pace

KEY = some.key(some.SET)


def worked(clock: FakeClock, pace: Pace, *, took_s: float, dpuset: DPUSet | None = None) -> None:
    """A pass that goes well."""
    assert pace.begin(dpuset or some.a_dpuset()) == 0.0
    clock.advance(took_s)
    pace.end(KEY, is_last=False)


@pytest.mark.parametrize(("took_s", "rests_s"), [(0.0, 0.0), (0.01, 0.01 * RATIO), (60.0, LONGEST_S)])
def test_a_rest_is_a_multiple_of_the_work(took_s: float, rests_s: float) -> None:
    clock = FakeClock()
    pace = Pace(clock)
    worked(clock, pace, took_s=took_s)
    assert pace.begin(some.a_dpuset()) == pytest.approx(rests_s)
    clock.advance(rests_s)
    assert pace.begin(some.a_dpuset()) == pytest.approx(0.0)


def test_what_has_to_be_acted_on_ends_the_rest() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    worked(clock, pace, took_s=1.0)
    pace.urge(some.key("another"))
    assert pace.begin(some.a_dpuset()) > 0
    pace.urge(KEY)
    assert pace.begin(some.a_dpuset()) == 0.0


def test_what_happens_during_a_pass_is_not_forgotten() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    assert pace.begin(some.a_dpuset()) == 0.0
    clock.advance(1.0)
    pace.urge(KEY)
    pace.end(KEY, is_last=False)
    assert pace.begin(some.a_dpuset()) == 0.0


CHANGES: list[Callable[[DPUSet], DPUSet]] = [
    lambda s: _with(s, generation=2), lambda s: _with(s, labels={"a": "b"}), lambda s: _with(s, uid="another"),
    lambda s: _with(s, deletionTimestamp="2026-01-01T00:00:00Z"),
]


def _with(dpuset: DPUSet, **metadata: object) -> DPUSet:
    return msgspec.structs.replace(dpuset, metadata=msgspec.structs.replace(dpuset.metadata, **metadata))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_set_does_not_rest(change: Callable[[DPUSet], DPUSet]) -> None:
    clock = FakeClock()
    pace = Pace(clock)
    worked(clock, pace, took_s=1.0)
    own_status = _with(some.a_dpuset(), resourceVersion="99")
    assert pace.begin(own_status) > 0
    assert pace.begin(change(some.a_dpuset())) == 0.0


def test_after_a_pass_that_failed_there_is_no_rest() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    worked(clock, pace, took_s=1.0)
    clock.advance(LONGEST_S)
    assert pace.begin(some.a_dpuset()) == 0.0
    clock.advance(1.0)
    assert pace.begin(some.a_dpuset()) == 0.0


def test_a_set_on_its_way_out_only_waits_and_is_forgotten_in_the_end() -> None:
    clock, going = FakeClock(), _with(some.a_dpuset(), deletionTimestamp="2026-01-01T00:00:00Z")
    pace = Pace(clock)
    worked(clock, pace, took_s=1.0, dpuset=going)
    pace.urge(KEY)
    assert pace.begin(going) > 0
    clock.advance(LONGEST_S)
    assert pace.begin(going) == 0.0
    clock.advance(1.0)
    pace.end(KEY, is_last=True)
    assert pace.begin(going) == 0.0
