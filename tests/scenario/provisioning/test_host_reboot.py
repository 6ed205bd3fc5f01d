"""The agent on a host reboots it for DPUs that wait: once, told before, noticed after (behaviour-provisioning.md 7)."""

from __future__ import annotations

import json

import msgspec
import pytest
from tests.support import rebootinghosts as some
from tests.support.crash import Crash, crash_at
from tests.support.rebootinghosts import HOST, Stage, a_dpu, a_stage, live, running
from tests.support.world import NAMESPACE

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.dpunode import DPUNode, DPUNodeStatus, NodeRebootMethod
from dpf.hostagent.reboot import agent
from dpf.hostagent.reboot.choice import Power, Reset, Way
from dpf.hostagent.reboot.controller import HostRebootController
from dpf.hostagent.reboot.memory import MemoryMachine

RECORD = "provisioning.dpu.nvidia.com/host-agent-reboot"
RESET = Reset(cards=("0000:0e:00.0",))
PENDING, SUCCEEDED = ("Pending", "WaitingForHostAgent"), ("Succeeded", "RebootSucceeded")
FAILED = ("Failed", "FailedToReboot")


async def test_host_is_rebooted_once_and_all_its_dpus_hear_of_it() -> None:
    stage = a_stage(a_dpu("a"), a_dpu("b", method="SystemReboot", pci="0000-2b-00"))
    await live(stage)
    assert stage.machine.ordered == [Reset(cards=("0000:0e:00.0", "0000:2b:00.0"))]
    assert stage.told == {"a": PENDING, "b": PENDING}
    await live(stage)
    assert len(stage.machine.ordered) == 1, "another process of the same boot orders nothing"
    stage.machine.come_back()
    await live(stage)
    assert stage.told == {"a": SUCCEEDED, "b": SUCCEEDED}
    assert not stage.is_recorded()
    assert len(stage.machine.ordered) == 1


async def test_condition_says_what_goes_on_and_ends_with_the_last_dpu() -> None:
    stage = a_stage(a_dpu("a"), a_dpu("b", method="PowerCycle"))
    await live(stage)
    assert stage.in_progress is not None
    assert (stage.in_progress.status, stage.in_progress.reason) == ("True", "RebootInProgress")
    assert stage.in_progress.message == "required reboot method: PowerCycle (driven by DPU b)"
    assert (stage.dpunode.status.rebootInProgress, stage.dpunode.status.rebootMethod) == (True, "PowerCycle")
    stage.machine.come_back()
    await live(stage)
    stage.world.host.add(a_dpu("a", "Ready"), a_dpu("b", "Ready"))
    await live(stage)
    assert (stage.in_progress.status, stage.in_progress.reason) == ("False", "Success")
    assert stage.dpunode.status.rebootInProgress is False


async def test_boot_is_on_the_object_before_the_host_goes_down() -> None:
    stage = a_stage(a_dpu("a"))
    seen: list[str] = []

    class Watched(MemoryMachine):
        async def restart(self, way: Way) -> str | None:
            seen.append(json.loads((stage.dpunode.metadata.annotations or {})[RECORD])["bootID"])
            seen.append(str(stage.told))
            return await super().restart(way)

    stage.machine = Watched()
    await live(stage)
    assert seen == ["boot-1", str({"a": PENDING})]


async def test_siblings_that_are_being_installed_hold_the_reboot_back() -> None:
    stage = a_stage(a_dpu("a"), a_dpu("b", "OS Installing"))
    async with running(stage) as manager:
        assert stage.machine.ordered == []
        assert stage.in_progress is not None
        assert stage.in_progress.message == (
            "required reboot method: SystemLevelReset (driven by DPU a); "
            "Waiting for DPU b (OS Installing) before the host is rebooted"
        )
        stage.world.host.add(a_dpu("b", "Ready"))
        await manager.settle()
        assert stage.machine.ordered == [RESET]


async def test_dpu_that_comes_during_the_reboot_gets_one_of_its_own() -> None:
    stage = a_stage(a_dpu("a"), a_dpu("b", "Ready", pci="0000-2b-00"))
    await live(stage)
    stage.world.host.add(a_dpu("b", pci="0000-2b-00"))
    await live(stage)
    assert stage.told["b"] == (None, None)
    stage.machine.come_back()
    await live(stage)
    assert stage.told == {"a": SUCCEEDED, "b": PENDING}
    assert stage.machine.ordered == [RESET, Reset(cards=("0000:2b:00.0",))]


