"""What one pass decides, from plain values: the stages, and what is said while nothing can be known."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support import credentialrequests as some

from dpf.api import core
from dpf.api.dpuservicecredentialrequest import DPUServiceCredentialRequest
from dpf.api.meta import Key, ObjectMeta
from dpf.runtime.plan import Applied, Apply, Delete, Drive, Plan, Severity
from dpf.services.credentialrequest import credential, plan, status
from dpf.services.credentialrequest.plan import IssueCredential, StepName
from dpf.services.credentialrequest.snapshot import Connecting, Endpoint, Gone, Place, Snapshot, Unusable

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENDPOINT = Endpoint(cluster_name="c", server="https://dpu:6443", ca_data="Q0E=")
RECORDED = {"serviceAccount": str(some.ACCOUNT), "targetCluster": str(some.DPU), "targetClusterUID": "c"}


def an_account(name: Key = some.ACCOUNT) -> core.ServiceAccount:
    return core.ServiceAccount(automountServiceAccountToken=False, metadata=ObjectMeta(
        name=name.name, namespace=name.namespace, uid="a", labels=credential.owner_labels(some.REQUEST)
    ))


def a_place(account: Any = None, *, name: Key = some.ACCOUNT, uid: str = "c") -> Place:
    return Place(cluster=some.DPU, uid=uid, name=name, account=account, endpoint=ENDPOINT)


def a_snapshot(
    account: Any = None, *, recorded: Place | None = None, request: DPUServiceCredentialRequest | None = None,
    **fields: Any,
) -> Snapshot:
    return Snapshot(
        request=request or some.a_request(status=RECORDED), target=a_place(account), recorded=recorded, **fields
    )


def steps(made: Plan) -> list[str]:
    return [step.name for step in made.steps]


def test_what_is_going_to_be_made_is_recorded_first() -> None:
    made = plan.plan(a_snapshot(request=some.a_request()), NOW)
    assert steps(made) == [StepName.MOVE]
    assert made.steps[0].actions == ()
    assert made.wake_after_s == 0


def test_then_the_service_account_is_made() -> None:
    made = plan.plan(a_snapshot(), NOW)
    assert steps(made) == [StepName.ACCOUNT]
    (action,) = made.steps[0].actions
    assert isinstance(action, Apply)
    assert action.cluster == some.DPU
    assert made.wake_after_s == 0


def test_then_a_token_is_asked_for() -> None:
    made = plan.plan(a_snapshot(an_account()), NOW)
    assert steps(made) == [StepName.ACCOUNT, StepName.SECRET, StepName.LEFTOVERS]
    (action,) = made.steps[1].actions
    assert isinstance(action, Drive)
    assert isinstance(action.intent, IssueCredential)
    assert (action.intent.cluster, action.intent.wanted.life_s, action.intent.exists) == (some.DPU, 3600, False)


def test_another_service_account_goes_before_the_new_one_is_recorded() -> None:
    former = Key("services", "former")
    request = some.a_request(status={**RECORDED, "serviceAccount": str(former)})
    place = a_place(an_account(former), name=former)
    made = plan.plan(a_snapshot(request=request, recorded=place), NOW)
    assert steps(made) == [StepName.MOVE]
    (action,) = made.steps[0].actions
    assert isinstance(action, Delete)
    assert (action.cluster, action.key, action.uid) == (some.DPU, former, "a")


def test_a_former_cluster_that_is_gone_needs_no_farewell() -> None:
    place = a_place(Gone(why="gone"), uid="former")
    request = some.a_request(status={**RECORDED, "targetClusterUID": "former"})
    made = plan.plan(a_snapshot(request=request, recorded=place), NOW)
    assert (steps(made), made.steps[0].actions, made.steps[0].findings) == ([StepName.MOVE], (), ())


@pytest.mark.parametrize("deleting", [False, True])
def test_a_cluster_that_is_being_connected_is_waited_for_and_nothing_is_said(deleting: bool) -> None:
    snapshot = a_snapshot(Connecting(), request=some.a_request(status=RECORDED, deleting=deleting))
    made = plan.plan_teardown(snapshot, NOW) if deleting else plan.plan(snapshot, NOW)
    assert [f.severity for step in made.steps for f in step.findings] == [Severity.WAITING]
    assert not any(step.actions for step in made.steps)
    verdict = status.compute(snapshot, Applied())
    assert (verdict.states, verdict.fields) == ({}, {})


def test_teardown_removes_the_service_account_and_then_the_secrets() -> None:
    labels = credential.owner_labels(some.REQUEST)
    ours = core.Secret(metadata=ObjectMeta(name="s", namespace="ns", uid="1", labels=labels))
    theirs = core.Secret(metadata=ObjectMeta(name="t", namespace="ns", uid="2"))
    made = plan.plan_teardown(a_snapshot(an_account(), secret=theirs, others=(ours,)), NOW)
    keys = [action.key for step in made.steps for action in step.actions if isinstance(action, Delete)]
    assert keys == [some.ACCOUNT, Key("ns", "s")]
    assert made.release


@pytest.mark.parametrize(("account", "held_up"), [
    (Unusable(why="no route"), True), (Connecting(), True), (Gone(why="gone"), False), (None, False),
])
def test_teardown_waits_only_where_something_may_be_left(account: Any, held_up: bool) -> None:
    made = plan.plan_teardown(a_snapshot(account), NOW)
    assert bool(made.steps[0].findings) is held_up
    never_made = plan.plan_teardown(a_snapshot(account, request=some.a_request()), NOW)
    assert never_made.steps[0].findings == ()


def test_teardown_leaves_what_was_handed_to_another_request() -> None:
    account = core.ServiceAccount(metadata=ObjectMeta(
        name="robot", namespace="services", uid="a", labels=credential.owner_labels(Key("ns", "other"))
    ))
    made = plan.plan_teardown(a_snapshot(account), NOW)
    assert made.steps[0].actions == ()
    assert made.release


def test_a_plan_and_its_snapshot_show_no_data() -> None:
    secret = core.Secret(metadata=ObjectMeta(name="s", namespace="ns"), data={"kubeconfig": "c2VjcmV0"})
    snapshot = a_snapshot(an_account(), secret=secret)
    assert "c2VjcmV0" not in repr((snapshot, plan.plan(snapshot, NOW)))
