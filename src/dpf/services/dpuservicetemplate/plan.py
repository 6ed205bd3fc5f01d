"""What one pass over a DPUServiceTemplate decides: nothing to write but the status, and when to look again.

Pure. Reading the chart is part of observing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from dpf.runtime.plan import Finding, Plan, Severity, Step
from dpf.services.dpuservicetemplate.snapshot import Failed, Read, Reading, Snapshot

UNSAID_S: Final = 2.0
"""So long a reading is not worth a write: the status waits for its end."""
_SOONEST_S: Final = 0.1
_SHARE: Final = 0.25
"""How much longer than needed a reading may seem to take."""


class StepName(StrEnum):
    """Steps of a DPUServiceTemplate."""

    CHART = "chart"


def plan(snapshot: Snapshot) -> Plan:
    """When to look again, and what we wait for. Whether that makes the template unready, `status` says."""
    match snapshot.outcome:
        case None:
            return _held_up(Severity.INVALID, snapshot.problem or "", None)
        case Read():
            return Plan(steps=(Step(name=StepName.CHART),))
        case Reading(since_s=since_s):
            wake = max(_SOONEST_S, _SHARE * since_s)
            if since_s < UNSAID_S and not snapshot.is_current:
                return Plan(paused=True, wake_after_s=wake)
            return _held_up(Severity.WAITING, "the chart is being read", wake)
        case Failed(why=why, retry_in_s=retry_in_s):
            return _held_up(Severity.BLOCKED, why, max(_SOONEST_S, retry_in_s))


def plan_teardown(_: Snapshot) -> Plan:
    """Let go at once: whoever uses the template has a finalizer of its own on it."""
    return Plan(release=True)


def _held_up(severity: Severity, why: str, wake_after_s: float | None) -> Plan:
    finding = Finding(severity=severity, message=why)
    return Plan(steps=(Step(name=StepName.CHART, findings=(finding,)),), wake_after_s=wake_after_s)
