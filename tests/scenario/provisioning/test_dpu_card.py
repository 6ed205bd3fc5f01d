"""Cards in another mode, cards that restart, hang and lie (behaviour-provisioning.md 5.4, 5.5, 13).

Whatever one card says, no other DPU waits for it, and none is installed twice.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import dpus as some
from tests.support.clock import turns
from tests.support.dpus import Stage
from tests.support.world import NAMESPACE

from dpf.api import names
from dpf.api.bfb import BFB
from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpunode import DPUNode
from dpf.api.provisioning import DPUMode, InstallInterface
from dpf.provisioning.install.port import (
    Activation,
    Boot,
    Cause,
    InstallError,
    Outcome,
    PrepareRShim,
    Restart,
    SecureBoot,
    SetMode,
    SetSecureBoot,
    Sight,
    Silence,
    Task,
    TaskState,
)

GNOI, REDFISH = InstallInterface.GNOI, InstallInterface.REDFISH
BOTH = pytest.mark.parametrize("interface", [REDFISH, GNOI])
NO_EFFECT = {"noEffect": True}
TRACKER = names.ARM_RESTART_TRACKER_ANNOTATION
WHYS = [
    Silence(cause=Cause.UNREACHABLE, why="10.1.1.1:443 cannot be reached: Connection refused"),
    Silence(cause=Cause.REJECTED, why="10.1.1.1:443 rejects the password of Secret bmc-shared-password"),
    Silence(cause=Cause.UNTRUSTED, why="10.1.1.1:443 shows a certificate of another authority"),
    Silence(cause=Cause.UNREADABLE, why="10.1.1.1:443 answers what is no JSON"),
]


async def test_16_36_a_card_in_nic_mode(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect=NO_EFFECT)
    stage.cards["d1"].set(mode=DPUMode.NIC)
    stage.plays.reboots = False
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("Rebooting"))
        await stage.pass_time(manager, 60)
        why = "The card is in NIC mode; it becomes a DPU when its host is power-cycled"
        assert stage.told("InterfaceInitialized") == ("False", "ModeUpdateRequiresPowerCycle", why)
        assert stage.cards["d1"].orders == [SetMode(mode=DPUMode.DPU)]
        assert stage.dpu().status.dpuMode == "nic"
        (told,) = [c for c in stage.dpunode().status.conditions or () if c.type == "DPUNodeRebootInProgress"]
        assert told.message == "required reboot method: PowerCycle (driven by DPU worker-1-d1)"
        assert stage.told("Rebooted")[2] == (
            f"{told.message}. Next step: reboot the host, then remove annotation {some.REBOOT_REQUIRED} from DPUNode "
            "worker-1"
        )
        stage.plays.reboots = True
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}
    assert stage.dpu().status.dpuMode == "dpu"
    assert stage.installs == {"d1": 1}


async def test_16_37_secure_boot(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect=NO_EFFECT, secureBoot=True)
    card = stage.cards["d1"]
    times: list[float] = []

    def heard(request: Any) -> None:
        if request.kind == "Restart":
            times.append(stage.world.clock.monotonic())

    stage.drives.after_write = heard
    async with stage.controllers() as manager:
        await manager.settle()
        assert stage.phases == {"worker-1-d1": "Perform ARM Force Restart"}
        await stage.pass_time(manager, 30)
        assert stage.told("ArmForceRestarted") == (
            "False", "WaitingForRestart",
            "Restarted 1 of 2 times; the next restart is a minute after the last one",
        )
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}
    assert [type(order) for order in card.orders][:3] == [SetSecureBoot, Restart, Restart]
    assert times[1] - times[0] >= 60
    assert stage.installs == {"d1": 1}


async def test_16_37_a_bmc_that_does_not_take_secure_boot_over(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect=NO_EFFECT, secureBoot=True)
    stage.installer.lies["d1"] = lambda seen: dataclasses.replace(
        seen, secure_boot=SecureBoot(current=False, wanted=True) if seen.secure_boot is not None else None
    )
    async with stage.controllers() as manager:
        await stage.work(manager)
        assert stage.told("Error") == (
            "True", "SecureBootConfigurationFailed",
            "Secure Boot is off after 2 restarts and should be on: the BMC does not take it over",
        )
        await stage.pass_time(manager, 3600, step_s=30)
    assert [type(order) for order in stage.cards["d1"].orders] == [SetSecureBoot, Restart, Restart]


async def test_a_restart_of_the_arm_cores_that_hangs(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect=NO_EFFECT, secureBoot=True)
    async with stage.controllers() as manager:
        await manager.settle()
        stage.cards["d1"].set(boot=Boot.UEFI, boot_text="UEFI")
        await stage.pass_time(manager, 60)
        assert stage.told("ArmForceRestarted") == (
            "False", "OSNotRunning", "The system of the card does not run yet: UEFI",
        )
        await stage.work(manager)
        assert stage.told("Error") == (
            "True", "OSBootTimeout",
            "The system has not booted within 5 min: The system of the card does not run yet: UEFI",
        )


async def test_restarts_are_counted_over_a_restart_of_ours(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect=NO_EFFECT, secureBoot=True)
    for _ in range(8):
        async with stage.controllers() as manager:
            await stage.pass_time(manager, 15, step_s=5)
    async with stage.controllers() as manager:
        await stage.work(manager)
    assert [type(o) for o in stage.cards["d1"].orders].count(Restart) == 2
    assert stage.phases == {"worker-1-d1": "Ready"}


@pytest.mark.parametrize("silence", WHYS, ids=lambda silence: str(silence.cause))
async def test_a_card_that_says_nothing(tmp_path: Path, silence: Silence) -> None:
    stage = some.a_stage(tmp_path, effect=NO_EFFECT, hosts=2)
    stage.cards["d1"].silence = silence
    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: stage.phases["worker-2-d2"] == "Ready")
        assert stage.told("InterfaceInitialized") == ("False", "CardUnreachable", silence.why)
        assert stage.told() == ("False", "CardUnreachable", f"Initialize Interface: {silence.why}")
        before = list(stage.world.writes)
        await stage.pass_time(manager, 3600, step_s=30)
        assert stage.world.writes == before
        stage.cards["d1"].silence = None
        await stage.work(manager)
    assert stage.installs == {"d1": 1, "d2": 1}


async def test_16_18_another_card_answers(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect=NO_EFFECT)
    stage.cards["d1"].set(serial="MT-OTHER")
    async with stage.controllers() as manager:
        await stage.pass_time(manager, 600, step_s=30)
        assert stage.told("InterfaceInitialized") == (
            "False", "SerialNumberMismatch", "serial number mismatch, expected: MT-D1, actual: MT-OTHER",
        )
        assert stage.cards["d1"].orders == []
        stage.cards["d1"].set(serial="mt-d1")
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}


def without(*fields: str) -> Callable[[Sight], Sight]:
    """A card that does not tell these."""
    nothing: dict[str, Any] = dict.fromkeys(fields)
    return lambda seen: dataclasses.replace(seen, **nothing)


def always(**facts: Any) -> Callable[[Sight], Sight]:
    """A card that always says the same, asked or not."""
    return lambda seen: dataclasses.replace(seen, **facts)


def vague(seen: Sight) -> Sight:
    """Tasks without percent, image or a state that anybody knows."""
    tasks = tuple(dataclasses.replace(t, percent=None, state_text="Strange", image=None) for t in seen.tasks or ())
    task = dataclasses.replace(seen.task, percent=None, image=None) if seen.task is not None else None
    return dataclasses.replace(seen, task=task, tasks=tasks if seen.tasks is not None else None)


BMC_LIES: dict[str, Callable[[Sight], Sight]] = {
    "nothing about itself": without("serial", "type", "mode", "description", "firmware", "secure_boot"),
    "no tasks": without("tasks"),
    "vague tasks": vague,
    "a percentage of 400": lambda seen: dataclasses.replace(
        seen, task=dataclasses.replace(seen.task, percent=400) if seen.task is not None else None
    ),
    "no task at all": always(task=None, tasks=None),
    "every task is lost": lambda seen: dataclasses.replace(
        seen, task=dataclasses.replace(seen.task, state=TaskState.LOST) if seen.task is not None else None
    ),
    "the task of somebody else": always(task=Task(id="x" * 40, state=TaskState.RUNNING, percent=None), tasks=()),
    "a strange boot": always(boot=Boot.OTHER, boot_text="\x00" * 3 + "?" * 900),
    "everything and nothing": lambda _seen: Sight(),
}
DMS_LIES: dict[str, Callable[[Sight], Sight]] = {
    "nothing installed": without("installed"),
    "always active": always(activation=Activation(is_active=True), running=None),
    "always failed": always(activation=Activation(is_active=False, outcome=Outcome.FAILURE, reason="no")),
    "always unknown": always(activation=Activation(is_active=False, outcome=Outcome.UNKNOWN)),
    "no activation": without("activation"),
    "runs something else": always(running="somebody.bfb;else.cfg"),
    "everything and nothing": lambda _seen: Sight(),
}


@pytest.mark.parametrize("lie", BMC_LIES.values(), ids=BMC_LIES)
async def test_a_bmc_that_lies(tmp_path: Path, lie: Callable[[Sight], Sight]) -> None:
    await tell_lies(some.a_stage(tmp_path, hosts=2, effect=NO_EFFECT), lie)


@pytest.mark.parametrize("lie", DMS_LIES.values(), ids=DMS_LIES)
async def test_a_management_service_that_lies(tmp_path: Path, lie: Callable[[Sight], Sight]) -> None:
    await tell_lies(some.a_stage(tmp_path, hosts=2, effect=NO_EFFECT, interface=GNOI), lie)


async def tell_lies(stage: Stage, lie: Callable[[Sight], Sight]) -> None:
    """For two hours: the other DPU becomes Ready, and the liar's says what it is at, or why it failed."""
    stage.installer.lies["d1"] = lie
    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: stage.phases["worker-2-d2"] == "Ready")
        for _ in range(20):
            await stage.act()
            await stage.pass_time(manager, 360, step_s=30)
        status, reason, message = stage.told()
        assert status == "True" or (reason and len(message) > len(stage.phases["worker-1-d1"]) + 2)
        before = list(stage.world.writes)
        await stage.pass_time(manager, 3600, step_s=60)
        assert stage.world.writes == before
    # An attempt that failed may be tried again, as often as osInstallRetries says.
    assert stage.installs["d1"] <= 2
    assert stage.installs["d2"] == 1


