"""Why Applications are not ready, in words (behaviour-service.md 3.7, seed 001, resolutions.md row 10)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from dpf.api.argocd import (
    Application,
    ApplicationDestination,
    ApplicationSource,
    ApplicationSpec,
    ApplicationStatus,
    ComparedTo,
)
from dpf.api.meta import ObjectMeta
from dpf.services.argocd import build
from dpf.services.dpuservice import readiness

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
HERE = build.Destination(name="dpu-cplane-tenant1")
SEED_001 = (
    "Application is not ready (Sync: OutOfSync, Health: Healthy). Run 'kubectl describe application"
    " dpu-cplane-tenant1-blueman-l2xsl -n dpf-operator-system' for details."
)
IGNORED = (
    "Application is not yet deployed. Argo CD has not looked at it since 2026-01-01T11:58:59Z:"
    " check that argocd-application-controller runs."
)
DELETING = (
    "Application dpf-operator-system/dpu-cplane-tenant1-blueman-l2xsl is being deleted."
)


def an_app(
    sync: str | None = None, health: str | None = None, *, name: str = "dpu-cplane-tenant1-blueman-l2xsl",
    age_s: float = 0, deleting: bool = False, **status: Any,
) -> Application:
    return Application(
        metadata=ObjectMeta(
            name=name, namespace="dpf-operator-system",
            creationTimestamp=(NOW - timedelta(seconds=age_s)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            deletionTimestamp="2026-01-01T11:00:00Z" if deleting else None,
        ),
        spec=ApplicationSpec(destination=ApplicationDestination(), project="p"),
        status=msgspec.convert({"sync": {"status": sync}, "health": {"status": health}, **status}, ApplicationStatus),
    )


def conditions(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"type": type_, "message": message} for type_, message in pairs]


@pytest.mark.parametrize(("app", "text"), [
    (an_app("Synced", "Healthy"), None),
    (None, "Application is not yet deployed."),
    (an_app(), "Application is not yet deployed."),
    (an_app(age_s=60), "Application is not yet deployed."),
    (an_app(age_s=61), IGNORED),
    (an_app(conditions=conditions(("InvalidSpecError", "no such project"))),
     "Application is not yet deployed. Argo CD says: no such project"),
    (an_app("OutOfSync", "Healthy"), SEED_001),
    (an_app("OutOfSync", "Healthy", conditions=conditions(("ComparisonError", "a"), ("InvalidSpecError", "b"))),
     f"{SEED_001} Argo CD says: a"),
    (an_app("OutOfSync", "Healthy", conditions=conditions(("OrphanedResourceWarning", "a"))), SEED_001),
    (an_app("OutOfSync", "Healthy", operationState={"phase": "Failed", "message": "refused"}),
     f"{SEED_001} Argo CD says: refused"),
    (an_app("OutOfSync", "Healthy", operationState={"phase": "Running", "message": "refused"}), SEED_001),
    (an_app("Synced", "Healthy", deleting=True), DELETING),
], ids=["ready", "absent", "new", "a-minute", "ignored", "invalid", "seed-001", "first-error", "warning", "sync-failed",
        "sync-running", "deleting"])
def test_problem(app: Application | None, text: str | None) -> None:
    assert readiness.problem(app, NOW) == text


def test_degraded_health_tells_its_reason() -> None:
    app = an_app("Synced", "Degraded")
    app = msgspec.structs.replace(app, status=msgspec.structs.replace(
        app.status, health=msgspec.structs.replace(app.status.health, message="2 pods crash"))
    )
    assert (readiness.problem(app, NOW) or "").endswith("Argo CD says: 2 pods crash")


def test_a_change_that_argo_cd_has_not_seen_is_not_ready() -> None:
    """Synced and Healthy speak about the source that was compared, not about the one that is wanted now."""
    app = an_app("Synced", "Healthy")
    source = ApplicationSource(repoURL="https://charts.example", chart="c", targetRevision="2")
    older = msgspec.structs.replace(source, targetRevision="1")
    sync = msgspec.structs.replace(app.status.sync, comparedTo=ComparedTo(source=older))
    stale = msgspec.structs.replace(
        app, spec=msgspec.structs.replace(app.spec, source=source),
        status=msgspec.structs.replace(app.status, sync=sync),
    )
    assert "has not compared" in (readiness.problem(stale, NOW) or "")
    current = msgspec.structs.replace(
        stale, spec=msgspec.structs.replace(app.spec, source=older),
    )
    assert readiness.problem(current, NOW) is None


def compared(app: Application, *, wanted: dict[str, Any], seen: dict[str, Any]) -> Application:
    """`app` with `wanted` as its source, of which Argo CD has compared `seen`."""
    source = {"repoURL": "https://charts.example", "chart": "c"}
    sync = msgspec.structs.replace(
        app.status.sync, comparedTo=ComparedTo(source=msgspec.convert({**source, **seen}, ApplicationSource))
    )
    return msgspec.structs.replace(
        app, spec=msgspec.structs.replace(app.spec, source=msgspec.convert({**source, **wanted}, ApplicationSource)),
        status=msgspec.structs.replace(app.status, sync=sync),
    )


@pytest.mark.parametrize(("wanted", "seen", "ready"), [
    ({"path": ""}, {}, True),
    ({"helm": {"valuesObject": {"a": None, "b": {"c": ""}, "d": 1}}}, {"helm": {"valuesObject": {"d": 1}}}, True),
    ({"helm": {"valuesObject": {}}}, {}, True),
    ({"helm": {"valuesObject": {"l": [{"a": None, "b": 1}]}}}, {"helm": {"valuesObject": {"l": [{"b": 1}]}}}, True),
    ({"helm": {"valuesObject": {"a": False}}}, {}, False),
    ({"helm": {"valuesObject": {"a": 0}}}, {}, False),
    ({"helm": {"valuesObject": {"a": True}}}, {"helm": {"valuesObject": {"a": 1}}}, False),
    ({}, {"helm": {"parameters": [{"name": "a", "value": "b"}]}}, False),
], ids=["empty-path", "nulls", "no-values", "in-a-list", "false", "zero", "flag-and-number", "foreign"])
def test_argo_cd_keeps_no_nulls_and_no_empty_strings(
    wanted: dict[str, Any], seen: dict[str, Any], ready: bool
) -> None:
    app = compared(an_app("Synced", "Healthy"), wanted=wanted, seen=seen)
    assert (readiness.problem(app, NOW) is None) is ready


def test_an_error_is_told_before_a_comparison_that_is_missing() -> None:
    older = {"wanted": {"targetRevision": "2"}, "seen": {"targetRevision": "1"}}
    broken = an_app("Unknown", "Healthy", conditions=conditions(("ComparisonError", "no such chart")))
    assert (readiness.problem(compared(broken, **older), NOW) or "").endswith("Argo CD says: no such chart")
    fine = an_app("Synced", "Healthy", operationState={"phase": "Succeeded", "message": "ok"})
    assert (readiness.problem(compared(fine, **older), NOW) or "").endswith("with the latest change yet.")


def test_all_ready() -> None:
    state = readiness.state([(HERE, an_app("Synced", "Healthy"))], NOW)
    assert (state.status, state.reason, state.message) == ("True", "Success", "")


def test_nowhere_to_go_is_ready() -> None:
    assert readiness.state([], NOW).status == "True"


def test_one_unready_application_speaks_for_itself() -> None:
    found = [(HERE, an_app("Synced", "Healthy")), (HERE, an_app("OutOfSync", "Healthy"))]
    state = readiness.state(found, NOW)
    assert (state.status, state.reason, state.message) == ("False", "Pending", SEED_001)


def test_several_are_listed() -> None:
    state = readiness.state([(HERE, None), (HERE, an_app(name="b"))], NOW)
    assert state.message == (
        "The following applications are not ready:\n"
        "* dpu-cplane-tenant1: Application is not yet deployed.\n"
        "* dpf-operator-system/b: Application is not yet deployed."
    )


def test_bullets() -> None:
    assert readiness.bullets("Head", ["a", "b"]) == "Head:\n* a\n* b"
    assert readiness.bullets("Head", []) == ""
