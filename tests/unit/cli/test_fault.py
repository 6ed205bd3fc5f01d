"""`dpfctl local fault` against a machine room: what is typed arrives, what cannot be is one line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec.structs import replace
from tests.support.machinerooms import a_room

from dpf.cli import __main__ as program
from dpf.cli.fault import fault
from dpf.emulation.hardware import room
from dpf.emulation.hardware.room import Room
from dpf.local.platform import hardware, settings
from dpf.local.platform.settings import Settings


@pytest_asyncio.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Room]:
    """A room with a card of each kind, where a platform would have it."""
    settings.save(Settings(state=tmp_path, install_interface="redfish"))
    where = replace(a_room(tmp_path, redfish=1, gnoi=1), socketDir=str(hardware.folder(tmp_path)))
    async with room.opened(where) as made:
        yield made


async def dpfctl(state: Path, *arguments: str) -> int:
    return await asyncio.to_thread(program.run, ["local", "fault", "--state", str(state), *arguments])


async def test_faults_are_set_shown_and_cleared(
    opened: Room, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--set", "busy=2", "--set", "silent", "--set", "delay_s=0.5", "--set", "serial=X1"]
    assert await dpfctl(tmp_path, "dpu-0", *words) == 0
    faults = opened.emulator.card("dpu-0").record.faults
    assert (faults.busy, faults.silent, faults.delay_s, faults.serial) == (2, True, 0.5, "X1")
    assert "faults: busy=2" in capsys.readouterr().out

    assert await dpfctl(tmp_path, "all", "--clear", "-o", "json") == 0
    assert opened.emulator.card("dpu-0").record.faults.busy == 0
    assert set(json.loads(capsys.readouterr().out)) == {"dpu-0", "dpu-1"}


async def test_something_is_done_to_a_card(opened: Room, tmp_path: Path) -> None:
    assert await dpfctl(tmp_path, "dpu-0", "--do", "power-loss") == 0
    assert not opened.emulator.card("dpu-0").is_reachable


@pytest.mark.parametrize(("arguments", "words"), [
    (["dpu-9"], "there are: dpu-0, dpu-1"), (["dpu-0", "--set", "fire=1"], "there is no fault 'fire'"),
    (["dpu-0", "--do", "explode"], "there are: bmc-reset"), (["dpu-0", "--set", "busy=often"], "this fault cannot be"),
    (["--set", "busy=1"], "card dpu-1 has no fault 'busy'"),
    (["dpu-0", "--set", "clock_skew_s=1e300"], "this fault cannot be"),
    (["dpu-0", "--set", "delay_s=-1"], "this fault cannot be"), (["dpu-0", "--set", "busy=-2"], "this fault cannot be"),
    (["dpu-1", "--set", "slow=-1"], "this fault cannot be"),
    (["dpu-1", "--set", "failure=1e99"], "this fault cannot be"),
], ids=["card", "fault", "deed", "value", "all", "clock", "delay", "counter", "slow", "large"])
@pytest.mark.usefixtures("opened")
async def test_what_cannot_be_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert await dpfctl(tmp_path, *arguments) == 1
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("interface", "words"), [("none", "no hardware to break"), ("gnoi", "is it running?")])
async def test_without_hardware_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], interface: settings.InstallInterface, words: str
) -> None:
    settings.save(Settings(state=tmp_path, install_interface=interface))
    assert await dpfctl(tmp_path) == 1
    assert words in capsys.readouterr().err


def test_help_lists_what_can_go_wrong() -> None:
    text = fault.get_help(fault.make_context("fault", [], resilient_parsing=True))
    for word in ("busy", "uefi_unchanged", "retriable_failure", "power-loss", "factory-reset"):
        assert word in text
