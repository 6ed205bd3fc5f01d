"""Phase, conditions and facts of a DPU, from what a pass decided and what became of it. Pure.

`Ready` always says why the DPU is not, from its first pass on: the words are those of the condition that its phase
works towards. Source: behaviour-provisioning.md sections 1 and 5.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from dpf.api.dpu import ConditionType, Phase
from dpf.provisioning.dpu import plan as planner
from dpf.provisioning.dpu.decision import Update, outcome
from dpf.provisioning.dpu.phases import settled, table
from dpf.provisioning.dpu.snapshot import Snapshot
from dpf.runtime import conditions
from dpf.runtime.clock import rfc3339
from dpf.runtime.conditions import Reason, State, Status
from dpf.runtime.plan import Applied
from dpf.runtime.reconciler import Verdict

CANNOT_DELETE: Final = "CannotDeleteWhileInstalling"
_PHASES_WITHOUT_NEWS: Final = frozenset({Phase.READY, Phase.ERROR})


def compute(snapshot: Snapshot, applied: Applied, now: datetime) -> Verdict:
    """The status after this pass."""
    if snapshot.dpu.metadata.deletionTimestamp is not None and not planner.is_installing(snapshot, now):
        return _deleting(snapshot, applied, now)
    decision = table.decide(snapshot, now)
    orders = applied.step(planner.PHASE)
    update = outcome(decision, orders if orders.ran else applied.step(planner.NOTES))
    states = dict(update.states)
    if snapshot.dpu.metadata.deletionTimestamp is not None:
        why = "The DPU is being installed; it is deleted as soon as that has ended"
        states[ConditionType.DELETING] = conditions.false(CANNOT_DELETE, why)
    phase = update.phase or table.phase_of(snapshot.phase)
    if update.phase is Phase.READY and ConditionType.READY not in states:
        # Its Node is known already: one write less for each DPU.
        update = update.also(Update(fields=settled.node_facts(snapshot)))
        states[ConditionType.READY] = settled.node_state(snapshot)
    if ConditionType.READY not in states and not (update.phase is None and phase in _PHASES_WITHOUT_NEWS):
        states[ConditionType.READY] = _not_ready(snapshot, update, phase, decision.about)
    return Verdict(
        states={str(type_): state for type_, state in states.items()}, fields=_fields(snapshot, update, now),
        dropped=frozenset(str(type_) for type_ in update.dropped),
    )


def _fields(snapshot: Snapshot, update: Update, now: datetime) -> dict[str, Any]:
    fields = dict(update.fields)
    if update.phase is not None and update.phase != snapshot.phase:
        fields |= {"phase": str(update.phase), "previousPhase": snapshot.phase}
    elif table.phase_of(snapshot.phase) != snapshot.phase:
        fields["phase"] = str(table.phase_of(snapshot.phase))
    reboot = fields.get("rebootStatus")
    if isinstance(reboot, dict):
        fields["rebootStatus"] = {**reboot, "lastTransitionTime": rfc3339(now)}
    return fields


def _not_ready(snapshot: Snapshot, update: Update, phase: Phase, about: ConditionType) -> State:
    """Why it is not Ready: what was found in the phase that it is in after this pass."""
    found = update.states.get(about) or next((s for s in update.states.values() if s.status == Status.FALSE), None)
    if phase is Phase.ERROR:
        told = update.states.get(ConditionType.ERROR, found)
        return conditions.false(told.reason, told.message) if told is not None else conditions.UNKNOWN
    if update.phase is not None or found is None or found.status != Status.FALSE:
        kept = conditions.find(snapshot.dpu.status.conditions, ConditionType.READY)
        if update.phase is None and kept is not None and kept.status != Status.TRUE:
            return conditions.false(kept.reason, kept.message)
        return conditions.false(Reason.PENDING, f"{phase}: {table.ROWS[phase].does}")
    return conditions.false(found.reason, f"{phase}: {found.message}")


def _deleting(snapshot: Snapshot, applied: Applied, now: datetime) -> Verdict:
    states = {str(ConditionType.READY): conditions.false(Reason.AWAITING_DELETION, "The DPU is being deleted")}
    errors = (*applied.step(planner.EFFECT).errors, *applied.step(planner.REMOVAL).errors)
    about = str(ConditionType.DELETING)
    if snapshot.phase != Phase.DELETING:
        states[about] = conditions.true(str(ConditionType.DELETING), "What was made for the DPU is taken away")
        fields = {"phase": str(Phase.DELETING), "previousPhase": snapshot.phase, "redfishTaskId": None}
        return Verdict(states=states, fields=fields)
    if errors:
        message = f"Still there: {'; '.join(errors)}"
    elif planner.is_abandoned(snapshot, now):
        message = f"DPUCluster {snapshot.cluster_key} is silent. Next step: remove Node {snapshot.key.name} there"
    else:
        message = "Nothing is left of it"
    states[about] = conditions.true(str(ConditionType.DELETING), message)
    return Verdict(states=states)
