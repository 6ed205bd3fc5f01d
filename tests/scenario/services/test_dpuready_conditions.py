"""A DPU says whether it works, and what does not (api-provisioning.md section 3, behaviour-service.md 10.3)."""

from __future__ import annotations

import msgspec
import pytest
from tests.support import dpudeployments as some
from tests.support import dpureadys as stage
from tests.support import dpuservices
from tests.support.clock import turns
from tests.support.crash import crash_everywhere
from tests.support.world import World

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.dpu import OperationalConditionType as Type
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.meta import Condition
from dpf.api.serviceworkloads import ServiceDaemonSet, ServicePod
from dpf.kube import errors
from dpf.kube.memory import Request
from dpf.runtime.manager import Manager

CRITICAL, OTHERS = Type.DPU_SERVICE_CRITICAL_PODS_READY, Type.DPU_SERVICE_NON_CRITICAL_PODS_READY
INTERFACES, CHAINS = Type.DPU_SERVICE_INTERFACES_READY, Type.DPU_SERVICE_CHAINS_READY
NODE, SUMMARY = Type.NODE_PROBLEMS_READY, Type.OPERATIONAL_READY
FINE = ("True", "")


async def a_stage(phase: str = "Ready") -> World:
    """One DPU of the DPUDeployment that is installed; nothing works yet."""
    world = await stage.a_stage()
    stage.add_dpu(world, "dpu-1", phase=phase)
    return world


async def all_works(world: World) -> None:
    for service in stage.SERVICES:
        await stage.be_ready(world, service)
    for kind in (DPUServiceChain, DPUServiceInterface):
        for part in world.host.objects(kind):
            await some.report(world.host, part)


async def test_what_does_not_work_is_named_and_what_works_is_told() -> None:
    world = await a_stage()
    async with stage.running(world) as manager:
        missing = [f"DaemonSet apps/dd-{service} has no pod on Node dpu-1 yet" for service in ("consumer", "producer")]
        named = ("dd-consumer-eth0", "dd-producer-eth0")
        unready = [f"DPUServiceInterface tenant/{name} is not ready" for name in named]
        assert stage.operational(world) == {
            SUMMARY: ("False", f"The following conditions are not ready: {OTHERS}, {INTERFACES}, {CHAINS}"),
            NODE: FINE, CRITICAL: FINE, OTHERS: ("False", "; ".join(missing)),
            INTERFACES: ("False", "; ".join(unready)), CHAINS: ("False", "DPUServiceChain tenant/dd is not ready"),
        }
        await all_works(world)
        await manager.settle()
        assert stage.operational(world) == dict.fromkeys(Type, FINE)


async def test_reasons_are_those_of_dpus() -> None:
    world = await a_stage()
    await all_works(world)
    async with stage.running(world):
        (dpu,) = world.host.objects(DPU)
        found = [(c.type, c.reason) for c in dpu.status.operationalConditions or ()]
        assert found == [(type_, type_) for type_ in Type], "in their order"
        assert all(c.observedGeneration == 1 for c in dpu.status.operationalConditions or ())


async def test_a_pod_that_falls_is_told_with_its_reason_and_the_time_moves() -> None:
    world = await a_stage()
    await all_works(world)
    async with stage.running(world) as manager:
        (dpu,) = world.host.objects(DPU)
        before = {c.type: c.lastTransitionTime for c in dpu.status.operationalConditions or ()}
        world.clock.advance(60)
        await stage.be_ready(world, "producer", ready=False)
        await manager.settle()
        assert stage.operational(world)[OTHERS] == (
            "False", "Pod apps/dd-producer-dpu-1 is not ready: containers with unready status: [app]",
        )
        (dpu,) = world.host.objects(DPU)
        moved = {c.type for c in dpu.status.operationalConditions or () if c.lastTransitionTime != before[c.type]}
        assert moved == {SUMMARY, OTHERS}


@pytest.mark.parametrize("by", ["priority", "component"])
async def test_critical_pods_are_told_apart(by: str) -> None:
    labels = {"dpu.nvidia.com/component": "flannel"} if by == "component" else None
    service = dpuservices.a_service("flannel", "dpf-operator-system", labels=labels, serviceID="flannel")
    world = await a_stage()
    await all_works(world)
    world.host.add(service)
    daemon_set = stage.a_daemon_set(service, priority="system-node-critical" if by == "priority" else None)
    stage.dpu_cluster(world).add(daemon_set)
    async with stage.running(world) as manager:
        found = stage.operational(world)
        assert found[CRITICAL] == ("False", "DaemonSet apps/flannel has no pod on Node dpu-1 yet")
        assert found[OTHERS] == FINE
        stage.dpu_cluster(world).add(stage.a_pod(daemon_set, "dpu-1"))
        await manager.settle()
        assert stage.operational(world)[CRITICAL] == FINE


