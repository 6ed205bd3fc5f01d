"""An installation through gNOI: our client against the emulated DMS, over real sockets (scenario 47)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.dmss import BFCFG, BUNDLE, CONFIGURATION, VERSION, a_rig

from dpf.api.provisioning import DPUMode
from dpf.emulation import bfb
from dpf.emulation.dms.faults import Faults
from dpf.emulation.dms.settings import Timings
from dpf.provisioning.install.port import (
    Activate,
    Activation,
    Cause,
    ForceReset,
    Install,
    InstallError,
    Order,
    Outcome,
    PrepareRShim,
    Restart,
    SetMode,
    SetSecureBoot,
    Sight,
    Silence,
    Task,
    TaskState,
    Topic,
    Transfer,
)

SLOW = Timings(flash_s=60.0)
LARGE = bfb.build(size=6 << 20)


async def test_a_new_card_runs_nothing(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        sight = await rig.see(~Topic(0))

        assert sight == Sight(mode=DPUMode.DPU, installed=(), tasks=(), activation=Activation(is_active=False, count=0))


async def test_what_was_sent_is_activated_and_boots_with_its_configuration(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.install(rig.at(), bundle=LARGE)
        done = await rig.ended()
        sight = await rig.see(Topic.INSTALLED)
        record = rig.card().record

        assert (done.outcome, done.reason, done.count) == (Outcome.SUCCESS, "", 1)
        assert (sight.running, sight.installed) == (VERSION, (BUNDLE, CONFIGURATION))
        assert rig.systems.booted == [("dpu-0", 1, BFCFG)]
        assert [(one.version, one.size, one.sha256) for one in record.transfers] == [
            (BUNDLE, len(LARGE), hashlib.sha256(LARGE).hexdigest()),
            (CONFIGURATION, len(BFCFG), hashlib.sha256(BFCFG).hexdigest()),
        ]
        (activation,) = record.activations
        assert activation.bundle_sha256 == hashlib.sha256(LARGE).hexdigest()
        assert activation.bfcfg_sha256 == hashlib.sha256(BFCFG).hexdigest()


async def test_files_of_the_shared_folder_are_not_sent(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        bfb.write(rig.shared / BUNDLE)
        (rig.shared / "bfcfg" / CONFIGURATION).write_bytes(BFCFG)
        await rig.install(rig.at(), bundle=b"something else")
        await rig.ended()

        assert rig.card().record.transfers == []
        assert rig.systems.booted == [("dpu-0", 1, BFCFG)]


async def test_what_was_sent_once_is_not_sent_again(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.transfer(rig.at())
        await rig.restart()
        await rig.transfer(rig.at())

        assert len(rig.card().record.transfers) == 2


async def test_a_look_finds_out_which_of_two_files_a_card_has(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        bfb.write(rig.shared / BUNDLE)
        before = await rig.see(Topic.INSTALLED, task=VERSION)
        await rig.transfer(rig.at())
        after = await rig.see(Topic.INSTALLED, task=VERSION)

        assert (before.installed, after.installed) == ((BUNDLE,), (BUNDLE, CONFIGURATION))
        assert [one.version for one in rig.card().record.transfers] == [CONFIGURATION]


async def test_cards_of_a_host_are_told_apart_by_their_address(tmp_path: Path) -> None:
    async with a_rig(tmp_path, cards=2) as rig:
        await rig.install(rig.at(1))
        await rig.ended(1)

        assert (await rig.see(Topic.INSTALLED)).running is None
        assert [card for card, _, _ in rig.systems.booted] == ["dpu-1"]


async def test_a_card_that_the_host_does_not_have_is_named(tmp_path: Path) -> None:
    async with a_rig(tmp_path, cards=2) as rig:
        silence = await rig.installer.look(replace(rig.at(), target="0000:ff:00.0"))

        assert isinstance(silence, Silence)
        assert silence.cause is Cause.UNREADABLE
        assert "there is no card at 0000:ff:00.0" in silence.why


@pytest.mark.parametrize("mode", [DPUMode.NIC, DPUMode.DPU])
async def test_the_mode_is_set_and_seen(tmp_path: Path, mode: DPUMode) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.installer.order(rig.at(), SetMode(mode=mode))

        assert (await rig.see(Topic.IDENTITY)).mode is mode


async def test_an_activation_is_seen_while_it_goes_on_and_after_the_dms_was_restarted(tmp_path: Path) -> None:
    async with a_rig(tmp_path, timings=SLOW) as rig:
        await rig.install(rig.at())
        first = await rig.see(Topic.INSTALLED | Topic.TASK, task=VERSION)
        await rig.restart(timings=SLOW)
        second = await rig.see(Topic.INSTALLED | Topic.TASK, task=VERSION)
        await rig.restart()
        await rig.ended()

        assert first == second
        assert first.running == VERSION
        assert first.activation == Activation(is_active=True, reason="activation", count=1)
        assert first.task == Task(id=VERSION, state=TaskState.RUNNING, image=VERSION, state_text="active")
        assert [one.outcome for one in rig.card().record.activations] == ["booted"]


@pytest.mark.parametrize(("faults", "outcome"), [
    (Faults(failure=1), Outcome.FAILURE), (Faults(retriable_failure=1), Outcome.RETRIABLE_FAILURE),
])
async def test_why_an_activation_failed_is_told_and_a_second_one_succeeds(
    tmp_path: Path, faults: Faults, outcome: Outcome
) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().set_faults(faults)
        await rig.install(rig.at())
        failed = await rig.ended()
        task = (await rig.see(Topic.TASK, task=VERSION)).task
        await rig.install(rig.at())
        repeated = await rig.ended()

        assert failed.outcome is outcome
        assert "the card" in failed.reason
        assert task is not None
        assert (task.state, task.messages) == (TaskState.FAILED, (failed.reason,))
        assert (repeated.outcome, failed.count, repeated.count) == (Outcome.SUCCESS, 1, 2)
        assert [one.outcome for one in rig.card().record.activations] == ["failed", "booted"]


async def test_a_damaged_bundle_fails_and_says_so(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        (rig.shared / BUNDLE).write_bytes(b"\0" * 4096)
        await rig.install(rig.at())
        failed = await rig.ended()

        assert failed.outcome is Outcome.FAILURE
        assert "there is no image at byte 0" in failed.reason
        assert rig.systems.booted == []


async def test_after_a_loss_of_power_the_card_knows_nothing_of_the_activation(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().set_faults(Faults(power_loss=1))
        await rig.install(rig.at())
        lost = await rig.ended()
        sight = await rig.see(Topic.INSTALLED | Topic.TASK, task=VERSION)

        assert (lost.outcome, sight.running) == (Outcome.UNKNOWN, None)
        assert sight.task == Task(id=VERSION, state=TaskState.LOST)


async def test_a_version_that_was_not_sent_is_not_activated(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        bfb.write(rig.shared / BUNDLE)
        with pytest.raises(InstallError, match=f"does not have this version: there is no {CONFIGURATION}") as caught:
            await rig.installer.order(rig.at(), Activate(version=VERSION))

        assert (caught.value.doubtful, caught.value.busy, caught.value.silence) == (False, False, None)
        assert rig.card().record.activations == []


async def test_a_network_card_activates_nothing(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().set_faults(Faults(wrong_mode=True))
        await rig.installer.order(rig.at(), SetMode(mode=DPUMode.DPU))
        assert (await rig.see(Topic.IDENTITY)).mode is DPUMode.NIC
        with pytest.raises(InstallError, match="set its mode to DPU first"):
            await rig.install(rig.at())

        assert rig.card().record.activations == []


@pytest.mark.parametrize("order", [
    Install(image="h/a"), PrepareRShim(), SetSecureBoot(enabled=True), Restart(), ForceReset(),
])
async def test_orders_of_the_other_interface_are_refused_without_asking(tmp_path: Path, order: Order) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.dms.close()
        with pytest.raises(InstallError, match="is not possible through gNOI") as caught:
            await rig.installer.order(rig.at(), order)

        assert not caught.value.retryable


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        order = Transfer(version=BUNDLE, path=str(tmp_path / "none"))
        with pytest.raises(InstallError, match=r"transferring a\.bfb: the file cannot be read: No such file"):
            await rig.installer.order(rig.at(), order)


async def test_a_damaged_file_is_refused_for_good_and_not_kept(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        with pytest.raises(InstallError, match=r"does not take the file \(PARSE_FAIL\): there is no image") as caught:
            await rig.transfer(rig.at(), bundle=b"\0" * 4096)

        assert not caught.value.retryable
        assert (await rig.see(Topic.INSTALLED, task=VERSION)).installed == ()


async def test_a_refusal_ends_a_transfer_before_its_end(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        path = rig.file("large", LARGE)
        with pytest.raises(InstallError, match="INCOMPATIBLE") as caught:
            await rig.installer.order(rig.at(), Transfer(version="a.iso", path=path))

        assert not caught.value.retryable
