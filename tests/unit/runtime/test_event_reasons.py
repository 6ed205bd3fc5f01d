"""Reasons of Events that a kind chooses itself, for what was done and for what was found."""

from __future__ import annotations

from dpf.api.core import ConfigMap
from dpf.api.meta import Key, ObjectMeta
from dpf.runtime import events
from dpf.runtime.plan import Applied, Delete, Finding, Outcome, Reasons, Severity, StepResult

ROOT = ConfigMap(metadata=ObjectMeta(name="root", namespace="ns", uid="u-1"))


def an_outcome(name: str, reasons: Reasons | None, error: str | None = None) -> Outcome:
    action = Delete(kind=ConfigMap, key=Key("ns", name), because="not wanted", reasons=reasons)
    return Outcome(action=action, error=error)


def test_a_kind_may_have_words_of_its_own() -> None:
    own = ("SuccessfulDelete", "FailedDelete")
    notes = list(events.notes_of(ROOT, [
        an_outcome("a", own), an_outcome("b", own), an_outcome("c", own, "refused"), an_outcome("d", None),
    ]))
    assert [(note.type, note.reason) for note in notes] == [
        ("Warning", "FailedDelete"), ("Normal", "SuccessfulDelete"), ("Normal", "Deleted"),
    ]


def test_a_finding_is_told_when_its_planner_says_so_and_its_step_ran() -> None:
    news = Finding(severity=Severity.INVALID, message="a clash", event="Conflict")
    known = Finding(severity=Severity.INVALID, message="another clash")
    applied = Applied(results=(
        StepResult(name="one", ran=True, findings=(known, news)), StepResult(name="two", ran=False, findings=(news,)),
    ))
    assert [(n.type, n.reason, n.message) for n in events.notes_of_findings(ROOT, applied)] == [
        ("Warning", "Conflict", "a clash"),
    ]
