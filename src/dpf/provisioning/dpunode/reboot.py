"""How the host of a DPUNode gets its reboot, by somebody outside or by a script. Pure. Called by `plan` and `status`.

The DPUs that need it are in phase Rebooting and say by which method; the strongest method wins. What was asked for is
told to the DPUs only after the annotation is there, and before a Job is made: so whatever a DPU was told says how far
things are, and no crash reboots a host twice. Where the agent on the host does it, `hostagent/reboot` plans it with the
words of this file. Source: behaviour-provisioning.md section 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from dpf.api import names
from dpf.api.dpu import DPU, ConditionReason, Phase, RebootPhase, RebootStatus
from dpf.api.dpunode import DPUNode
from dpf.api.meta import Key, object_key
from dpf.api.provisioning import RebootMethod
from dpf.api.upkeep import Job
from dpf.provisioning.dpunode import rebootjob
from dpf.provisioning.dpunode.snapshot import Snapshot
from dpf.provisioning.maintenance import podtemplate
from dpf.runtime.plan import Action, Apply, Delete, Drive, Finding, Patch, Severity, Step

REQUEST: Final = "RebootRequest"
REPORT: Final = "RebootReport"
SIBLING_WAIT_S: Final = 30.0
_RANK: Final = (
    RebootMethod.POWER_CYCLE, RebootMethod.SYSTEM_LEVEL_RESET, RebootMethod.SYSTEM_REBOOT, RebootMethod.FIRMWARE_RESET,
    RebootMethod.DPU_WARM_REBOOT, RebootMethod.NO_ACTION, RebootMethod.UNKNOWN,
)
ON_THE_WAY: Final = frozenset({
    Phase.INITIALIZE_INTERFACE, Phase.PERFORM_ARM_FORCE_RESTART, Phase.CONFIG_FW_PARAMETERS, Phase.UPDATE_FIRMWARE,
    Phase.PREPARE_BFB, Phase.OS_INSTALLING, Phase.DPU_CONFIG,
})
"""Phases of a sibling that may need a reboot soon, or must not be disturbed by one."""
_NOT_WAITING: Final = frozenset({RebootPhase.SUCCEEDED, RebootPhase.WAIT_FOR_SHUTDOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Intent: tell a DPU how its reboot is, if it still waits as it did when it was read.

    `version` is the one that was read, `uid` the DPU's, `before` what it had been told.
    """

    dpu: Key
    version: str
    phase: RebootPhase
    reason: str
    message: str
    uid: str | None = None
    before: RebootStatus | None = None


def participants(snapshot: Snapshot) -> tuple[DPU, ...]:
    """DPUs that wait for a reboot of the host: they have named a method, and have not got it yet."""
    return tuple(
        dpu for dpu in snapshot.dpus
        if dpu.status.phase == Phase.REBOOTING and _told(dpu) is not None and told_phase(dpu) not in _NOT_WAITING
    )


def winner(dpus: Iterable[DPU]) -> tuple[RebootMethod, str] | None:
    """The strongest method and the first DPU that needs it; None without DPUs."""
    ranked = sorted(dpus, key=lambda dpu: (_RANK.index(method(dpu)), dpu.metadata.name))
    return (method(ranked[0]), ranked[0].metadata.name) if ranked else None


def method(dpu: DPU) -> RebootMethod:
    """The method that a DPU needs; one that cannot be driven here is not known."""
    told = _told(dpu)
    wanted = told.method if told is not None else None
    return next((known for known in _RANK if known == wanted), RebootMethod.UNKNOWN)


def required(snapshot: Snapshot) -> str:
    """What the host needs, for people."""
    found = winner(participants(snapshot))
    return f"required reboot method: {found[0]} (driven by DPU {found[1]})" if found is not None else ""


def is_driven(dpunode: DPUNode) -> bool:
    """Whether the host is rebooted by somebody outside, or by a script."""
    return is_external(dpunode) or rebootjob.script_of(dpunode) is not None


