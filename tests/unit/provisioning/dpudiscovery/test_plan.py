"""When a range is scanned, and what is made of what was found (behaviour-provisioning.md section 4)."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dpf.api.dpudevice import DPUDevice, DPUDeviceSpec
from dpf.api.dpudiscovery import DPUDiscovery, DPUDiscoverySpec, DPUDiscoveryStatus, IPRange, IPRangeSpec
from dpf.api.dpunode import DPUNode
from dpf.api.meta import ObjectMeta
from dpf.api.operatorprovisioning import InstallViaRedfish
from dpf.provisioning.dpudevice.credentials import Credentials
from dpf.provisioning.dpudiscovery import plan as planner
from dpf.provisioning.dpudiscovery import status
from dpf.provisioning.dpudiscovery.snapshot import Card, Job, Scan, Snapshot
from dpf.runtime.plan import Applied, Apply, Drive, Plan

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DONE = Scan(generation=1, total=256, ended=NOW)


def a_snapshot(
    *, first: str = "10.0.0.0", last: str = "10.0.0.255", scan: Scan | None = None, told: datetime | None = None,
    devices: tuple[DPUDevice, ...] = (), nodes: tuple[DPUNode, ...] = (), redfish: InstallViaRedfish | None = None,
    **spec: Any,
) -> Snapshot:
    discovery = DPUDiscovery(
        metadata=ObjectMeta(name="lab", namespace="ns", uid="u", generation=1),
        spec=DPUDiscoverySpec(ipRangeSpec=IPRangeSpec(ipRange=IPRange(startIP=first, endIP=last)), **spec),
        status=DPUDiscoveryStatus(lastScanTime=planner.rfc3339(told) if told else None),
    )
    return Snapshot(
        discovery=discovery, redfish=redfish or InstallViaRedfish(), scan=scan, devices=devices, dpunodes=nodes,
        credentials=Credentials(secret="s", password="never-to-be-seen"),
    )


def a_device(name: str, ip: str) -> DPUDevice:
    spec = DPUDeviceSpec(serialNumber=name.upper(), bmcIp=ip)
    return DPUDevice(metadata=ObjectMeta(name=name, namespace="ns"), spec=spec)


def jobs(plan: Plan) -> list[Job]:
    return [a.intent for step in plan.steps for a in step.actions if isinstance(a, Drive)]


def made(plan: Plan) -> list[str]:
    return [
        f"{type(a.object).__name__} {a.object.metadata.name}"
        for step in plan.steps for a in step.actions if isinstance(a, Apply)
    ]


@pytest.mark.parametrize(("told", "interval", "starts", "wake_s"), [
    (None, "1h", True, 2.0),
    (NOW - timedelta(minutes=59), "1h", False, 60.0),
    (NOW - timedelta(hours=1), "1h", True, 2.0),
    (NOW, "1ms", False, 10.0),
    (NOW - timedelta(minutes=59), "nonsense", False, 60.0),
    (NOW - timedelta(minutes=29), "30m", False, 60.0),
], ids=["first", "early", "due", "too-often", "nonsense", "half-hour"])
def test_when_a_scan_begins(told: datetime | None, interval: str, starts: bool, wake_s: float) -> None:
    plan = planner.plan(a_snapshot(told=told, scanInterval=interval), NOW)

    assert (bool(jobs(plan)), plan.wake_after_s) == (starts, wake_s)


@pytest.mark.parametrize(("last", "workers", "expected"), [
    ("10.0.0.0", None, 1), ("10.0.0.254", None, 1), ("10.0.0.255", None, 2), ("10.0.255.255", None, 258),
    ("10.255.255.255", None, 512), ("10.0.0.255", 20, 20), ("10.0.0.255", 100_000, 512),
])
def test_how_many_are_asked_at_once(last: str, workers: int | None, expected: int) -> None:
    (job,) = jobs(planner.plan(a_snapshot(last=last, workers=workers), NOW))

    assert job.workers == expected


def test_known_addresses_are_passed_over_and_no_password_is_shown() -> None:
    snapshot = a_snapshot(devices=(a_device("a", "10.0.0.7"),))
    plan = planner.plan(snapshot, NOW)

    assert jobs(plan)[0].known == {"10.0.0.7"}
    assert "never-to-be-seen" not in repr((snapshot, plan))


def test_one_card_is_one_device_whatever_was_found_how_often() -> None:
    found = (Card(address="10.0.0.5", serial="MT1"), Card(address="10.0.0.6", serial="mt1"),
             Card(address="10.0.0.7", serial="A"), Card(address="10.0.0.8", serial="no name"))
    snapshot = a_snapshot(
        scan=dataclasses.replace(DONE, cards=found), devices=(a_device("a", "10.0.0.200"),),
        redfish=InstallViaRedfish(skipDPUNodeDiscovery=False),
    )
    plan = planner.plan(snapshot, NOW)

    assert made(plan) == ["DPUNode dpu-node-mt1", "DPUDevice mt1"]
    assert planner.found(snapshot) == 2


def test_a_node_with_a_long_serial_number_has_a_short_name() -> None:
    scan = dataclasses.replace(DONE, cards=(Card(address="10.0.0.5", serial="M" * 60),))
    names = made(planner.plan(a_snapshot(scan=scan, redfish=InstallViaRedfish(skipDPUNodeDiscovery=False)), NOW))

    assert [len(name.split()[1]) for name in names] == [48, 60]


def test_the_end_of_a_scan_is_told_once() -> None:
    told = a_snapshot(scan=DONE, told=NOW)
    verdicts = [status.compute(one, Applied()) for one in (a_snapshot(scan=DONE), told)]

    assert [bool(verdict.fields) for verdict in verdicts] == [True, False]
    assert planner.plan(told, NOW).wake_after_s == 3600.0


def test_a_changed_range_is_scanned_at_once() -> None:
    old = dataclasses.replace(DONE, generation=0)

    assert jobs(planner.plan(a_snapshot(scan=old, told=NOW), NOW))


def test_a_changed_range_does_not_wait_for_the_scan_of_the_former_one() -> None:
    """Which may have been of millions of addresses by mistake."""
    running = Scan(generation=0, total=1 << 32, cards=(Card(address="192.0.2.5", serial="MT1"),))
    plan = planner.plan(a_snapshot(scan=running, told=NOW), NOW)

    assert [(job.generation, job.last - job.first) for job in jobs(plan)] == [(1, 255)]
    assert made(plan) == []


def test_results_of_a_running_scan_are_taken_in_and_its_end_is_not_told() -> None:
    scan = Scan(generation=1, total=256, cards=(Card(address="10.0.0.5", serial="MT1"),))
    snapshot = a_snapshot(scan=scan)

    assert made(planner.plan(snapshot, NOW)) == ["DPUDevice mt1"]
    assert planner.plan(snapshot, NOW).wake_after_s == 2.0
    assert status.compute(snapshot, Applied()).fields == {}


@pytest.mark.parametrize(("first", "last", "text"), [
    ("10.0.0.9", "10.0.0.1",
     "startIP must be less than or equal to endIP (got startIP 10.0.0.9, endIP 10.0.0.1)"),
    ("fe80::1", "10.0.0.1", "startIP 'fe80::1' and endIP '10.0.0.1' have to be IPv4 addresses"),
    ("10.0.0.01", "x", "startIP '10.0.0.01' and endIP 'x' have to be IPv4 addresses"),
])
def test_a_range_that_is_none(first: str, last: str, text: str) -> None:
    plan = planner.plan(a_snapshot(first=first, last=last), NOW)

    assert [finding.message for step in plan.steps for finding in step.findings] == [text]
    assert jobs(plan) == []

