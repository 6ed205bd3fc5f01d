"""Which card it is, where it is reached, and what each phase asks it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.provisioning.dpu import snapshots as given
from tests.unit.provisioning.dpu.snapshots import a_dpu, a_snapshot

from dpf.api import core, names
from dpf.api.dpu import Phase
from dpf.api.dpunode import DPUNodeSpec, NodeDMSAddress
from dpf.provisioning.dpu import cards
from dpf.provisioning.dpu.snapshot import Snapshot
from dpf.provisioning.hostpods.build import DMS_PORT
from dpf.provisioning.hostpods.state import PodPhase, PodState
from dpf.provisioning.install.port import Card, Topic

HOST = msgspec.convert({
    "metadata": {"name": "worker1"}, "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]},
}, core.Node)
NOTHING = Topic(0)


def by_host(**changes: Any) -> Snapshot:
    return a_snapshot(given.by_host(Phase.OS_INSTALLING), **changes)


@pytest.mark.parametrize(("told", "expected"), [
    ("0000-0e-00", "0000:0e:00.0"), ("0e-00", "0000:0e:00.0"), ("0001-2B-01", "0001:2B:01.0"), (None, None), ("", None),
    ("0e", None), ("0000-0e-00-0", None),
])
def test_addresses_on_the_bus(told: str | None, expected: str | None) -> None:
    assert cards.bus_address(told) == expected


def test_a_card_is_reached_at_its_bmc() -> None:
    snapshot = a_snapshot(Phase.OS_INSTALLING, device=given.a_device(bmcPort=8443))
    assert cards.card_of(snapshot, None) == Card(name="mt1", host="192.0.2.5", port=8443, serial="MT1")


@pytest.mark.parametrize("changes", [
    {"device": given.a_device(bmcIp=None)}, {"device": None}, {"dpunode": None},
], ids=["no address", "no device", "no host"])
def test_a_card_whose_bmc_is_not_known(changes: dict[str, Any]) -> None:
    assert cards.card_of(a_snapshot(Phase.OS_INSTALLING, **changes), None) is None


def test_a_card_is_reached_through_its_host() -> None:
    assert cards.card_of(by_host(), HOST) == Card(
        name="mt1", host="10.0.0.1", port=DMS_PORT, target="0000:2b:00.0", serial="MT1"
    )


def test_a_service_somewhere_else_needs_no_pod() -> None:
    spec = DPUNodeSpec(nodeDMSAddress=NodeDMSAddress(ip="192.0.2.9", port=1234))
    dpunode = msgspec.structs.replace(given.a_dpunode(node=None), spec=spec)
    found = cards.card_of(by_host(dpunode=dpunode, dms=None), None)
    assert found is not None
    assert (found.host, found.port) == ("192.0.2.9", 1234)


@pytest.mark.parametrize(("changes", "host"), [
    ({"dms": PodState(phase=PodPhase.STARTING)}, HOST), ({"dms": None}, HOST), ({}, None),
    ({}, core.Node(metadata=HOST.metadata)),
], ids=["pod starts", "no pod", "no Node", "Node without an address"])
def test_a_host_that_cannot_be_asked_yet(changes: dict[str, Any], host: core.Node | None) -> None:
    assert cards.card_of(by_host(**changes), host) is None


@pytest.mark.parametrize(("phase", "status", "interface", "expected"), [
    (Phase.INITIALIZING, {}, "redfish", NOTHING), (Phase.PENDING, {}, "redfish", NOTHING),
    (Phase.INITIALIZE_INTERFACE, {}, "redfish", Topic.IDENTITY | Topic.FIRMWARE | Topic.SECURE_BOOT),
    (Phase.INITIALIZE_INTERFACE, {}, "gNOI", Topic.INSTALLED),
    (Phase.PERFORM_ARM_FORCE_RESTART, {}, "redfish", Topic.BOOT),
    (Phase.OS_INSTALLING, {}, "redfish", Topic.TASKS | Topic.BOOT),
    (Phase.OS_INSTALLING, {"redfishTaskId": "7"}, "redfish", Topic.TASK | Topic.BOOT),
    (Phase.OS_INSTALLING, {}, "gNOI", Topic.INSTALLED),
    (Phase.REBOOTING, {}, "redfish", NOTHING),
    (Phase.REBOOTING, {"rebootStatus": {"phase": "WaitForShutdown"}}, "redfish", Topic.BOOT),
    (Phase.REBOOTING, {"rebootStatus": {"phase": "WaitForShutdown"}}, "gNOI", NOTHING),
    (Phase.DPU_CLUSTER_CONFIG, {}, "redfish", Topic.FIRMWARE), (Phase.DPU_CLUSTER_CONFIG, {}, "gNOI", NOTHING),
    (Phase.READY, {}, "redfish", NOTHING), (Phase.ERROR, {}, "redfish", NOTHING),
])
def test_what_a_phase_asks(phase: Phase, status: dict[str, Any], interface: str, expected: Topic) -> None:
    assert cards.topics(a_snapshot(a_dpu(phase, interface=interface, **status))) == expected


@pytest.mark.parametrize("phase", Phase)
def test_a_card_that_is_left_alone_is_asked_nothing(phase: Phase) -> None:
    device = given.a_device(labels={names.SKIP_HW_PROVISIONING_LABEL: "true"})
    assert cards.topics(a_snapshot(phase, device=device)) == NOTHING


def test_which_work_is_asked_for() -> None:
    by_bmc = a_snapshot(a_dpu(Phase.OS_INSTALLING, redfishTaskId="7"))
    dpu = given.by_host(Phase.OS_INSTALLING, bfbFile="bfb.bfb")
    assert (cards.task(by_bmc), cards.task(a_snapshot(Phase.OS_INSTALLING))) == ("7", None)
    assert cards.task(a_snapshot(dpu)) == f"bfb.bfb;{given.NAME}-{given.UID}.cfg"
    assert cards.task(a_snapshot(given.by_host(Phase.INITIALIZE_INTERFACE))) is None