def is_external(dpunode: DPUNode) -> bool:
    """Whether somebody outside reboots the host."""
    return dpunode.spec is not None and dpunode.spec.nodeRebootMethod.external is not None


def is_requested(dpunode: DPUNode) -> bool:
    """Whether the annotation asks somebody to reboot the host."""
    return names.EXTERNAL_REBOOT_REQUIRED_ANNOTATION in (dpunode.metadata.annotations or {})


def turns_on_request(snapshot: Snapshot) -> bool:
    """Whether the annotation decides now: a reboot may be over, or somebody joins one that is asked for."""
    told = [dpu for dpu in participants(snapshot) if _is_told(dpu)]
    requested = is_requested(snapshot.dpunode)
    return bool(told) != requested or (requested and len(told) < len(participants(snapshot)))


def steps(snapshot: Snapshot) -> tuple[Step, ...]:
    """What has to be done for the reboot now; nothing for hosts that are rebooted in another way."""
    waiting = participants(snapshot)
    if not waiting:
        return _clean_up(snapshot) if is_external(snapshot.dpunode) else ()
    if not is_driven(snapshot.dpunode) or snapshot.hostless:
        return ()
    fresh = tuple(dpu for dpu in waiting if not _is_told(dpu))
    told = tuple(dpu for dpu in waiting if dpu not in fresh)
    if not told and (found := siblings(snapshot)):
        finding = Finding(severity=Severity.WAITING, message=f"Waiting for {found} before the host is rebooted")
        return (Step(name=REQUEST, findings=(finding,)),)
    return _external(snapshot, fresh, told) if is_external(snapshot.dpunode) else _script(snapshot, fresh, told)


def _external(snapshot: Snapshot, fresh: tuple[DPU, ...], told: tuple[DPU, ...]) -> tuple[Step, ...]:
    requested = is_requested(snapshot.dpunode)
    if told and not requested:
        return (report(told, RebootPhase.SUCCEEDED, "RebootSucceeded", "The annotation was removed: host rebooted"),)
    if not fresh:
        return ()
    ask = _annotate(snapshot, "true", required(snapshot))
    reason = ConditionReason.WAITING_FOR_MANUAL_POWER_CYCLE_OR_REBOOT
    message = (
        f"{required(snapshot)}. Next step: reboot the host, then remove annotation "
        f"{names.EXTERNAL_REBOOT_REQUIRED_ANNOTATION} from DPUNode {snapshot.dpunode.metadata.name}"
    )
    return (
        Step(name=REQUEST, actions=() if requested else (ask,)), report(fresh, RebootPhase.PENDING, reason, message),
    )


def _script(snapshot: Snapshot, fresh: tuple[DPU, ...], told: tuple[DPU, ...]) -> tuple[Step, ...]:
    job = snapshot.job
    if job is not None and (job.metadata.deletionTimestamp is not None or not rebootjob.has_ended(job)):
        return ()
    if told and job is not None:
        pending = tuple(dpu for dpu in told if told_phase(dpu) == RebootPhase.PENDING)
        if rebootjob.has_ended(job, "Complete"):
            return (report(told, RebootPhase.SUCCEEDED, "RebootSucceeded", f"Job {object_key(job)} is complete"),)
        why = rebootjob.failure(snapshot, job)
        return (report(pending, RebootPhase.FAILED, ConditionReason.REBOOT_SCRIPT_FAILED, why),) if pending else ()
    if job is not None:
        stale = Delete(kind=Job, key=object_key(job), uid=job.metadata.uid, because="it belongs to an earlier reboot")
        return (Step(name=REQUEST, actions=(stale,)),)
    untold = tuple(dpu for dpu in (*fresh, *told) if told_phase(dpu) != RebootPhase.PENDING)
    if not untold:
        return (_run(snapshot, told),)
    message = f"Job {rebootjob.job_key(snapshot)} reboots the host"
    return (report(untold, RebootPhase.PENDING, ConditionReason.REBOOT_SCRIPT_WAITING, message),)


