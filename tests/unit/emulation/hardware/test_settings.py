"""The file of the machine room: what cannot work is refused with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.support.machinerooms import a_room

from dpf.emulation.hardware import settings
from dpf.emulation.hardware.settings import Card, Settings, SettingsError


def encoded(found: Settings) -> bytes:
    return msgspec.json.encode(found)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    room = a_room(tmp_path, redfish=1, gnoi=1)
    assert settings.parse(encoded(room), "x") == room


@pytest.mark.parametrize(("change", "words"), [
    ({"name": "dpu-0"}, "two cards have the name dpu-0"),
    ({"index": 0}, "two cards have the index 0"),
    ({"serial": "mt2334xz0000"}, "two cards have the serial number mt2334xz0000"),
    ({"host": "worker-0"}, "two cards are in host and place worker-0 0000:04:00.0"),
    ({"host": "elsewhere"}, "card dpu-1 has neither a BMC nor a host that is there"),
], ids=["name", "index", "serial number", "place", "host"])
def test_cards_that_cannot_be_told_apart_are_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    room = a_room(tmp_path, gnoi=2)
    room = replace(room, cards=[room.cards[0], replace(room.cards[1], **change)])
    with pytest.raises(SettingsError, match=words):
        settings.parse(encoded(room), "x")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"stateDir": "/x"}', b"\xff"])
def test_what_is_no_configuration_is_explained(content: bytes) -> None:
    with pytest.raises(SettingsError, match="the room"):
        settings.parse(content, "the room")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        settings.load(tmp_path / "none.json")


def test_cards_differ_where_hardware_does() -> None:
    first, second = (
        settings.bmc_settings(Card(name=f"c{n}", serial=f"s{n}", index=n), settings.BMC()) for n in (1, 300)
    )
    assert first.pf0_mac == "02:00:00:00:00:01"
    assert second.pf0_mac == "02:00:00:00:01:2c"
