"""A DPU is deleted in every phase: it is bounded, says what it waits for, and leaves nothing (5.8, 5.17)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import dpus as some
from tests.support.crash import Crash
from tests.support.dpus import Stage
from tests.support.lagging import LaggingCluster
from tests.support.world import NAMESPACE, a_world

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Key, ObjectMeta
from dpf.api.provisioning import InstallInterface
from dpf.kube import errors
from dpf.kube.memory import Request

GNOI, REDFISH = InstallInterface.GNOI, InstallInterface.REDFISH
BOTH = pytest.mark.parametrize("interface", [REDFISH, GNOI])
REBOOT = {"nvconfig": [{"device": "*", "parameters": ["NUM_OF_VFS=8"]}]}
COMMON = [
    "Initializing", "Pending", "Node Effect", "Initialize Interface", "Config FW Parameters", "Prepare BFB",
    "DPU Config", "Rebooting", "DPU Cluster Config", "Service Readiness", "Node Effect Removal", "Ready",
]
CASES = [*((REDFISH, phase) for phase in COMMON), *((GNOI, phase) for phase in (*COMMON, "Host Network Configuration"))]
REFUSED = "The DPU is being installed; it is deleted as soon as that has ended"


def a_stage(folder: Path, interface: InstallInterface) -> Stage:
    """One card, whose host is held and has to be rebooted."""
    stage = some.a_stage(folder, interface=interface, effect={"hold": True}, flavor=REBOOT)
    stage.plays.methods = {"d1": "SystemReboot"}
    return stage


def delete_in(stage: Stage, phase: str) -> list[str]:
    """Somebody deletes the DPU at the moment when it has come to `phase`: the process ends there. Returns when."""
    when: list[str] = []

    def look(_request: Request) -> None:
        if stage.phases.get("worker-1-d1") == phase and not when:
            when.append(phase)
            raise Crash(phase)

    stage.host.after_write = look
    return when


@pytest.mark.parametrize(("interface", "phase"), CASES)
async def test_a_dpu_is_deleted(tmp_path: Path, interface: InstallInterface, phase: str) -> None:
    stage = a_stage(tmp_path, interface)
    when = delete_in(stage, phase)
    with pytest.raises(Crash):
        async with stage.controllers() as manager:
            await stage.work(manager)
    assert when == [phase]
    stage.host.after_write = None
    orders = list(stage.cards["d1"].orders)
    await stage.delete()
    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: not stage.dpus and not stage.left, rounds=12)
    assert stage.cards["d1"].orders == orders, "a card is left alone"
    dpunode = stage.dpunode()
    assert some.REBOOT_REQUIRED not in (dpunode.metadata.annotations or {})
    assert {c.type: c.status for c in dpunode.status.conditions or ()}["Ready"] == "True"


@BOTH
async def test_16_34_an_installation_that_has_begun_ends_first(tmp_path: Path, interface: InstallInterface) -> None:
    stage = a_stage(tmp_path, interface)
    stage.plays.installs = False
    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: bool(stage.cards["d1"].installs))
        await stage.delete()
        await stage.pass_time(manager, 600, step_s=30)
        assert stage.phases == {"worker-1-d1": "OS Installing"}
        assert stage.told("Deleting") == ("False", "CannotDeleteWhileInstalling", REFUSED)
        before = list(stage.world.writes)
        await stage.pass_time(manager, 600, step_s=30)
        assert stage.world.writes == before
        stage.plays.installs = True
        await stage.work(manager, until=lambda stage: not stage.dpus and not stage.left)
    assert stage.installs == {"d1": 1}
    assert "worker-1-d1" not in stage.nodes()


@BOTH
async def test_an_installation_that_hangs_is_no_reason_to_stay(tmp_path: Path, interface: InstallInterface) -> None:
    stage = a_stage(tmp_path, interface)
    stage.plays.installs = False
    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: bool(stage.cards["d1"].installs))
        await stage.delete()
        await stage.work(manager, until=lambda stage: not stage.dpus and not stage.left, rounds=130, step_s=30)
    assert stage.installs == {"d1": 1}


@BOTH
async def test_an_attempt_that_fails_is_not_repeated_for_a_dpu_that_goes(
    tmp_path: Path, interface: InstallInterface,
) -> None:
    stage = a_stage(tmp_path, interface)
    stage.plays.installs = False
    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: bool(stage.cards["d1"].installs))
        await stage.delete()
        await stage.pass_time(manager, 30)
        stage.cards["d1"].fail("worn out")
        await stage.work(manager, until=lambda stage: not stage.dpus and not stage.left)
    assert stage.installs == {"d1": 1}


@BOTH
async def test_nothing_is_begun_for_a_dpu_that_goes(tmp_path: Path, interface: InstallInterface) -> None:
    """It is deleted between its configuration and the order to install."""
    stage = a_stage(tmp_path, interface)
    delete_in(stage, "OS Installing")
    with pytest.raises(Crash):
        async with stage.controllers() as manager:
            await stage.work(manager)
    stage.host.after_write = None
    await stage.delete()
    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: not stage.dpus and not stage.left, rounds=20)
    assert stage.installs == {"d1": 0}


async def test_a_token_of_which_nothing_tells(tmp_path: Path) -> None:
    """The process ended when the DPU cluster had the token, and the host cluster nothing yet."""
    stage = a_stage(tmp_path, REDFISH)
    cluster = stage.world.dpus[Key(NAMESPACE, some.CLUSTER)]

    def look(request: Request) -> None:
        if request.kind == "Secret":
            raise Crash("the token is there")

    cluster.after_write = look
    with pytest.raises(Crash):
        async with stage.controllers() as manager:
            await stage.work(manager)
    cluster.after_write = None
    assert len(cluster.objects(core.Secret)) == 1
    await stage.delete()
    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: not stage.dpus, rounds=12)
    assert stage.left == []


async def test_what_cannot_be_deleted_is_named(tmp_path: Path) -> None:
    stage = a_stage(tmp_path, REDFISH)
    async with stage.controllers() as manager:
        await stage.work(manager)
        stage.host.fail_next(
            lambda request: request.verb == "delete" and request.kind == "Role", errors.Forbidden("not allowed"),
            times=20,
        )
        await stage.delete()
        await stage.pass_time(manager, 30)
        status, reason, message = stage.told("Deleting")
        assert (status, reason) == ("True", "Deleting")
        assert f"Role {NAMESPACE}/da-worker-1-d1" in message
        assert stage.told() == ("False", "AwaitingDeletion", "The DPU is being deleted")
        await stage.work(manager, until=lambda stage: not stage.dpus and not stage.left, rounds=100, step_s=60)


async def test_a_list_that_fails_lets_nobody_go(tmp_path: Path) -> None:
    stage = a_stage(tmp_path, REDFISH)
    async with stage.controllers() as manager:
        await stage.work(manager)
        stage.host.fail_next(
            lambda request: request.verb == "list" and request.kind == "Role", errors.ServerError("etcd", status=500),
            times=5,
        )
        await stage.delete()
        await stage.pass_time(manager, 4, step_s=1)
        assert stage.phases == {"worker-1-d1": "Deleting"}
        await stage.work(manager, until=lambda stage: not stage.dpus and not stage.left)


async def test_a_host_that_is_dead_keeps_no_dpu_for_ever(tmp_path: Path) -> None:
    """Its kubelet never says that the pod has ended; the pod goes with the Node of the host."""
    stage = a_stage(tmp_path, GNOI)
    async with stage.controllers() as manager:
        await stage.work(manager)
        await stage.delete()
        await stage.pass_time(manager, 300)
        assert stage.told("Deleting") == ("True", "Deleting", (
            "Still there: Pod worker-1-d1-hostnetwork: its node has not ended it yet; it is waited for at most 10 min"
        ))
        await stage.pass_time(manager, 600)
        assert stage.phases == {}
        assert [name for name in stage.left if "Pod" not in name] == []


async def test_nobody_goes_whose_request_for_an_effect_is_not_seen_yet(tmp_path: Path) -> None:
    """Or the host would stay out of service for ever: nobody else takes the request back."""
    world = a_world(dpu_clusters=(some.CLUSTER,))
    world.host = host = LaggingCluster(now=world.clock.now)
    taint = {"taint": {"key": "dpu", "value": "flash", "effect": "NoSchedule"}}
    stage = some.a_stage(tmp_path, world=world, interface=GNOI, effect=taint)
    host.hold_up(DPUNodeMaintenance)
    async with stage.controllers() as manager:
        await manager.settle()
        assert stage.phases == {"worker-1-d1": "Node Effect"}
        await stage.delete()
        await stage.pass_time(manager, 20, step_s=1)
        assert stage.phases == {"worker-1-d1": "Deleting"}
        await host.let_through(DPUNodeMaintenance)
        await stage.work(manager, until=lambda stage: not stage.dpus)
        await stage.pass_time(manager, 60)
    assert stage.maintenances == {}


async def test_two_dpus_of_a_host_go_together(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, interface=GNOI, cards=2, effect={"noEffect": True})
    stage.plays.installs = False
    async with stage.controllers() as manager:
        await manager.settle()
        assert "worker-1-dms" in {pod.metadata.name for pod in stage.host.objects(core.Pod)}
        await stage.delete("worker-1-d1")
        await stage.delete("worker-1-d1b")
        await stage.work(manager, until=lambda stage: not stage.dpus and not stage.left, rounds=12)


@BOTH
async def test_a_namesake_gets_its_own_configuration(tmp_path: Path, interface: InstallInterface) -> None:
    stage = a_stage(tmp_path, interface)
    async with stage.controllers() as manager:
        await stage.work(manager)
        await stage.delete()
        await stage.work(manager, until=lambda stage: not stage.dpus and not stage.left)
        stage.host.add(DPU(
            metadata=ObjectMeta(name="worker-1-d1", namespace=NAMESPACE, uid=some.uid_of("second")),
            spec=some.a_dpu(nodeEffect={"noEffect": True}).spec,
        ))
        await stage.work(manager)
    first, second = stage.cards["d1"].installs
    assert some.uid_of("worker-1-d1") in first
    assert some.uid_of("second") in second
    assert stage.phases == {"worker-1-d1": "Ready"}
