"""What a pod on a host node means for its DPU (behaviour-provisioning.md 5.4 and 5.11)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.support import hostpods as some
from tests.support.hostpods import a_container_status, with_status

from dpf.api import core
from dpf.provisioning.hostpods import build, state
from dpf.provisioning.hostpods.state import PodPhase

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FAILED = {"terminated": {"exitCode": 1, "reason": "Error"}}
BACK_OFF = {"reason": "CrashLoopBackOff", "message": "back-off 10s"}


def a_dms_pod(age_s: float = 10, *, deleting: bool = False) -> core.Pod:
    pod = build.dms_pod(some.a_dpunode(), some.NODE, some.SETTINGS)
    times = {"creationTimestamp": (NOW - timedelta(seconds=age_s)).isoformat()}
    if deleting:
        times["deletionTimestamp"] = NOW.isoformat()
    return msgspec.structs.replace(pod, metadata=msgspec.structs.replace(pod.metadata, **times))


def a_network_pod() -> core.Pod:
    return build.hostnetwork_pod(some.a_dpu(), some.NODE, some.SETTINGS, vf_count=16, mtu=1500)


@pytest.mark.parametrize(("pod", "phase", "reason"), [
    pytest.param(None, PodPhase.NOT_THERE, "DMSPodPending", id="no pod"),
    pytest.param(with_status(a_dms_pod(), "Pending"), PodPhase.STARTING, "DMSPodPending", id="young"),
    pytest.param(with_status(a_dms_pod(), ""), PodPhase.STARTING, "DMSPodPending", id="nobody has looked at it"),
    pytest.param(with_status(a_dms_pod(301), "Pending"), PodPhase.FAILED, "DMSPodTimedout", id="old"),
    pytest.param(with_status(a_dms_pod(301), "Unknown"), PodPhase.FAILED, "DMSPodTimedout", id="old and unknown"),
    pytest.param(with_status(a_dms_pod(9999), "Running"), PodPhase.RUNNING, "", id="running"),
    pytest.param(with_status(a_dms_pod(), "Failed"), PodPhase.FAILED, "DMSPodFailed", id="failed"),
    pytest.param(with_status(a_dms_pod(), "Failed", reason="Evicted"), PodPhase.FAILED, "DMSPodFailed", id="evicted"),
    pytest.param(
        with_status(a_dms_pod(), "Failed", reason="Terminated"), PodPhase.NOT_THERE, "DMSPodPending", id="host went off"
    ),
    pytest.param(
        with_status(a_dms_pod(9999, deleting=True), "Running"), PodPhase.STARTING, "DMSPodPending", id="being deleted"
    ),
    pytest.param(
        with_status(a_dms_pod(9999), "Pending", initContainerStatuses=[
            a_container_status("rshim-preflight", restarts=1, waiting=BACK_OFF, last=FAILED),
        ]),
        PodPhase.STARTING, "ExistingRshimInstallDetected", id="rshim of the host, for however long",
    ),
    pytest.param(
        with_status(a_dms_pod(), "Pending", initContainerStatuses=[
            a_container_status("rshim-preflight", restarts=3, terminated={"exitCode": 0}),
        ]),
        PodPhase.STARTING, "DMSPodPending", id="init containers ran again after a reboot",
    ),
    pytest.param(
        with_status(a_dms_pod(9999), "Running", containerStatuses=[
            a_container_status("dms", restarts=4, waiting=BACK_OFF),
        ]),
        PodPhase.STARTING, "DMSPodPending", id="crashing",
    ),
])
def test_pod_of_the_dms(pod: core.Pod | None, phase: PodPhase, reason: str) -> None:
    found = state.dms_state(pod, NOW)

    assert (found.phase, found.reason) == (phase, reason)
    assert bool(found.why) == (phase is not PodPhase.RUNNING)


def test_why_tells_what_the_node_says() -> None:
    pod = with_status(a_dms_pod(301), "Pending", containerStatuses=[
        a_container_status("dms", waiting={"reason": "ErrImagePull", "message": "no such image"}),
    ])

    assert state.dms_state(pod, NOW).why == (
        "Pod dpf-operator-system/worker-1-dms is Pending: container dms: ErrImagePull: no such image, "
        "for more than 5 minutes"
    )


@pytest.mark.parametrize(("pod", "phase", "reason"), [
    pytest.param(None, PodPhase.NOT_THERE, "Initializing", id="no pod"),
    pytest.param(with_status(a_network_pod(), "Pending"), PodPhase.STARTING, "Initializing", id="starts"),
    pytest.param(with_status(a_network_pod(), "Running"), PodPhase.STARTING, "Initializing", id="not ready"),
    pytest.param(
        with_status(a_network_pod(), "Running", conditions=[{"type": "Ready", "status": "True"}]),
        PodPhase.RUNNING, "", id="ready",
    ),
    pytest.param(
        with_status(a_network_pod(), "Pending", initContainerStatuses=[a_container_status("i", restarts=9)]),
        PodPhase.STARTING, "Initializing", id="nine attempts",
    ),
    pytest.param(
        with_status(a_network_pod(), "Pending", initContainerStatuses=[a_container_status("i", restarts=10)]),
        PodPhase.FAILED, "InitializationFailed", id="ten attempts",
    ),
    pytest.param(
        with_status(
            a_network_pod(), "Running", conditions=[{"type": "Ready", "status": "True"}],
            initContainerStatuses=[a_container_status("i", restarts=12, ready=True)],
        ),
        PodPhase.RUNNING, "", id="ready after twelve reboots of the host",
    ),
    pytest.param(with_status(a_network_pod(), "Failed"), PodPhase.NOT_THERE, "Initializing", id="ended"),
])
def test_pod_of_the_host_network(pod: core.Pod | None, phase: PodPhase, reason: str) -> None:
    found = state.hostnetwork_state(pod)

    assert (found.phase, found.reason) == (phase, reason)


@pytest.mark.parametrize(("words", "mtu"), [
    (["network", "--mtu", "9000", "--bridge", "b"], 9000), (["network"], None), (["network", "--mtu"], None),
    (["network", "--mtu", "much"], None), (None, None),
])
def test_pod_of_the_host_network_that_runs_tells_its_mtu(words: list[str] | None, mtu: int | None) -> None:
    pod = with_status(a_network_pod(), "Running", conditions=[{"type": "Ready", "status": "True"}])
    assert state.hostnetwork_state(pod).mtu == 1500
    container = msgspec.structs.replace(pod.spec.containers[0], args=words)
    told = msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, containers=[container]))

    assert state.hostnetwork_state(told).mtu == mtu
