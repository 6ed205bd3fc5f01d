"""What one pass over a DPUSet does. Pure.

The digest of the template is written to the DPUSet first, in a pass of its own. Then, none of it waiting for the rest:
DPUs of devices that are not selected any more go, missing ones are made, those that only another installation helps are
deleted as far as the strategy allows, the others are changed in place, and status and labels of DPUs tell what is
outdated and who collides. Source: behaviour-provisioning.md section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from dpf.api import names
from dpf.api.dpu import DPU, Outdated
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, object_key
from dpf.provisioning.dpuset import build, decision, drift, naming, settings
from dpf.provisioning.dpuset.decision import Decision
from dpf.provisioning.dpuset.snapshot import Snapshot, is_going, phase
from dpf.runtime import conditions
from dpf.runtime.plan import Action, Delete, Drive, Finding, Patch, Plan, Reasons, Severity, Step

CLUSTER_METADATA_CONFLICT: Final = "ClusterMetadataConflict"
"""Reason of Ready and of an Event: template and device want different labels or annotations for one Node."""
NOT_ALL_DELETED: Final = "not all DPUs are deleted"
CREATED: Final[Reasons] = ("SuccessfulCreate", "FailedCreate")
DELETED: Final[Reasons] = ("SuccessfulDelete", "FailedDelete")
_BEHIND_S: Final = 1.0
_NAMED: Final = 10


class StepName(StrEnum):
    """Steps, in their order."""

    SETTINGS = "Settings"
    TEMPLATE_HASH = "TemplateHash"
    CLASHES = "Clashes"
    DEVICES = "Devices"
    REMOVE = "Remove"
    CREATE = "Create"
    REPLACE = "Replace"
    UPDATE = "Update"
    MARK = "Mark"
    DELETE = "Delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Intent: make this DPU, and never touch one that has its name already."""

    dpu: DPU


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Intent: have the DPU's status say this, if the DPU is still what it was. `outdated` None: nothing differs."""

    key: Key
    resource_version: str | None
    outdated: Outdated | None


Intent = Create | Mark


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """See the module. `now` is the time that marks bear."""
    if snapshot.rests_s or snapshot.is_behind:
        return Plan(paused=True, wake_after_s=snapshot.rests_s or _BEHIND_S)
    problems = settings.problems(snapshot)
    if problems:
        findings = tuple(Finding(severity=Severity.INVALID, message=text) for text in problems)
        return Plan(steps=(Step(name=StepName.SETTINGS, findings=findings),))
    if (snapshot.dpuset.metadata.labels or {}).get(names.DPUSET_TEMPLATE_HASH_LABEL) != snapshot.hash:
        return Plan(steps=(Step(name=StepName.TEMPLATE_HASH, actions=(_stamp(snapshot),)),), paused=True)
    return Plan(steps=tuple(_steps(snapshot, decision.decide(snapshot), now)))


def plan_teardown(snapshot: Snapshot) -> Plan:
    """All DPUs go, and what is said about others' DPUs; then the DPUSet. A set that rests has seen nothing yet."""
    if snapshot.rests_s:
        return Plan(paused=True, wake_after_s=snapshot.rests_s)
    return Plan(release=True, steps=(
        Step(name=StepName.MARK, actions=tuple(_unmark(snapshot, ())), blocks=False),
        Step(
            name=StepName.DELETE, findings=_still_there(snapshot.dpus),
            actions=_deletions((d for d in snapshot.dpus if not is_going(d)), "the DPUSet is being deleted"),
        ),
    ))


def victims(snapshot: Snapshot) -> tuple[DPU, ...]:
    """DPUs that would be deleted on account of what the snapshot says; `observe` makes sure of it first."""
    if settings.problems(snapshot) or not decision.may_delete(snapshot):
        return ()
    return decision.decide(snapshot).victims


def _steps(snapshot: Snapshot, found: Decision, now: datetime) -> Iterator[Step]:
    """What goes wrong with one DPU holds up no other."""
    creations = tuple(
        Drive(
            intent=Create(dpu=build.dpu(snapshot, candidate, node)), reasons=CREATED,
            because=f"DPU {candidate.name}: DPUDevice {candidate.device.metadata.name} of DPUNode "
                    f"{candidate.node.metadata.name} is selected",
        )
        for candidate, node in found.create
    )
    updates = tuple(
        Patch(kind=DPU, key=object_key(update.dpu), patch=update.patch, because="the DPUSet asks for it")
        for update in found.update
    )
    marks = (*_marks(snapshot, found, now), *_labels(snapshot, found.collisions))
    yield Step(name=StepName.CLASHES, findings=tuple(_clashes(snapshot, found.clashes)), blocks=False)
    skipped = tuple(Finding(severity=Severity.BLOCKED, message=text) for text in found.skipped)
    yield Step(name=StepName.DEVICES, findings=skipped, blocks=False)
    removals = _deletions(found.remove, "its device is not selected any more")
    yield Step(name=StepName.REMOVE, actions=removals, blocks=False)
    yield Step(name=StepName.CREATE, actions=creations, blocks=False)
    replacements = tuple(d for dpu in found.replace for d in _deletions((dpu,), _why(snapshot, dpu)))
    yield Step(name=StepName.REPLACE, actions=replacements, blocks=False)
    yield Step(name=StepName.UPDATE, actions=updates, blocks=False)
    yield Step(name=StepName.MARK, actions=marks, blocks=False)


