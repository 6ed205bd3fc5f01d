"""What to start, stop and wait for: one row per rule of the pod life cycle."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support.pods import NOW, a_pod, a_record, ended, running

from dpf.api.core import Pod
from dpf.emulation.kubelet import podplan
from dpf.emulation.kubelet.podplan import Health, Phase, PodPlan, Waiting
from dpf.emulation.kubelet.records import PodRecord


def _plan(pod: Pod, record: PodRecord, **more: object) -> PodPlan:
    arguments = {"health": {}, "trouble": {}, "now": NOW, **more}
    return podplan.plan(pod, record, **arguments)  # type: ignore[arg-type]


def test_a_new_pod_starts_every_container() -> None:
    plan = _plan(a_pod("a", "b"), a_record())
    assert (plan.start, plan.phase, plan.wake_at) == (("a", "b"), Phase.PENDING, None)


def test_a_running_pod_needs_nothing() -> None:
    assert _plan(a_pod(), a_record(main=running())) == PodPlan(phase=Phase.RUNNING)


@pytest.mark.parametrize(("policy", "code", "starts", "phase"), [
    ("Always", 0, True, Phase.RUNNING), ("Always", 1, True, Phase.RUNNING), (None, 0, True, Phase.RUNNING),
    ("OnFailure", 0, False, Phase.SUCCEEDED), ("OnFailure", 1, True, Phase.RUNNING),
    ("Never", 0, False, Phase.SUCCEEDED), ("Never", 1, False, Phase.FAILED),
])
def test_what_follows_an_exit_is_the_restart_policy(
    policy: str | None, code: int, starts: bool, phase: Phase
) -> None:
    plan = _plan(a_pod(policy=policy), a_record(main=ended(code)))
    assert (plan.start, plan.phase) == (("main",) if starts else (), phase)


@pytest.mark.parametrize(("crashes", "seconds"), [
    (0, 0), (1, 0), (2, 10), (3, 20), (4, 40), (6, 160), (7, 300), (99, 300),
])
def test_backoff_doubles_to_five_minutes(crashes: int, seconds: int) -> None:
    assert podplan.backoff_s(crashes) == seconds


def test_a_container_in_backoff_waits_and_says_so() -> None:
    plan = _plan(a_pod(), a_record(main=ended(1, crashes=3, ago_s=15)))
    assert (plan.start, plan.wake_at) == ((), NOW + timedelta(seconds=5))
    assert plan.waiting["main"].reason == "CrashLoopBackOff"
    assert plan.waiting["main"].message == "back-off 20s restarting failed container=main pod=p_ns(uid-1)"


def test_after_the_backoff_it_starts() -> None:
    assert _plan(a_pod(), a_record(main=ended(1, crashes=3, ago_s=20))).start == ("main",)


def test_init_containers_run_one_after_the_other() -> None:
    pod = a_pod(init=["one", "two"])
    first = _plan(pod, a_record())
    assert (first.start, set(first.waiting)) == (("one",), {"two", "main"})
    assert first.waiting["main"] == Waiting(reason="PodInitializing")
    assert _plan(pod, a_record(one=running())).start == ()
    assert _plan(pod, a_record(one=ended(0))).start == ("two",)
    assert _plan(pod, a_record(one=ended(0), two=ended(0))).start == ("main",)


@pytest.mark.parametrize(("policy", "starts", "phase"), [
    ("Always", ("one",), Phase.PENDING), ("OnFailure", ("one",), Phase.PENDING), ("Never", (), Phase.FAILED),
])
def test_a_failed_init_container_is_tried_again_unless_never(
    policy: str, starts: tuple[str, ...], phase: Phase
) -> None:
    plan = _plan(a_pod(policy=policy, init=["one"]), a_record(one=ended(1)))
    assert (plan.start, plan.phase) == (starts, phase)


def test_an_init_container_that_succeeded_stays_done_with_policy_always() -> None:
    assert _plan(a_pod(policy="Always", init=["one"]), a_record(one=ended(0), main=running())).start == ()


def test_trouble_keeps_a_container_waiting_and_others_start() -> None:
    trouble = {"a": Waiting(reason="CreateContainerConfigError", message="secret 'x' not found")}
    plan = _plan(a_pod("a", "b"), a_record(), trouble=trouble)
    assert (plan.start, plan.waiting) == (("b",), trouble)


def test_trouble_does_not_touch_what_runs() -> None:
    trouble = {"main": Waiting(reason="ContainerCreating", message="the API server is away")}
    assert _plan(a_pod(), a_record(main=running()), trouble=trouble) == PodPlan(phase=Phase.RUNNING)


def test_an_unhealthy_container_is_stopped_within_its_grace() -> None:
    health = {"main": Health(unhealthy="liveness probe failed: HTTP status 500")}
    plan = _plan(a_pod(terminationGracePeriodSeconds=7), a_record(main=running()), health=health)
    (stop,) = plan.stop
    assert (stop.container, stop.deadline) == ("main", NOW + timedelta(seconds=7))
    assert "HTTP status 500" in stop.because


def test_an_unready_container_is_left_alone() -> None:
    assert _plan(a_pod(), a_record(main=running()), health={"main": Health(ready=False)}).stop == ()


def test_deletion_stops_what_runs_by_the_deadline_and_starts_nothing() -> None:
    pod = a_pod("a", "b", "c", deleting_in_s=30)
    plan = _plan(pod, a_record(a=running(), b=ended(1)))
    assert [(s.container, s.deadline) for s in plan.stop] == [("a", NOW + timedelta(seconds=30))]
    assert (plan.start, plan.finished) == ((), False)


def test_deletion_is_finished_when_nothing_runs() -> None:
    assert _plan(a_pod(deleting_in_s=0), a_record(main=ended(0))).finished
    assert _plan(a_pod(deleting_in_s=0), a_record()).finished


@pytest.mark.parametrize(("codes", "policy", "phase"), [
    ((0, 0), "Never", Phase.SUCCEEDED), ((0, 2), "Never", Phase.FAILED), ((0, 2), "OnFailure", Phase.RUNNING),
    ((0, None), "Never", Phase.RUNNING),
])
def test_the_phase_is_of_all_containers(codes: tuple[int | None, int | None], policy: str, phase: Phase) -> None:
    a, b = (running() if code is None else ended(code) for code in codes)
    assert podplan.compute_phase(a_pod("a", "b", policy=policy), a_record(a=a, b=b)) is phase
