"""What goes wrong with BMCs and cards while DPUs are installed, on a platform as people have it.

The faults are those of `dpfctl local fault`; the emulator counts installations. The tests follow each other on one
platform: every one begins and ends with two Ready DPUs.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest
from tests.support import installations as some
from tests.support import platform as platforms
from tests.support.platform import Platform

from dpf.emulation.bmc.control import Deed
from dpf.local.platform import up

CARDS = ["dpu-1", "dpu-2"]
READY = dict.fromkeys(CARDS, "Ready")
PUBLIC = "events,bfbs,dpus,dpunodes,dpudevices,dpudiscoveries,dpusets,dpuclusters"
TRACKER = "provisioning.dpu.nvidia.com/install-tracker"


@pytest.fixture(scope="module")
def room() -> Iterator[Platform]:
    """Two cards that nobody has installed yet: one is a network card, the clock of the other one's BMC is off."""
    with platforms.platform(interface="redfish") as made:
        some.fault(made, "dpu-1", "--do", "nic-mode")
        some.fault(made, "dpu-2", "--set", "clock_skew_s=7200")
        made.apply(*made.example("031-provisioning-redfish.yaml"))
        yield made


@pytest.fixture
def hardware(room: Platform) -> Platform:
    """The same, with all that earlier tests have done to it taken back."""
    some.fault(room, "all", "--clear")
    some.until(room, lambda: some.phases(room) == READY)
    return room


def test_a_network_card_becomes_a_dpu_and_a_wrong_clock_is_waited_for(room: Platform) -> None:
    some.until(room, lambda: some.told(some.devices(room).get("dpu-2"), "Initialized")[1].startswith("BMCManager"))
    status, reason, message = some.told(some.devices(room)["dpu-2"], "Initialized")
    assert (status, reason) == ("False", "BMCManagerDateTimeUnsynchronized")
    assert "more than a minute ahead of ours" in message
    assert some.devices(room)["dpu-1"]["status"]["dpuMode"] == "nic"
    some.until(room, lambda: some.phases(room).get("dpu-1") == "Ready")
    assert some.phases(room)["dpu-2"] != "Ready"
    assert some.installs(room) == {"dpu-1": ["booted"], "dpu-2": []}
    assert some.dpus(room)["dpu-1"]["status"]["dpuMode"] == "dpu"
    some.fault(room, "dpu-2", "--clear")
    device = some.devices(room)["dpu-2"]["metadata"]["name"]
    room.kubectl("annotate", "dpudevice", device, "-n", some.NAMESPACE, "look=again")
    some.until(room, lambda: some.phases(room) == READY)
    assert some.installs(room) == {"dpu-1": ["booted"], "dpu-2": ["booted"]}


def test_busy_costs_no_attempt_and_two_exceptions_are_an_error(hardware: Platform) -> None:
    """The DPU in Error is deleted, and installed anew; not while another card answers at its address."""
    before = some.installs(hardware)
    some.fault(hardware, "dpu-1", "--set", "busy=2")
    some.fault(hardware, "dpu-2", "--set", "exception=2")
    some.delete(hardware, *CARDS)
    some.until(hardware, lambda: some.phases(hardware) == {"dpu-1": "Ready", "dpu-2": "Error"})
    assert "failed" not in json.loads(some.dpus(hardware)["dpu-1"]["metadata"]["annotations"].get(TRACKER, "{}"))
    assert some.installs(hardware) == {
        "dpu-1": [*before["dpu-1"], "booted"], "dpu-2": [*before["dpu-2"], "failed", "failed"],
    }
    status, reason, message = some.told(some.dpus(hardware)["dpu-2"], "Error")
    assert (status, reason) == ("True", "FailToInstall")
    assert message.startswith("task ")
    assert "ended with Exception: The installation failed: the DPU did not take the image." in message
    assert some.told(some.dpus(hardware)["dpu-2"], "Ready")[0] == "False"
    wrong = f"serial number mismatch, expected: {some.cards(hardware)['dpu-2']['serial']}, actual: MT9999X99999"
    some.fault(hardware, "dpu-2", "--set", "serial=MT9999X99999")
    some.delete(hardware, "dpu-2")
    some.until(hardware, lambda: wrong in some.told(some.dpus(hardware).get("dpu-2"), "InterfaceInitialized")[2])
    assert some.installs(hardware)["dpu-2"] == [*before["dpu-2"], "failed", "failed"]
    some.fault(hardware, "dpu-2", "--clear")
    some.until(hardware, lambda: some.phases(hardware) == READY)
    assert some.installs(hardware)["dpu-2"] == [*before["dpu-2"], "failed", "failed", "booted"]


