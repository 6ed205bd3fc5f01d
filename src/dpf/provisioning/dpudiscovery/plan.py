"""What one pass over a DPUDiscovery decides: when to scan, and what is made of what was found. Pure.

Source: behaviour-provisioning.md section 4, api-provisioning.md section 10.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from dpf.api import names
from dpf.api.dpudevice import DPUDevice, DPUDeviceSpec
from dpf.api.dpudiscovery import DPUDiscovery
from dpf.api.dpunode import DPUNode, DPUNodeSpec, DPURef, NodeRebootMethod
from dpf.api.meta import ObjectMeta
from dpf.api.provisioning import BMCFactoryResetPolicy
from dpf.provisioning.dpudiscovery.snapshot import Card, Job, Scan, Snapshot
from dpf.provisioning.maintenance import durations
from dpf.provisioning.maintenance.naming import fit
from dpf.runtime.plan import Action, Apply, Drive, Finding, Plan, Severity, Step

CHECK: Final = "Check"
SCAN: Final = "Scan"
NODES: Final = "Nodes"
DEVICES: Final = "Devices"
ODDITIES: Final = "Oddities"

POLL_S: Final = 2.0
"""How often the results of a running scan are taken in; nothing is asked for it but this process."""
INTERVAL_S: Final = 3600.0
SHORTEST_INTERVAL_S: Final = 10.0
MOST_WORKERS: Final = 512
_PER_WORKER: Final = 255
_NODE_NAME_LIMIT: Final = 48
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
_NOT_REDFISH: Final = (
    "DPUs are not installed through their BMCs; set installViaRedfish in the DPFOperatorConfig, or delete this object"
)


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """Scans beside the passes, and makes objects as cards are found. A scan that nobody asks for any more ends."""
    problem = why_not(snapshot)
    if problem is not None:
        return Plan(steps=(Step(name=CHECK, findings=(problem,)),))
    scan = snapshot.scan if is_of_range(snapshot) else None
    due_s = due_in_s(snapshot, now)
    if scan is not None and (scan.ended is None or not is_told(snapshot, scan)):
        return Plan(steps=tuple(_made_of(snapshot, scan)), wake_after_s=POLL_S if scan.ended is None else due_s)
    if due_s > 0:
        return Plan(wake_after_s=due_s)
    return Plan(steps=(Step(name=SCAN, actions=(
        Drive(intent=_job(snapshot), because="the range is to be scanned"),
    )),), wake_after_s=POLL_S)


def why_not(snapshot: Snapshot) -> Finding | None:
    """Why nothing can be scanned; None when it can."""
    if snapshot.redfish is None:
        return Finding(severity=Severity.BLOCKED, message=_NOT_REDFISH)
    wrong = range_error(snapshot.discovery)
    if wrong is not None:
        return Finding(severity=Severity.INVALID, message=wrong)
    if snapshot.credentials.problem is not None:
        return Finding(severity=Severity.BLOCKED, message=snapshot.credentials.problem.message)
    return None


def range_error(discovery: DPUDiscovery) -> str | None:
    """What is wrong with the range, in the words of admission; None when nothing is."""
    if discovery.spec is None:
        return "Both startIP and endIP must be provided"
    wanted = discovery.spec.ipRangeSpec.ipRange
    try:
        first, last = ipaddress.IPv4Address(wanted.startIP), ipaddress.IPv4Address(wanted.endIP)
    except ValueError:
        return f"startIP {wanted.startIP!r} and endIP {wanted.endIP!r} have to be IPv4 addresses"
    if first > last:
        return (
            "startIP must be less than or equal to endIP "
            f"(got startIP {wanted.startIP}, endIP {wanted.endIP})"
        )
    return None


def is_of_range(snapshot: Snapshot) -> bool:
    """Whether the scan is of the range as it is now; what another one still finds does not matter any more."""
    return snapshot.scan is not None and snapshot.scan.generation == (snapshot.discovery.metadata.generation or 0)


def due_in_s(snapshot: Snapshot, now: datetime) -> float:
    """In how many seconds the next scan begins; 0 or less for now."""
    if snapshot.scan is not None and not is_of_range(snapshot):
        return 0.0
    told = snapshot.discovery.status.lastScanTime
    try:
        last = datetime.fromisoformat(told or "")
    except ValueError:
        return 0.0
    return (last + timedelta(seconds=_interval_s(snapshot)) - now).total_seconds()


def is_told(snapshot: Snapshot, scan: Scan) -> bool:
    """Whether the status has the end of this scan."""
    return scan.ended is not None and snapshot.discovery.status.lastScanTime == rfc3339(scan.ended)


def found(snapshot: Snapshot) -> int:
    """How many DPUs are known in the range."""
    first, last = bounds(snapshot.discovery)
    known = 0
    for device in snapshot.devices:
        address = _address(device.spec.bmcIp if device.spec is not None else None)
        known += address is not None and first <= address <= last
    return known + len(_new(snapshot, snapshot.scan)) if snapshot.scan is not None else known


def bounds(discovery: DPUDiscovery) -> tuple[int, int]:
    """First and last address as numbers; an empty range where it is wrong."""
    if discovery.spec is None or range_error(discovery) is not None:
        return 1, 0
    wanted = discovery.spec.ipRangeSpec.ipRange
    return int(ipaddress.IPv4Address(wanted.startIP)), int(ipaddress.IPv4Address(wanted.endIP))


def rfc3339(moment: datetime) -> str:
    """As Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def odd_serials(scan: Scan) -> list[Card]:
    """Cards whose serial numbers cannot be names of objects."""
    return [card for card in scan.cards if not _NAME.fullmatch(card.serial.lower())]


