"""The status of a pod, from its record, its probes and its plan.

Pure. `changes` compares with what the API server has, so that a settled pod causes no write. Source of the condition
types, reasons and texts: Kubernetes, "Pod Lifecycle", and what its kubelet reports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from dpf.api import core
from dpf.emulation.kubelet import podplan
from dpf.emulation.kubelet.podplan import Health, Phase, PodPlan
from dpf.emulation.kubelet.records import ContainerRecord, Life, PodRecord
from dpf.runtime.clock import rfc3339

_OF_THE_SCHEDULER: Final = "PodScheduled"
OWNED_CONDITIONS: Final = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", _OF_THE_SCHEDULER)
_ADDRESSES: Final = frozenset({"hostIPs", "podIPs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """One condition before it is dated."""

    type: str
    holds: bool
    reason: str | None = None
    message: str | None = None


def build(
    pod: core.Pod, record: PodRecord, health: Mapping[str, Health], plan: PodPlan, *, host_ip: str, attached: bool,
    now: datetime,
) -> core.PodStatus:
    """The complete status; conditions of other writers are kept as they are. `attached`: the pod has its network."""
    inits = [_init_status(c, record, plan) for c in pod.spec.initContainers or ()]
    mains = [_container_status(c, record, health.get(c.name, Health()), plan) for c in pod.spec.containers]
    findings = [_Finding(type="PodReadyToStartContainers", holds=attached), *_findings(pod, record, plan, mains)]
    ip = record.ip if attached else None
    return core.PodStatus(
        phase=plan.phase, conditions=_dated(findings, pod.status.conditions or (), record, now),
        hostIP=host_ip, hostIPs=[core.PodIP(ip=host_ip)], podIP=ip, podIPs=[core.PodIP(ip=ip)] if ip else None,
        startTime=rfc3339(record.started_at), containerStatuses=mains, initContainerStatuses=inits or None,
    )


def changes(current: core.PodStatus, wanted: core.PodStatus) -> dict[str, Any]:
    """The fields of `wanted` that differ from `current`, encoded for a strategic merge patch; empty when none does."""
    fields = {name: value for name in wanted.__struct_fields__ if (value := getattr(wanted, name)) is not None}
    differing = {name: value for name, value in fields.items() if _normal(getattr(current, name)) != _normal(value)}
    patch: dict[str, Any] = msgspec.to_builtins(differing)
    for condition in patch.get("conditions", ()):
        # The server merges conditions field by field: a reason that is over must be taken away explicitly.
        condition.update({name: None for name in ("reason", "message") if name not in condition})
    for name in _ADDRESSES & patch.keys():
        if getattr(current, name):
            # It merges them by address, too: one that the pod had in a former life of the node would stay.
            patch[name].append({"$patch": "replace"})
    return patch


def _normal(value: Any) -> Any:  # noqa: ANN401 - any field of PodStatus
    """Conditions are a map by type; the API server decides their order."""
    if isinstance(value, list) and value and isinstance(value[0], core.NodeCondition):
        return {condition.type: condition for condition in value}
    return value


def _init_status(container: core.Container, record: PodRecord, plan: PodPlan) -> core.ContainerStatus:
    """An init container is ready when it has ended well, and is never probed."""
    status = _container_status(container, record, Health(), plan)
    return msgspec.structs.replace(status, ready=_ended_well(record.container(container.name)))


def _container_status(
    container: core.Container, record: PodRecord, health: Health, plan: PodPlan
) -> core.ContainerStatus:
    history = record.container(container.name)
    state, last = _states(container.name, history, record, plan)
    life = history.life
    started = history.is_running and health.started
    return core.ContainerStatus(
        name=container.name, image=container.image, imageID=f"emulated://{container.image}" if life else "",
        ready=started and health.ready, restartCount=life.attempt if life else 0,
        containerID=_container_id(container.name, record, life) if life else None, started=started,
        state=state, lastState=last,
    )


def _states(
    name: str, history: ContainerRecord, record: PodRecord, plan: PodPlan
) -> tuple[core.ContainerState, core.ContainerState]:
    """(state, lastState). A container in backoff is Waiting, and the life that ended is its last state."""
    waiting = plan.waiting.get(name)
    if history.life is None:
        reason = waiting or podplan.Waiting(reason="ContainerCreating")
        return _waiting(reason), core.ContainerState()
    if waiting is not None and not history.is_running:
        return _waiting(waiting), _life_state(name, history.life, record)
    previous = history.previous
    return (
        _life_state(name, history.life, record),
        _life_state(name, previous, record) if previous else core.ContainerState(),
    )


def _waiting(waiting: podplan.Waiting) -> core.ContainerState:
    return core.ContainerState(waiting=core.ContainerStateWaiting(reason=waiting.reason, message=waiting.message))


def _life_state(name: str, life: Life, record: PodRecord) -> core.ContainerState:
    started = rfc3339(life.started_at)
    if life.exit is None:
        return core.ContainerState(running=core.ContainerStateRunning(startedAt=started))
    return core.ContainerState(terminated=core.ContainerStateTerminated(
        exitCode=life.exit.code, reason=life.exit.reason, message=life.exit.message, startedAt=started,
        finishedAt=rfc3339(life.exit.at), containerID=_container_id(name, record, life),
    ))


def _container_id(name: str, record: PodRecord, life: Life) -> str:
    """`emulated://process/...` for a local process, `emulated://paused/...` where nothing executes."""
    what = "process" if life.process else "paused"
    return f"emulated://{what}/{record.uid}/{name}/{life.attempt}"


def _ended_well(history: ContainerRecord) -> bool:
    return history.life is not None and history.life.exit is not None and history.life.exit.code == 0


def _findings(
    pod: core.Pod, record: PodRecord, plan: PodPlan, mains: Sequence[core.ContainerStatus]
) -> list[_Finding]:
    initialized = podplan.is_initialized(pod, record)
    pending = [c.name for c in pod.spec.initContainers or () if not _ended_well(record.container(c.name))]
    unready = [status.name for status in mains if not status.ready]
    ready = _readiness(plan.phase, unready)
    return [
        _Finding(type="Initialized", holds=True) if initialized else _Finding(
            type="Initialized", holds=False, reason="ContainersNotInitialized",
            message=f"containers with incomplete status: [{' '.join(pending)}]",
        ),
        _Finding(type="Ready", holds=ready is None, reason=ready and ready[0], message=ready and ready[1]),
        _Finding(type="ContainersReady", holds=ready is None, reason=ready and ready[0], message=ready and ready[1]),
        _Finding(type=_OF_THE_SCHEDULER, holds=True),
    ]


def _readiness(phase: Phase, unready: Sequence[str]) -> tuple[str, str | None] | None:
    """None when ready, else (reason, message)."""
    if phase is Phase.SUCCEEDED:
        return "PodCompleted", None
    if phase is Phase.FAILED:
        return "PodFailed", None
    if unready:
        return "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    return None


def _dated(
    findings: Sequence[_Finding], old: Sequence[core.NodeCondition], record: PodRecord, now: datetime
) -> list[core.NodeCondition]:
    """Conditions with the time of their last change; those of other writers follow untouched.

    What was said before this machine had the pod is of a former life of the node: it has been untrue in between.
    """
    since = rfc3339(record.started_at)
    before = {condition.type: condition for condition in old}
    dated = [_condition(finding, before.get(finding.type), since, now) for finding in findings]
    return dated + [condition for condition in old if condition.type not in OWNED_CONDITIONS]


def _condition(finding: _Finding, old: core.NodeCondition | None, since: str, now: datetime) -> core.NodeCondition:
    status, time = "True" if finding.holds else "False", rfc3339(now)
    if old is not None and old.status == status and old.lastTransitionTime:
        is_of_this_life = finding.type == _OF_THE_SCHEDULER or old.lastTransitionTime >= since
        time = old.lastTransitionTime if is_of_this_life else time
    return core.NodeCondition(
        type=finding.type, status=status, reason=finding.reason, message=finding.message, lastTransitionTime=time
    )
