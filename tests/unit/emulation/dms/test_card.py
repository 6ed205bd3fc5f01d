"""A card without its socket: what it takes, what it remembers, and what its files are."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from pathlib import Path

import pytest
from tests.support.dmss import BFCFG, BUNDLE, CONFIGURATION, VERSION, Systems, until

from dpf.emulation import bfb
from dpf.emulation.dms import faults, images
from dpf.emulation.dms.card import Card, NotNow, NotTaken
from dpf.emulation.dms.faults import Faults
from dpf.emulation.dms.settings import NO_LATENCY, Timings
from dpf.provisioning.install.gnoi.messages import NotActivated, Refusal, Status


def a_card(folder: Path, systems: Systems | None = None, timings: Timings = NO_LATENCY) -> Card:
    hooks = (systems or Systems()).hooks
    return Card("dpu-0", folder / "dpu-0", shared=folder / "shared", timings=timings, hooks=hooks)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where cards are, and a shared folder with both files."""
    shared = tmp_path / "shared"
    (shared / "bfcfg").mkdir(parents=True)
    bfb.write(shared / BUNDLE)
    (shared / "bfcfg" / CONFIGURATION).write_bytes(BFCFG)
    return tmp_path


async def settled(card: Card) -> None:
    await until(lambda: not card.record.is_active and card.record.told == card.record.count)


async def test_a_card_is_the_same_after_a_restart(folder: Path) -> None:
    card = a_card(folder)
    card.set_mode("NIC")
    card.set_mode("DPU")
    card.activate(VERSION)
    await settled(card)

    again = a_card(folder)
    assert again.record == card.record
    assert again.record.status == Status.SUCCESS


async def test_nobody_else_reads_what_a_card_remembers(folder: Path) -> None:
    card = a_card(folder)
    card.activate(VERSION)
    await settled(card)

    assert stat.S_IMODE((folder / "dpu-0").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "dpu-0" / "bf.cfg").stat().st_mode) == 0o600


async def test_every_start_of_the_system_has_a_number_and_an_id_of_its_own(folder: Path) -> None:
    systems = Systems()
    card = a_card(folder, systems)
    card.activate(VERSION)
    await settled(card)
    first = card.record.boot_id
    card.reboot()
    await settled(card)

    assert systems.booted == [("dpu-0", 1, BFCFG), ("dpu-0", 2, BFCFG)]
    assert first != card.record.boot_id


async def test_a_card_without_a_system_starts_none(folder: Path) -> None:
    systems = Systems()
    card = a_card(folder, systems)
    card.reboot()
    await asyncio.sleep(0)

    assert systems.booted == []


async def test_a_start_that_nobody_took_is_told_by_the_next_process(folder: Path) -> None:
    deaf, systems = Systems(refusals=[OSError(111, "Connection refused")]), Systems()
    card = a_card(folder, deaf)
    card.activate(VERSION)
    await until(lambda: not deaf.refusals)
    await card.close()
    again = a_card(folder, systems)
    again.start()
    await settled(again)
    await again.close()

    assert systems.booted == [("dpu-0", 1, BFCFG)]
    assert deaf.booted == []


async def test_a_start_that_is_known_is_not_told_again(folder: Path) -> None:
    systems = Systems()
    card = a_card(folder)
    card.activate(VERSION)
    await settled(card)
    again = a_card(folder, systems)
    again.start()
    await asyncio.sleep(0)

    assert systems.booted == []


@pytest.mark.parametrize(("version", "kind"), [
    ("", NotActivated.NON_EXISTENT_VERSION), (BUNDLE, NotActivated.NON_EXISTENT_VERSION),
    (f"{CONFIGURATION};{BUNDLE}", NotActivated.NON_EXISTENT_VERSION),
    (f"{VERSION};{BUNDLE}", NotActivated.NON_EXISTENT_VERSION),
    (f"../{BUNDLE};{CONFIGURATION}", NotActivated.NON_EXISTENT_VERSION),
    (f"b.bfb;{CONFIGURATION}", NotActivated.NON_EXISTENT_VERSION),
])
async def test_a_version_that_is_none_is_not_activated(folder: Path, version: str, kind: NotActivated) -> None:
    card = a_card(folder)
    with pytest.raises(NotNow) as caught:
        card.activate(version)

    assert caught.value.kind is kind
    assert card.record.activations == []


