"""How many DPUs are deleted at a time: tables, and what must hold for any set of DPUs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import dpusets as some

from dpf.api.dpuset import Strategy
from dpf.provisioning.dpuset import rolling
from dpf.provisioning.dpuset import snapshot as values
from dpf.provisioning.dpuset.rolling import Standing


def a_strategy(pace: int | str | None = None, type_: str = "RollingUpdate") -> Strategy:
    return msgspec.convert({**some.rolling(pace), "type": type_}, Strategy)


@pytest.mark.parametrize(("pace", "selected", "limit"), [
    (None, 10, 1), (1, 10, 1), (3, 10, 3), (30, 10, 10), (0, 10, 1), (-5, 10, 1), ("25%", 10, 3), ("1%", 10, 1),
    ("10%", 10, 1), ("11%", 10, 2), ("100%", 10, 10), ("50%", 0, 1), ("33%", 3, 1), ("34%", 3, 2),
])
def test_the_limit(pace: int | str | None, selected: int, limit: int) -> None:
    assert rolling.limit(a_strategy(pace), selected) == limit


@pytest.mark.parametrize(("pace", "is_wrong"), [
    (None, False), (1, False), ("1%", False), ("100%", False), ("0%", True), ("101%", True), ("5", True),
    ("five%", True), ("", True), ("-1%", True),
])
def test_a_pace_that_means_nothing(pace: int | str | None, is_wrong: bool) -> None:
    assert (rolling.problem(a_strategy(pace)) is not None) is is_wrong
    assert rolling.problem(a_strategy(pace, "OnDelete")) is None


@st.composite
def standings(draw: st.DrawFn) -> list[Standing]:
    flags = st.booleans()
    return [
        Standing(
            dpu=some.a_dpu(
                f"n{n}-d{n}", device=f"d{n}", ready=draw(st.sampled_from([True, True, False, None])),
                deleting=draw(st.sampled_from([False, False, False, True])), generation=draw(st.sampled_from([1, 2])),
            ),
            differs=draw(flags), has_left_cluster=draw(flags), is_disturbed=draw(st.sampled_from([False, False, True])),
        )
        for n in range(draw(st.integers(0, 8)))
    ]


@given(standings(), st.integers(0, 3), st.one_of(st.integers(1, 9), st.sampled_from(["10%", "50%", "100%"])))
def test_no_more_out_of_service_than_allowed(found: list[Standing], missing: int, pace: int | str) -> None:
    selected = len(found) + missing
    chosen = rolling.choose(a_strategy(pace), found, selected=selected)
    names = [dpu.metadata.name for dpu in chosen]
    working = [s for s in found if values.is_available(s.dpu)]
    staying = [s for s in working if s.dpu.metadata.name not in names]
    kept_by_chance = [s for s in staying if not s.is_disturbed and values.is_noticed(s.dpu)]
    taken = len(working) - len(staying)
    assert taken == 0 or selected - len(kept_by_chance) <= rolling.limit(a_strategy(pace), selected)
    assert names == sorted(names)
    assert not any(values.is_going(dpu) for dpu in chosen)
    by_name = {s.dpu.metadata.name: s for s in found}
    assert all(by_name[name].differs or by_name[name].has_left_cluster for name in names)
    broken = {
        s.dpu.metadata.name for s in found if (s.differs or s.has_left_cluster) and not values.is_going(s.dpu)
        and not values.is_available(s.dpu)
    }
    assert broken <= set(names)


@given(standings(), st.integers(0, 3), st.integers(1, 9))
def test_something_is_done_as_long_as_it_may(found: list[Standing], missing: int, pace: int) -> None:
    """A rolling update does not stop early: with everything else at work, one that differs goes."""
    selected = len(found) + missing
    chosen = {dpu.metadata.name for dpu in rolling.choose(a_strategy(pace), found, selected=selected)}
    left = [s for s in found if (s.differs or s.has_left_cluster) and values.is_available(s.dpu)
            and s.dpu.metadata.name not in chosen]
    quiet = [s for s in found if values.is_available(s.dpu) and values.is_noticed(s.dpu) and not s.is_disturbed
             and s.dpu.metadata.name not in chosen]
    assert not any(s in quiet for s in left) or selected - len(quiet) >= rolling.limit(a_strategy(pace), selected)


@given(standings(), st.sampled_from(["OnDelete", "Recreate"]))
def test_by_hand_only_those_that_have_left_their_cluster_go(found: list[Standing], type_: str) -> None:
    chosen = rolling.choose(a_strategy(1, type_), found, selected=len(found))
    wanted = [s.dpu for s in found if s.has_left_cluster and not values.is_going(s.dpu)]
    assert list(chosen) == wanted


def test_the_one_that_counts_already_costs_nothing_more() -> None:
    """It has not noticed a label yet, so it counts; it works, so that the others have to be at work."""
    dpus: list[dict[str, Any]] = [{"generation": 2}, {"generation": 1}]
    found = [Standing(dpu=some.a_dpu(f"n{n}-d", device=f"d{n}", **d), differs=True) for n, d in enumerate(dpus)]
    assert [dpu.metadata.name for dpu in rolling.choose(a_strategy(1), found, selected=2)] == ["n0-d"]
    assert rolling.choose(a_strategy(1), found[1:], selected=2) == ()
