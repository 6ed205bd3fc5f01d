"""The machine room over its sockets: boots that a DMS tells of, faults, power, and what it takes up after its death."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from tests.support.machinerooms import a_bfcfg, a_room, nodes_of

from dpf.emulation.bmc.control import ControlError, Deed, Request
from dpf.emulation.dms import faults as dms_faults
from dpf.emulation.hardware import control, dmscards, linesocket, room
from dpf.emulation.hardware.settings import Settings


def a_boot(card: str = "dpu-1", count: int = 1, bfcfg: bytes | None = None) -> dict[str, Any]:
    content = a_bfcfg("dpu-b") if bfcfg is None else bfcfg
    return {"card": card, "count": count, "install": "1", "bfcfg": base64.b64encode(content).decode()}


async def ask(settings: Settings, card: str = "*", **request: Any) -> dict[str, dict[str, Any]]:
    return await control.ask(settings.control_socket, Request(card=card, **request))


async def test_a_dms_tells_of_a_boot(tmp_path: Path) -> None:
    settings = a_room(tmp_path, redfish=1, gnoi=1)
    async with room.opened(settings):
        assert await linesocket.ask(settings.boot_socket, a_boot()) == {"ok": True}
        assert list(nodes_of(tmp_path / "nodes.json")) == ["dpu-b"]
        shown = (await ask(settings))["dpu-1"]
    assert (shown["node"], shown["boots"], shown["boot"], shown["host"]) == ("dpu-b", 1, "OsIsRunning", "worker-1")


@pytest.mark.parametrize("line", [
    {}, [], {"card": "dpu-1"}, {"card": "dpu-1", "count": 1, "bfcfg": "%"}, a_boot(card="dpu-9"),
], ids=["nothing", "a list", "half", "no base64", "another card"])
async def test_a_line_that_is_no_boot_is_refused(tmp_path: Path, line: Any) -> None:
    settings = a_room(tmp_path, redfish=1, gnoi=1)
    async with room.opened(settings):
        answer = await linesocket.ask(settings.boot_socket, line)
    assert list(answer) == ["error"]
    assert nodes_of(tmp_path / "nodes.json") == {}


async def test_faults_of_both_kinds_of_cards(tmp_path: Path) -> None:
    settings = a_room(tmp_path, redfish=1, gnoi=1)
    async with room.opened(settings) as opened:
        await ask(settings, "dpu-0", faults={"busy": 2})
        await ask(settings, "dpu-1", faults={"failure": 1})
        assert opened.emulator.card("dpu-0").record.faults.busy == 2
        folder = dmscards.folder(settings.state, "worker-1") / "dpu-1"
        assert dms_faults.read(folder).failure == 1
        shown = await ask(settings, clear=True)
        assert dms_faults.read(folder) == dms_faults.NONE
    assert [{k: v for k, v in card["faults"].items() if v} for card in shown.values()] == [{}, {}]


@pytest.mark.parametrize(("card", "request_", "words"), [
    ("dpu-9", {}, "there is no card 'dpu-9'; there are: dpu-0, dpu-1"),
    ("dpu-1", {"faults": {"busy": 1}}, "card dpu-1 has no fault 'busy'"),
    ("dpu-0", {"faults": {"failure": 1}}, "there is no fault 'failure'"),
    ("dpu-0", {"faults": {"busy": "x"}}, "this fault cannot be"),
    ("dpu-1", {"do": Deed.BMC_RESET}, "card dpu-1 has no BMC"),
    ("*", {"faults": {"busy": 1}}, "card dpu-1 has no fault 'busy'"),
], ids=["card", "fault without a BMC", "fault with a BMC", "value", "deed", "all"])
async def test_what_cannot_be_is_explained_and_changes_nothing(
    tmp_path: Path, card: str, request_: dict[str, Any], words: str
) -> None:
    settings = a_room(tmp_path, redfish=1, gnoi=1)
    async with room.opened(settings):
        before = await ask(settings)
        with pytest.raises(ControlError, match=words):
            await ask(settings, card, **request_)
        assert await ask(settings) == before


async def test_nobody_answers_without_a_room(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="is it running"):
        await ask(a_room(tmp_path, gnoi=1))


async def test_the_power_of_a_host_is_that_of_its_cards(tmp_path: Path) -> None:
    settings = a_room(tmp_path, gnoi=2)
    async with room.opened(settings) as opened:
        await linesocket.ask(settings.boot_socket, a_boot())
        await ask(settings, "dpu-1", do=Deed.POWER_LOSS)
        assert nodes_of(tmp_path / "nodes.json") == {}
        assert list(nodes_of(tmp_path / "hosts.json")) == ["worker-0"]

        shown = await ask(settings, "dpu-1", do=Deed.POWER_RETURN)
        assert list(nodes_of(tmp_path / "nodes.json")) == ["dpu-b"]
        assert list(nodes_of(tmp_path / "hosts.json")) == ["worker-0", "worker-1"]
        assert (shown["dpu-1"]["boots"], opened.hosts.boots("worker-1"), opened.hosts.boots("worker-0")) == (2, 2, 1)


async def test_a_shut_down_card_leaves_its_host_running(tmp_path: Path) -> None:
    settings = a_room(tmp_path, gnoi=1)
    async with room.opened(settings) as opened:
        await linesocket.ask(settings.boot_socket, a_boot("dpu-0"))
        await ask(settings, do=Deed.SHUT_DOWN)
        assert nodes_of(tmp_path / "nodes.json") == {}
        await ask(settings, do=Deed.RESTART)
        assert list(nodes_of(tmp_path / "nodes.json")) == ["dpu-b"]
        assert opened.hosts.boots("worker-0") == 1


async def test_the_cards_of_a_host_are_found_by_their_serial_numbers(tmp_path: Path) -> None:
    settings = a_room(tmp_path, redfish=2)
    async with room.opened(settings) as opened:
        before = opened.emulator.card("dpu-1").record.boots
        opened.emulator.card("dpu-1").change(staged_mode="NicMode")
        await opened.panel.power_cycle("dpu-node-x", ("mt2334xz0001",))
        assert opened.emulator.card("dpu-1").record.mode == "NicMode"
        assert opened.emulator.card("dpu-0").record.boots == before


async def test_a_room_that_was_killed_takes_up_what_was_running(tmp_path: Path) -> None:
    settings = a_room(tmp_path, gnoi=2)
    async with room.opened(settings):
        await linesocket.ask(settings.boot_socket, a_boot())
        before = nodes_of(tmp_path / "nodes.json")
    async with room.opened(settings):
        assert nodes_of(tmp_path / "nodes.json") == before
        assert await linesocket.ask(settings.boot_socket, a_boot()) == {"ok": True}
        assert (await ask(settings))["dpu-1"]["boots"] == 1


async def test_no_secret_is_shown(tmp_path: Path) -> None:
    settings = a_room(tmp_path, redfish=1, gnoi=1)
    async with room.opened(settings):
        await linesocket.ask(settings.boot_socket, a_boot())
        shown = repr(await ask(settings))
    assert "0123456789abcdef" not in shown
    assert "PRIVATE KEY" not in shown
    assert "0penBmc" not in shown
    assert settings.control_socket.parent.stat().st_mode & 0o077 == 0