@BOTH
async def test_a_card_that_hangs_delays_no_other(tmp_path: Path, interface: InstallInterface) -> None:
    """Its answer does not come at all; the others are worked on meanwhile."""
    stage = some.a_stage(tmp_path, hosts=4, effect=NO_EFFECT, interface=interface)
    comes = asyncio.Event()

    async def hang(seen: Sight) -> Sight:
        await comes.wait()
        return seen

    stage.installer.lies["d1"] = hang
    async with stage.controllers() as manager:
        running = asyncio.create_task(manager.run())
        try:
            for _ in range(60):
                await stage.world.clock.run_for(2)
                await asyncio.to_thread(lambda: None)
                await stage.act()
                await turns()
            others = {name: phase for name, phase in stage.phases.items() if name != "worker-1-d1"}
            assert set(others.values()) == {"Ready"}
            assert stage.phases["worker-1-d1"] == "Initialize Interface"
            stage.installer.lies.clear()
            comes.set()
            for _ in range(60):
                await stage.world.clock.run_for(2)
                await asyncio.to_thread(lambda: None)
                await stage.act()
                await turns()
            assert set(stage.phases.values()) == {"Ready"}
        finally:
            await manager.stop(running)
    assert set(stage.installs.values()) == {1}


async def test_the_host_of_a_card_goes_away(tmp_path: Path) -> None:
    """The DPUNode is deleted with a DPU on its way: the DPU is deleted, not stuck."""
    stage = some.a_stage(tmp_path, effect=NO_EFFECT, interface=GNOI)
    async with stage.controllers() as manager:
        await stage.work(manager)
        await stage.host.delete(DPUNode, "worker-1", NAMESPACE)
        await stage.work(manager, until=lambda stage: not stage.dpus and not stage.left)
    assert stage.host.objects(DPUNode) == ()


