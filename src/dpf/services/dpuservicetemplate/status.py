"""Conditions and versions of a DPUServiceTemplate (behaviour-service.md section 4). Pure.

DPUDeployments act on the versions when Ready is True and observedGeneration is the object's own, so versions of another
source never stand there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from dpf.api.dpuservicetemplate import ConditionType
from dpf.runtime.conditions import Reason, State, Status, false, true
from dpf.runtime.reconciler import Verdict
from dpf.services.dpuservicetemplate.snapshot import Failed, Read, Reading, Snapshot

_WAITING = State(
    status=Status.UNKNOWN, reason=Reason.PENDING, message="The chart's repository was asked and has not answered yet"
)


def compute(snapshot: Snapshot) -> Verdict:
    """The status after this pass. Versions read from this source stay, whether or not the repository answers now."""
    versions = _versions(snapshot)
    return Verdict(
        states=_states(snapshot, known=versions is not None),
        fields={"versions": versions or None, "sourceDigest": snapshot.digest if versions is not None else None},
    )


def _versions(snapshot: Snapshot) -> Mapping[str, str] | None:
    """What the chart of the present source says; None when that is not known."""
    if isinstance(snapshot.outcome, Read):
        return snapshot.outcome.versions
    return (snapshot.template.status.versions or {}) if snapshot.is_current else None


def _states(snapshot: Snapshot, *, known: bool) -> dict[str, State]:
    type_ = ConditionType.DPU_SERVICE_TEMPLATE_RECONCILED
    if known:
        return {type_: true()}
    match snapshot.outcome:
        case Failed(why=why):
            return {type_: false(Reason.ERROR, f"Error occurred: {why}")}
        case Reading():
            return {type_: _WAITING}
        case Read() | None:
            problem = snapshot.problem
            return {type_: false(Reason.ERROR, f"Error occurred: {problem}")} if problem else {}
        case _:
            assert_never(snapshot.outcome)
