"""Conditions of a DPUNodeMaintenance, from what a pass saw and did. Pure.

The reason of NodeEffectApplied is also a memory: with Processing (or Error) the host counts as out of service, and the
next pass may touch it. Sources: behaviour-provisioning.md section 6, api-provisioning.md section 10.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from dpf.api.dpunodemaintenance import ConditionType
from dpf.provisioning.maintenance import plan as planner
from dpf.provisioning.maintenance import snapshot as values
from dpf.provisioning.maintenance.drain import Refusal
from dpf.provisioning.maintenance.snapshot import Snapshot
from dpf.runtime import conditions
from dpf.runtime.clock import rfc3339
from dpf.runtime.conditions import Reason, State
from dpf.runtime.plan import Applied, Severity, StepResult
from dpf.runtime.reconciler import Verdict

SYNC_IN_PROGRESS: Final = "NodeEffectSyncInProgress"
INVALID: Final = "InvalidNodeEffect"


def compute(snapshot: Snapshot, applied: Applied, now: datetime) -> Verdict:
    """The status after this pass."""
    maintenance = snapshot.maintenance
    if maintenance.metadata.deletionTimestamp is not None:
        return Verdict(states={ConditionType.NODE_EFFECT_REMOVED: _removed(applied)})
    if not values.requestors(maintenance) or values.is_applied(maintenance):
        return Verdict(states={})
    states = {str(ConditionType.NODE_EFFECT_APPLIED): _effect(snapshot, applied)}
    return Verdict(states=states, fields=_fields(snapshot, now))


def _fields(snapshot: Snapshot, now: datetime) -> dict[str, Any]:
    """What governs this maintenance, and since when the other DPUs of the host are waited for."""
    fields: dict[str, Any] = {
        "multiDPUOperationsSyncWaitTime": snapshot.limits.sync_wait,
        "maxUnavailableDPUNodes": snapshot.limits.max_unavailable,
    }
    maintenance = snapshot.maintenance
    waits = values.has_siblings(snapshot.dpunode) and not values.is_harmless(maintenance)
    if waits and not maintenance.status.nodeEffectSyncStartTime:
        fields["nodeEffectSyncStartTime"] = rfc3339(now)
    return fields


def _effect(snapshot: Snapshot, applied: Applied) -> State:
    if applied.step(planner.TARGET).ran:
        missing = snapshot.dpunode is None
        return conditions.false(Reason.ERROR if missing else INVALID, planner.refusal(snapshot) or "")
    if applied.step(planner.PLACE).ran:
        return conditions.false(Reason.PENDING, planner.exceeded(snapshot))
    if applied.step(planner.SYNC).ran:
        return conditions.false(SYNC_IN_PROGRESS, planner.syncing(snapshot))
    if not values.is_committed(snapshot.maintenance) and not values.is_harmless(snapshot.maintenance):
        return conditions.false(values.PROCESSING, f"The {snapshot.effect} effect is being put on the host")
    return _progress(snapshot, applied.step(planner.EFFECT))


def _progress(snapshot: Snapshot, result: StepResult) -> State:
    if result.succeeded:
        return conditions.true(str(ConditionType.NODE_EFFECT_APPLIED), f"The {snapshot.effect} effect is on the host")
    failed = [o.error for o in result.outcomes if o.error is not None]
    if failed:
        return conditions.false(values.FAILED, failed[0])
    refused = [f"{a.pod}: {a.why}" for o in result.outcomes for a in o.answer or () if isinstance(a, Refusal)]
    message = "; ".join([*(f.message for f in result.findings), *refused[:3]])
    wrong = any(f.severity is Severity.INVALID for f in result.findings)
    return conditions.false(values.FAILED if wrong else values.PROCESSING, message)


def _removed(applied: Applied) -> State:
    users, removal = applied.step(planner.USERS), applied.step(planner.REMOVAL)
    if users.errors:
        return conditions.false(Reason.AWAITING_DELETION, users.errors[0])
    if any(outcome.error is not None for outcome in removal.outcomes):
        return conditions.false(values.FAILED, removal.errors[-1])
    if removal.errors:
        return conditions.false(Reason.PENDING, removal.errors[0])
    return conditions.true(str(ConditionType.NODE_EFFECT_REMOVED))
