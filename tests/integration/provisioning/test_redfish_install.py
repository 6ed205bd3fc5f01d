"""An installation through Redfish: our client against the emulated BMC, over real sockets (scenarios 28 to 37)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.support.bmcs import BFCFG, NEW, a_rig, an_image_server, authority, server_tls

from dpf.api.provisioning import DPUMode, DPUType
from dpf.emulation import bfb
from dpf.emulation.bmc.faults import Faults
from dpf.provisioning.bfb import imageuri
from dpf.provisioning.bfb.registry import Registry
from dpf.provisioning.install.port import (
    Activate,
    Boot,
    Component,
    Install,
    InstallError,
    Order,
    PrepareRShim,
    Restart,
    SecureBoot,
    SetMode,
    SetSecureBoot,
    TaskState,
    Topic,
    Transfer,
)


async def test_everything_is_seen_in_one_look(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        sight = await rig.see(~Topic(0))

        assert sight.troubles == ()
        assert (sight.type, sight.mode, sight.serial) == (DPUType.BLUEFIELD_3, DPUMode.DPU, "MT2334XZ0000")
        assert (sight.psid, sight.opn, sight.pf0_mac) == ("MT_0000000884", "900-9D3B6-00CV-AA0", "02:00:00:00:00:01")
        assert sight.firmware is not None
        assert set(sight.firmware) == set(Component)
        assert sight.secure_boot == SecureBoot(current=False, wanted=False)
        assert sight.boot is Boot.OS_RUNNING
        assert sight.clock_skew_s is not None
        assert abs(sight.clock_skew_s) < 5
        assert (sight.task, sight.tasks) == (None, ())


async def test_what_was_ordered_is_installed_and_boots_with_its_bfcfg(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        task = await rig.installer.order(rig.at(), Install(image=rig.images.bundle()))
        assert task is not None
        done = await rig.finished(task)
        assert (done.state, done.percent, done.image) == (TaskState.COMPLETED, 100, rig.images.uri("a.bfb"))
        await rig.until(lambda sight: sight.boot is Boot.OS_RUNNING, Topic.BOOT)
        firmware = (await rig.see(Topic.FIRMWARE)).firmware or {}

        assert (firmware[Component.UEFI], firmware[Component.BSP]) == (NEW.uefi, NEW.bsp)
        assert rig.systems.booted == [("dpu-0", 2, BFCFG)]
        (made,) = rig.card().record.installs
        assert made.outcome == "booted"
        assert made.bundle_sha256 == hashlib.sha256(bfb.build(NEW)).hexdigest()
        assert made.bfcfg_sha256 == hashlib.sha256(BFCFG).hexdigest()


async def test_the_bmc_fetches_from_our_registry(tmp_path: Path) -> None:
    folder = tmp_path / "bundles"
    (folder / "bfcfg").mkdir(parents=True)
    bfb.write(folder / "ns-a.bfb", NEW)
    (folder / "bfcfg" / "ns_dpu_uid").write_bytes(BFCFG)
    registry = Registry(folder, host="127.0.0.1", port=0, tls=server_tls(authority()))
    async with a_rig(tmp_path) as rig:
        await registry.start()
        image = f"127.0.0.1:{registry.port}{imageuri.build('ns-a.bfb', 'ns_dpu_uid')}"
        task = await rig.installer.order(rig.at(), Install(image=image))
        assert task is not None
        done = await rig.finished(task)
        await rig.until(lambda sight: sight.boot is Boot.OS_RUNNING, Topic.BOOT)
        await registry.stop()

        assert (done.state, done.image) == (TaskState.COMPLETED, image)
        assert [bfcfg for _, _, bfcfg in rig.systems.booted] == [BFCFG]


async def test_an_image_from_a_server_that_the_bmc_does_not_know_is_not_taken(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig, an_image_server(authority("stranger")) as images:
        task = await rig.installer.order(rig.at(), Install(image=images.bundle()))
        assert task is not None

        assert (await rig.finished(task)).messages == ("The server of the image is not trusted",)
        assert images.served == []


async def test_progress_follows_the_bytes(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.images.gate.clear()
        task = await rig.installer.order(rig.at(), Install(image=rig.images.bundle()))
        assert task is not None
        sight = await rig.until(lambda s: bool(s.task and s.task.percent), Topic.TASK, task=task)
        assert sight.task is not None
        assert sight.task.state is TaskState.RUNNING
        assert sight.task.percent is not None
        assert 45 <= sight.task.percent <= 55

        rig.images.gate.set()
        assert (await rig.finished(task)).percent == 100


async def test_a_controller_that_lost_the_id_finds_its_installation_by_the_image(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.images.gate.clear()
        image = rig.images.bundle()
        task = await rig.installer.order(rig.at(), Install(image=image))
        sight = await rig.see(Topic.TASKS)

        assert [(one.id, one.image, one.state) for one in sight.tasks or ()] == [(task, image, TaskState.RUNNING)]


async def test_a_second_installation_is_not_taken_while_one_runs(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.images.gate.clear()
        image = rig.images.bundle()
        await rig.installer.order(rig.at(), Install(image=image))
        with pytest.raises(InstallError, match="Another update is in progress") as caught:
            await rig.installer.order(rig.at(), Install(image=image))

        assert (caught.value.busy, caught.value.retryable, caught.value.doubtful) == (True, True, False)
        assert len(rig.card().record.installs) == 1


async def test_a_busy_bmc_takes_the_third_order(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().set_faults(Faults(busy=2))
        image = rig.images.bundle()
        for _ in range(2):
            with pytest.raises(InstallError) as caught:
                await rig.installer.order(rig.at(), Install(image=image))
            assert caught.value.busy
        task = await rig.installer.order(rig.at(), Install(image=image))

        assert task is not None
        assert (await rig.finished(task)).state is TaskState.COMPLETED


async def test_an_exception_names_the_bmcs_reason(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().set_faults(Faults(exception=1))
        task = await rig.installer.order(rig.at(), Install(image=rig.images.bundle()))
        assert task is not None
        failed = await rig.finished(task)

        assert (failed.state, failed.state_text) == (TaskState.FAILED, "Exception")
        assert failed.messages == ("The installation failed: the DPU did not take the image.",)
        assert rig.systems.booted == []


@pytest.mark.parametrize(("content", "why"), [
    (b"no bundle, whatever its name says", "there is no image at byte 0"),
    (bfb.build()[:-8], "the bundle ends at byte 8184"),
    (bfb.build()[:100] + b"\xff" + bfb.build()[101:] + b"# cfg", "is damaged"),
    (bfb.build() + b"#" * 131073, "more than 131072 bytes"),
], ids=["noise", "cut", "damaged", "bf.cfg too long"])
async def test_what_is_no_bundle_is_not_installed(tmp_path: Path, content: bytes, why: str) -> None:
    async with a_rig(tmp_path) as rig:
        task = await rig.installer.order(rig.at(), Install(image=rig.images.put("b.bfb", content)))
        assert task is not None
        failed = await rig.finished(task)

        assert failed.state is TaskState.FAILED
        assert why in failed.messages[0]


async def test_a_lost_task_is_lost_and_its_system_boots_all_the_same(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.images.gate.clear()
        task = await rig.installer.order(rig.at(), Install(image=rig.images.bundle()))
        rig.card().set_faults(Faults(lost_task=True))
        rig.images.gate.set()
        lost = (await rig.see(Topic.TASK, task=task)).task
        await rig.until(lambda sight: sight.boot is Boot.OS_RUNNING, Topic.BOOT)

        assert lost is not None
        assert lost.state is TaskState.LOST
        assert [bfcfg for _, _, bfcfg in rig.systems.booted] == [BFCFG]


async def test_without_the_rshim_nothing_is_installed(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().change(is_host_rshim_on=True, is_bmc_rshim_on=False)
        image = rig.images.bundle()
        task = await rig.installer.order(rig.at(), Install(image=image))
        assert task is not None
        assert (await rig.finished(task)).messages == ("The BMC does not own the RShim of the DPU.",)

        await rig.installer.order(rig.at(), PrepareRShim())
        task = await rig.installer.order(rig.at(), Install(image=image))
        assert task is not None
        assert (await rig.finished(task)).state is TaskState.COMPLETED


async def test_a_uefi_that_stays_is_seen(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        before = (await rig.see(Topic.FIRMWARE)).firmware or {}
        rig.card().set_faults(Faults(uefi_unchanged=True))
        task = await rig.installer.order(rig.at(), Install(image=rig.images.bundle()))
        assert task is not None
        await rig.finished(task)
        await rig.until(lambda sight: sight.boot is Boot.OS_RUNNING, Topic.BOOT)
        after = (await rig.see(Topic.FIRMWARE)).firmware or {}

        assert after[Component.UEFI] == before[Component.UEFI] != NEW.uefi
        assert after[Component.BSP] == NEW.bsp


async def test_a_card_in_nic_mode_hides_its_type_until_its_host_was_off(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().become_network_card()
        hidden = await rig.see(Topic.IDENTITY)
        assert (hidden.mode, hidden.type) == (DPUMode.NIC, DPUType.UNKNOWN)

        await rig.installer.order(rig.at(), SetMode(mode=DPUMode.DPU))
        assert (await rig.see(Topic.IDENTITY)).mode is DPUMode.NIC
        rig.card().power_cycle()
        shown = await rig.see(Topic.IDENTITY)
        assert (shown.mode, shown.type) == (DPUMode.DPU, DPUType.BLUEFIELD_3)


async def test_secure_boot_counts_after_two_restarts(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.installer.order(rig.at(), SetSecureBoot(enabled=True))
        seen = []
        for _ in range(2):
            seen.append((await rig.see(Topic.SECURE_BOOT)).secure_boot)
            await rig.installer.order(rig.at(), Restart())
            await rig.until(lambda sight: sight.boot is Boot.OS_RUNNING, Topic.BOOT)

        assert seen == [SecureBoot(current=False, wanted=True)] * 2
        assert (await rig.see(Topic.SECURE_BOOT)).secure_boot == SecureBoot(current=True, wanted=True)


async def test_a_stubborn_bmc_never_boots_securely(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().set_faults(Faults(stubborn_secure_boot=True))
        await rig.installer.order(rig.at(), SetSecureBoot(enabled=True))
        for _ in range(3):
            await rig.installer.order(rig.at(), Restart())

        assert (await rig.see(Topic.SECURE_BOOT)).secure_boot == SecureBoot(current=False, wanted=True)


async def test_an_order_never_reaches_another_card(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().set_faults(Faults(serial="ANOTHER"))
        with pytest.raises(InstallError) as caught:
            await rig.installer.order(rig.at(), Install(image=rig.images.bundle()))

        assert str(caught.value) == "serial number mismatch, expected: MT2334XZ0000, actual: ANOTHER"
        assert rig.card().record.installs == []


async def test_an_order_waits_until_a_card_says_which_one_it_is(tmp_path: Path) -> None:
    """It is looked at again, and counts as no attempt."""
    async with a_rig(tmp_path) as rig:
        rig.card().set_faults(Faults(serial="N/A"))
        with pytest.raises(InstallError, match="does not tell its serial number") as caught:
            await rig.installer.order(rig.at(), Install(image=rig.images.bundle()))

        assert caught.value.silence is not None
        assert not caught.value.doubtful
        assert rig.card().record.installs == []


async def test_a_clock_that_is_off_is_measured(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().set_faults(Faults(clock_skew_s=-7200))
        sight = await rig.see(Topic.CLOCK)

        assert sight.clock_skew_s is not None
        assert -7205 < sight.clock_skew_s < -7195


@pytest.mark.parametrize("order", [Transfer(version="a.bfb", path="/a.bfb"), Activate(version="a.bfb;b.cfg")])
async def test_an_order_of_another_interface_is_refused_for_good(tmp_path: Path, order: Order) -> None:
    async with a_rig(tmp_path) as rig:
        with pytest.raises(InstallError, match="is not possible through Redfish") as caught:
            await rig.installer.order(rig.at(), order)

        assert not caught.value.retryable
