"""What a pass came to, as a value: the only thing that decides when the key is looked at again.

Pure. `reconcile` makes one, `manager` turns it into queue operations. The table:

    Done                  nothing more to do                            until something changes; resync
    Wait(after_s, why)    in progress, or something else must change    after `after_s`, or on a watch event when None
    Retry(error)          something failed                              backoff
    Stuck(reason)         the object itself is wrong                    until something changes; resync
    Outdated(why)         an object is newer than the pass has seen     backoff, quietly
    Held(for_s)           the cache is behind our own last write        when it has caught up, at most `for_s`
    Absent                there is no root, or it is not ours           when a root of that name appears
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from dpf.runtime.plan import Applied, Finding, Plan, Severity


@dataclass(frozen=True, slots=True)
class Done:
    """Actual is as desired."""

    label: ClassVar[str] = "done"


@dataclass(frozen=True, slots=True)
class Wait:
    """Not there yet, and nothing is wrong. `after_s` None: a watch will tell."""

    after_s: float | None
    why: str

    label: ClassVar[str] = "wait"


@dataclass(frozen=True, slots=True)
class Retry:
    """Something failed; try again after a backoff."""

    error: str

    label: ClassVar[str] = "retry"


@dataclass(frozen=True, slots=True)
class Stuck:
    """Only a change of the object, or of something it names, can help."""

    reason: str

    label: ClassVar[str] = "stuck"


@dataclass(frozen=True, slots=True)
class Outdated:
    """A conditional write met a newer object than the pass had seen: its conclusions may be wrong, so it keeps them."""

    why: str

    label: ClassVar[str] = "outdated"


@dataclass(frozen=True, slots=True)
class Held:
    """The pass did not start, because the cache does not have our own last write of the root yet."""

    for_s: float

    label: ClassVar[str] = "held"


@dataclass(frozen=True, slots=True)
class Absent:
    """There is nothing to reconcile: the root does not exist, or another controller is responsible."""

    label: ClassVar[str] = "absent"


Result = Done | Wait | Retry | Stuck | Outdated | Held | Absent


def conclude(plan: Plan, applied: Applied) -> Result:
    """The result of a pass that carried out `plan`.

    Every failed action means Retry, also one that the API server refused for good: what makes it pass later (a role, a
    CRD, an admission policy) is nothing we watch.
    """
    failed = [o for r in applied.results for o in r.outcomes if o.error is not None]
    if failed and all(o.outdated for o in failed):
        return Outdated(failed[0].error or "")
    if failed:
        return Retry(failed[0].error or "")
    findings = [f for r in applied.results if r.ran for f in r.findings]
    if plan.wake_after_s is not None:
        return Wait(plan.wake_after_s, _first(findings))
    if any(f.severity is Severity.INVALID for f in findings):
        return Stuck(_first([f for f in findings if f.severity is Severity.INVALID]))
    return Wait(None, _first(findings)) if findings else Done()


def _first(findings: Sequence[Finding]) -> str:
    return findings[0].message if findings else ""
