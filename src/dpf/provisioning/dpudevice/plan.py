"""What one pass over a DPUDevice decides: its labels, a DPUNode of its own where it has no host, its BMC. Pure.

What is done to its BMC is decided in `bmcplan`. Source: behaviour-provisioning.md section 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from dpf.api import names
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode, DPUNodeSpec, DPURef, NodeRebootMethod
from dpf.api.meta import ObjectMeta, OwnerReference, object_key
from dpf.api.provisioning import InstallInterface
from dpf.provisioning.dpudevice import bmcplan
from dpf.provisioning.dpudevice.snapshot import Snapshot
from dpf.provisioning.maintenance.naming import fit
from dpf.runtime.plan import Action, Apply, Finding, Patch, Plan, Severity, Step

LABELS: Final = "Labels"
NODE: Final = "Node"
USERS: Final = "Users"
NO_NODE: Final = "No DPUNode found"
_VALUE: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_NODE_NAME_LIMIT: Final = 48


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """Labels follow what is known; whether a DPUNode lists it is somebody else's word, which a watch brings.

    A pass that changes labels does nothing else: the object is another one then, and what was done to the BMC could not
    be written down. The event about the change starts the next pass.
    """
    labels = wanted_labels(snapshot) if _is_known(snapshot) else {}
    if labels:
        return Plan(steps=(Step(name=LABELS, actions=(_labelled(snapshot, labels),)),), paused=True)
    steps: list[Step] = []
    if snapshot.dpunode is None:
        finding = Finding(severity=Severity.BLOCKED, message=NO_NODE)
        steps.append(Step(name=NODE, actions=tuple(_own_node(snapshot)), findings=(finding,), blocks=False))
    if snapshot.interface is not InstallInterface.REDFISH or snapshot.skips_hardware:
        return Plan(steps=tuple(steps))
    of_bmc = bmcplan.steps(snapshot, now)
    return Plan(steps=(*steps, *of_bmc), wake_after_s=bmcplan.wake_after_s(snapshot, of_bmc))


def plan_teardown(snapshot: Snapshot) -> Plan:
    """It stays as long as there is a DPU on it."""
    if not snapshot.dpus:
        return Plan(release=True)
    finding = Finding(severity=Severity.BLOCKED, message=still_used(snapshot))
    return Plan(steps=(Step(name=USERS, findings=(finding,)),))


def still_used(snapshot: Snapshot) -> str:
    """What keeps it from going."""
    users = ", ".join(f"DPU {dpu.metadata.name}" for dpu in snapshot.dpus)
    return f"DPUDevice {object_key(snapshot.device)} is still used by {users}"


def wanted_labels(snapshot: Snapshot) -> dict[str, str | None]:
    """Labels that have to change. What cannot be a label's value is left out, and what is not known is left alone."""
    spec, status, have = snapshot.device.spec, snapshot.device.status, snapshot.device.metadata.labels or {}
    sight = snapshot.look.sight if snapshot.look is not None and bmcplan.mismatch(snapshot) is None else None
    psid, opn = (sight.psid, sight.opn) if sight is not None else (None, None)
    known = {
        names.DPUDEVICE_NAME_LABEL: snapshot.device.metadata.name,
        names.DPUDEVICE_PSID_LABEL: psid or status.psid or (spec.psid if spec is not None else None),
        names.DPUDEVICE_OPN_LABEL: opn or status.opn or (spec.opn if spec is not None else None),
        names.DPUDEVICE_NUM_OF_PFS_LABEL: str(spec.numberOfPFs) if spec is not None else None,
        names.DPUDEVICE_PF0_NAME_LABEL: spec.pf0Name if spec is not None else None,
        names.DPUDEVICE_BMC_IP_LABEL: spec.bmcIp if spec is not None else None,
        names.DPUNODE_NAME_LABEL: snapshot.dpunode.metadata.name if snapshot.dpunode is not None else None,
    }
    return {k: v for k, v in known.items() if v and _VALUE.fullmatch(v) and have.get(k) != v}


def _labelled(snapshot: Snapshot, labels: dict[str, str | None]) -> Patch:
    return Patch(
        kind=DPUDevice, key=object_key(snapshot.device), patch={"metadata": {"labels": labels}},
        because="its labels say what is known about it",
    )


def _is_known(snapshot: Snapshot) -> bool:
    """Whether labels can be complete. While a BMC is about to tell who it is they are left, to be written once."""
    if snapshot.interface is not InstallInterface.REDFISH or snapshot.skips_hardware or not snapshot.bmc_ip:
        return True
    look = snapshot.look
    return look is not None and (look.access is not None or look.silence is not None)


def _own_node(snapshot: Snapshot) -> Iterator[Action]:
    """A device without a host has a DPUNode of its own (resolutions.md row 16); nobody reboots it."""
    if not snapshot.hostless:
        return
    device = snapshot.device
    owner = OwnerReference(
        apiVersion=DPUDevice.resource.api_version, kind=DPUDevice.resource.kind, name=device.metadata.name,
        uid=device.metadata.uid or "",
    )
    yield Apply(
        object=DPUNode(
            metadata=ObjectMeta(
                name=fit(f"dpu-node-{device.metadata.name}", _NODE_NAME_LIMIT), namespace=device.metadata.namespace,
                labels={names.HOSTLESS_LABEL: "true"}, ownerReferences=[owner],
            ),
            spec=DPUNodeSpec(
                dpus=[DPURef(name=device.metadata.name)], nodeRebootMethod=NodeRebootMethod(external={}),
            ),
        ),
        because="it has no host",
    )