def _run(snapshot: Snapshot, told: tuple[DPU, ...]) -> Step:
    template = podtemplate.read(snapshot.script) if snapshot.script is not None else podtemplate.Unusable(
        why=f"ConfigMap {rebootjob.script_key(snapshot)} with the script does not exist"
    )
    if isinstance(template, podtemplate.Unusable):
        return Step(name=REQUEST, findings=(Finding(severity=Severity.BLOCKED, message=template.why),))
    methods = {dpu.metadata.name: driven(method(dpu)) for dpu in told}
    found = winner(told)
    job = rebootjob.build(snapshot, template, driven(found[0] if found is not None else RebootMethod.UNKNOWN), methods)
    return Step(name=REQUEST, actions=(Apply(object=job, because=required(snapshot)),))


def driven(wanted: RebootMethod) -> RebootMethod:
    """The method that is carried out for `wanted`: what is not known has to be enough for everything."""
    return RebootMethod.SYSTEM_LEVEL_RESET if wanted is RebootMethod.UNKNOWN else wanted


def _clean_up(snapshot: Snapshot) -> tuple[Step, ...]:
    """Nobody waits for a reboot any more: one now would only disturb."""
    rebooting = any(dpu.status.phase == Phase.REBOOTING for dpu in snapshot.dpus)
    if rebooting or not is_requested(snapshot.dpunode):
        return ()
    return (Step(name=REQUEST, actions=(_annotate(snapshot, None, "no DPU needs a reboot of the host any more"),)),)


def _annotate(snapshot: Snapshot, value: str | None, because: str) -> Patch:
    patch = {"metadata": {"annotations": {names.EXTERNAL_REBOOT_REQUIRED_ANNOTATION: value}}}
    return Patch(kind=DPUNode, key=snapshot.key, patch=patch, because=because)


def report(dpus: tuple[DPU, ...], phase: RebootPhase, reason: str, message: str) -> Step:
    """Tell these DPUs how their reboot is."""
    return Step(name=REPORT, actions=tuple(_reports(dpus, phase, reason, message)))


def _reports(dpus: tuple[DPU, ...], phase: RebootPhase, reason: str, message: str) -> Iterator[Action]:
    for dpu in dpus:
        version = dpu.metadata.resourceVersion or ""
        intent = Report(
            dpu=object_key(dpu), version=version, phase=phase, reason=str(reason), message=message,
            uid=dpu.metadata.uid, before=_told(dpu),
        )
        yield Drive(intent=intent, because=f"reboot of the host for DPU {dpu.metadata.name}: {reason}")


def siblings(snapshot: Snapshot) -> str:
    """The DPUs of the host that hold its reboot back, for people; empty when there are none."""
    return ", ".join(
        f"DPU {dpu.metadata.name} ({dpu.status.phase})" for dpu in snapshot.dpus
        if dpu.status.phase in ON_THE_WAY or _shuts_down(dpu)
    )


def _shuts_down(dpu: DPU) -> bool:
    """Whether the DPU goes off first; its own phase says when it has (BP section 7, zero-trust)."""
    return dpu.status.phase == Phase.REBOOTING and told_phase(dpu) == RebootPhase.WAIT_FOR_SHUTDOWN


def _told(dpu: DPU) -> RebootStatus | None:
    return dpu.status.rebootStatus


def _is_told(dpu: DPU) -> bool:
    """Whether the reboot that it waits for was asked for, and has not come yet."""
    return told_phase(dpu) in (RebootPhase.PENDING, RebootPhase.FAILED)


def told_phase(dpu: DPU) -> str | None:
    """What the DPU was told about its reboot, if anything."""
    told = _told(dpu)
    return told.phase if told is not None else None
