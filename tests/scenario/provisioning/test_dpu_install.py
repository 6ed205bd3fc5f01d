"""OS Installing over both interfaces: what counts as an attempt, what does not (behaviour-provisioning.md 5.8, 8)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.support import dpus as some
from tests.support.dpus import Stage
from tests.support.world import NAMESPACE

from dpf.api.bfb import BFB
from dpf.api.provisioning import InstallInterface
from dpf.kube.memory import Request
from dpf.provisioning.install.port import (
    Activate,
    Activation,
    Boot,
    Cause,
    Component,
    Install,
    InstallError,
    Outcome,
    Silence,
    Task,
    TaskState,
    Transfer,
)

GNOI, REDFISH = InstallInterface.GNOI, InstallInterface.REDFISH
BOTH = pytest.mark.parametrize("interface", [REDFISH, GNOI])
NO_EFFECT = {"noEffect": True}
CFG = f"worker-1-d1-{some.uid_of('worker-1-d1')}.cfg"
IMAGE = (
    f"registry.example:8443/bfb/??bf-bundle.bfb,bfcfg/{NAMESPACE}_worker-1-d1_{some.uid_of('worker-1-d1')}?/"
    "bfb-to-install"
)
BOTH_RUN = f"bf-bundle.bfb;{CFG}"
SILENT = Silence(cause=Cause.UNREACHABLE, why="10.1.1.1:443 cannot be reached: Connection refused")
FIRST = ["Initializing", "Pending", "Node Effect", "Initialize Interface", "Config FW Parameters", "Prepare BFB",
         "OS Installing", "DPU Config"]
LAST = ["DPU Cluster Config", "Service Readiness", "Node Effect Removal", "Ready"]


def a_stage(folder: Path, interface: InstallInterface = REDFISH, **options: object) -> Stage:
    """One card, of which nothing is done before the test says so."""
    stage = some.a_stage(folder, interface=interface, effect=NO_EFFECT, **options)  # type: ignore[arg-type]
    stage.plays.installs = False
    return stage


@pytest.mark.parametrize(("interface", "reboots", "expected"), [
    (REDFISH, False, [*FIRST, *LAST]),
    (REDFISH, True, [*FIRST, "Rebooting", "DPU Config", *LAST]),
    (GNOI, False, [*FIRST, "Host Network Configuration", *LAST]),
    (GNOI, True, [*FIRST, "Rebooting", "Host Network Configuration", *LAST]),
])
async def test_16_29_phases_in_their_order(
    tmp_path: Path, interface: InstallInterface, reboots: bool, expected: list[str],
) -> None:
    flavor = {"nvconfig": [{"device": "*", "parameters": ["NUM_OF_VFS=8"]}]} if reboots else {}
    stage = some.a_stage(tmp_path, interface=interface, flavor=flavor)
    stage.plays.methods = {"d1": "SystemReboot"} if reboots else {}
    seen: list[str] = []

    def look(_request: Request) -> None:
        status = stage.dpu().status
        if not seen or seen[-1] != status.phase:
            assert status.previousPhase in (None, *seen[-1:])
            seen.append(str(status.phase))
        ready = [c for c in status.conditions or () if c.type == "Ready"]
        assert all(c.message for c in ready if c.status == "False"), "Ready False says why"

    stage.host.after_write = look
    async with stage.controllers() as manager:
        await stage.work(manager)
    assert seen == expected
    assert stage.told() == ("True", "DPUReady", "")


async def test_16_30_a_busy_bmc_costs_no_attempt(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    card = stage.cards["d1"]
    card.tasks["77"] = Task(id="77", state=TaskState.RUNNING, percent=1, image="somebody/else", state_text="Running")
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("OS Installing"))
        assert stage.told("BFBTransferred") == (
            "False", "AnotherUpdateInProgress", "The BMC is at work on task 77, which is not ours",
        )
        card.forget_tasks()
        card.refusals = [InstallError("Another update is in progress", busy=True)] * 2
        for _ in range(2):
            await stage.pass_time(manager, 5)
            assert stage.told("BFBTransferred")[1:] == ("AnotherUpdateInProgress", "Another update is in progress")
        await stage.pass_time(manager, 10)
        assert stage.told("BFBTransferred") == ("False", "TaskProgress", "install task 0% complete")
        assert (stage.dpu().metadata.annotations or {}) == {}
        stage.plays.installs = True
        await stage.work(manager)
    assert card.installs == [IMAGE]


async def test_16_31_two_exceptions(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    card = stage.cards["d1"]
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("OS Installing"))
        card.progress(40)
        await stage.pass_time(manager, 5)
        assert stage.told("BFBTransferred") == ("False", "TaskProgress", "install task 40% complete")
        card.fail("The image is corrupt.")
        await stage.pass_time(manager, 5)
        assert card.installs == [IMAGE, IMAGE]
        assert stage.dpu().status.redfishTaskId == "2"
        card.fail("The image is corrupt.")
        await stage.work(manager)
        why = "task 2 ended with Exception: The image is corrupt."
        assert stage.phases == {"worker-1-d1": "Error"}
        assert stage.told("Error") == ("True", "FailToInstall", f"{why} Tried 2 times")
        assert stage.told("BFBTransferred") == stage.told("OSInstalled") == ("False", "FailToInstall", why)
        await stage.pass_time(manager, 3600, step_s=60)
    assert card.installs == [IMAGE, IMAGE]


async def test_one_exception_then_success(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    card = stage.cards["d1"]
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("OS Installing"))
        card.fail("The cable is loose.")
        await stage.pass_time(manager, 0.4, step_s=0.2)
        async with stage.controllers() as again:
            await stage.pass_time(again, 5)
            stage.plays.installs = True
            await stage.work(again)
    assert stage.phases == {"worker-1-d1": "Ready"}
    assert card.installs == [IMAGE, IMAGE]


async def test_orders_that_are_refused_are_attempts(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    stage.installer.refuses = {Install: [InstallError("the image is too long")] * 2}
    async with stage.controllers() as manager:
        await stage.work(manager)
        assert stage.told("Error") == ("True", "FailToInstall", "the image is too long. Tried 2 times")
        await stage.pass_time(manager, 600, step_s=30)
    assert stage.installs == {"d1": 0}


@pytest.mark.parametrize("comes", [True, False], ids=["the agent reports", "nobody reports"])
async def test_16_32_the_bmc_forgets_its_task(tmp_path: Path, comes: bool) -> None:
    stage = a_stage(tmp_path)
    card = stage.cards["d1"]
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("OS Installing"))
        card.forget_tasks()
        card.set(boot=Boot.OS_STARTING, boot_text="OsStarting")
        await stage.pass_time(manager, 600)
        assert stage.told("BFBTransferred") == (
            "False", "TaskLost",
            "The BMC does not know task 1 any more; waiting for the DPU itself. last boot progress: OsStarting",
        )
        if comes:
            await stage.report(stage.dpu())
            await stage.work(manager, until=stage.in_phase("DPU Cluster Config"))
            assert stage.told("BFBTransferred") == ("True", "BFBTransferred", "")
            assert stage.dpu().status.redfishTaskId is None
        else:
            await stage.pass_time(manager, 3600, step_s=30)
            assert stage.told("Error") == (
                "True", "InstallationTimeout", "Not installed within 3600 s; last boot progress: OsStarting",
            )
    assert card.installs == [IMAGE]


@BOTH
async def test_16_33_a_card_that_hangs(tmp_path: Path, interface: InstallInterface) -> None:
    stage = a_stage(tmp_path, interface, config={"osInstallTimeout": "10m"})
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("OS Installing"))
        await stage.pass_time(manager, 590)
        assert stage.phases == {"worker-1-d1": "OS Installing"}
        await stage.pass_time(manager, 20)
        told = "UEFI" if interface is REDFISH else "unknown"
        assert stage.told("Error") == (
            "True", "InstallationTimeout", f"Not installed within 600 s; last boot progress: {told}",
        )
    assert stage.installs == {"d1": 1}


@BOTH
async def test_a_card_that_falls_silent_costs_no_attempt(tmp_path: Path, interface: InstallInterface) -> None:
    stage = a_stage(tmp_path, interface)
    card = stage.cards["d1"]
    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: bool(stage.cards["d1"].installs))
        card.silence = SILENT
        await stage.pass_time(manager, 1800, step_s=30)
        type_ = "BFBTransferred" if interface is REDFISH else "OSInstalled"
        assert stage.told(type_) == ("False", "FailToCheckProgress", SILENT.why)
        assert stage.told() == ("False", "FailToCheckProgress", f"OS Installing: {SILENT.why}")
        before = list(stage.world.writes)
        await stage.pass_time(manager, 600, step_s=30)
        assert stage.world.writes == before
        card.silence = None
        stage.plays.installs = True
        await stage.work(manager)
    assert stage.installs == {"d1": 1}
    assert stage.phases == {"worker-1-d1": "Ready"}


async def test_16_35_the_firmware_was_not_updated(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    card = stage.cards["d1"]
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("OS Installing"))
        card.finish()
        await stage.work(manager, until=stage.in_phase("DPU Cluster Config"))
        assert stage.told("DPUClusterReady") == (
            "False", "CheckFwVersionError",
            ("DPU UEFI version 4.7.0 was not updated, expected 4.9.0; DPU BSP version 4.7.0 was not updated, "
            "expected 4.9.0"),
        )
        before = list(stage.world.writes)
        await stage.pass_time(manager, 600, step_s=30)
        assert stage.world.writes == before
        card.set(firmware={Component.UEFI: "4.9.0", Component.BSP: "4.9.0"})
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}


async def test_16_47_what_a_management_service_is_given(tmp_path: Path) -> None:
    stage = a_stage(tmp_path, GNOI)
    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: bool(stage.cards["d1"].installs))
        orders = [order for order in stage.cards["d1"].orders if isinstance(order, Transfer | Activate)]
        file = tmp_path / "bfcfg" / f"{NAMESPACE}_worker-1-d1_{some.uid_of('worker-1-d1')}"
        assert orders == [
            Transfer(version="bf-bundle.bfb", path=str(tmp_path / "bf-bundle.bfb")),
            Transfer(version=CFG, path=str(file)),
            Activate(version=BOTH_RUN),
        ]
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_bytes().count(b"kubeadm join") >= 1


async def test_16_47_a_version_that_is_there_is_not_sent_again(tmp_path: Path) -> None:
    stage = a_stage(tmp_path, GNOI)
    stage.cards["d1"].set(installed=("bf-bundle.bfb",))
    stage.plays.installs = True
    async with stage.controllers() as manager:
        await stage.work(manager)
    assert [o.version for o in stage.cards["d1"].orders if isinstance(o, Transfer)] == [CFG]


@pytest.mark.parametrize("outcome", [Outcome.FAILURE, Outcome.RETRIABLE_FAILURE])
async def test_16_47_an_activation_fails(tmp_path: Path, outcome: Outcome) -> None:
    stage = a_stage(tmp_path, GNOI)
    card = stage.cards["d1"]
    async with stage.controllers() as manager:
        for count in (1, 2):
            await stage.work(manager, until=lambda stage: stage.cards["d1"].is_busy)
            assert len(card.installs) == count
            card.fail("the flash is worn out", outcome)
            assert card.sight.activation is not None
            card.set(activation=dataclasses.replace(card.sight.activation, count=count))
            await stage.pass_time(manager, 30)
        why = f"{outcome}: the flash is worn out"
        assert stage.told("OSInstalled") == ("False", "FailToInstall", why)
        assert stage.told("Error") == ("True", "FailToInstall", f"{why}. Tried 2 times")
        await stage.pass_time(manager, 3600, step_s=60)
    assert card.installs == [BOTH_RUN, BOTH_RUN]


@pytest.mark.parametrize("joins", [True, False])
async def test_a_management_service_that_forgets(tmp_path: Path, joins: bool) -> None:
    """Its pod was made anew in the middle: the Node tells that the system runs; nothing is ordered again."""
    stage = a_stage(tmp_path, GNOI)
    card = stage.cards["d1"]
    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: bool(stage.cards["d1"].installs))
        card.set(installed=(), running=None, activation=Activation(is_active=False))
        await stage.pass_time(manager, 600, step_s=30)
        assert stage.told("OSInstalled") == (
            "False", "TaskLost",
            (f"The management service does not know any more that it activated {BOTH_RUN}; waiting for the DPU itself "
            f"to join DPUCluster {NAMESPACE}/tenant1"),
        )
        if joins:
            await stage.join(stage.dpu())
        await stage.work(manager, rounds=200, step_s=30)
    assert card.installs == [BOTH_RUN]
    assert stage.phases == {"worker-1-d1": "Ready" if joins else "Error"}


async def test_the_bfb_changes_while_it_is_installed(tmp_path: Path) -> None:
    """What was begun is finished with what it was begun with."""
    stage = a_stage(tmp_path)
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("OS Installing"))
        await stage.patch_status(BFB, some.BFB_NAME, {"fileName": "other.bfb"})
        await stage.pass_time(manager, 60)
        stage.plays.installs = True
        await stage.work(manager)
    assert stage.cards["d1"].installs == [IMAGE]


async def test_the_id_of_the_task_was_not_written_down(tmp_path: Path) -> None:
    """The process ended after the order: the work is found by the image that was ordered."""
    stage = a_stage(tmp_path)
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("Prepare BFB", "OS Installing"))
    await stage.patch_status(type(stage.dpu()), "worker-1-d1", {"redfishTaskId": None})
    async with stage.controllers() as manager:
        await stage.pass_time(manager, 60)
        assert stage.dpu().status.redfishTaskId == "1"
    assert [order for order in stage.cards["d1"].orders if isinstance(order, Install)] == [Install(image=IMAGE)]
