"""The status that a pod shows, and that a settled one causes no write."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from tests.support.pods import NOW, PROCESS, a_pod, a_record, ended, running

from dpf.api import core
from dpf.emulation.kubelet import podplan, podstatus, records
from dpf.emulation.kubelet.podplan import Health
from dpf.emulation.kubelet.records import ContainerRecord, Exit, PodRecord


def _status(
    pod: core.Pod, record: PodRecord, *, health: dict[str, Health] | None = None,
    trouble: dict[str, podplan.Waiting] | None = None, after_s: float = 0.0,
) -> core.PodStatus:
    now = NOW + timedelta(seconds=after_s)
    plan = podplan.plan(pod, record, health or {}, trouble or {}, now)
    return podstatus.build(pod, record, health or {}, plan, host_ip="198.18.0.2", attached=True, now=now)


def _condition(status: core.PodStatus, type_: str) -> core.NodeCondition:
    return next(c for c in status.conditions or () if c.type == type_)


def test_a_running_pod() -> None:
    status = _status(a_pod(), a_record(main=running()))
    (container,) = status.containerStatuses or ()
    assert (status.phase, status.podIP, status.hostIP) == ("Running", "198.19.0.2", "198.18.0.2")
    assert (container.ready, container.started, container.restartCount) == (True, True, 0)
    assert container.containerID == "emulated://process/uid-1/main/0"
    assert container.state.running == core.ContainerStateRunning(startedAt="2026-01-01T12:00:00Z")
    assert {c.status for c in status.conditions or ()} == {"True"}


def test_a_paused_container_says_that_nothing_executes() -> None:
    record = a_record(main=records.began(ContainerRecord(), None, NOW))
    (container,) = _status(a_pod(), record).containerStatuses or ()
    assert container.containerID == "emulated://paused/uid-1/main/0"


def test_a_crash_loop_shows_the_last_state_and_the_count() -> None:
    status = _status(a_pod(), a_record(main=ended(3, crashes=4, attempt=3)))
    (container,) = status.containerStatuses or ()
    assert container.state.waiting is not None
    assert container.state.waiting.reason == "CrashLoopBackOff"
    assert container.lastState.terminated is not None
    assert container.lastState.terminated.exitCode == 3
    assert (container.restartCount, container.ready, status.phase) == (3, False, "Running")
    assert _condition(status, "Ready").message == "containers with unready status: [main]"


def test_a_restarted_container_keeps_its_previous_life() -> None:
    record = a_record(main=records.began(ended(1), PROCESS, NOW))
    (container,) = _status(a_pod(), record).containerStatuses or ()
    assert container.state.running is not None
    assert container.lastState.terminated is not None
    assert container.restartCount == 1


@pytest.mark.parametrize(("health", "started", "ready"), [
    (Health(), True, True), (Health(ready=False), True, False), (Health(started=False), False, False),
])
def test_probes_decide_about_ready(health: Health, started: bool, ready: bool) -> None:
    status = _status(a_pod(), a_record(main=running()), health={"main": health})
    (container,) = status.containerStatuses or ()
    assert (container.started, container.ready) == (started, ready)
    assert _condition(status, "ContainersReady").status == str(ready)


def test_init_containers_hold_back_initialized() -> None:
    status = _status(a_pod(init=["one", "two"]), a_record(one=ended(0), two=running()))
    assert [c.ready for c in status.initContainerStatuses or ()] == [True, False]
    assert _condition(status, "Initialized").message == "containers with incomplete status: [two]"
    assert (status.containerStatuses or ())[0].state.waiting == core.ContainerStateWaiting(reason="PodInitializing")


@pytest.mark.parametrize(("code", "reason"), [(0, "PodCompleted"), (1, "PodFailed")])
def test_a_pod_that_is_over_is_not_ready_for_a_reason(code: int, reason: str) -> None:
    status = _status(a_pod(policy="Never"), a_record(main=ended(code)))
    assert _condition(status, "Ready").reason == reason
    assert (status.containerStatuses or ())[0].ready is False


def test_trouble_is_shown_where_the_user_looks() -> None:
    trouble = {"main": podplan.Waiting(reason="CreateContainerConfigError", message="secret 'x' not found")}
    (container,) = _status(a_pod(), a_record(), trouble=trouble).containerStatuses or ()
    assert container.state.waiting == core.ContainerStateWaiting(
        reason="CreateContainerConfigError", message="secret 'x' not found"
    )


def test_a_settled_pod_changes_nothing_however_much_time_passes() -> None:
    pod, record = a_pod(), a_record(main=running())
    settled = msgspec.structs.replace(pod, status=_status(pod, record))
    assert podstatus.changes(settled.status, _status(settled, record, after_s=3600)) == {}


def test_conditions_of_others_stay_and_ours_keep_their_time() -> None:
    foreign = core.NodeCondition(type="example.com/checked", status="True", lastTransitionTime="2020-01-01T00:00:00Z")
    pod, record = a_pod(), a_record(main=running())
    first = _status(pod, record)
    settled = msgspec.structs.replace(pod, status=msgspec.structs.replace(
        first, conditions=[foreign, *reversed(first.conditions or [])]
    ))
    assert podstatus.changes(settled.status, _status(settled, record, after_s=60)) == {}
    unready = _status(settled, record, health={"main": Health(ready=False)}, after_s=60)
    assert foreign in (unready.conditions or ())
    assert _condition(unready, "Ready").lastTransitionTime == "2026-01-01T12:01:00Z"
    assert _condition(unready, "PodScheduled").lastTransitionTime == "2026-01-01T12:00:00Z"


def test_what_an_earlier_life_of_the_node_said_is_dated_anew() -> None:
    """A node that was installed again runs the same pods: Ready as they are, they were not ready in between."""
    pod, record = a_pod(), a_record(main=running())
    left = msgspec.structs.replace(pod, status=_status(pod, record, after_s=-60))
    again = msgspec.structs.replace(left, status=_status(left, record, after_s=5))
    times = {c.type: c.lastTransitionTime for c in again.status.conditions or ()}
    assert times.pop("PodScheduled") == "2026-01-01T11:59:00Z", "that is the scheduler's"
    assert set(times.values()) == {"2026-01-01T12:00:05Z"}
    assert podstatus.changes(again.status, _status(again, record, after_s=60)) == {}


def test_another_address_takes_the_place_of_the_former_one() -> None:
    """The API server refuses two of one family, and merges lists unless it is told not to."""
    pod, record = a_pod(), a_record(main=running())
    left = msgspec.structs.replace(pod, status=_status(pod, record))
    patch = podstatus.changes(left.status, _status(left, msgspec.structs.replace(record, ip="198.19.0.9")))
    assert patch == {"podIP": "198.19.0.9", "podIPs": [{"ip": "198.19.0.9"}, {"$patch": "replace"}]}


def test_a_reason_that_is_over_is_taken_away() -> None:
    pod, record = a_pod(), a_record(main=running())
    unready = msgspec.structs.replace(pod, status=_status(pod, record, health={"main": Health(ready=False)}))
    patch = podstatus.changes(unready.status, _status(unready, record))
    (ready,) = [c for c in patch["conditions"] if c["type"] == "Ready"]
    assert ready["status"] == "True"
    assert ready["reason"] is None
    assert ready["message"] is None


def test_only_what_differs_is_sent() -> None:
    pod, record = a_pod(), a_record(main=running())
    settled = msgspec.structs.replace(pod, status=_status(pod, record))
    gone = a_record(main=records.ended(running(), Exit(code=1, reason="Error", at=NOW)))
    assert set(podstatus.changes(settled.status, _status(settled, gone))) == {"conditions", "containerStatuses"}