def _stamp(snapshot: Snapshot) -> Patch:
    version = snapshot.dpuset.metadata.resourceVersion
    labels = {names.DPUSET_TEMPLATE_HASH_LABEL: snapshot.hash}
    return Patch(
        kind=DPUSet, key=snapshot.key, patch={"metadata": {"resourceVersion": version, "labels": labels}},
        because="the digest of the template",
    )


def _deletions(dpus: Iterable[DPU], because: str) -> tuple[Delete, ...]:
    return tuple(
        Delete(kind=DPU, key=object_key(dpu), uid=dpu.metadata.uid, because=because, reasons=DELETED) for dpu in dpus
    )


def _why(snapshot: Snapshot, dpu: DPU) -> str:
    found = drift.differences(dpu, snapshot.template.spec)
    return found[0].text if found else f"DPUCluster {drift.cluster_of(dpu)} is not selected any more"


def _clashes(snapshot: Snapshot, texts: Sequence[str]) -> Iterator[Finding]:
    """An Event tells of them once; the condition stays."""
    ready = conditions.find(snapshot.dpuset.status.conditions, conditions.READY)
    for text in texts:
        is_told = ready is not None and ready.reason == CLUSTER_METADATA_CONFLICT and text in ready.message
        event = None if is_told else CLUSTER_METADATA_CONFLICT
        yield Finding(severity=Severity.INVALID, message=text, event=event)


def _marks(snapshot: Snapshot, found: Decision, now: datetime) -> Iterator[Action]:
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    changed = {update.dpu.metadata.name for update in found.update}
    for dpu in snapshot.dpus:
        differences = found.differences.get(dpu.metadata.name)
        if differences is None or dpu.metadata.name in changed:
            continue  # one that this pass changes is marked in the next: the mark is for the version that was seen
        outdated = drift.outdated(dpu, differences, stamp)
        if outdated != dpu.status.outdated:
            intent = Mark(key=object_key(dpu), resource_version=dpu.metadata.resourceVersion, outdated=outdated)
            said = outdated.message if outdated is not None else "it is as its DPUSet wants it"
            yield Drive(intent=intent, because=f"DPU {dpu.metadata.name}: {said}", reasons=("Marked", "MarkFailed"))


def _labels(snapshot: Snapshot, collisions: Sequence[DPU]) -> Iterator[Action]:
    """A DPU of another set whose device this one wants as well says so."""
    key = naming.collision_label(snapshot.key.name)
    for dpu in collisions:
        if not is_going(dpu) and key not in (dpu.metadata.labels or {}):
            yield _label(dpu, {key: "true"}, "the DPUSet selects its device as well")
    yield from _unmark(snapshot, collisions)


def _unmark(snapshot: Snapshot, collisions: Sequence[DPU]) -> Iterator[Action]:
    wanted = {dpu.metadata.uid for dpu in collisions}
    for dpu in snapshot.marked:
        if dpu.metadata.uid not in wanted and not is_going(dpu):
            label = {naming.collision_label(snapshot.key.name): None}
            yield _label(dpu, label, "the DPUSet does not ask for its device any more")


def _label(dpu: DPU, labels: dict[str, Any], because: str) -> Patch:
    return Patch(kind=DPU, key=object_key(dpu), patch={"metadata": {"labels": labels}}, because=because)


def _still_there(dpus: Sequence[DPU]) -> tuple[Finding, ...]:
    if not dpus:
        return ()
    named = ", ".join(f"{dpu.metadata.name} ({phase(dpu)})" for dpu in dpus[:_NAMED])
    more = f" and {len(dpus) - _NAMED} more" if len(dpus) > _NAMED else ""
    return (Finding(severity=Severity.BLOCKED, message=f"{NOT_ALL_DELETED}: {named}{more}"),)


def outdated_patch(intent: Mark) -> dict[str, Any]:
    """The merge patch of a DPU's status, conditional on its version."""
    said = msgspec.to_builtins(intent.outdated) if intent.outdated is not None else None
    return {"metadata": {"resourceVersion": intent.resource_version}, "status": {"outdated": said}}