async def test_an_order_that_is_refused_is_tried_again(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect=NO_EFFECT)
    stage.installer.refuses = {PrepareRShim: [InstallError("the BMC is updating itself")] * 3}
    async with stage.controllers() as manager:
        await manager.settle()
        assert stage.told("FWConfigured") == ("False", "Error", "the BMC is updating itself")
        assert stage.told() == ("False", "Error", "Config FW Parameters: the BMC is updating itself")
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}


@pytest.mark.parametrize(("kind", "name"), [(BFB, some.BFB_NAME), (DPUFlavor, some.FLAVOR), (DPUDevice, "d1")])
async def test_what_it_names_goes_away_in_the_middle(tmp_path: Path, kind: type[Any], name: str) -> None:
    """It is waited for by its name, and the card is not touched."""
    stage = some.a_stage(tmp_path, effect=NO_EFFECT)
    stage.cards["d1"].silence = WHYS[0]
    async with stage.controllers() as manager:
        await manager.settle()
        (gone,) = stage.host.objects(kind)
        await stage.host.delete(kind, name, NAMESPACE)
        stage.cards["d1"].silence = None
        await stage.pass_time(manager, 60)
        resource = kind.resource.kind
        assert stage.told() == (
            "False", f"{resource}NotFound",
            f"Initialize Interface: {resource} {NAMESPACE}/{name} does not exist any more",
        )
        assert stage.cards["d1"].orders == []
        stage.host.add(gone)
        await stage.work(manager)
    assert stage.installs == {"d1": 1}


GARBAGE = ["", "no JSON", "[]", "null", '{"attempt": "two"}', '{"generation": 2, "attempt": 1, "last": "yesterday"}',
           '{"generation": 2, "attempt": -100, "max": 100}', '{"failed": -100}', '{"failed": 1e400}']


@pytest.mark.parametrize("value", GARBAGE)
async def test_notes_that_somebody_has_spoiled(tmp_path: Path, value: str) -> None:
    """Annotations are anybody's: what cannot be read counts as nothing tried, and gives nobody more attempts."""
    stage = some.a_stage(tmp_path, effect=NO_EFFECT, secureBoot=True)
    for name in (names.ARM_RESTART_TRACKER_ANNOTATION, names.INSTALL_TRACKER_ANNOTATION):
        await stage.annotate(DPU, "worker-1-d1", name, value)
    card = stage.cards["d1"]
    stage.plays.installs = False
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("OS Installing"))
        for _ in range(4):
            card.fail("worn out")
            await stage.pass_time(manager, 10)
        assert stage.told("Error")[1] == "FailToInstall"
    assert [type(order) for order in card.orders].count(Restart) <= 2
    assert len(card.installs) <= 2
