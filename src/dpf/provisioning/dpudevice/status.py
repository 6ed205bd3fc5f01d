"""Conditions and facts of a DPUDevice that is reached through its host, from what a pass saw. Pure.

A device that is reached by its BMC is discovered and initialised through that; here only its place is told. Source:
behaviour-provisioning.md section 4.
"""

from __future__ import annotations

from typing import Any

from dpf.api import names
from dpf.api.dpudevice import ConditionType
from dpf.api.provisioning import InstallInterface
from dpf.provisioning.dpudevice import plan as planner
from dpf.provisioning.dpudevice.snapshot import Snapshot
from dpf.runtime import conditions
from dpf.runtime.conditions import Reason, State
from dpf.runtime.plan import Applied
from dpf.runtime.reconciler import Verdict


def compute(snapshot: Snapshot, applied: Applied) -> Verdict:
    """The status after this pass."""
    if snapshot.device.metadata.deletionTimestamp is not None:
        users = applied.step(planner.USERS).errors
        message = users[0] if users else "The device is being deleted"
        return Verdict(states={ConditionType.READY: conditions.false(Reason.AWAITING_DELETION, message)})
    states = {str(ConditionType.NODE_ATTACHED): _attached(snapshot)}
    if snapshot.interface is not InstallInterface.REDFISH:
        states[ConditionType.DISCOVERED] = conditions.true()
        return Verdict(states=states, fields=_facts(snapshot))
    if snapshot.skips_hardware:
        states |= {str(t): conditions.true() for t in (ConditionType.DISCOVERED, ConditionType.READY)}
    return Verdict(states=states)


def _attached(snapshot: Snapshot) -> State:
    if snapshot.dpunode is None:
        return conditions.false(Reason.PENDING, planner.NO_NODE)
    return conditions.true(message=f"Listed by DPUNode {snapshot.dpunode.metadata.name}")


def _facts(snapshot: Snapshot) -> dict[str, Any]:
    """What the host tells about it; what it does not tell stays as it is."""
    labels, spec = snapshot.device.metadata.labels or {}, snapshot.device.spec
    facts = {
        "serialNumber": spec.serialNumber if spec is not None else None,
        "psid": spec.psid if spec is not None else None,
        "opn": spec.opn if spec is not None else None,
        "pciAddress": labels.get(names.DPUDEVICE_PCI_ADDRESS_LABEL),
        "pf0Name": labels.get(names.DPUDEVICE_PF0_NAME_LABEL) or (spec.pf0Name if spec is not None else None),
    }
    return {name: value for name, value in facts.items() if value}