def _made_of(snapshot: Snapshot, scan: Scan) -> Iterator[Step]:
    """DPUNodes first: a device that is known is not found again, and nobody would make its DPUNode then."""
    new = _new(snapshot, scan)
    if snapshot.redfish is not None and not snapshot.redfish.skipDPUNodeDiscovery:
        yield Step(name=NODES, actions=tuple(_nodes(snapshot, new)))
    yield Step(name=DEVICES, actions=tuple(_devices(snapshot, new)))
    yield Step(name=ODDITIES, blocks=False, findings=tuple(
        Finding(severity=Severity.BLOCKED, message=(
            f"the BMC at {card.address} tells a serial number that cannot be a name: {card.serial!r}"
        )) for card in odd_serials(scan)
    ))


def _new(snapshot: Snapshot, scan: Scan | None) -> list[Card]:
    """Cards that no DPUDevice stands for; of two that tell one serial number the first."""
    known = {device.metadata.name for device in snapshot.devices}
    known |= {device.spec.serialNumber.lower() for device in snapshot.devices if device.spec is not None}
    new: dict[str, Card] = {}
    for card in scan.cards if scan is not None else ():
        if card.serial.lower() not in known and _NAME.fullmatch(card.serial.lower()):
            new.setdefault(card.serial.lower(), card)
    return list(new.values())


def _nodes(snapshot: Snapshot, new: list[Card]) -> Iterator[Action]:
    there = {node.metadata.name for node in snapshot.dpunodes}
    for card in new:
        name = fit(f"dpu-node-{card.serial.lower()}", _NODE_NAME_LIMIT)
        if name not in there:
            yield Apply(
                object=DPUNode(
                    metadata=ObjectMeta(
                        name=name, namespace=snapshot.key.namespace, labels={names.DPU_ENABLED_LABEL: "true"},
                    ),
                    spec=DPUNodeSpec(
                        dpus=[DPURef(name=card.serial.lower())], nodeRebootMethod=NodeRebootMethod(external={}),
                    ),
                ),
                because=f"there is a DPU at {card.address}",
            )


def _devices(snapshot: Snapshot, new: list[Card]) -> Iterator[Action]:
    discovery, redfish = snapshot.discovery, snapshot.redfish
    policy = redfish.discoveredDPUDeviceBMCFactoryResetPolicy if redfish is not None else None
    port = discovery.spec.ipRangeSpec.ipRange.port if discovery.spec is not None else 443
    for card in new:
        yield Apply(
            object=DPUDevice(
                metadata=ObjectMeta(name=card.serial.lower(), namespace=snapshot.key.namespace),
                spec=DPUDeviceSpec(
                    serialNumber=card.serial, bmcIp=card.address, bmcPort=port,
                    bmcFactoryResetPolicy=policy or BMCFactoryResetPolicy.ON_INITIALIZATION,
                ),
            ),
            because=f"there is a DPU at {card.address}",
        )


def _job(snapshot: Snapshot) -> Job:
    discovery = snapshot.discovery
    first, last = bounds(discovery)
    spec = discovery.spec
    told = spec.workers if spec is not None else None
    ips = (device.spec.bmcIp for device in snapshot.devices if device.spec is not None)
    return Job(
        key=snapshot.key, uid=discovery.metadata.uid or "", generation=discovery.metadata.generation or 0,
        first=first, last=last, port=spec.ipRangeSpec.ipRange.port if spec is not None else 443,
        workers=min(MOST_WORKERS, told or (last - first) // _PER_WORKER + 1),
        password=snapshot.credentials.password, known=frozenset(ip for ip in ips if ip),
    )


def _interval_s(snapshot: Snapshot) -> float:
    told = durations.seconds(snapshot.discovery.spec.scanInterval) if snapshot.discovery.spec is not None else None
    return max(SHORTEST_INTERVAL_S, told if told is not None else INTERVAL_S)


def _address(text: str | None) -> int | None:
    try:
        return int(ipaddress.IPv4Address(text or ""))
    except ValueError:
        return None
