"""How a pod on a host node stands, as the phases of a DPU need to know it. Pure. Called by the DPU controller.

Source: behaviour-provisioning.md sections 5.4 and 5.11; the reasons are the ones that users find in conditions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from dpf.api import core

START_LIMIT_S: Final = 300.0
"""How long the pod of a DMS may need until it runs."""
INIT_ATTEMPTS: Final = 10
"""Restarts of an init container of the host network after which it is given up."""
PREFLIGHT: Final = "rshim-preflight"
"""The init container that finds out whether something else on the host uses the cards."""
MTU_OPTION: Final = "--mtu"
"""How the pod of the host's network is told the MTU."""
_SHUT_DOWN: Final = frozenset({"NodeShutdown", "Terminated", "Shutdown"})
"""What a kubelet calls pods that it ended because its machine was shut down."""


class Reason(StrEnum):
    """Why a pod does not run."""

    DMS_POD_PENDING = "DMSPodPending"
    """The pod of the DMS starts."""
    EXISTING_RSHIM_INSTALL_DETECTED = "ExistingRshimInstallDetected"
    """Something else on the host uses rshim."""
    DMS_POD_FAILED = "DMSPodFailed"
    """The pod of the DMS has ended."""
    DMS_POD_TIMEDOUT = "DMSPodTimedout"
    """The pod of the DMS did not start in time."""
    INITIALIZING = "Initializing"
    """The host's network is being set up."""
    INITIALIZATION_FAILED = "InitializationFailed"
    """The host's network could not be set up."""


class PodPhase(StrEnum):
    """What there is to be done about a pod."""

    NOT_THERE = "not there"
    """There is none, or one that its machine ended by being shut down: have it ensured."""
    STARTING = "starting"
    """It will run by itself, or when somebody has done what `why` says."""
    RUNNING = "running"
    """It works, as far as its node tells; whether it answers, only a call shows."""
    FAILED = "failed"
    """It will not run by itself any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodState:
    """`reason` is one word for a condition, empty when it runs; `why` is for people and stable meanwhile.

    `mtu` is what the running pod of a host's network was told; None for any other pod, and where it does not say.
    """

    phase: PodPhase
    reason: str = ""
    why: str = ""
    mtu: int | None = None


_RUNNING: Final = PodState(phase=PodPhase.RUNNING)


def dms_state(pod: core.Pod | None, now: datetime) -> PodState:
    """How the pod of a host's DMS stands."""
    if pod is None or was_shut_down(pod):
        return PodState(phase=PodPhase.NOT_THERE, reason=Reason.DMS_POD_PENDING, why="The pod of the DMS is made")
    name = f"Pod {pod.metadata.namespace}/{pod.metadata.name}"
    if pod.metadata.deletionTimestamp is not None:
        return _starting(Reason.DMS_POD_PENDING, f"{name} of before is being deleted")
    if pod.status.phase == "Running":
        trouble = _trouble(pod.status.containerStatuses)
        return _starting(Reason.DMS_POD_PENDING, f"{name}: {trouble}") if trouble else _RUNNING
    if pod.status.phase in ("Failed", "Succeeded"):
        return _failed(Reason.DMS_POD_FAILED, f"{name} has ended: {_ending(pod)}")
    if _has_failed(pod, PREFLIGHT):
        return _starting(Reason.EXISTING_RSHIM_INSTALL_DETECTED, (
            f"{name}: init container {PREFLIGHT} fails: another rshim driver on Node {pod.spec.nodeName} uses the DPU. "
            "Next step: stop and disable the rshim service on the host"
        ))
    why = f"{name} is {pod.status.phase or 'Pending'}: {_trouble(_all(pod)) or 'its node has not started it yet'}"
    if _age(pod, now) > timedelta(seconds=START_LIMIT_S):
        return _failed(Reason.DMS_POD_TIMEDOUT, f"{why}, for more than {START_LIMIT_S / 60:.0f} minutes")
    return _starting(Reason.DMS_POD_PENDING, why)


def hostnetwork_state(pod: core.Pod | None) -> PodState:
    """How the pod that sets up the host's network for a DPU stands."""
    if pod is None or pod.status.phase in ("Failed", "Succeeded"):
        return PodState(phase=PodPhase.NOT_THERE, reason=Reason.INITIALIZING, why="The pod of the host network is made")
    name = f"Pod {pod.metadata.namespace}/{pod.metadata.name}"
    if pod.metadata.deletionTimestamp is not None:
        return _starting(Reason.INITIALIZING, f"{name} of before is being deleted")
    if any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ()):
        return PodState(phase=PodPhase.RUNNING, mtu=_mtu(pod))
    restarts = max((s.restartCount for s in pod.status.initContainerStatuses or ()), default=0)
    if restarts >= INIT_ATTEMPTS:
        return _failed(Reason.INITIALIZATION_FAILED, (
            f"{name} has failed to set up the host's network {INIT_ATTEMPTS} times. Next step: read the log of its "
            "init container"
        ))
    why = _trouble(_all(pod)) or f"Node {pod.spec.nodeName} sets up its network"
    return _starting(Reason.INITIALIZING, f"{name} is not ready: {why}")


def was_shut_down(pod: core.Pod) -> bool:
    """Whether the pod ended because its machine was shut down: reboots are a part of every installation."""
    return pod.status.phase == "Failed" and pod.status.reason in _SHUT_DOWN


def _mtu(pod: core.Pod) -> int | None:
    words = [word for container in pod.spec.containers for word in container.args or ()]
    told = words[words.index(MTU_OPTION) + 1:][:1] if MTU_OPTION in words else []
    return int(told[0]) if told and told[0].isascii() and told[0].isdigit() and len(told[0]) < 6 else None


def _starting(reason: Reason, why: str) -> PodState:
    return PodState(phase=PodPhase.STARTING, reason=reason, why=why)


def _failed(reason: Reason, why: str) -> PodState:
    return PodState(phase=PodPhase.FAILED, reason=reason, why=why)


def _all(pod: core.Pod) -> list[core.ContainerStatus]:
    return [*(pod.status.initContainerStatuses or ()), *(pod.status.containerStatuses or ())]


def _trouble(statuses: list[core.ContainerStatus] | None) -> str:
    return "; ".join(_troubles(statuses or []))


def _troubles(statuses: list[core.ContainerStatus]) -> Iterator[str]:
    for status in statuses:
        waiting = status.state.waiting
        if waiting is not None and waiting.reason not in (None, "PodInitializing", "ContainerCreating"):
            yield f"container {status.name}: {waiting.reason}" + (f": {waiting.message}" if waiting.message else "")
        elif status.restartCount and not status.ready and status.state.terminated is None:
            yield f"container {status.name} keeps being restarted"


def _ending(pod: core.Pod) -> str:
    told = ": ".join(text for text in (pod.status.reason, pod.status.message) if text)
    return told or f"phase {pod.status.phase}. Next step: read its log, then delete the pod"


def _has_failed(pod: core.Pod, container: str) -> bool:
    """Whether an init container was restarted because it failed; a reboot of its node restarts it, too."""
    return any(
        status.restartCount and any(
            state.terminated is not None and state.terminated.exitCode for state in (status.state, status.lastState)
        )
        for status in pod.status.initContainerStatuses or () if status.name == container
    )


def _age(pod: core.Pod, now: datetime) -> timedelta:
    created = pod.metadata.creationTimestamp
    return now - datetime.fromisoformat(created) if created else timedelta()
