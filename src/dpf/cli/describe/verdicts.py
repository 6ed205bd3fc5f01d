"""What an object says of itself, as conditions and a note: mostly its own conditions, for some kinds read off the rest.

Pure; declared into kinds by `kinds`. Source: behaviour-service.md 10.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from posixpath import basename
from typing import Final

from dpf.api import argocd, dpuservice
from dpf.api.bfb import Phase
from dpf.api.meta import Condition
from dpf.cli.describe.views import (
    ApplicationView,
    ApplicationViewStatus,
    BFBView,
    DPUServiceView,
    DPUSetView,
    View,
    at,
)
from dpf.runtime import conditions

WORKLOADS: Final = frozenset({"DaemonSet", "Deployment", "StatefulSet", "ReplicaSet", "Job", "CronJob", "Pod"})
HEALTHY: Final = "Healthy"
PAUSED: Final = "Paused"
STALE: Final = "Changed since; its controller has not looked at it yet"


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
