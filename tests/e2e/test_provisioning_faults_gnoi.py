"""What goes wrong with DMSs and cards while DPUs are installed through their hosts, on a platform as people have it.

The faults are those of `dpfctl local fault`; the emulator counts activations. The tests follow each other on one
platform: every one ends with two Ready DPUs.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from tests.support import installations as some
from tests.support import platform as platforms
from tests.support.platform import Platform

from dpf.local.platform import up

CARDS = ["dpu-1", "dpu-2"]
READY = dict.fromkeys(CARDS, "Ready")


@pytest.fixture(scope="module")
def room() -> Iterator[Platform]:
    """Two cards that nobody has installed yet."""
    with platforms.platform(interface="gnoi") as made:
        some.fault(made, "dpu-1", "--set", "answer_lost=1")
        some.fault(made, "dpu-2", "--set", "failure=2")
        made.apply(*made.example("030-provisioning-gnoi.yaml"))
        yield made


@pytest.fixture
def hardware(room: Platform) -> Platform:
    """The same, with all that earlier tests have done to it taken back."""
    some.fault(room, "all", "--clear")
    some.until(room, lambda: some.phases(room) == READY)
    return room


def test_a_lost_answer_installs_once_and_two_failures_are_an_error(room: Platform) -> None:
    some.until(room, lambda: some.phases(room) == {"dpu-1": "Ready", "dpu-2": "Error"})
    assert some.installs(room) == {"dpu-1": ["booted"], "dpu-2": ["failed", "failed"]}
    status, reason, message = some.told(some.dpus(room)["dpu-2"], "Error")
    assert (status, reason) == ("True", "FailToInstall")
    assert message.startswith("FAILURE: ")
    assert message.endswith(" Tried 2 times")
    some.until(room, lambda: [node["spec"].get("taints") for node in some.get(room, "nodes")] == [None, None])
    some.delete(room, "dpu-2")
    some.until(room, lambda: some.phases(room) == READY)
    assert some.installs(room)["dpu-2"] == ["failed", "failed", "booted"]


def test_a_dms_that_never_answers_delays_no_other(hardware: Platform) -> None:
    before = some.installs(hardware)
    some.fault(hardware, "dpu-1", "--set", "never_answers=true")
    some.fault(hardware, "dpu-2", "--set", "reset_transfer=1")
    some.delete(hardware, *CARDS)
    some.until(hardware, lambda: some.phases(hardware).get("dpu-2") == "Ready", patience_s=60)
    assert some.installs(hardware) == {**before, "dpu-2": [*before["dpu-2"], "booted"]}
    assert some.told(some.dpus(hardware)["dpu-1"], "InterfaceInitialized")[:2] == ("False", "CardUnreachable")
    some.fault(hardware, "all", "--clear")
    some.until(hardware, lambda: some.phases(hardware) == READY)
    assert some.installs(hardware)["dpu-1"] == [*before["dpu-1"], "booted"]


def test_controllers_that_are_killed_in_the_middle_install_once(hardware: Platform) -> None:
    before, pid = some.installs(hardware), hardware.pids()[up.CONTROLLERS]
    assert pid is not None
    some.delete(hardware, "dpu-1")
    some.until(hardware, lambda: some.installs(hardware)["dpu-1"][len(before["dpu-1"]):] == ["active"], every_s=0.02)
    os.kill(pid, signal.SIGKILL)
    assert some.phases(hardware)["dpu-1"] == "OS Installing"
    hardware.up()
    some.until(hardware, lambda: some.phases(hardware) == READY)
    assert some.installs(hardware) == {**before, "dpu-1": [*before["dpu-1"], "booted"]}


def test_a_host_that_loses_its_power_in_the_middle_is_an_error_with_a_limit(hardware: Platform) -> None:
    """The card knows nothing of the activation any more, and nobody orders it again by himself."""
    before = some.installs(hardware)
    some.fault(hardware, "dpu-1", "--set", "power_loss=1")
    some.limit(hardware, "15s")
    some.delete(hardware, "dpu-1")
    some.until(hardware, lambda: some.phases(hardware).get("dpu-1") == "Error")
    status, reason, message = some.told(some.dpus(hardware)["dpu-1"], "Error")
    assert (status, reason) == ("True", "InstallationTimeout")
    assert message.startswith("Not installed within 15 s; last boot progress: ")
    assert some.installs(hardware)["dpu-1"] == [*before["dpu-1"], "lost"]
    some.limit(hardware, None)
    some.delete(hardware, "dpu-1")
    some.until(hardware, lambda: some.phases(hardware) == READY)
    assert some.installs(hardware) == {**before, "dpu-1": [*before["dpu-1"], "lost", "booted"]}
