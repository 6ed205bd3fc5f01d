"""The host while its DPUs are installed: out of service, rebooted, and back (behaviour-provisioning.md 6 and 7)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support import dpus as some
from tests.support.dpus import Stage
from tests.support.world import NAMESPACE

from dpf.api import core, names
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import ObjectMeta, OwnerReference
from dpf.api.provisioning import InstallInterface
from dpf.api.upkeep import Job
from dpf.kube.memory import Request
from dpf.runtime.conditions import is_true

GNOI, REDFISH = InstallInterface.GNOI, InstallInterface.REDFISH
TAINT = {"taint": {"key": "dpu", "value": "flash", "effect": "NoSchedule"}}
REBOOT = {"nvconfig": [{"device": "*", "parameters": ["NUM_OF_VFS=8"]}]}
INSTALLING = {"Initialize Interface", "Config FW Parameters", "Prepare BFB", "OS Installing"}


def host_node(stage: Stage, name: str = "worker-1") -> core.Node:
    """The Node of a host."""
    return next(node for node in stage.host.objects(core.Node) if node.metadata.name == name)


def taints(stage: Stage) -> list[str]:
    """Keys of the taints of the first host."""
    return [taint.key for taint in host_node(stage).spec.taints or ()]


async def test_16_38_the_host_is_drained_by_default(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, interface=GNOI)
    owner = OwnerReference(apiVersion="apps/v1", kind="ReplicaSet", name="app", uid="u", controller=True)
    stage.host.add(core.Pod(
        metadata=ObjectMeta(name="app", namespace="apps", ownerReferences=[owner]),
        spec=core.PodSpec(nodeName="worker-1", containers=[core.Container(name="c", image="i")]),
        status=core.PodStatus(phase="Running"),
    ))
    cordoned: list[tuple[str, bool]] = []

    def look(_request: Request) -> None:
        cordoned.append((stage.phases["worker-1-d1"], bool(host_node(stage).spec.unschedulable)))

    stage.host.after_write = look
    async with stage.controllers() as manager:
        await stage.work(manager)
        await stage.pass_time(manager, 60)
    assert {is_out for phase, is_out in cordoned if phase in INSTALLING} == {True}
    assert not host_node(stage).spec.unschedulable
    assert [p for p in stage.host.objects(core.Pod) if p.metadata.name == "app"] == []
    assert stage.maintenances == {}


async def test_16_39_two_dpus_share_one_effect_and_one_reboot(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, interface=GNOI, cards=2, effect=TAINT, flavor=REBOOT)
    made, reboots, lifted = [], [], []

    def look(request: Request) -> None:
        if request.kind == "DPUNodeMaintenance" and request.verb == "apply":
            made.append(request.key.name)
        if request.kind == "DPUNode" and some.REBOOT_REQUIRED in (stage.dpunode().metadata.annotations or {}):
            reboots.append(tuple(sorted(set(stage.phases.values()))))
        if not taints(stage) and any(stage.phases[name] in INSTALLING for name in stage.phases):
            lifted.append(dict(stage.phases))

    stage.host.after_write = look
    async with stage.controllers() as manager:
        await stage.work(manager)
    assert len(set(made)) == 1
    assert set(reboots) == {("Rebooting",)}
    assert lifted == []
    assert taints(stage) == []
    assert stage.installs == {"d1": 1, "d1b": 1}


async def test_the_second_dpu_of_a_host_comes_later(tmp_path: Path) -> None:
    """The effect stays while one of them is on its way."""
    stage = some.a_stage(tmp_path, interface=GNOI, cards=2, dpus=False, effect=TAINT)
    stage.host.add(some.a_dpu(1, 1, nodeEffect=TAINT))
    stage.plays.joins = False
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("DPU Cluster Config"))
        stage.host.add(some.a_dpu(1, 2, nodeEffect=TAINT))
        stage.plays.joins = True
        stage.plays.installs = False
        await stage.work(manager, until=lambda stage: stage.phases["worker-1-d1"] == "Node Effect Removal")
        await stage.pass_time(manager, 600)
        (name,) = stage.maintenances
        assert stage.told("NodeEffectRemoved") == (
            "False", "NodeEffectRemovalInProgress",
            f"DPUNodeMaintenance {NAMESPACE}/{name} is still needed by worker-1-d1b",
        )
        assert taints(stage) == ["dpu"]
        stage.plays.installs = True
        await stage.work(manager)
    assert set(stage.phases.values()) == {"Ready"}
    assert taints(stage) == []


@pytest.mark.parametrize("interface", [GNOI, REDFISH])
async def test_a_card_is_not_begun_while_its_host_is_about_to_be_rebooted(
    tmp_path: Path, interface: InstallInterface,
) -> None:
    """BP section 1, reboot gate: whoever reboots the host has been told so, and may do it at any moment."""
    effect = {"noEffect": True}
    stage = some.a_stage(
        tmp_path, interface=interface, cards=2, dpus=False, effect=effect, flavor=REBOOT if interface is GNOI else None,
    )
    stage.host.add(some.a_dpu(1, 1, nodeEffect=effect))
    stage.plays.methods["d1"] = "PowerCycle"
    stage.plays.reboots = False
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("Rebooting"))
        await stage.pass_time(manager, 60)
        stage.host.add(some.a_dpu(1, 2, nodeEffect=effect))
        await stage.pass_time(manager, 600)
        assert stage.phases == {"worker-1-d1": "Rebooting", "worker-1-d1b": "Node Effect"}
        assert stage.told("NodeEffectReady", "worker-1-d1b") == (
            "False", "RebootInProgress",
            "The host is about to be rebooted for DPU worker-1-d1; the installation begins afterwards",
        )
        assert stage.cards["d1b"].orders == []
        stage.plays.reboots = True
        await stage.work(manager)
    assert set(stage.phases.values()) == {"Ready"}


@pytest.mark.parametrize("force", [False, True])
async def test_16_40_one_host_at_a_time(tmp_path: Path, force: bool) -> None:
    stage = some.a_stage(tmp_path, interface=GNOI, hosts=3, effect={**TAINT, "force": force}, config={
        "maxUnavailableDPUNodes": 1,
    })
    out: list[int] = []

    def look(_request: Request) -> None:
        out.append(sum(
            is_true(m.status.conditions, "NodeEffectApplied") for m in stage.host.objects(DPUNodeMaintenance)
        ))

    stage.host.after_write = look
    async with stage.controllers() as manager:
        await manager.settle()
        if not force:
            waiting = [name for name, phase in stage.phases.items() if phase == "Node Effect"]
            assert len(waiting) == 2
            assert all(stage.told("NodeEffectReady", name)[2].endswith(
                "MaxUnavailableExceeded: at most 1 DPUNodes may be out of service at a time; waiting for one of them "
                "to come back"
            ) for name in waiting), [stage.told("NodeEffectReady", name) for name in waiting]
        await stage.work(manager, rounds=200)
    assert max(out) == (3 if force else 1)
    assert set(stage.phases.values()) == {"Ready"}


async def test_16_41_a_taint_that_is_there_is_kept_once(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, interface=GNOI, effect=TAINT)
    taint = {"key": "dpu", "value": "own", "effect": "NoSchedule"}
    await stage.host.patch(core.Node, "worker-1", patch={"spec": {"taints": [taint]}})
    seen: list[list[str]] = []
    stage.host.after_write = lambda _request: seen.append(taints(stage))
    async with stage.controllers() as manager:
        await stage.work(manager)
    assert max(map(len, seen)) == 1


async def test_16_42_a_host_that_is_held(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect={"hold": True})
    stage.plays.releases = False
    async with stage.controllers() as manager:
        await stage.pass_time(manager, 60)
        assert stage.phases == {"worker-1-d1": "Node Effect"}
        assert stage.told("NodeEffectReady") == (
            "False", "NodeEffectInProgress",
            (f"DPUNodeMaintenance {NAMESPACE}/worker-1-hold has not put the effect on the host yet: Waiting for "
             f"somebody to prepare the host; when it is done, set annotation {some.HOLD} to 'false'"),
        )
        before = list(stage.world.writes)
        await stage.pass_time(manager, 12 * 3600, step_s=300)
        assert stage.world.writes == before
        await stage.annotate(DPUNodeMaintenance, "worker-1-hold", some.HOLD, None)
        await manager.settle()
        assert (stage.maintenances["worker-1-hold"].metadata.annotations or {})[some.HOLD] == "true"
        await stage.annotate(DPUNodeMaintenance, "worker-1-hold", some.HOLD, "false")
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}


async def test_the_hold_is_released_on_the_dpu(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect={"hold": True})
    stage.plays.releases = False
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.annotate(type(stage.dpu()), "worker-1-d1", some.HOLD, "false")
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}


async def test_16_43_the_hosts_own_action_fails(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect={"customAction": "prepare"})
    script = "spec:\n  containers:\n  - {name: c, image: i}\n"
    stage.host.add(core.ConfigMap(
        metadata=ObjectMeta(name="prepare", namespace=NAMESPACE), data={"pod-template": script, "pod.yaml": script},
    ))
    async with stage.controllers() as manager:
        await manager.settle()
        (job,) = stage.host.objects(Job)
        failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "exit code 3"}
        await stage.patch_status(Job, job.metadata.name, {"conditions": [failed]})
        await stage.pass_time(manager, 60)
        assert stage.phases == {"worker-1-d1": "Node Effect"}
        assert stage.told("NodeEffectReady") == (
            "False", "NodeEffectInProgress",
            (f"DPUNodeMaintenance {NAMESPACE}/worker-1-custom-action-prepare has not put the effect on the host yet: "
            f"Job {NAMESPACE}/{job.metadata.name} failed: exit code 3. Next step: correct its ConfigMap and delete the "
            "Job"),
        )


@pytest.mark.parametrize("effect", [TAINT, {"drain": True}, {"customLabel": {"a": "b"}}])
async def test_an_effect_that_a_host_elsewhere_cannot_have(tmp_path: Path, effect: Mapping[str, Any]) -> None:
    stage = some.a_stage(tmp_path, effect=effect)
    (named,) = effect
    async with stage.controllers() as manager:
        await stage.pass_time(manager, 60)
        why = f"node effect ({named}) is not supported for non k8s environment"
        assert stage.told("NodeEffectReady") == ("False", "InvalidNodeEffect", why)
        assert stage.told() == ("False", "InvalidNodeEffect", f"Node Effect: {why}")
        await stage.delete()
        await stage.work(manager, until=lambda stage: not stage.dpus)
    assert stage.left == []


async def test_16_45_a_host_that_somebody_reboots(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect={"noEffect": True})
    stage.plays.methods, stage.plays.reboots = {"d1": "PowerCycle"}, False
    wrong: list[str] = []

    def look(request: Request) -> None:
        told = stage.dpu().status.rebootStatus
        required = some.REBOOT_REQUIRED in (stage.dpunode().metadata.annotations or {})
        if told is not None and told.phase == "Pending" and not required:
            wrong.append(f"{request}: the DPU says Pending before anybody was asked")

    stage.host.after_write = look
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("Rebooting"))
        await stage.pass_time(manager, 600, step_s=30)
        stage.host.after_write = None
        assert wrong == []
        message = (
            "required reboot method: PowerCycle (driven by DPU worker-1-d1). Next step: reboot the host, then remove "
            f"annotation {some.REBOOT_REQUIRED} from DPUNode worker-1"
        )
        assert stage.told("Rebooted") == ("False", "WaitingForManualPowerCycleOrReboot", message)
        assert stage.told() == ("False", "WaitingForManualPowerCycleOrReboot", f"Rebooting: {message}")
        before = list(stage.world.writes)
        await stage.pass_time(manager, 1800, step_s=60)
        assert stage.world.writes == before
        stage.plays.reboots = True
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}
    assert some.REBOOT_REQUIRED not in (stage.dpunode().metadata.annotations or {})


async def test_a_dpu_that_does_not_shut_down(tmp_path: Path) -> None:
    """It gets five minutes; then the host is reset all the same."""
    stage = some.a_stage(tmp_path, effect={"noEffect": True})
    stage.plays.methods, stage.plays.reboots = {"d1": "SystemLevelReset"}, False
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("Rebooting"))
        await stage.pass_time(manager, 290)
        assert stage.told("Rebooted") == (
            "False", "WaitForShutdown", "The DPU shuts down before its host is reset; it gets 5 min for that",
        )
        assert some.REBOOT_REQUIRED not in (stage.dpunode().metadata.annotations or {})
        await stage.pass_time(manager, 30)
        assert (stage.dpunode().metadata.annotations or {})[some.REBOOT_REQUIRED] == "true"
        stage.plays.reboots = True
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}


async def test_agents_that_ask_for_nothing_yet(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect={"noEffect": True})
    stage.plays.methods = {"d1": "Unknown"}
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("DPU Config"))
        assert stage.told("DPUConfig") == (
            "False", "WaitingForRebootMethod", "The agent does not say yet what has to restart",
        )
        await stage.report(stage.dpu(), "DPUWarmReboot")
        await stage.pass_time(manager, 60)
        assert stage.told("DPUConfig") == ("False", "DPUWarmReboot", "The DPU restarts by itself (DPUWarmReboot)")
        await stage.report(stage.dpu(), "SystemReboot")
        stage.plays.reboots = False
        await stage.pass_time(manager, 60)
        assert stage.phases == {"worker-1-d1": "Rebooting"}
        consumed = stage.dpu().status.agentLastStartupTime
        await stage.annotate(DPUNode, "worker-1", some.REBOOT_REQUIRED, None)
        await stage.pass_time(manager, 60)
        assert stage.told("DPUConfig") == (
            "False", "WaitingForFreshRebootMethod",
            f"The agent has not started again since {consumed}, when it was acted on",
        )
        await stage.report(stage.dpu(), "NoAction")
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}


async def test_the_effect_is_not_taken_off_in_time(tmp_path: Path) -> None:
    stage = some.a_stage(
        tmp_path, interface=GNOI, cards=2, effect=TAINT, config={"nodeEffectRemovalTimeout": "10m"},
    )
    stage.plays.joins = False
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("DPU Cluster Config"))
        await stage.join(stage.dpu("worker-1-d1"))
        await stage.set_node("worker-1-d1")
        await stage.pass_time(manager, 590)
        assert stage.phases["worker-1-d1"] == "Node Effect Removal"
        await stage.pass_time(manager, 30)
        (name,) = stage.maintenances
        assert stage.told("Error", "worker-1-d1") == (
            "True", "NodeEffectRemovalTimeout",
            (f"The effect is still on the host after 600 s: DPUNodeMaintenance {NAMESPACE}/{name} is still needed by "
            "worker-1-d1b"),
        )


def test_names_of_annotations() -> None:
    assert some.HOLD == names.WAIT_FOR_EXTERNAL_NODE_EFFECT_ANNOTATION == (
        "provisioning.dpu.nvidia.com/wait-for-external-nodeeffect"
    )
    assert some.REBOOT_REQUIRED == "provisioning.dpu.nvidia.com/dpunode-external-reboot-required"
