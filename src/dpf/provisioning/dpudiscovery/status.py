"""What a DPUDiscovery says after a pass. Pure."""

from __future__ import annotations

from typing import Any

from dpf.api.dpudiscovery import ConditionType
from dpf.provisioning.dpudiscovery import plan as planner
from dpf.provisioning.dpudiscovery.snapshot import Scan, Snapshot
from dpf.runtime import conditions
from dpf.runtime.conditions import Reason, State
from dpf.runtime.plan import Applied, Severity
from dpf.runtime.reconciler import Verdict


def compute(snapshot: Snapshot, applied: Applied) -> Verdict:
    """Nothing changes while a scan runs; its end is told when everything that it found is there."""
    problem = planner.why_not(snapshot)
    if problem is not None:
        reason = Reason.FAILURE if problem.severity is Severity.INVALID else Reason.PENDING
        return Verdict(states={ConditionType.READY: conditions.false(reason, problem.message)})
    made = [*applied.step(planner.NODES).errors, *applied.step(planner.DEVICES).errors]
    if made:
        return Verdict(states={ConditionType.READY: conditions.false(Reason.ERROR, "; ".join(made))})
    scan = snapshot.scan if planner.is_of_range(snapshot) else None
    if scan is None or scan.ended is None or planner.is_told(snapshot, scan):
        return Verdict(states={ConditionType.READY: _before(snapshot)})
    fields: dict[str, Any] = {
        "lastScanTime": planner.rfc3339(scan.ended), "foundDPUs": planner.found(snapshot),
    }
    return Verdict(states={ConditionType.READY: conditions.true(message=summary(scan))}, fields=fields)


def summary(scan: Scan) -> str:
    """What was seen, beside the DPUs; addresses only where somebody has something to do there."""
    parts = [f"{scan.total} addresses scanned"]
    if scan.foreign:
        parts.append(f"{scan.foreign} are of something else")
    if scan.rejected:
        parts.append(f"the password was not accepted at {', '.join(scan.rejected)}")
    if scan.unreadable:
        parts.append(f"no sense could be made of {', '.join(scan.unreadable)}")
    odd = planner.odd_serials(scan)
    if odd:
        parts.append(f"serial numbers that cannot be names at {', '.join(card.address for card in odd)}")
    return "; ".join(parts)


def _before(snapshot: Snapshot) -> State:
    """What the last scan has come to, also if it was another process that told it."""
    status = snapshot.discovery.status
    if not status.lastScanTime:
        return conditions.false(Reason.PENDING, "The first scan is not complete")
    old = conditions.find(status.conditions, ConditionType.READY)
    return conditions.true(message=old.message if old is not None and old.status == conditions.Status.TRUE else "")