async def test_a_service_that_has_not_arrived_yet_is_missed() -> None:
    """Else a gate would open before Argo CD has had its first look."""
    world = await a_stage()
    await all_works(world)
    service = dpuservices.a_service("flannel", labels={"dpu.nvidia.com/component": "flannel"}, serviceID="flannel")
    world.host.add(
        service, dpuservices.a_service("host-only", deployInCluster=True),
        dpuservices.a_service("elsewhere", dpuClusterSelector={"matchLabels": {"site": "b"}}),
        dpuservices.a_service("other-nodes", serviceDaemonSet={"nodeSelector": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "rack", "operator": "Exists"}]},
        ]}}),
    )
    async with stage.running(world) as manager:
        assert stage.operational(world)[CRITICAL] == (
            "False", "DPUService tenant/flannel is not installed in tenant/dpus yet",
        )
        assert stage.operational(world)[OTHERS] == FINE
        await some.report(world.host, service)
        await manager.settle()
        assert stage.operational(world)[CRITICAL] == FINE
        await world.host.patch(DPUCluster, "dpus", "tenant", patch={"metadata": {"labels": {"site": "b"}}})
        await manager.settle()
        assert stage.operational(world)[OTHERS][0] == "False"


async def test_a_node_without_its_labels_runs_nothing_yet() -> None:
    """Its DaemonSets do not want it before it has them."""
    world = await a_stage("DPU Cluster Config")
    await all_works(world)
    stage.dpu_cluster(world).add(stage.a_node("dpu-1"))
    async with stage.running(world) as manager:
        told = ("False", "Node dpu-1 does not have the labels of its DPU yet")
        assert (stage.operational(world)[CRITICAL], stage.operational(world)[OTHERS]) == (told, told)
        stage.dpu_cluster(world).add(stage.a_node("dpu-1", stage.wanted_labels(world)))
        await manager.settle()
        assert stage.operational(world) == dict.fromkeys(Type, FINE)


@pytest.mark.parametrize(("type_", "status", "message"), [
    ("MemoryPressure", "True", "Node dpu-1: MemoryPressure is True: m"),
    ("MemoryPressure", "Unknown", "Node dpu-1: MemoryPressure is Unknown: m"),
    ("KernelDeadlock", "True", "Node dpu-1: KernelDeadlock is True: m"),
    ("Ready", "Unknown", "Node dpu-1: Ready is Unknown: m"),
    ("NetworkUnavailable", "False", ""),
    ("FirmwareHealthy", "True", ""),
    ("FirmwareHealthy", "False", "Node dpu-1: FirmwareHealthy is False: m"),
])
async def test_what_a_node_complains_of(type_: str, status: str, message: str) -> None:
    world = await a_stage()
    await all_works(world)
    async with stage.running(world) as manager:
        told = [{"type": type_, "status": status, "message": "m"}]
        if type_ != "Ready":
            told.append({"type": "Ready", "status": "True"})
        await stage.dpu_cluster(world).patch(
            core.Node, "dpu-1", patch={"status": {"conditions": told}}, subresource="status"
        )
        await manager.settle()
        assert stage.operational(world)[NODE] == ("False" if message else "True", message)


async def test_only_installed_dpus_are_told_about() -> None:
    world = await a_stage()
    for phase in ("Initializing", "Node Effect", "OS Installing", "Rebooting", "Error"):
        name = f"dpu-{phase.lower().replace(' ', '-')}"
        stage.add_dpu(world, name, phase=phase)
    async with stage.running(world):
        told = [d.metadata.name for d in world.host.objects(DPU) if d.status.operationalConditions is not None]
        assert told == ["dpu-1"]


@pytest.mark.parametrize(("phase", "status"), [
    ("Node Effect", {"postProvisioningNodeEffect": True}),
    ("Error", {"conditions": [Condition(type="DPUClusterReady", status="True", reason="DPUClusterReady")]}),
    ("DPU Cluster Config", {}), ("Service Readiness", {}), ("Node Effect Removal", {}),
])
async def test_a_dpu_that_has_its_system_is_told_about(phase: str, status: dict[str, object]) -> None:
    world = await a_stage()
    (dpu,) = world.host.objects(DPU)
    world.host.add(msgspec.structs.replace(dpu, status=msgspec.structs.replace(dpu.status, phase=phase, **status)))
    async with stage.running(world):
        assert set(stage.operational(world)) == set(Type)


async def test_a_dpu_that_is_no_longer_installed_says_nothing() -> None:
    world = await a_stage()
    async with stage.running(world) as manager:
        assert stage.operational(world)
        await world.host.patch(DPU, "dpu-1", some.TENANT, patch={"status": {"phase": "Error"}}, subresource="status")
        await manager.settle()
        (dpu,) = world.host.objects(DPU)
        assert dpu.status.operationalConditions is None
        assert dpu.status.phase == "Error"


