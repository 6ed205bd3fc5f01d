"""From what became of a plan to when the key is looked at again."""

from __future__ import annotations

import pytest

from dpf.api.core import ConfigMap
from dpf.api.meta import Key
from dpf.runtime import result
from dpf.runtime.plan import Applied, Delete, Finding, Outcome, Plan, Severity, StepResult

ACTION = Delete(kind=ConfigMap, key=Key("ns", "a"), because="test")


def applied(*errors: str | None, findings: tuple[Finding, ...] = (), ran: bool = True) -> Applied:
    outcomes = tuple(Outcome(action=ACTION, error=error) for error in errors)
    return Applied(results=(StepResult(name="step", ran=ran, outcomes=outcomes, findings=findings),))


def finding(severity: Severity) -> tuple[Finding, ...]:
    return (Finding(severity=severity, message=severity.value),)


@pytest.mark.parametrize(("plan", "outcome", "expected"), [
    pytest.param(Plan(), Applied(), result.Done(), id="nothing to do"),
    pytest.param(Plan(), applied(None), result.Done(), id="carried out"),
    pytest.param(Plan(), applied(None, "refused"), result.Retry("refused"), id="one failed"),
    pytest.param(
        Plan(wake_after_s=30), applied("refused", findings=finding(Severity.WAITING)), result.Retry("refused"),
        id="failure before waiting",
    ),
    pytest.param(
        Plan(wake_after_s=30), applied(findings=finding(Severity.WAITING)), result.Wait(30, "waiting"),
        id="waiting with a wake-up",
    ),
    pytest.param(Plan(wake_after_s=30), applied(None), result.Wait(30, ""), id="wake-up without a finding"),
    pytest.param(
        Plan(), applied(findings=finding(Severity.WAITING)), result.Wait(None, "waiting"), id="a watch will tell",
    ),
    pytest.param(
        Plan(), applied(findings=finding(Severity.BLOCKED)), result.Wait(None, "blocked"), id="blocked by another",
    ),
    pytest.param(Plan(), applied(findings=finding(Severity.INVALID)), result.Stuck("invalid"), id="invalid"),
    pytest.param(
        Plan(), applied(findings=finding(Severity.WAITING) + finding(Severity.INVALID)), result.Stuck("invalid"),
        id="invalid beside waiting",
    ),
    pytest.param(
        Plan(), applied(findings=finding(Severity.INVALID), ran=False), result.Done(), id="a step that did not run",
    ),
])
def test_conclude(plan: Plan, outcome: Applied, expected: result.Result) -> None:
    assert result.conclude(plan, outcome) == expected


def test_a_stale_look_is_not_a_failure_unless_something_else_failed() -> None:
    stale = Outcome(action=ACTION, error="conflict", outdated=True)
    failed = Outcome(action=ACTION, error="refused")

    def conclude(*outcomes: Outcome) -> result.Result:
        return result.conclude(Plan(), Applied(results=(StepResult(name="step", ran=True, outcomes=outcomes),)))

    assert conclude(stale) == result.Outdated("conflict")
    assert conclude(failed, stale) == result.Retry("refused")
