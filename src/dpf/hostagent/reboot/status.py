"""What the DPUNode says while the agent on its host reboots it. Pure. The end of it the DPUNode controller tells."""

from __future__ import annotations

from typing import Final

from dpf.api.dpunode import ConditionType
from dpf.hostagent.reboot import plan as planner
from dpf.hostagent.reboot.snapshot import Snapshot
from dpf.provisioning.dpunode import reboot
from dpf.runtime import conditions
from dpf.runtime.plan import Applied
from dpf.runtime.reconciler import Verdict

IN_PROGRESS: Final = "RebootInProgress"


def compute(snapshot: Snapshot, applied: Applied) -> Verdict:
    """Nothing, where nobody waits for a reboot or somebody else does it."""
    found = reboot.winner(reboot.participants(snapshot.seen))
    if found is None or not snapshot.is_ours:
        return Verdict(states={})
    begun = snapshot.record
    failed = [begun.failed] if begun is not None and begun.failed else []
    message = "; ".join([reboot.required(snapshot.seen), *failed, *applied.step(planner.RECORD).errors])
    return Verdict(
        states={str(ConditionType.DPU_NODE_REBOOT_IN_PROGRESS): conditions.true(IN_PROGRESS, message)},
        fields={"rebootInProgress": True, "rebootMethod": str(found[0])},
    )
