"""Timelines of installations: what happens to which object, when, and in which words.

The files are the specification, for reading. `UPDATE_GOLDEN=1` writes them anew; read the difference, line by line,
before you keep it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import dpus as some
from tests.support import dpusets
from tests.support.dputimelines import Timeline
from tests.support.world import NAMESPACE

from dpf.api.dpu import DPU
from dpf.api.dpuset import DPUSet
from dpf.api.provisioning import InstallInterface
from dpf.kube.memory import Request
from dpf.runtime import conditions

HERE = Path(__file__).parent
BOTH = pytest.mark.parametrize("interface", [InstallInterface.REDFISH, InstallInterface.GNOI])
REBOOT = {"nvconfig": [{"device": "*", "parameters": ["NUM_OF_VFS=8"]}]}


@BOTH
async def test_a_flash(tmp_path: Path, interface: InstallInterface) -> None:
    stage = some.a_stage(tmp_path, interface=interface, effect={"hold": True})
    story = Timeline(stage, f"A flash over {interface}: one card, the host is held, nothing has to restart")
    stage.plays.installs = stage.plays.releases = False
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("Node Effect"))
        await stage.pass_time(manager, 3600, step_s=60)
        story.tell("Somebody has prepared the host.")
        stage.plays.releases = True
        await stage.work(manager, until=stage.in_phase("OS Installing"))
        await stage.pass_time(manager, 30)
        stage.cards["d1"].progress(40)
        await stage.pass_time(manager, 300)
        story.tell("The card is done; its system starts.")
        stage.plays.installs = True
        await stage.work(manager)
        story.tell("An hour goes by.")
        await stage.pass_time(manager, 3600, step_s=60)
        story.tell("The DPU is deleted.")
        await stage.delete()
        await stage.work(manager, until=lambda stage: not stage.dpus and not stage.left)
    assert story.text() == story.recorded(HERE / f"flash-{interface.value.lower()}.txt")


async def test_two_cards_of_one_host(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, cards=2, effect={"hold": True})
    stage.plays.methods = {"d1": "SystemLevelReset", "d1b": "PowerCycle"}
    story = Timeline(stage, "Two cards of one host: one maintenance, one reboot, lifted after both")
    async with stage.controllers() as manager:
        await stage.work(manager)
    text = story.text()
    assert text.count(f"annotation {some.REBOOT_REQUIRED}=true") == 1, "the host is rebooted once"
    assert text.count("DPUNodeMaintenance worker-1-hold") >= 1
    assert text.count("is made, requestors") == 1, "there is one maintenance"
    assert text == story.recorded(HERE / "two-cards.txt")


async def test_a_rolling_update(tmp_path: Path) -> None:
    """Ten DPUs at 25 %: at every instant at most three are not Ready."""
    dpuset = dpusets.a_dpuset(
        strategy=dpusets.rolling("25%"),
        template={"bfb": {"name": some.BFB_NAME}, "dpuFlavor": some.FLAVOR, "nodeEffect": {"noEffect": True}},
    )
    stage = some.a_stage(tmp_path, dpuset, some.a_bfb("bf-newer"), hosts=10, dpus=False)
    worst: list[int] = []

    def count(_request: Request) -> None:
        worst.append(10 - sum(conditions.is_true(dpu.status.conditions, "Ready") and
                              dpu.metadata.deletionTimestamp is None for dpu in stage.host.objects(DPU)))

    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: stage.is_over() and len(stage.dpus) == 10)
        story = Timeline(
            stage, "A rolling update of ten DPUs at 25 %", kinds=(DPUSet, DPU), phases_only=True
        )
        told = stage.host.after_write

        def both(request: Request) -> None:
            count(request)
            if told is not None:
                told(request)

        stage.host.after_write = both
        story.tell("The template names another BFB.")
        await stage.host.patch(
            DPUSet, dpusets.SET, NAMESPACE, patch={"spec": {"dpuTemplate": {"spec": {"bfb": {"name": "bf-newer"}}}}}
        )
        await stage.work(manager, rounds=400, until=lambda stage: stage.is_over() and len(stage.dpus) == 10 and all(
            dpu.spec is not None and dpu.spec.bfb == "bf-newer" for dpu in stage.dpus.values()
        ))
    assert max(worst) == 3
    assert set(stage.installs.values()) == {2}
    assert story.text() == story.recorded(HERE / "rolling-update.txt")
