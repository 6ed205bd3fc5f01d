"""Conditions and statistics of a DPUSet, from what a pass saw and did. Pure.

Ready is True only when every selected device has a DPU that is Ready with this template and has noticed everything it
was told: DPUDeployments wait for exactly that before they let an old revision go.
Sources: behaviour-provisioning.md section 3.1, step 10; api-provisioning.md section 4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from dpf.api.dpuset import ConditionType
from dpf.provisioning.dpuset.plan import CLUSTER_METADATA_CONFLICT, StepName
from dpf.provisioning.dpuset.snapshot import Snapshot, is_going, is_settled, phase
from dpf.runtime.conditions import Reason, State, false, true
from dpf.runtime.plan import Applied
from dpf.runtime.reconciler import Verdict

RECONCILING: Final = "DPUs are being reconciled"
NOT_READY: Final = "Some DPUs are not ready"
_CHANGING: Final = (StepName.REMOVE, StepName.CREATE, StepName.REPLACE, StepName.UPDATE)
_NAMED: Final = 3


def compute(snapshot: Snapshot, applied: Applied) -> Verdict:
    """The status after this pass. Where Ready is not named it is the summary, which the runtime adds."""
    fields: dict[str, Any] = {"dpuStatistics": _statistics(snapshot) or None}
    if snapshot.dpuset.metadata.deletionTimestamp is not None:
        return Verdict(states=_while_deleted(applied), fields=fields)
    trouble = [error for result in applied.results if result.ran for error in result.errors]
    if trouble:
        states = {str(ConditionType.DPUSET_PREREQS_RECONCILED): false(Reason.ERROR, _bounded(trouble))}
    else:
        states = {
            str(ConditionType.DPUSET_PREREQS_RECONCILED): true(),
            str(ConditionType.READY): _ready(snapshot, applied),
        }
    clashes = [finding.message for finding in applied.step(StepName.CLASHES).findings]
    if clashes:
        states[ConditionType.READY] = false(CLUSTER_METADATA_CONFLICT, _bounded(clashes))
    return Verdict(states=states, fields=fields)


def _statistics(snapshot: Snapshot) -> dict[str, int]:
    """How many DPUs are in which phase; those on their way out are in none."""
    counted = Counter(phase(dpu) for dpu in snapshot.dpus if not is_going(dpu))
    return dict(sorted(counted.items()))


def _ready(snapshot: Snapshot, applied: Applied) -> State:
    if any(applied.step(name).outcomes for name in _CHANGING):
        return false(Reason.PENDING, RECONCILING)
    collisions = [c.name for c in snapshot.candidates if c.device.metadata.name in snapshot.rivals]
    if collisions:
        text = (
            f"{len(collisions)}/{len(snapshot.candidates)} DPU(s) cannot be provisioned, owned by another DPUSet: "
            f"{_bounded(collisions)}"
        )
        return false(Reason.PENDING, text)
    return true() if _is_settled(snapshot) else false(Reason.PENDING, NOT_READY)


def _is_settled(snapshot: Snapshot) -> bool:
    living = [dpu for dpu in snapshot.dpus if not is_going(dpu)]
    devices_served = all(dpu is not None and not is_going(dpu) for _, dpu in snapshot.pairs)
    return devices_served and all(is_settled(dpu, snapshot.hash) for dpu in living)


def _while_deleted(applied: Applied) -> dict[str, State]:
    """Whose end is waited for, in both conditions. When nobody's is, the object is about to go and nothing is said."""
    waited_for = applied.step(StepName.DELETE).errors
    if not waited_for:
        return {}
    state = false(Reason.AWAITING_DELETION, _bounded(waited_for))
    return {str(ConditionType.READY): state, str(ConditionType.DPUSET_PREREQS_RECONCILED): state}


def _bounded(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return "; ".join(texts[:_NAMED]) + more
