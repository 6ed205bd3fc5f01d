"""What one pass over a BFB decides. Pure.

A download goes on beside the passes; a pass sees what is on the volume and what goes on, and starts what is missing. It
starts nothing in a pass that changes the phase: the phase is written first. On deletion what goes on is ended, users
are waited for, and then the files go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from dpf.api.bfb import Phase
from dpf.api.meta import Key
from dpf.provisioning.bfb import phases, sources
from dpf.provisioning.bfb import snapshot as values
from dpf.provisioning.bfb.phases import Facts
from dpf.provisioning.bfb.snapshot import Activity, Place, Snapshot, Trouble, Unreadable
from dpf.provisioning.bfb.versions import Unusable
from dpf.runtime.plan import Drive, Finding, Plan, Reasons, Severity, Step

OBJECT: Final = "Object"
FILE: Final = "File"
DOWNLOAD: Final = "Download"
USERS: Final = "Users"
REMOVAL: Final = "Removal"

AT_ONCE_S: Final = 0.0
CHECK_READY_EVERY_S: Final = 10.0
"""Nothing tells us that a file has gone."""
CHECK_VOLUME_EVERY_S: Final = 30.0
_SOONEST_S: Final = 0.05
_LATEST_S: Final = 1.0
_SHARE: Final = 0.25
"""How much longer than it takes a download may seem to take."""
_NAMED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Whose file, from where, under which name."""

    key: Key
    uid: str
    file_name: str
    url: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Intent: begin to download, from where an earlier attempt has stopped if its server allows that."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    """Intent: begin to read a file that was found under its name."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Intent: move the complete download under its name."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Intent: end what goes on beside the passes."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Intent: remove the files. `with_target` False leaves what is under the name: another BFB has it."""

    job: Job
    with_target: bool


Intent = Fetch | Inspect | Publish | End | Remove

DOWNLOAD_FAILED: Final = "FailedDownload"
_REASONS: Final[Mapping[type[Intent], Reasons]] = {
    Fetch: ("Downloading", DOWNLOAD_FAILED), Inspect: ("Inspecting", DOWNLOAD_FAILED),
    Publish: ("SuccessfulDownload", DOWNLOAD_FAILED), End: ("Ended", "FailedDelete"),
    Remove: ("SuccessfulDelete", "FailedDelete"),
}
"""Reasons of Events (behaviour-provisioning.md section 1)."""


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """The next thing to do for the file, and when to look again."""
    before, after = snapshot.bfb.status.phase, phase(snapshot, now)
    found = values.trouble(snapshot, now)
    if after != before:
        news = _news(found) if after == Phase.ERROR and found is not None else ()
        return Plan(steps=news, wake_after_s=AT_ONCE_S)
    if snapshot.refused is not None:
        finding = Finding(severity=Severity.INVALID, message=snapshot.refused)
        end = (_drive(End(job=job(snapshot)), snapshot.refused),) if snapshot.activity else ()
        return Plan(steps=(Step(name=OBJECT, actions=end, findings=(finding,)),))
    if snapshot.activity is not None:
        return _waiting("the file is being worked on", _soon(snapshot.activity))
    if before == Phase.READY:
        return _keep(snapshot, now)
    return _rest(snapshot, found, now) if found is not None else _download(snapshot, now)


def plan_teardown(snapshot: Snapshot) -> Plan:
    """End the download, wait for users, remove the files, let go."""
    steps = []
    if snapshot.activity is not None:
        steps.append(Step(name=DOWNLOAD, actions=(_drive(End(job=job(snapshot)), "it is deleted"),)))
    if snapshot.users:
        finding = Finding(severity=Severity.BLOCKED, message=still_referenced(snapshot))
        return Plan(steps=(*steps, Step(name=USERS, findings=(finding,))))
    remove = Remove(job=job(snapshot), with_target=snapshot.owns_file)
    steps.append(Step(name=REMOVAL, actions=(_drive(remove, "it is deleted"),)))
    return Plan(steps=tuple(steps), release=True)


def phase(snapshot: Snapshot, now: datetime) -> Phase:
    """The phase after this pass."""
    if snapshot.bfb.metadata.deletionTimestamp is not None:
        return Phase.DELETING
    return phases.next_phase(snapshot.bfb.status.phase, facts(snapshot, now))


