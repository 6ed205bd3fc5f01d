"""What an object says of itself, as conditions and a note: mostly its own conditions, for some kinds read off the rest.

Pure; declared into kinds by `kinds`. Source: behaviour-service.md 10.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from posixpath import basename
from typing import Final

import msgspec

from dpf.api import argocd, bfb, dpu, dpudevice, dpunode, dpunodemaintenance, dpuservice
from dpf.api.bfb import Phase
from dpf.api.meta import Condition
from dpf.cli.describe.views import (
    ApplicationView,
    ApplicationViewStatus,
    BFBView,
    DPUClusterView,
    DPUNodeMaintenanceView,
    DPUServiceView,
    DPUSetView,
    DPUView,
    View,
    at,
)
from dpf.runtime import conditions

WORKLOADS: Final = frozenset({"DaemonSet", "Deployment", "StatefulSet", "ReplicaSet", "Job", "CronJob", "Pod"})
HEALTHY: Final = "Healthy"
PAUSED: Final = "Paused"
STALE: Final = "Changed since; its controller has not looked at it yet"
MAINTENANCE_IN_PROGRESS: Final = "MaintenanceInProgress"
REQUESTOR: Final = "Requestor/"
"""What the condition begins with that stands for somebody who needs an effect on a host."""
_PARTS_OF_REQUESTOR: Final = 3

BAD_OF_BFB: Final = frozenset({bfb.ConditionType.ERROR})
BAD_OF_DPU: Final = frozenset({dpu.ConditionType.ERROR, dpu.ConditionType.DELETING})
BAD_OF_DEVICE: Final = frozenset({dpudevice.ConditionType.ERROR})
BAD_OF_NODE: Final = frozenset({
    dpunode.ConditionType.INVALID_DPU_DETAILS, dpunode.ConditionType.DPU_NODE_REBOOT_IN_PROGRESS,
    dpunode.ConditionType.DPU_UPDATE_IN_PROGRESS, dpunode.ConditionType.NEED_HOST_AGENT_UPGRADE,
    dpunode.ConditionType.DPU_NODE_NODE_EFFECT_IN_PROGRESS,
})
"""Conditions that are good when they do not hold."""


def own_conditions(view: View) -> Sequence[Condition]:
    """The conditions that the object itself has."""
    return view.status.conditions or ()


def service_conditions(view: View) -> Sequence[Condition]:
    """The conditions of a DPUService without the one about SPIFFE while it holds: the documents' tables lack it."""
    unused = dpuservice.ConditionType.SPIFFE_ENTRIES_READY
    return [c for c in own_conditions(view) if c.type != unused or c.status != conditions.Status.TRUE]


def bfb_conditions(view: BFBView) -> Sequence[Condition]:
    """Ready with file and DOCA version once the phase is Ready, else False with the phase as its reason."""
    own = conditions.find(own_conditions(view), conditions.READY) or Condition(type=conditions.READY, status="")
    phase = view.status.phase or Phase.INITIALIZING
    ready = Condition(
        type=conditions.READY, status=conditions.Status.TRUE if phase == Phase.READY else conditions.Status.FALSE,
        reason=phase, message=_bundle(view) if phase == Phase.READY else own.message,
        lastTransitionTime=own.lastTransitionTime,
    )
    return [ready, *(c for c in own_conditions(view) if c.type != conditions.READY)]


def dpu_conditions(view: DPUView) -> Sequence[Condition]:
    """Ready since what it waits for is waited for; also what the platform and the agent on the DPU say of it."""
    ready, rest = _dpu_ready(view), [c for c in own_conditions(view) if c.type != conditions.READY]
    more = [*_prefixed("Operational", view.status.operationalConditions), *_prefixed("Agent", _of_agent(view))]
    return [*([ready] if ready is not None else []), *rest, *more]


