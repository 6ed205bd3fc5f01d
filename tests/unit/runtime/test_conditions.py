"""Merging and summarizing conditions (behaviour-service.md 1.1 and test scenario 54)."""

from __future__ import annotations

import pytest

from dpf.api.meta import Condition
from dpf.runtime import conditions
from dpf.runtime.conditions import READY, STALE_MESSAGE, Reason, State, Status, false, true

NOW, EARLIER = "2026-01-01T00:01:00Z", "2026-01-01T00:00:00Z"
TYPES = (READY, "A", "B", "C")


def a_condition(type_: str, status: str = "True", reason: str = "Success", generation: int | None = 2) -> Condition:
    return Condition(
        type=type_, status=status, reason=reason, lastTransitionTime=EARLIER, observedGeneration=generation
    )


def summary(*items: Condition) -> State:
    return conditions.summarize(TYPES, items, generation=2)


FINE = [a_condition(t) for t in ("A", "B", "C")]


def test_all_true_is_ready() -> None:
    assert summary(*FINE) == true()


@pytest.mark.parametrize(("reasons", "expected"), [
    pytest.param([Reason.ERROR], Reason.PENDING, id="only Error"),
    pytest.param([Reason.ERROR, Reason.FAILURE], Reason.FAILURE, id="Error and Failure"),
    pytest.param([Reason.FAILURE, Reason.AWAITING_DELETION], Reason.AWAITING_DELETION, id="AwaitingDeletion wins"),
    pytest.param([Reason.AWAITING_DELETION, Reason.FAILURE], Reason.AWAITING_DELETION, id="in any order"),
    pytest.param([Reason.PENDING], Reason.PENDING, id="Pending"),
    pytest.param([Reason.ERROR, Reason.RETRYING], Reason.RETRYING, id="Retrying ranks as Pending"),
    pytest.param(["SomethingElse"], Reason.PENDING, id="a reason without rank"),
])
def test_the_gravest_reason_is_told(reasons: list[str], expected: str) -> None:
    items = [a_condition(t, "False", r) for t, r in zip("ABC", reasons, strict=False)]
    rest = [c for c in FINE if c.type not in {i.type for i in items}]
    assert summary(*items, *rest).reason == expected


def test_what_is_not_ready_is_listed_in_declared_order() -> None:
    items = [a_condition("C", "Unknown", "Pending"), a_condition("A", "False", "Error"), a_condition("B")]
    assert summary(*items).message == "The following conditions are not ready: A, C"


def test_only_stale_conditions_mean_that_reconciliation_is_in_progress() -> None:
    stale = a_condition("A", "False", "Failure", generation=1)
    assert summary(stale, *FINE[1:]) == false(Reason.PENDING, STALE_MESSAGE)


def test_a_true_condition_of_an_old_generation_is_not_true() -> None:
    assert summary(a_condition("A", generation=1), *FINE[1:]) == false(Reason.PENDING, STALE_MESSAGE)


def test_a_stale_condition_is_not_listed_beside_a_failing_one() -> None:
    items = [a_condition("A", "False", "Failure", generation=1), a_condition("B", "False", "Error"), FINE[2]]
    assert summary(*items) == false(Reason.PENDING, "The following conditions are not ready: B")


def test_a_missing_condition_is_not_ready() -> None:
    assert summary(*FINE[:2]).message == "The following conditions are not ready: C"


def test_merge_keeps_the_declared_order_and_foreign_conditions() -> None:
    foreign = a_condition("Foreign")
    merged = conditions.merge(TYPES, [foreign], {"B": true()}, generation=2, now=NOW)
    assert [c.type for c in merged] == [READY, "A", "B", "C", "Foreign"]
    assert merged[-1] is foreign


def test_what_was_never_found_is_unknown_and_what_is_not_found_now_is_kept() -> None:
    old = a_condition("A", "False", "Error", generation=1)
    merged = conditions.merge(TYPES, [old], {}, generation=2, now=NOW)
    assert merged[1] is old
    assert (merged[2].status, merged[2].reason, merged[2].message) == ("Unknown", "Pending", "")


@pytest.mark.parametrize(("status", "expected"), [(Status.TRUE, EARLIER), (Status.FALSE, NOW)], ids=["same", "changed"])
def test_the_transition_time_moves_only_with_the_status(status: Status, expected: str) -> None:
    state = State(status=status, reason="Other", message="other")
    (merged,) = conditions.merge(["A"], [a_condition("A", generation=1)], {"A": state}, generation=2, now=NOW)
    assert merged.lastTransitionTime == expected
    assert merged.observedGeneration == 2


@pytest.mark.parametrize(("items", "expected"), [
    (None, False), ([], False), (FINE, True), ([a_condition("A", "False")], False),
], ids=["no status", "none", "true", "false"])
def test_is_true(items: list[Condition] | None, expected: bool) -> None:
    assert conditions.is_true(items, "A") is expected
