"""What each phase has to know of the card, and where the card is reached. Pure. Called by `observe`."""

from __future__ import annotations

from typing import Final

from dpf.api import core
from dpf.api.dpu import Phase, RebootPhase
from dpf.provisioning.dpu.phases import installing
from dpf.provisioning.dpu.snapshot import Snapshot
from dpf.provisioning.hostpods import address
from dpf.provisioning.hostpods.state import PodPhase
from dpf.provisioning.install.port import Card, Topic

BMC_PORT: Final = 443


def card_of(snapshot: Snapshot, host_node: core.Node | None) -> Card | None:
    """The card and its address; None while that is not known, or nobody listens there yet."""
    device, spec = snapshot.device, snapshot.dpu.spec
    if device is None or device.spec is None or spec is None or snapshot.dpunode is None:
        return None
    name, serial = device.metadata.name, device.spec.serialNumber or None
    if snapshot.is_redfish:
        if not device.spec.bmcIp:
            return None
        return Card(name=name, host=device.spec.bmcIp, port=device.spec.bmcPort or BMC_PORT, serial=serial)
    found = address.dms_address(snapshot.dpunode, host_node)
    told = snapshot.dpunode.spec.nodeDMSAddress if snapshot.dpunode.spec is not None else None
    runs = snapshot.dms is not None and snapshot.dms.phase is PodPhase.RUNNING
    if isinstance(found, address.Missing) or not (told is not None or runs):
        return None
    return Card(name=name, host=found.host, port=found.port, target=bus_address(spec.pciAddress), serial=serial)


def bus_address(pci_address: str | None) -> str | None:
    """`0000-0e-00` as the bus has it: `0000:0e:00.0`; None for what is no address."""
    if not pci_address:
        return None
    match pci_address.split("-"):
        case [bus, device]:
            return f"0000:{bus}:{device}.0"
        case [domain, bus, device]:
            return f"{domain}:{bus}:{device}.0"
        case _:
            return None


def task(snapshot: Snapshot) -> str | None:
    """The work that is asked for: the BMC's task, or the version that is to be activated."""
    if snapshot.is_redfish:
        return snapshot.dpu.status.redfishTaskId
    return installing.version(snapshot) if snapshot.phase == Phase.OS_INSTALLING else None


def topics(snapshot: Snapshot) -> Topic:
    """What a pass in this phase asks the card; nothing in most."""
    if snapshot.skips_hardware:
        return Topic(0)
    match snapshot.phase:
        case Phase.INITIALIZE_INTERFACE if snapshot.is_redfish:
            return Topic.IDENTITY | Topic.FIRMWARE | Topic.SECURE_BOOT
        case Phase.INITIALIZE_INTERFACE:
            return Topic.INSTALLED
        case Phase.PERFORM_ARM_FORCE_RESTART:
            return Topic.BOOT
        case Phase.OS_INSTALLING if snapshot.is_redfish:
            task = Topic.TASK if snapshot.dpu.status.redfishTaskId else Topic.TASKS
            return task | Topic.BOOT
        case Phase.OS_INSTALLING:
            return Topic.INSTALLED
        case Phase.REBOOTING if snapshot.is_redfish and _shuts_down(snapshot):
            return Topic.BOOT
        case Phase.DPU_CLUSTER_CONFIG if snapshot.is_redfish:
            return Topic.FIRMWARE
        case _:
            return Topic(0)


def _shuts_down(snapshot: Snapshot) -> bool:
    told = snapshot.dpu.status.rebootStatus
    return told is not None and told.phase == RebootPhase.WAIT_FOR_SHUTDOWN