def dpu_note(view: DPUView) -> str:
    """The phase, where the message of a DPU that is not Ready does not begin with it."""
    ready, phase = _dpu_ready(view), view.status.phase
    told = ready is not None and (
        ready.status == conditions.Status.TRUE or ready.message.startswith(f"{phase}: ")
    )
    return ". ".join(filter(None, ("" if told or not phase else f"Phase: {phase}", stale_note(view))))


def looked_at(view: View) -> Sequence[Condition]:
    """The conditions that somebody has said something about: the others belong to another way of installing."""
    return [c for c in own_conditions(view) if c.status != conditions.Status.UNKNOWN or c.message]


def maintenance_conditions(view: DPUNodeMaintenanceView) -> Sequence[Condition]:
    """Ready while the effect is on the host; each of those who need it is told as a condition that does not hold."""
    leaving = view.metadata.deletionTimestamp is not None
    types = dpunodemaintenance.ConditionType
    about = conditions.find(own_conditions(view), types.NODE_EFFECT_REMOVED if leaving else types.NODE_EFFECT_APPLIED)
    told = about or Condition(type="", status=conditions.Status.UNKNOWN, reason=conditions.Reason.PENDING)
    ready = Condition(
        type=conditions.READY, status=told.status, reason=told.reason, message=told.message,
        lastTransitionTime=told.lastTransitionTime,
    )
    return [ready, *looked_at(view), *_requestors(view)]


def cluster_note(view: DPUClusterView) -> str:
    """The phase."""
    return ". ".join(filter(None, (stale_note(view), f"Phase: {view.status.phase}" if view.status.phase else "")))


def members(view: DPUClusterView, count: int) -> str:
    """How many DPUs are assigned to a DPUCluster, and how many it takes."""
    most = at(view.spec, "maxNodes")
    return f"DPUs: {count} of {most}" if isinstance(most, int) else f"DPUs: {count}"


def application_conditions(view: ApplicationView) -> Sequence[Condition]:
    """Argo CD's verdicts as conditions: Ready, each error that it reports as False, and the state of each workload.

    A workload's status is its sync state and its reason its health.
    """
    status = view.status
    return [_application_ready(status), *map(_reported, status.conditions or ()), *map(_workload, _workloads(status))]


def no_note(_: ApplicationView) -> str:
    """Argo CD's verdicts carry no generation."""
    return ""


def stale_note(view: View) -> str:
    """What is said about an older generation may not hold for this one: whoever waits for the object knows that."""
    ready = conditions.find(own_conditions(view), conditions.READY)
    seen = ready.observedGeneration if ready is not None else None
    return STALE if seen is not None and seen < (view.metadata.generation or 0) else ""


def service_note(view: DPUServiceView) -> str:
    """A paused DPUService keeps its conditions, so that only its spec tells an old revision from the current one."""
    return PAUSED if at(view.spec, "paused") is True else stale_note(view)


def dpuset_note(view: DPUSetView) -> str:
    """How many DPUs are in which phase: `DPUs: 1 OS Installing, 2 Ready`."""
    return ". ".join(filter(None, (stale_note(view), _phases(view))))


def _phases(view: DPUSetView) -> str:
    found = view.status.dpuStatistics
    counts = found.items() if isinstance(found, dict) else ()
    phases = ", ".join(f"{count} {phase}" for phase, count in sorted(counts) if isinstance(count, int) and count)
    return f"DPUs: {phases}" if phases else ""


def _dpu_ready(view: DPUView) -> Condition | None:
    """Ready with what is waited for, for the deletion or for the phase, and since when."""
    own = own_conditions(view)
    ready, going = conditions.find(own, conditions.READY), conditions.find(own, dpu.ConditionType.DELETING)
    if ready is None:
        return None
    if view.metadata.deletionTimestamp is None or going is None:
        return _since_the_wait(ready, [c for c in own if c is not ready])
    reason = ready.reason if going.status == conditions.Status.TRUE else going.reason
    return _instead(ready, reason=reason, message=going.message, since=going.lastTransitionTime)