def facts(snapshot: Snapshot, now: datetime) -> Facts:
    """What the phases depend on."""
    if snapshot.refused is not None:
        return Facts(accepted=False)
    found = snapshot.versions
    return Facts(
        accepted=True, bad=isinstance(found, Unusable), failing=values.trouble(snapshot, now) is not None,
        usable=found is not None and not isinstance(found, Unusable) and snapshot.place is Place.THERE,
        missing=snapshot.place in (Place.NOWHERE, Place.WAITING),
    )


def job(snapshot: Snapshot) -> Job:
    """What a driver has to know."""
    spec = snapshot.bfb.spec
    return Job(
        key=snapshot.key, uid=snapshot.bfb.metadata.uid or "", file_name=snapshot.file_name,
        url=spec.url if spec is not None else "",
    )


def still_referenced(snapshot: Snapshot) -> str:
    """Why it cannot be deleted yet (behaviour-provisioning.md section 2)."""
    named = ", ".join(snapshot.users[:_NAMED])
    more = f" and {len(snapshot.users) - _NAMED} more" if len(snapshot.users) > _NAMED else ""
    return f"BFB {snapshot.key} cannot be deleted, still referenced by {named}{more}"


def _download(snapshot: Snapshot, now: datetime) -> Plan:
    """In Downloading, with nothing going on."""
    work, name = job(snapshot), snapshot.file_name
    match snapshot.place:
        case Place.WAITING:
            return _do(Publish(job=work), f"{name} is complete", AT_ONCE_S)
        case Place.UNREAD:
            return _begin(snapshot, now, Inspect(job=work), f"{name} is on the volume already")
        case _:
            return _begin(snapshot, now, Fetch(job=work), f"downloading {name} from {sources.parse(work.url)}")


def _keep(snapshot: Snapshot, now: datetime) -> Plan:
    """In Ready: have an eye on the file."""
    if isinstance(snapshot.files, Unreadable):
        return _waiting(snapshot.files.why, CHECK_VOLUME_EVERY_S)
    if snapshot.place is Place.UNREAD:
        because = f"{snapshot.file_name} is not the file that was looked into"
        return _begin(snapshot, now, Inspect(job=job(snapshot)), because)
    return Plan(wake_after_s=CHECK_READY_EVERY_S)


def _rest(snapshot: Snapshot, found: Trouble, now: datetime) -> Plan:
    """In Error: until the next attempt is due, the volume can be read again, or somebody does something."""
    if found.retry_at is not None:
        return _waiting(found.why, (found.retry_at - now).total_seconds())
    if isinstance(snapshot.files, Unreadable):
        return _waiting(found.why, CHECK_VOLUME_EVERY_S)
    finding = Finding(severity=Severity.INVALID, message=found.why)
    return Plan(steps=(Step(name=FILE, findings=(finding,)),))


def _begin(snapshot: Snapshot, now: datetime, intent: Intent, because: str) -> Plan:
    """Begin something that takes long, unless it has failed just now."""
    wait_s = values.wait_s(snapshot.failure, now)
    return _waiting(f"waiting before {because}", wait_s) if wait_s else _do(intent, because, _SOONEST_S)


def _do(intent: Intent, because: str, wake_after_s: float) -> Plan:
    return Plan(steps=(Step(name=FILE, actions=(_drive(intent, because),)),), wake_after_s=wake_after_s)


def _drive(intent: Intent, because: str) -> Drive:
    return Drive(intent=intent, because=because, reasons=_REASONS[type(intent)])


def _news(found: Trouble) -> tuple[Step, ...]:
    """In the pass that gives up for now: the one that says so in an Event."""
    severity = Severity.INVALID if found.retry_at is None else Severity.WAITING
    return (Step(name=FILE, findings=(Finding(severity=severity, message=found.why, event=DOWNLOAD_FAILED),)),)


def _waiting(why: str, wake_after_s: float) -> Plan:
    finding = Finding(severity=Severity.WAITING, message=why)
    return Plan(steps=(Step(name=FILE, findings=(finding,)),), wake_after_s=wake_after_s)


def _soon(activity: Activity) -> float:
    return min(_LATEST_S, max(_SOONEST_S, _SHARE * activity.running_s))
