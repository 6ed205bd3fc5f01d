"""Conditions as a library: merge what a pass found into what the object says, and compute the Ready summary.

Pure. Source: behaviour-service.md section 1.1, resolutions.md rows 10, 21 and 39.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dpf.api.meta import Condition

READY: Final = "Ready"
STALE_MESSAGE: Final = "Reconciliation is in progress"


class Status(StrEnum):
    """metav1.ConditionStatus."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Reasons that kinds with the shared summary use."""

    SUCCESS = "Success"
    """The condition holds."""
    PENDING = "Pending"
    """Not yet; it is being worked on, or nobody has looked."""
    ERROR = "Error"
    """Something failed; it is tried again by itself."""
    FAILURE = "Failure"
    """Something failed that only a change by a person can mend."""
    AWAITING_DELETION = "AwaitingDeletion"
    """Something else has to go first."""
    RETRYING = "Retrying"
    """An attempt failed, the next one is on its way."""


_WEIGHT: Final = {Reason.AWAITING_DELETION: 3, Reason.FAILURE: 2, Reason.PENDING: 1, Reason.RETRYING: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What one pass says about one condition type."""

    status: Status
    reason: str
    message: str = ""


def true(reason: str = Reason.SUCCESS, message: str = "") -> State:
    """The condition holds."""
    return State(status=Status.TRUE, reason=reason, message=message)


def false(reason: str, message: str) -> State:
    """The condition does not hold; the message says what is wrong and what to do."""
    return State(status=Status.FALSE, reason=reason, message=message)


UNKNOWN: Final = State(status=Status.UNKNOWN, reason=Reason.PENDING)
"""What every condition is before anybody looked."""


def merge(
    types: Sequence[str], old: Sequence[Condition], found: Mapping[str, State], *, generation: int, now: str,
) -> list[Condition]:
    """Conditions to write: all of `types` in order, then foreign ones untouched.

    A type that `found` leaves out keeps its old value and its old generation (it goes stale, behaviour-service.md 3.2);
    one never seen becomes Unknown. `lastTransitionTime` moves only when the status changes. `now` is RFC 3339 UTC.
    """
    before = {c.type: c for c in old}
    merged = [_next(t, before.get(t), found.get(t), generation, now) for t in types]
    return merged + [c for c in old if c.type not in types]


def summarize(types: Sequence[str], conditions: Sequence[Condition], *, generation: int) -> State:
    """The Ready state over `types` (Ready itself is skipped): True only when all hold for this generation."""
    by_type = {c.type: c for c in conditions}
    failing: list[Condition] = []
    stale = False
    for type_ in (t for t in types if t != READY):
        condition = by_type.get(type_) or Condition(type=type_, status=Status.UNKNOWN, reason=Reason.PENDING)
        if condition.observedGeneration is not None and condition.observedGeneration < generation:
            stale = True
        elif condition.status != Status.TRUE:
            failing.append(condition)
    if failing:
        reason = max((c.reason for c in failing), key=lambda r: _WEIGHT.get(r, 0))  # type: ignore[call-overload]
        names = ", ".join(c.type for c in failing)
        return false(
            reason if reason in _WEIGHT else Reason.PENDING, f"The following conditions are not ready: {names}"
        )
    return false(Reason.PENDING, STALE_MESSAGE) if stale else true()


def find(conditions: Sequence[Condition] | None, type_: str) -> Condition | None:
    """The condition of that type, or None."""
    return next((c for c in conditions or () if c.type == type_), None)


def is_true(conditions: Sequence[Condition] | None, type_: str) -> bool:
    """Whether the condition is there and True."""
    condition = find(conditions, type_)
    return condition is not None and condition.status == Status.TRUE


def _next(type_: str, old: Condition | None, found: State | None, generation: int, now: str) -> Condition:
    if found is None:
        return old or _condition(type_, UNKNOWN, generation, now)
    moved = old is None or old.status != found.status or not old.lastTransitionTime
    return _condition(type_, found, generation, now if moved or old is None else old.lastTransitionTime or now)


def _condition(type_: str, state: State, generation: int, since: str) -> Condition:
    return Condition(
        type=type_, status=state.status, reason=state.reason, message=state.message, lastTransitionTime=since,
        observedGeneration=generation,
    )
