"""What to do with a pod next: which containers to start, to stop, to wait for; and when it is over.

Pure and level-based: the same facts give the same plan, whatever happened before. Called by `podworker` after every
change. Source of the rules: Kubernetes, "Pod Lifecycle" (container states, restart policy, backoff, termination).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from dpf.api.core import Container, Pod
from dpf.emulation.kubelet.records import ContainerRecord, PodRecord

FIRST_BACKOFF_S: Final = 10.0
LAST_BACKOFF_S: Final = 300.0
DEFAULT_GRACE_S: Final = 30


class Phase(StrEnum):
    """Pod phases that a kubelet sets."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Why a container does not run, in the words that `kubectl describe pod` shows."""

    reason: str
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the probes of a running container say now; without probes it is started and ready.

    `unhealthy` says why it must be restarted (startup or liveness probe failed too often).
    """

    started: bool = True
    ready: bool = True
    unhealthy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """End the container: ask now, force at `deadline`."""

    container: str
    deadline: datetime
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPlan:
    """What one look at a pod decides. `finished`: nothing runs and the object may be deleted."""

    start: tuple[str, ...] = ()
    stop: tuple[Stop, ...] = ()
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    phase: Phase = Phase.PENDING
    finished: bool = False
    wake_at: datetime | None = None


def plan(
    pod: Pod, record: PodRecord, health: Mapping[str, Health], trouble: Mapping[str, Waiting], now: datetime
) -> PodPlan:
    """The next step. `trouble` names containers that could not be prepared, and why; `podworker` tries again."""
    phase = compute_phase(pod, record)
    if pod.metadata.deletionTimestamp:
        return _plan_end(pod, record, phase)
    if phase in {Phase.SUCCEEDED, Phase.FAILED}:
        return PodPlan(phase=phase, stop=_stop_all(pod, record, now, "the pod is over"))
    candidates, blocked = _candidates(pod, record)
    steps = [(c.name, _next_step(record.container(c.name), _policy(pod, c), now)) for c in candidates]
    begin = tuple(name for name, step in steps if step is True and name not in trouble)
    backoffs = {name: step for name, step in steps if isinstance(step, datetime)}
    waiting = {name: Waiting(reason="PodInitializing") for name in blocked}
    waiting |= {name: _crash_loop(record.container(name), name, pod) for name in backoffs}
    waiting |= {name: trouble[name] for name, step in steps if step is True and name in trouble}
    return PodPlan(
        start=begin, stop=_stop_unhealthy(pod, record, health, now), waiting=waiting, phase=phase,
        wake_at=min(backoffs.values(), default=None),
    )


def compute_phase(pod: Pod, record: PodRecord) -> Phase:
    """The phase that the containers' states add up to."""
    policy = pod.spec.restartPolicy or "Always"
    inits = [record.container(c.name) for c in pod.spec.initContainers or ()]
    mains = [record.container(c.name) for c in pod.spec.containers]
    if policy == "Never" and any(_exit_code(r) not in {None, 0} for r in inits):
        return Phase.FAILED
    if any(_exit_code(r) != 0 for r in inits) or any(r.life is None for r in mains):
        return Phase.PENDING
    if any(r.is_running for r in mains) or policy == "Always":
        return Phase.RUNNING
    failed = any(_exit_code(r) != 0 for r in mains)
    if not failed:
        return Phase.SUCCEEDED
    return Phase.FAILED if policy == "Never" else Phase.RUNNING


def backoff_s(crashes: int) -> float:
    """Seconds between the end of a life and the next: at once after the first, then 10 s doubling up to 300 s."""
    if crashes <= 1:
        return 0.0
    return float(min(FIRST_BACKOFF_S * 2 ** min(crashes - 2, 10), LAST_BACKOFF_S))


def is_initialized(pod: Pod, record: PodRecord) -> bool:
    """Whether every init container has ended well."""
    return all(_exit_code(record.container(c.name)) == 0 for c in pod.spec.initContainers or ())


def parse_time(text: str) -> datetime:
    """A metav1.Time."""
    return datetime.fromisoformat(text)


def _candidates(pod: Pod, record: PodRecord) -> tuple[list[Container], list[str]]:
    """(containers that may run now, names of those that wait for an init container)."""
    inits = pod.spec.initContainers or []
    for position, container in enumerate(inits):
        if _exit_code(record.container(container.name)) != 0:
            return [container], [c.name for c in (*inits[position + 1 :], *pod.spec.containers)]
    return list(pod.spec.containers), []


def _next_step(record: ContainerRecord, policy: str, now: datetime) -> bool | datetime:
    """True: start it; False: leave it; a time: it is in backoff until then."""
    if record.life is None:
        return True
    if record.life.exit is None or policy == "Never" or (policy == "OnFailure" and record.life.exit.code == 0):
        return False
    until = record.life.exit.at + timedelta(seconds=backoff_s(record.crashes))
    return True if until <= now else until


def _policy(pod: Pod, container: Container) -> str:
    """Init containers run until they succeed, whatever `Always` means for the others."""
    policy = pod.spec.restartPolicy or "Always"
    is_init = any(c.name == container.name for c in pod.spec.initContainers or ())
    return "OnFailure" if is_init and policy == "Always" else policy


def _plan_end(pod: Pod, record: PodRecord, phase: Phase) -> PodPlan:
    """Deletion: the API server set deletionTimestamp to the moment by which the pod must be gone."""
    deadline = parse_time(pod.metadata.deletionTimestamp or "")
    running = _running(pod, record)
    stop = tuple(Stop(container=name, deadline=deadline, because="the pod is being deleted") for name in running)
    return PodPlan(stop=stop, phase=phase, finished=not running)


def _stop_all(pod: Pod, record: PodRecord, now: datetime, because: str) -> tuple[Stop, ...]:
    deadline = now + timedelta(seconds=_grace_s(pod))
    return tuple(Stop(container=name, deadline=deadline, because=because) for name in _running(pod, record))


def _stop_unhealthy(
    pod: Pod, record: PodRecord, health: Mapping[str, Health], now: datetime
) -> tuple[Stop, ...]:
    deadline = now + timedelta(seconds=_grace_s(pod))
    return tuple(
        Stop(container=name, deadline=deadline, because=health[name].unhealthy or "")
        for name in _running(pod, record) if name in health and health[name].unhealthy
    )


def _running(pod: Pod, record: PodRecord) -> list[str]:
    return [c.name for c in _all_containers(pod) if record.container(c.name).is_running]


def _all_containers(pod: Pod) -> Iterable[Container]:
    return (*(pod.spec.initContainers or ()), *pod.spec.containers)


def _crash_loop(record: ContainerRecord, name: str, pod: Pod) -> Waiting:
    message = (
        f"back-off {backoff_s(record.crashes):.0f}s restarting failed container={name} "
        f"pod={pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})"
    )
    return Waiting(reason="CrashLoopBackOff", message=message)


def _exit_code(record: ContainerRecord) -> int | None:
    return None if record.life is None or record.life.exit is None else record.life.exit.code


def _grace_s(pod: Pod) -> int:
    grace = pod.spec.terminationGracePeriodSeconds
    return DEFAULT_GRACE_S if grace is None else grace
