"""Conditions and facts of a DPUDevice, from what a pass saw and did. Pure.

A device that is reached through its host is discovered and ready as soon as it is known; what its BMC says is told by
`bmcstatus`. Source: behaviour-provisioning.md section 4.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from dpf.api import names
from dpf.api.dpudevice import ConditionType
from dpf.api.provisioning import InstallInterface
from dpf.provisioning.dpudevice import bmcstatus
from dpf.provisioning.dpudevice import plan as planner
from dpf.provisioning.dpudevice.snapshot import Snapshot
from dpf.runtime import conditions
from dpf.runtime.conditions import Reason, State
from dpf.runtime.plan import Applied
from dpf.runtime.reconciler import Verdict

_OF_ALL: Final = frozenset({ConditionType.DISCOVERED, ConditionType.NODE_ATTACHED, ConditionType.READY})
_NO_PART: Final = frozenset({ConditionType.ERROR, ConditionType.READY})
_OF_BMCS: Final = frozenset(map(str, ConditionType)) - _OF_ALL
_SKIPPED: Final = (
    ConditionType.DISCOVERED, ConditionType.INITIALIZED, ConditionType.READY, ConditionType.BMC_FACTORY_RESET_READY,
    ConditionType.BMC_CREDENTIALS_READY, ConditionType.BMC_SERVER_CERTIFICATE_READY,
    ConditionType.CA_TRUST_BUNDLE_READY,
)


def compute(snapshot: Snapshot, applied: Applied, now: datetime) -> Verdict:
    """The status after this pass."""
    if snapshot.device.metadata.deletionTimestamp is not None:
        users = applied.step(planner.USERS).errors
        message = users[0] if users else "The device is being deleted"
        return Verdict(states={ConditionType.READY: conditions.false(Reason.AWAITING_DELETION, message)})
    states = {str(ConditionType.NODE_ATTACHED): _attached(snapshot)}
    if snapshot.interface is not InstallInterface.REDFISH:
        states[ConditionType.DISCOVERED] = conditions.true()
        return Verdict(states=_with_ready(snapshot, states, _OF_BMCS), fields=_facts(snapshot), dropped=_OF_BMCS)
    if snapshot.skips_hardware:
        states |= {str(type_): conditions.true() for type_ in _SKIPPED}
        return Verdict(states=states, dropped=frozenset({ConditionType.ERROR}))
    dropped = bmcstatus.dropped(snapshot)
    return Verdict(
        states=_with_ready(snapshot, {**states, **bmcstatus.states(snapshot, applied)}, dropped),
        fields=bmcstatus.fields(snapshot, applied, now), dropped=dropped,
    )


def _with_ready(snapshot: Snapshot, states: dict[str, State], dropped: frozenset[str]) -> dict[str, State]:
    """Ready over the conditions that there are; the one about errors is no part of it, because it is good when False.

    Whatever it says keeps another one from being True.
    """
    old = [one for one in snapshot.device.status.conditions or () if one.type not in dropped]
    there = {one.type for one in old} | set(states)
    types = [type_ for type_ in ConditionType if type_ in there and type_ not in _NO_PART]
    merged = conditions.merge(types, old, states, generation=0, now="")
    return {**states, ConditionType.READY: conditions.summarize(types, merged, generation=0)}


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