@pytest.mark.parametrize(("dpu", "annotations", "expected"), [
    pytest.param(a_dpu("a", method="PowerCycle"), {}, [Power(action="cycle")], id="method"),
    pytest.param(
        a_dpu("a", annotations={"provisioning.dpu.nvidia.com/host-power-cycle-required": "true"}), {},
        [Power(action="cycle")], id="annotation of the DPU",
    ),
    pytest.param(a_dpu("a", method="PowerCycle"), {"powercycle-command": "reset"}, [Power(action="reset")], id="reset"),
    pytest.param(a_dpu("a"), {"powercycle-command": "cycle"}, [Power(action="cycle")], id="asked for on the Node"),
    pytest.param(a_dpu("a"), {"powercycle-command": "skip"}, [RESET], id="skips power cycles only"),
    pytest.param(a_dpu("a"), {"reboot-command": "cycle"}, [Power(action="cycle")], id="reboot by power"),
    pytest.param(a_dpu("a", method="Unknown"), {}, [RESET], id="unknown"),
])
async def test_way_of_the_reboot(dpu: DPU, annotations: dict[str, str], expected: list[object]) -> None:
    named = {f"provisioning.dpu.nvidia.com/{name}": word for name, word in annotations.items()}
    stage = a_stage(dpu, node_annotations=named)
    await live(stage)
    assert stage.machine.ordered == expected


@pytest.mark.parametrize(("method", "name"), [("PowerCycle", "powercycle-command"), ("SystemReboot", "reboot-command")])
async def test_reboot_can_be_skipped(method: str, name: str) -> None:
    stage = a_stage(a_dpu("a", method=method), node_annotations={f"provisioning.dpu.nvidia.com/{name}": "skip"})
    await live(stage)
    assert stage.machine.ordered == []
    assert stage.told == {"a": ("Succeeded", "RebootSkipped")}


async def test_word_that_means_nothing_reboots_nothing() -> None:
    stage = a_stage(
        a_dpu("a", method="PowerCycle"), node_annotations={"provisioning.dpu.nvidia.com/powercycle-command": "of"}
    )
    await live(stage)
    assert stage.machine.ordered == []
    assert stage.in_progress is not None
    assert "is none of cycle, reset, skip. Next step: correct it on the Node" in stage.in_progress.message


async def test_failure_is_told_and_tried_again_after_a_minute() -> None:
    stage = a_stage(a_dpu("a"))
    stage.machine.trouble = "ipmitool failed with exit code 1"
    await live(stage)
    assert stage.told == {"a": FAILED}
    status = stage.world.host.objects(DPU)[0].status.rebootStatus
    assert status is not None
    assert status.message == "ipmitool failed with exit code 1"
    stage.machine.trouble = None
    await live(stage)
    assert stage.machine.ordered == [], "not at once"
    await live(stage, 61)
    assert stage.machine.ordered == [RESET]
    stage.machine.come_back()
    await live(stage)
    assert stage.told == {"a": SUCCEEDED}


async def test_host_that_does_not_go_down_is_told_and_told_again() -> None:
    stage = a_stage(a_dpu("a"))
    async with running(stage) as manager:
        stage.world.clock.advance(890)
        await manager.settle()
        assert (stage.told, len(stage.machine.ordered)) == ({"a": PENDING}, 1)
        stage.world.clock.advance(20)
        await manager.settle()
        assert (stage.told, len(stage.machine.ordered)) == ({"a": FAILED}, 2)


async def test_boot_that_cannot_be_read_reboots_nothing() -> None:
    stage = a_stage(a_dpu("a"))

    class Blind(MemoryMachine):
        async def boot_id(self) -> str:
            return ""

    stage.machine = Blind()
    await live(stage)
    assert stage.machine.ordered == []
    assert stage.in_progress is not None
    assert "The id of the running boot cannot be read" in stage.in_progress.message


async def test_dpu_that_goes_meanwhile_leaves_nothing_behind() -> None:
    stage = a_stage(a_dpu("a"))
    await live(stage)
    assert stage.is_recorded()
    await stage.world.host.delete(DPU, "a", NAMESPACE)
    await live(stage)
    assert not stage.is_recorded()
    assert len(stage.machine.ordered) == 1