def _since_the_wait(ready: Condition, rest: Sequence[Condition]) -> Condition:
    """Ready says what another condition says, if anything is missing: since when, that one knows."""
    if ready.status == conditions.Status.TRUE:
        return ready
    same = (c for c in rest if c.reason == ready.reason and c.message and c.message in ready.message)
    since = max((c.lastTransitionTime or "" for c in same), default="")
    return _instead(ready, reason=ready.reason, message=ready.message, since=since or ready.lastTransitionTime)


def _instead(ready: Condition, *, reason: str, message: str, since: str | None) -> Condition:
    return Condition(
        type=ready.type, status=ready.status, reason=reason, message=message, lastTransitionTime=since,
        observedGeneration=ready.observedGeneration,
    )


def _prefixed(prefix: str, found: Sequence[Condition] | None) -> Iterator[Condition]:
    for c in found or ():
        yield Condition(
            type=f"{prefix}/{c.type}", status=c.status, reason=c.reason, message=c.message,
            lastTransitionTime=c.lastTransitionTime,
        )


def _of_agent(view: DPUView) -> Sequence[Condition]:
    """What the agent reports, as far as it has the form of conditions."""
    found = at(view.status.agentStatus, "conditions")
    try:
        return msgspec.convert(found, list[Condition] | None) or ()
    except msgspec.ValidationError:
        return ()


def _requestors(view: DPUNodeMaintenanceView) -> Iterator[Condition]:
    """`Requestor/DPU/<dpu>`, and `Requestor/<namespace>/<deployment>/<object>` for what a DPUDeployment asks.

    A DPUDeployment joins the three by `_`, which is in no name of an object.
    """
    listed = at(view.spec, "requestor")
    for name in listed if isinstance(listed, list) else ():
        parts = str(name).split("_", 2)
        who = "/".join(parts) if len(parts) == _PARTS_OF_REQUESTOR else f"DPU/{name}"
        yield Condition(
            type=f"{REQUESTOR}{who}", status=conditions.Status.FALSE, reason=MAINTENANCE_IN_PROGRESS, message="",
        )


def _bundle(view: BFBView) -> str:
    """`File: <basename>, DOCA: <v>`, as far as it is known."""
    file = view.status.fileName or at(view.spec, "fileName") or at(view.spec, "url")
    doca = at(view.status.versions, "doca") or at(view.spec, "versions", "doca")
    parts = {"File": basename(file) if isinstance(file, str) else "", "DOCA": doca if isinstance(doca, str) else ""}
    return ", ".join(f"{name}: {value}" for name, value in parts.items() if value)


def _application_ready(status: ApplicationViewStatus) -> Condition:
    """Ready when Argo CD calls it Healthy and reports no error; what is not in sync is told in the message."""
    ready = status.health.status == HEALTHY and not status.conditions
    sync = status.sync.status or "Unknown"
    notes = [f"Sync: {sync}" if sync != "Synced" else "", status.health.message or ""]
    return Condition(
        type=conditions.READY, status=conditions.Status.TRUE if ready else conditions.Status.FALSE,
        reason=conditions.Reason.SUCCESS if ready else status.health.status or "Unknown",
        message=". ".join(note for note in notes if note),
        lastTransitionTime=status.health.lastTransitionTime or status.reconciledAt,
    )


def _reported(condition: argocd.ApplicationCondition) -> Condition:
    return Condition(
        type=condition.type, status=conditions.Status.FALSE, message=condition.message,
        lastTransitionTime=condition.lastTransitionTime,
    )


def _workloads(status: ApplicationViewStatus) -> Iterator[argocd.ResourceStatus]:
    return (resource for resource in status.resources or () if resource.kind in WORKLOADS)


def _workload(resource: argocd.ResourceStatus) -> Condition:
    health = resource.health or argocd.HealthStatus()
    return Condition(
        type=f"{resource.kind}/{resource.name}", status=resource.status or "Unknown", reason=health.status or "",
        message=health.message or "",
    )
