"""What a pass of the local cluster manager plans, and what it then says in Created."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.dpuclusters import a_dpucluster, a_kubeconfig, a_secret

from dpf.api.core import Secret
from dpf.api.dpucluster import DPUCluster
from dpf.provisioning.clustermanager.local import plan as planner
from dpf.provisioning.clustermanager.local import status
from dpf.provisioning.clustermanager.local.driver import Access, ControlPlaneState, Stage
from dpf.provisioning.clustermanager.local.plan import (
    EnsureControlPlane,
    InstallJoiningObjects,
    RemoveControlPlane,
    Snapshot,
)
from dpf.provisioning.dpucluster import bootstrap, kubeconfig
from dpf.runtime.conditions import State
from dpf.runtime.plan import Applied, Apply, Drive, Outcome, Patch, Plan, StepResult

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAME = "tenant1-admin-kubeconfig"
ACCESS = Access(endpoint="https://127.0.0.1:20000", ca_pem=b"CA", kubeconfig=a_kubeconfig(), version="v1.36.3")
RUNNING = ControlPlaneState(stage=Stage.RUNNING, access=ACCESS)
ABSENT = ControlPlaneState(stage=Stage.ABSENT)
JOINING = bootstrap.joining_objects(endpoint=ACCESS.endpoint, ca_pem=ACCESS.ca_pem, version=ACCESS.version)
FRESH = a_dpucluster(phase="Creating")
DONE = a_dpucluster(phase="Ready", kubeconfig=NAME)


def written(cluster: DPUCluster = DONE, digest: str | None = None, content: bytes = ACCESS.kubeconfig) -> Secret:
    return kubeconfig.build_secret(cluster, content, {planner.JOINING_ANNOTATION: digest or planner.digest_of(JOINING)})


def actions(plan: Plan) -> list[Any]:
    return [a.intent if isinstance(a, Drive) else a for step in plan.steps for a in step.actions]


def kinds(plan: Plan) -> list[str]:
    return [type(action).__name__ for action in actions(plan)]


def all_done(plan: Plan, *, failing: str = "", error: str = "") -> Applied:
    """`plan` carried out as the executor does; every action of the step `failing` fails."""
    results: list[StepResult] = []
    for step in plan.steps:
        ran = not results or (results[-1].ran and results[-1].succeeded)
        outcomes = tuple(Outcome(action=a, error=error if step.name == failing else None) for a in step.actions)
        results.append(StepResult(
            name=step.name, ran=ran, outcomes=outcomes if ran else (), findings=step.findings if ran else (),
        ))
    return Applied(results=tuple(results), by_name={r.name: r for r in results})


def created(snapshot: Snapshot, **failure: str) -> State | None:
    verdict = status.compute(snapshot, all_done(planner.plan(snapshot, NOW), **failure))
    assert set(verdict.states) <= {"Created"}
    assert verdict.fields == {}
    return verdict.states.get("Created")


@pytest.mark.parametrize(("found", "expected", "wake_after_s"), [
    pytest.param(ABSENT, ["EnsureControlPlane"], 0.0, id="absent"),
    pytest.param(ControlPlaneState(stage=Stage.STOPPED, why="died"), ["EnsureControlPlane"], 0.0, id="died"),
    pytest.param(ControlPlaneState(stage=Stage.STARTING, why="soon"), [], 0.2, id="starting"),
    pytest.param(ControlPlaneState(stage=Stage.STARTING, why="stuck", late=True), [], 5.0, id="starting for ever"),
    pytest.param(
        ControlPlaneState(stage=Stage.STOPPED, why="died at once", not_before=NOW + timedelta(seconds=3)), [], 3.0,
        id="ended right after its start: not yet again",
    ),
    pytest.param(
        ControlPlaneState(stage=Stage.STOPPED, why="died at once", not_before=NOW), ["EnsureControlPlane"], 0.0,
        id="the pause is over",
    ),
    pytest.param(RUNNING, ["InstallJoiningObjects", "Apply", "Patch"], 10.0, id="running"),
])
def test_what_a_new_cluster_needs(found: ControlPlaneState, expected: list[str], wake_after_s: float) -> None:
    plan = planner.plan(Snapshot(cluster=FRESH, control_plane=found), NOW)
    assert (kinds(plan), plan.wake_after_s) == (expected, wake_after_s)


def test_a_settled_cluster_needs_nothing() -> None:
    plan = planner.plan(Snapshot(cluster=DONE, control_plane=RUNNING, secret=written()), NOW)
    assert (actions(plan), plan.wake_after_s) == ([], 10.0)


@pytest.mark.parametrize(("secret", "expected"), [
    pytest.param(None, ["InstallJoiningObjects", "Apply"], id="Secret deleted"),
    pytest.param(written(content=b"old"), ["Apply"], id="Secret edited or out of date"),
    pytest.param(written(digest="older"), ["InstallJoiningObjects", "Apply"], id="joining objects out of date"),
])
def test_what_heals(secret: Secret | None, expected: list[str]) -> None:
    assert kinds(planner.plan(Snapshot(cluster=DONE, control_plane=RUNNING, secret=secret), NOW)) == expected


def test_the_kubeconfig_is_named_after_its_secret_exists() -> None:
    _, _, secret, patch = [None, *actions(planner.plan(Snapshot(cluster=FRESH, control_plane=RUNNING), NOW))]
    assert isinstance(secret, Apply)
    assert isinstance(patch, Patch)
    assert secret.object.metadata.name == NAME
    assert patch.patch == {"spec": {"kubeconfig": NAME}}


def test_programs_are_renewed_last_and_without_a_word_in_created() -> None:
    found = ControlPlaneState(stage=Stage.RUNNING, access=ACCESS, outdated=True)
    snapshot = Snapshot(cluster=DONE, control_plane=found, secret=written())
    plan = planner.plan(snapshot, NOW)
    assert [(s.name, len(s.actions)) for s in plan.steps][-1] == ("Renewal", 1)
    state = created(snapshot, failing="Renewal", error="the disk is full")
    assert state is not None
    assert state.status == "True"


@pytest.mark.parametrize(("cluster", "secret", "words"), [
    pytest.param(a_dpucluster(phase="Creating", kubeconfig="mine"), None, "names 'mine'", id="another kubeconfig"),
    pytest.param(FRESH, a_secret(NAME), "does not belong to this DPUCluster", id="somebody's Secret in our place"),
])
def test_what_belongs_to_others_is_left_alone(cluster: DPUCluster, secret: Secret | None, words: str) -> None:
    snapshot = Snapshot(cluster=cluster, control_plane=ABSENT, secret=secret)
    plan = planner.plan(snapshot, NOW)
    state = created(snapshot)
    assert actions(plan) == []
    assert state is not None
    assert (state.status, state.reason) == ("False", "ClusterNotReady")
    assert words in state.message
    assert "Next step: " in state.message


def test_the_secret_of_an_earlier_namesake_is_taken_over() -> None:
    plan = planner.plan(Snapshot(cluster=DONE, control_plane=RUNNING, secret=written(a_dpucluster(uid="old"))), NOW)
    assert kinds(plan) == ["Apply"]


@pytest.mark.parametrize(("found", "failure", "message"), [
    pytest.param(ABSENT, {}, "The control plane does not serve: the control plane is being made", id="starting"),
    pytest.param(
        ControlPlaneState(stage=Stage.STARTING, why="not yet"), {}, "The control plane does not serve: not yet",
        id="not serving yet",
    ),
    pytest.param(
        ABSENT, {"failing": "ControlPlane", "error": "port 20000 is in use by pid 7"},
        "The control plane does not serve: port 20000 is in use by pid 7", id="cannot start",
    ),
    pytest.param(
        RUNNING, {"failing": "Joining", "error": "refused"}, "What joining DPUs need could not be installed: refused",
        id="joining",
    ),
    pytest.param(
        RUNNING, {"failing": "Kubeconfig", "error": "quota"}, "The kubeconfig could not be handed over: quota",
        id="kubeconfig",
    ),
])
def test_created_is_false_with_the_reason(found: ControlPlaneState, failure: dict[str, str], message: str) -> None:
    assert created(Snapshot(cluster=FRESH, control_plane=found), **failure) == State(
        status="False", reason="ClusterNotReady", message=message
    )


def test_created_waits_for_the_pass_that_sees_the_kubeconfig_named() -> None:
    assert created(Snapshot(cluster=FRESH, control_plane=RUNNING)) is None
    assert created(Snapshot(cluster=DONE, control_plane=RUNNING, secret=written())) == State(
        status="True", reason="Created", message="The control plane serves at https://127.0.0.1:20000"
    )


def test_teardown_removes_until_nothing_is_found() -> None:
    stopped = ControlPlaneState(stage=Stage.STOPPED)
    for found in (RUNNING, stopped):
        plan = planner.teardown(Snapshot(cluster=DONE, control_plane=found))
        assert kinds(plan) == ["RemoveControlPlane"]
        assert not plan.release
    plan = planner.teardown(Snapshot(cluster=DONE, control_plane=ABSENT))
    assert (actions(plan), plan.release) == ([], True)


def test_a_removal_that_fails_is_told() -> None:
    snapshot = Snapshot(cluster=a_dpucluster(deleting=True), control_plane=RUNNING)
    applied = all_done(planner.teardown(snapshot), failing="ControlPlane", error="pid 7 outlived SIGKILL")
    state = status.compute(snapshot, applied).states["Created"]
    assert state == State(
        status="False", reason="AwaitingDeletion",
        message="The control plane could not be removed: pid 7 outlived SIGKILL",
    )


def test_the_digest_follows_everything_a_dpu_would_find() -> None:
    other = bootstrap.joining_objects(endpoint=ACCESS.endpoint, ca_pem=b"other", version=ACCESS.version)
    assert planner.digest_of(JOINING) == planner.digest_of(bootstrap.joining_objects(
        endpoint=ACCESS.endpoint, ca_pem=ACCESS.ca_pem, version=ACCESS.version
    ))
    assert planner.digest_of(other) != planner.digest_of(JOINING)


def test_no_intent_shows_a_credential() -> None:
    plan = planner.plan(Snapshot(cluster=FRESH, control_plane=RUNNING), NOW)
    assert "not-for-eyes" not in repr(plan)
    assert {type(a) for a in actions(plan)} <= {
        EnsureControlPlane, InstallJoiningObjects, RemoveControlPlane, Apply, Patch,
    }