async def test_one_activation_at_a_time(folder: Path) -> None:
    card = a_card(folder, timings=Timings(flash_s=60.0))
    card.activate(VERSION)
    with pytest.raises(NotNow, match="in progress"):
        card.activate(VERSION)
    with pytest.raises(NotNow, match="in progress"):
        card.reboot()
    await card.close()

    assert len(card.record.activations) == 1


async def test_what_arrives_is_kept_when_it_is_whole(folder: Path) -> None:
    card, content = a_card(folder), bfb.build(seed=7)
    incoming = card.receive("b.bfb")
    incoming.write(content[:1000])
    assert not card.has("b.bfb")
    incoming.write(content[1000:])
    await card.keep("b.bfb", incoming, size=len(content))
    card.end(incoming)

    assert card.has("b.bfb")
    assert card.record.transfers[0].sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(("name", "content", "size", "kind"), [
    ("b.bfb", b"\0" * 100, 0, Refusal.PARSE_FAIL), ("b.bfb", bfb.build()[:-8], 0, Refusal.PARSE_FAIL),
    ("b.bfb", bfb.build(), 99, Refusal.INTEGRITY_FAIL), ("b.cfg", b"", 0, Refusal.PARSE_FAIL),
    ("b.cfg", b"x" * (images.LARGEST_CONFIGURATION + 1), 0, Refusal.PARSE_FAIL),
], ids=["no bundle", "cut off", "other size", "empty", "too large"])
async def test_what_is_not_whole_is_not_kept(folder: Path, name: str, content: bytes, size: int, kind: Refusal) -> None:
    card = a_card(folder)
    incoming = card.receive(name)
    incoming.write(content)
    with pytest.raises(NotTaken) as caught:
        await card.keep(name, incoming, size=size)
    card.end(incoming)

    assert caught.value.kind is kind
    assert list((folder / "dpu-0" / "images").iterdir()) == []


async def test_what_was_arriving_when_the_dms_was_killed_is_dropped_by_the_next_one(folder: Path) -> None:
    incoming = a_card(folder).receive("b.bfb")
    incoming.write(b"x")
    again = a_card(folder)

    assert list((folder / "dpu-0" / "images").iterdir()) == []
    incoming.close()
    assert not again.has("b.bfb")


@pytest.mark.parametrize("name", ["", "a", "a.iso", "../a.bfb", "a/b.bfb", ".a.bfb", "a.bfb\n", "x" * 300 + ".bfb"])
async def test_a_name_that_is_no_file_is_refused(folder: Path, name: str) -> None:
    card = a_card(folder)
    with pytest.raises(NotTaken) as caught:
        card.receive(name)

    assert caught.value.kind is Refusal.INCOMPATIBLE
    assert not card.has(name)


async def test_faults_are_set_from_outside_and_used_up(folder: Path) -> None:
    card = a_card(folder)
    assert not card.strikes("failure")
    faults.write(folder / "dpu-0", Faults(failure=2, power_loss=-1, wrong_mode=True))

    assert [card.strikes("failure") for _ in range(3)] == [True, True, False]
    assert [card.strikes("power_loss") for _ in range(3)] == [True, True, True]
    assert card.mode == "NIC"
    faults.write(folder / "dpu-0", faults.NONE)
    assert card.mode == "DPU"


@pytest.mark.parametrize("content", [b"", b"{", b'{"unknown": 1}', b'{"failure": "x"}', b"\xff"])
async def test_faults_that_cannot_be_read_are_none(folder: Path, content: bytes) -> None:
    card = a_card(folder)
    (folder / "dpu-0" / faults.FILE).write_bytes(content)

    assert card.faults == faults.NONE
    assert not card.strikes("failure")


async def test_a_file_that_goes_while_it_is_activated_is_a_failure(folder: Path) -> None:
    card = a_card(folder)
    card.activate(VERSION)
    (folder / "shared" / BUNDLE).unlink()
    await settled(card)

    assert (card.record.status, card.record.count) == (Status.FAILURE, 0)
    assert "not there any more" in card.record.reason


@pytest.mark.parametrize("mode", ["", "dpu", "both"])
async def test_a_card_has_two_modes(folder: Path, mode: str) -> None:
    card = a_card(folder)
    with pytest.raises(ValueError, match="DPU or NIC"):
        card.set_mode(mode)

    assert card.mode == "DPU"