@pytest.mark.parametrize("stage", [
    pytest.param(a_stage(a_dpu("a"), method=NodeRebootMethod(external={})), id="rebooted by somebody outside"),
    pytest.param(a_stage(a_dpu("a", host="other")), id="DPU of another host"),
    pytest.param(a_stage(a_dpu("a", "Ready")), id="nobody waits"),
    pytest.param(a_stage(a_dpu("a", told="Succeeded")), id="it was rebooted"),
    pytest.param(a_stage(a_dpu("a", pci=None)), id="card without a place"),
])
async def test_host_is_not_rebooted(stage: Stage) -> None:
    await live(stage)
    assert stage.machine.ordered == []
    assert not stage.is_recorded()


async def test_settled_host_causes_no_write() -> None:
    stage = a_stage(a_dpu("a"))
    stage.world.host.add(some.a_dpunode("worker-2"), a_dpu("z", host="worker-2"))
    await live(stage)
    stage.machine.come_back()
    await live(stage)
    writes = len(stage.world.writes)
    await live(stage, 1000)
    assert stage.world.writes[writes:] == []


async def test_crash_after_any_write_ends_in_exactly_one_reboot() -> None:
    for n in range(1, 50):
        stage = a_stage(a_dpu("a"), a_dpu("b", method="PowerCycle"))
        countdown = crash_at(n, *stage.clusters)
        for _ in range(6):
            before = len(stage.machine.ordered)
            try:
                await live(stage)
            except Crash:
                await live(stage)
            if len(stage.machine.ordered) > before:
                stage.machine.come_back()
            stage.world.clock.advance(901)
        assert stage.told == {"a": SUCCEEDED, "b": SUCCEEDED}, f"a crash after write {n} ends differently"
        assert stage.machine.ordered == [Power(action="cycle")], f"after write {n}"
        assert not stage.is_recorded()
        if not countdown.crashed:
            assert n > 6
            return
    raise AssertionError("still writing")


async def test_agent_watches_its_own_host_and_no_other() -> None:
    stage = a_stage(a_dpu("a", "Ready"))
    stage.world.host.add(some.a_dpunode("worker-2"), a_dpu("z", host="worker-2"))
    async with stage.world.controllers(lambda w: [
        HostRebootController(clusters=w.registry, dpunode=HOST, machine=stage.machine, clock=w.clock),
    ]) as manager:
        await manager.settle()
        cache = stage.world.registry.host.cache
        assert [d.metadata.name for d in cache.list(DPUNode)] == [HOST]
        assert [d.metadata.name for d in cache.list(DPU)] == ["a"]


@pytest.mark.parametrize(("name", "node_ref", "found"), [
    ("by-hand", HOST, "by-hand"), ("by-hand", "worker-2", HOST), (HOST, HOST, HOST),
])
async def test_agent_finds_the_dpunode_of_its_node(name: str, node_ref: str, found: str) -> None:
    host = a_stage().world.host
    await host.delete(DPUNode, HOST, NAMESPACE)
    dpunode = some.a_dpunode(name)
    labels = {"kubernetes.io/hostname": HOST}
    host.add(msgspec.structs.replace(
        dpunode, metadata=msgspec.structs.replace(dpunode.metadata, labels=labels),
        status=DPUNodeStatus(kubeNodeRef=node_ref),
    ))
    assert await agent.dpunode_of(host, HOST) == found


async def test_node_annotation_is_heeded_when_it_comes_late() -> None:
    """What the DPUNode controller copies reaches the agent by its watch."""
    stage = a_stage(
        a_dpu("a", method="PowerCycle"), node_annotations={"provisioning.dpu.nvidia.com/powercycle-command": "of"}
    )
    async with running(stage) as manager:
        patch = {"metadata": {"annotations": {"provisioning.dpu.nvidia.com/powercycle-command": "reset"}}}
        await stage.world.host.patch(core.Node, HOST, patch=patch)
        await manager.settle()
        assert stage.machine.ordered == [Power(action="reset")]
        assert (await stage.world.host.get(DPUNode, HOST, NAMESPACE)).status.rebootInProgress is True
