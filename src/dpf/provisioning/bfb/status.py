"""Phase, file name, versions and conditions of a BFB, from what a pass saw and did. Pure.

Sources: behaviour-provisioning.md section 2, api-provisioning.md section 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from dpf.api.bfb import BFBVersions, ConditionType, Phase
from dpf.provisioning.bfb import plan as planner
from dpf.provisioning.bfb import snapshot as values
from dpf.provisioning.bfb import sources
from dpf.provisioning.bfb.record import Content, Failure
from dpf.provisioning.bfb.snapshot import Activity, Place, Snapshot, Trouble, Unreadable
from dpf.runtime import conditions
from dpf.runtime.conditions import Reason, State, Status, false, true
from dpf.runtime.plan import Applied
from dpf.runtime.reconciler import Verdict

_NEEDED: Final = (ConditionType.INITIALIZED, ConditionType.DOWNLOADED)
"""What Ready is the summary of: Error and Deleted are bad news when they hold."""
_MIB: Final = 1 << 20


def compute(snapshot: Snapshot, applied: Applied, now: datetime) -> Verdict:
    """The status after this pass. Versions once known stay."""
    if snapshot.bfb.metadata.deletionTimestamp is not None:
        return Verdict(states=_while_deleted(snapshot, applied), fields={"phase": str(Phase.DELETING)})
    phase = planner.phase(snapshot, now)
    own_name = snapshot.file_name if snapshot.refused is None else None
    fields: dict[str, Any] = {"phase": str(phase), "fileName": own_name}
    if isinstance(snapshot.versions, BFBVersions) and phase == Phase.READY:
        fields["versions"] = snapshot.versions
    found = values.trouble(snapshot, now)
    states = {ConditionType.INITIALIZED: _initialized(snapshot), ConditionType.ERROR: _error(snapshot, phase, found)}
    downloaded = _downloaded(snapshot, phase, found, applied)
    if downloaded is not None:
        states[ConditionType.DOWNLOADED] = downloaded
    states[ConditionType.READY] = _summary(snapshot, states)
    return Verdict(states={str(type_): state for type_, state in states.items()}, fields=fields)


def _initialized(snapshot: Snapshot) -> State:
    return true() if snapshot.refused is None else false(Reason.FAILURE, snapshot.refused)


def _downloaded(snapshot: Snapshot, phase: Phase, found: Trouble | None, applied: Applied) -> State | None:
    """None leaves it as it is."""
    errors = applied.step(planner.FILE).errors if _acted(applied) else ()
    if errors:
        return false(Reason.ERROR, errors[0])
    if phase == Phase.READY:
        return _in_place(snapshot)
    if phase == Phase.ERROR and found is not None:
        return false(found.reason, found.why)
    if snapshot.refused is not None:
        return false(Reason.PENDING, "Nothing is downloaded before the BFB has a file name of its own")
    if snapshot.failure is not None:
        return false(Reason.RETRYING, _retrying(snapshot, snapshot.failure))
    return false(Reason.PENDING, _progress(snapshot))


def _acted(applied: Applied) -> bool:
    return any(outcome.error is not None for outcome in applied.step(planner.FILE).outcomes)


def _in_place(snapshot: Snapshot) -> State | None:
    if isinstance(snapshot.files, Unreadable):
        return State(status=Status.UNKNOWN, reason=Reason.ERROR, message=snapshot.files.why)
    if snapshot.content is None or snapshot.place is not Place.THERE:
        return None
    return true(message=_described(snapshot.file_name, snapshot.content))


def _described(file_name: str, content: Content) -> str:
    origin = "" if content.downloaded else ", found on the volume and not downloaded"
    return f"{file_name}: {content.size} bytes, sha256 {content.sha256}{origin}"


def _progress(snapshot: Snapshot) -> str:
    """What goes on; as long as nothing can be told about it, only what is meant to."""
    activity = snapshot.activity
    if snapshot.place is Place.UNREAD or (activity is not None and activity.work is values.Work.INSPECTING):
        return f"Reading {snapshot.file_name}, which was found on the volume"
    url = snapshot.bfb.spec.url if snapshot.bfb.spec is not None else ""
    return f"Downloading from {sources.parse(url)}{_share(activity)}"


def _share(activity: Activity | None) -> str:
    if activity is None or not activity.percent or not activity.total:
        return ""
    return f": {activity.percent} % of {max(1, activity.total // _MIB)} MiB"


def _retrying(snapshot: Snapshot, failure: Failure) -> str:
    attempt = f"attempt {failure.count + 1}"
    if failure.count <= values.RETRIES:
        attempt = f"{attempt} of {values.RETRIES + 1}"
    return f"{failure.why}; {attempt}{_share(snapshot.activity)}"


def _error(snapshot: Snapshot, phase: Phase, found: Trouble | None) -> State:
    if phase != Phase.ERROR or found is None:
        return false(Reason.SUCCESS, "")
    return true(found.reason, f"{found.why}. {_next_step(snapshot, found)}")


def _next_step(snapshot: Snapshot, found: Trouble) -> str:
    """What happens now, or what somebody has to do."""
    if isinstance(snapshot.files, Unreadable):
        return "It is looked at again by itself"
    failure, again = snapshot.failure, "delete the BFB and create it again"
    if found.retry_at is not None and failure is not None:
        due = found.retry_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"Tried {failure.count} times; the next attempt is at {due}"
    if snapshot.content is not None:
        return f"Next step: declare spec.versions, or {again} with the URL of a complete bundle"
    if failure is not None and failure.retryable:
        return f"Tried {failure.count} times and given up. Next step: see that the server has the file, then {again}"
    return f"Next step: correct that, then {again}"


def _summary(snapshot: Snapshot, states: Mapping[ConditionType, State]) -> State:
    metadata = snapshot.bfb.metadata
    generation = metadata.generation or 0
    found = {str(type_): states[type_] for type_ in _NEEDED if type_ in states}
    merged = conditions.merge(_NEEDED, snapshot.bfb.status.conditions or (), found, generation=generation, now="")
    return conditions.summarize(_NEEDED, merged, generation=generation)


def _while_deleted(snapshot: Snapshot, applied: Applied) -> dict[str, State]:
    states = {str(ConditionType.READY): false(Reason.AWAITING_DELETION, "The BFB is being deleted")}
    if not conditions.is_true(snapshot.bfb.status.conditions, ConditionType.DOWNLOADED):
        states[ConditionType.DOWNLOADED] = false(Reason.AWAITING_DELETION, "The BFB is being deleted")
    states[ConditionType.DELETED] = _deleted(snapshot, applied)
    return states


def _deleted(snapshot: Snapshot, applied: Applied) -> State:
    """True only when nothing of it is left."""
    errors = [e for name in (planner.DOWNLOAD, planner.REMOVAL) for e in applied.step(name).errors]
    if errors:
        return false(Reason.ERROR, errors[0])
    if snapshot.users:
        return false(Reason.PENDING, planner.still_referenced(snapshot))
    return true()