async def test_a_node_that_is_gone_is_told() -> None:
    world = await a_stage()
    await all_works(world)
    async with stage.running(world) as manager:
        await stage.dpu_cluster(world).delete(core.Node, "dpu-1")
        await manager.settle()
        found = stage.operational(world)
        assert found[NODE] == ("False", "DPUCluster tenant/dpus has no Node dpu-1")
        assert (found[SUMMARY][0], found[OTHERS][0]) == ("False", "Unknown")


async def test_conditions_of_others_stay() -> None:
    world = await a_stage()
    await all_works(world)
    (dpu,) = world.host.objects(DPU)
    foreign = Condition(type="FansReady", status="True", reason="Fans", lastTransitionTime=some.LONG_AGO)
    world.host.add(msgspec.structs.replace(
        dpu, status=msgspec.structs.replace(dpu.status, operationalConditions=[foreign]),
    ))
    async with stage.running(world):
        assert stage.operational(world)["FansReady"] == ("True", "")
        assert stage.operational(world)[SUMMARY] == FINE


async def test_a_cluster_that_goes_away_and_comes_back() -> None:
    """Unknown, not False: nobody knows. A restart meanwhile changes nothing that was known."""
    world = await a_stage()
    await all_works(world)
    is_away = False

    def away(_request: Request) -> None:
        if is_away:
            raise errors.Unreachable("connection refused")

    stage.dpu_cluster(world).on_request = away
    async with stage.running(world) as manager:
        assert stage.operational(world)[SUMMARY] == FINE
        is_away = True
        stage.dpu_cluster(world).end_watches()
        for _ in range(6):
            world.clock.advance(12)
            await turns()
            await manager.settle()
        found = stage.operational(world)
        assert {status for status, _ in found.values()} == {"Unknown"}
        assert found[OTHERS][1] == "DPUCluster tenant/dpus: dpu cluster is not connected: connection refused"
        is_away = False
        for _ in range(6):
            world.clock.advance(40)
            await turns()
            await manager.settle()
        assert stage.operational(world) == dict.fromkeys(Type, FINE)


async def test_a_restart_writes_nothing() -> None:
    world = await a_stage()
    await all_works(world)
    async with stage.running(world):
        pass
    before = len(world.writes)
    async with stage.running(world) as manager:
        world.clock.advance(5)
        await manager.settle()
        for controller in manager.controllers:
            controller.enqueue_all()
        await manager.settle()
    assert world.writes[before:] == []


async def test_only_the_dpu_of_the_node_is_looked_at_and_heartbeats_are_nothing() -> None:
    world = await a_stage()
    await all_works(world)
    for n in range(2, 40):
        stage.add_dpu(world, f"dpu-{n}", phase="Ready")
    async with stage.running(world) as manager:
        await stage.dpu_cluster(world).patch(
            ServicePod, "dd-producer-dpu-1", "apps", patch={"metadata": {"annotations": {"a": "b"}}}
        )
        assert await manager.settle() == 0
        await stage.be_ready(world, "producer", "dpu-7")
        passes = await manager.settle()
        assert passes <= 2, "the DPU, and the host if one of its requestors waits"


async def test_a_daemon_set_that_comes_is_missed_on_every_dpu() -> None:
    world = await a_stage()
    await all_works(world)
    gone = stage.daemon_set_of(world, "producer")
    for kind, name in ((ServicePod, "dd-producer-dpu-1"), (ServiceDaemonSet, "dd-producer")):
        await stage.dpu_cluster(world).delete(kind, name, "apps")
    await some.report(world.host, stage.the_service(world, "producer"))
    async with stage.running(world) as manager:
        assert stage.operational(world)[OTHERS] == FINE
        stage.dpu_cluster(world).add(gone)
        await manager.settle()
        assert stage.operational(world)[OTHERS][0] == "False"


async def life(world: World, manager: Manager) -> None:
    await all_works(world)
    await manager.settle()
    await stage.be_ready(world, "producer", ready=False)
    await manager.settle()


async def live(world: World) -> None:
    async with stage.running(world) as manager:
        await life(world, manager)


async def test_a_kill_after_any_write_ends_the_same() -> None:
    worlds = [await a_stage() for _ in range(25)]
    for world in worlds:
        for cluster in world.clusters:
            cluster.writes.clear()

    def told(world: World) -> object:
        return {d.metadata.name: stage.operational(world, d.metadata.name) for d in world.host.objects(DPU)}

    assert await crash_everywhere(worlds.pop, live, told) >= 6