def test_tasks_that_are_lost_are_not_ordered_again(hardware: Platform) -> None:
    """One BMC forgets its tasks, the other one restarts while the system boots: the agents tell that they are there."""
    before = some.installs(hardware)
    some.fault(hardware, "dpu-1", "--set", "lost_task=true")
    some.delete(hardware, *CARDS)
    some.until(hardware, lambda: some.installs(hardware)["dpu-2"][-1:] == ["transferred"], every_s=0.02)
    assert some.do(hardware, "dpu-2", Deed.BMC_RESET)["boot"] != "OsIsRunning"
    some.until(hardware, lambda: some.phases(hardware) == READY)
    assert some.installs(hardware) == {card: [*before[card], "booted"] for card in CARDS}


def test_a_silent_and_a_slow_bmc_delay_no_other(hardware: Platform) -> None:
    before = some.installs(hardware)
    some.fault(hardware, "dpu-1", "--set", "silent=true")
    some.fault(hardware, "dpu-2", "--set", "delay_s=0.2")
    some.delete(hardware, *CARDS)
    some.until(hardware, lambda: some.phases(hardware).get("dpu-2") == "Ready", patience_s=45)
    assert some.installs(hardware) == {**before, "dpu-2": [*before["dpu-2"], "booted"]}
    assert some.phases(hardware)["dpu-1"] == "Initialize Interface"
    some.fault(hardware, "all", "--clear")
    some.until(hardware, lambda: some.phases(hardware) == READY)
    assert some.installs(hardware)["dpu-1"] == [*before["dpu-1"], "booted"]


@pytest.mark.parametrize("moment", ["running", "transferred"])
def test_controllers_that_are_killed_in_the_middle_install_once(hardware: Platform, moment: str) -> None:
    before, pid = some.installs(hardware), hardware.pids()[up.CONTROLLERS]
    assert pid is not None
    some.delete(hardware, "dpu-1")
    some.until(hardware, lambda: some.installs(hardware)["dpu-1"][len(before["dpu-1"]):] == [moment], every_s=0.02)
    os.kill(pid, signal.SIGKILL)
    assert some.phases(hardware)["dpu-1"] == "OS Installing"
    hardware.up()
    some.until(hardware, lambda: some.phases(hardware) == READY)
    assert some.installs(hardware)["dpu-1"][len(before["dpu-1"]):] == ["booted"]
    assert some.installs(hardware)["dpu-2"] == before["dpu-2"]


def test_power_that_is_lost_in_the_middle_is_an_error_with_a_limit(hardware: Platform) -> None:
    """What was written is not complete, and nobody orders it again by himself: the DPU says so, and is made anew."""
    before, settled = some.installs(hardware), some.dpus(hardware)["dpu-2"]["metadata"]["resourceVersion"]
    some.limit(hardware, "8s")
    some.delete(hardware, "dpu-1")
    some.until(hardware, lambda: "running" in some.installs(hardware)["dpu-1"], every_s=0.02)
    some.do(hardware, "dpu-1", Deed.POWER_LOSS)
    some.until(hardware, lambda: some.told(some.dpus(hardware)["dpu-1"], "BFBTransferred")[1] == "FailToCheckProgress")
    some.do(hardware, "dpu-1", Deed.POWER_RETURN)
    some.until(hardware, lambda: some.phases(hardware)["dpu-1"] == "Error")
    status, reason, message = some.told(some.dpus(hardware)["dpu-1"], "Error")
    assert (status, reason) == ("True", "InstallationTimeout")
    assert message.startswith("Not installed within 8 s; last boot progress: ")
    assert some.installs(hardware)["dpu-1"] == [*before["dpu-1"], "aborted"]
    some.limit(hardware, None)
    some.delete(hardware, "dpu-1")
    some.until(hardware, lambda: some.phases(hardware) == READY)
    assert some.installs(hardware)["dpu-1"] == [*before["dpu-1"], "aborted", "booted"]
    assert some.dpus(hardware)["dpu-2"]["metadata"]["resourceVersion"] == settled, "the other DPU was left alone"


def test_no_password_is_in_a_log_or_an_object(hardware: Platform) -> None:
    words = [
        platforms.decoded(value) for secret in some.get(hardware, "secrets", "-n", some.NAMESPACE)
        for key, value in (secret.get("data") or {}).items() if key in {"password", "tls.key"}
    ]
    text = "".join(path.read_text(errors="replace") for path in (hardware.state / "logs").glob("*.log"))
    text += hardware.kubectl("get", PUBLIC, "-A", "-o", "json").stdout
    assert len(words) > 2
    assert not [word for word in words if word in text or word.replace("\n", "\\n") in text]
