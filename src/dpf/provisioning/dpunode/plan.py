"""What one pass over a DPUNode decides. Pure. Source: behaviour-provisioning.md section 4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.meta import Object, object_key
from dpf.provisioning.dpunode import copying, reboot
from dpf.provisioning.dpunode.snapshot import Snapshot
from dpf.runtime.plan import Action, Delete, Finding, Patch, Plan, Severity, Step

SELF: Final = "Self"
COPY: Final = "Copy"
DPUS: Final = "DPUs"
DEVICES: Final = "DPUDevices"
_BECAUSE: Final = "the host is being removed"


def plan(snapshot: Snapshot) -> Plan:
    """Go when the Node has gone; else carry what the Node carries, and have the host rebooted when DPUs need it."""
    if snapshot.orphaned:
        gone = Delete(
            kind=DPUNode, key=snapshot.key, uid=snapshot.dpunode.metadata.uid, because="its Node has gone"
        )
        return Plan(steps=(Step(name=SELF, actions=(gone,)),))
    steps = reboot.steps(snapshot)
    waits = any(step.findings for step in steps)
    return Plan(
        steps=(Step(name=COPY, actions=tuple(_copy(snapshot))), *steps),
        wake_after_s=reboot.SIBLING_WAIT_S if waits else None,
    )


def plan_teardown(snapshot: Snapshot) -> Plan:
    """First the DPUs, which need the host for their removal, then the devices that are listed nowhere else."""
    devices = tuple(d for d in snapshot.devices if d.metadata.name.lower() not in snapshot.shared)
    dpus = [f"{dpu.metadata.name} ({dpu.status.phase})" for dpu in snapshot.dpus]
    return Plan(
        steps=(
            _removal(DPUS, snapshot.dpus, f"Waiting for DPUs to go: {', '.join(dpus)}"),
            _removal(DEVICES, devices, f"Waiting for DPUDevices to go: {', '.join(d.metadata.name for d in devices)}"),
        ),
        release=True,
    )


def _removal(name: str, objects: tuple[DPU, ...] | tuple[DPUDevice, ...], message: str) -> Step:
    findings = (Finding(severity=Severity.WAITING, message=message),) if objects else ()
    return Step(name=name, actions=tuple(_delete(objects)), findings=findings)


def _delete(objects: tuple[Object, ...]) -> Iterator[Action]:
    for obj in objects:
        if obj.metadata.deletionTimestamp is None:
            yield Delete(kind=type(obj), key=object_key(obj), uid=obj.metadata.uid, because=_BECAUSE)


def _copy(snapshot: Snapshot) -> Iterator[Action]:
    patch = copying.patch(snapshot.dpunode, snapshot.node) if snapshot.node is not None else None
    if patch is not None:
        because = "a DPUNode carries the labels and annotations of its Node"
        yield Patch(kind=DPUNode, key=snapshot.key, patch=patch, because=because)
