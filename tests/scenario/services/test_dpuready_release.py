"""A host goes back into service when the services of its DPUs work, and not before (behaviour-service.md 6.11)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import dpudeploymentnodes as nodes
from tests.support import dpudeployments as some
from tests.support import dpureadys as stage
from tests.support.clock import turns
from tests.support.crash import crash_everywhere
from tests.support.world import World

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.serviceworkloads import ServiceDaemonSet, ServicePod
from dpf.kube import errors
from dpf.kube.memory import Request
from dpf.runtime.manager import Manager

PRODUCER, CONSUMER, CHAIN = "tenant_dd_dd-producer", "tenant_dd_dd-consumer", "tenant_dd_dd"


async def everything_works(world: World, *dpus: str) -> None:
    for service in stage.SERVICES:
        await stage.be_ready(world, service, *dpus)
    await stage.chain_ready(world)


async def test_each_requestor_leaves_when_what_it_stands_for_works() -> None:
    world = await stage.a_stage()
    async with stage.running(world) as manager:
        assert stage.requestors(world) == [CHAIN, CONSUMER, PRODUCER, "dpu-1"]
        await stage.be_ready(world, "producer")
        await manager.settle()
        assert stage.requestors(world) == [CHAIN, CONSUMER, "dpu-1"]
        await stage.chain_ready(world)
        await manager.settle()
        assert stage.requestors(world) == [CONSUMER, "dpu-1"]
        await stage.be_ready(world, "consumer")
        await manager.settle()
        assert stage.requestors(world) == ["dpu-1"], "the DPU is its own controller's business"


async def test_a_pod_that_is_there_but_not_ready_does_not_count() -> None:
    world = await stage.a_stage()
    async with stage.running(world) as manager:
        await stage.be_ready(world, "producer", ready=False)
        await manager.settle()
        assert PRODUCER in stage.requestors(world)
        await stage.be_ready(world, "producer")
        await manager.settle()
        assert PRODUCER not in stage.requestors(world)


async def test_all_dpus_of_the_host_have_to_work() -> None:
    world = await stage.a_stage("dpu-1", "dpu-2")
    async with stage.running(world) as manager:
        await everything_works(world, "dpu-1")
        await manager.settle()
        assert stage.requestors(world) == [CONSUMER, PRODUCER, "dpu-1", "dpu-2"]
        await stage.be_ready(world, "consumer", "dpu-2")
        await manager.settle()
        assert stage.requestors(world) == [PRODUCER, "dpu-1", "dpu-2"]


async def test_a_second_dpu_that_is_still_being_installed_is_waited_for() -> None:
    world = await stage.a_stage()
    stage.add_dpu(world, "dpu-2", phase="OS Installing", joined=False)
    async with stage.running(world) as manager:
        await everything_works(world, "dpu-1")
        await manager.settle()
        assert stage.requestors(world) == [CHAIN, CONSUMER, PRODUCER, "dpu-1"]


@pytest.mark.parametrize(("fields", "joined"), [
    ({"phase": "Error"}, False),
    ({"phase": "Pending"}, False),
    ({"phase": "Initializing"}, False),
    ({"phase": "Ready", "deleting": True}, True),
    ({"phase": "Deleting", "deleting": True}, False),
    ({"phase": "OS Installing", "labels": {}}, False),
    ({"phase": "OS Installing", "dpunode": "worker-2"}, False),
], ids=["failed", "pending", "new", "going", "gone", "of-another-deployment", "of-another-host"])
async def test_a_dpu_that_will_not_run_it_blocks_nobody(fields: dict[str, Any], joined: bool) -> None:
    world = await stage.a_stage()
    stage.add_dpu(world, "dpu-2", joined=joined, **fields)
    async with stage.running(world) as manager:
        await everything_works(world, "dpu-1")
        await manager.settle()
        assert stage.requestors(world) == ["dpu-1"]


async def test_a_failed_dpu_whose_node_works_is_waited_for() -> None:
    world = await stage.a_stage()
    stage.add_dpu(world, "dpu-2", phase="Error")
    async with stage.running(world) as manager:
        await everything_works(world, "dpu-1")
        await manager.settle()
        assert PRODUCER in stage.requestors(world)
        world.dpus[stage.CLUSTER].add(stage.a_node("dpu-2", stage.wanted_labels(world), ready=False))
        await manager.settle()
        assert stage.requestors(world) == ["dpu-1"]


async def test_nothing_counts_before_the_node_has_the_label_of_the_revision() -> None:
    """Without it the DaemonSet does not want the Node, and the DPUService is ready as a whole."""
    world = await stage.a_stage(labelled=False)
    for service in world.host.objects(DPUService):
        await some.report(world.host, service)
    await stage.chain_ready(world)
    async with stage.running(world) as manager:
        assert stage.requestors(world) == [CHAIN, CONSUMER, PRODUCER, "dpu-1"]
        stage.dpu_cluster(world).add(stage.a_node("dpu-1", stage.wanted_labels(world)))
        await manager.settle()
        assert stage.requestors(world) == [CONSUMER, PRODUCER, "dpu-1"], "now the DaemonSets want pods"


async def test_pods_of_an_old_revision_are_none_of_the_new_one() -> None:
    world = await stage.a_stage()
    cluster = stage.dpu_cluster(world)
    old = msgspec.structs.replace(
        stage.the_service(world, "producer"),
        spec=msgspec.structs.replace(stage.the_service(world, "producer").spec, serviceID="of-old"),
    )
    was = stage.a_daemon_set(old, "old-producer")
    cluster.add(was, stage.a_pod(was, "dpu-1"))
    async with stage.running(world) as manager:
        assert PRODUCER in stage.requestors(world)
        await stage.be_ready(world, "producer")
        await manager.settle()
        assert PRODUCER not in stage.requestors(world)


async def test_a_pod_of_the_dpus_former_life_has_to_become_ready_again() -> None:
    world = await stage.a_stage()
    daemon_set = stage.daemon_set_of(world, "producer")
    left = stage.a_pod(daemon_set, "dpu-1", created="2025-12-31T00:00:00Z", since="2025-12-31T00:01:00Z")
    stage.dpu_cluster(world).add(left)
    async with stage.running(world) as manager:
        assert PRODUCER in stage.requestors(world)
        stage.dpu_cluster(world).add(stage.a_pod(daemon_set, "dpu-1", created="2025-12-31T00:00:00Z"))
        await manager.settle()
        assert PRODUCER not in stage.requestors(world)


async def test_a_service_without_pods_on_the_node_has_to_be_ready_as_a_whole() -> None:
    world = await stage.a_stage()
    await stage.dpu_cluster(world).delete(ServiceDaemonSet, "dd-producer", "apps")
    async with stage.running(world) as manager:
        assert PRODUCER in stage.requestors(world)
        service = stage.the_service(world, "producer")
        stale = msgspec.structs.replace(service, metadata=msgspec.structs.replace(service.metadata, generation=0))
        await some.report(world.host, stale)
        await manager.settle()
        assert PRODUCER in stage.requestors(world), "ready for an older generation"
        await some.report(world.host, service)
        await manager.settle()
        assert PRODUCER not in stage.requestors(world)


async def test_nobody_waits_for_what_is_gone_or_going_or_replaced() -> None:
    world = await stage.a_stage()
    await some.hold(world.host, stage.the_service(world, "producer"))
    async with stage.running(world) as manager:
        await world.host.delete(DPUService, "dd-producer", some.TENANT)
        await manager.settle()
        assert stage.requestors(world) == [CHAIN, CONSUMER, "dpu-1"]
        await world.host.patch(DPUService, "dd-consumer", some.TENANT, patch={"spec": {"paused": True}})
        await manager.settle()
        assert stage.requestors(world) == [CHAIN, "dpu-1"]
        await world.host.delete(DPUServiceChain, "dd", some.TENANT)
        await manager.settle()
        assert stage.requestors(world) == ["dpu-1"]


async def test_a_revision_that_the_dpus_are_not_to_run_any_more_is_not_waited_for() -> None:
    """Its successor came while the first one was still on its way."""
    world = await stage.a_stage()
    newer = {**stage.wanted_labels(world), "svc.dpu.nvidia.com/dpuservice-producer-version": "dd-producer-bcdfg"}
    async with stage.running(world) as manager:
        assert PRODUCER in stage.requestors(world)
        world.host.add(stage.a_dpu("dpu-1", labels=newer))
        await manager.settle()
        assert PRODUCER not in stage.requestors(world)


async def test_who_is_none_of_ours_stays() -> None:
    world = await stage.a_stage()
    strangers = ["dpu-9", "other_dd_dd-producer", "tenant_dd", "tenant_dd_dd-producer_x", "_dd_x", "tenant__x"]
    world.host.add(nodes.a_maintenance(*strangers, "tenant_dd_gone", "dpu-1"))
    async with stage.running(world):
        assert stage.requestors(world) == [*strangers, "dpu-1"]


async def test_a_namesake_of_another_deployment_is_somebody_else() -> None:
    world = await stage.a_stage()
    world.host.add(nodes.a_maintenance("tenant_other_dd-producer", PRODUCER))
    async with stage.running(world):
        assert stage.requestors(world) == [PRODUCER]


async def test_in_cluster_services_are_left_to_the_controller_of_host_nodes() -> None:
    world = await stage.a_stage()
    world.host.add(nodes.an_agent("dd-agent"), nodes.a_maintenance("tenant_dd_dd-agent"))
    async with stage.running(world):
        assert stage.requestors(world) == ["tenant_dd_dd-agent"]


async def test_a_host_without_a_dpu_is_free() -> None:
    world = await stage.a_stage()
    await world.host.delete(DPU, "dpu-1", some.TENANT)
    async with stage.running(world):
        assert stage.requestors(world) == ["dpu-1"]


async def test_a_host_that_only_seems_to_have_no_dpu_stays() -> None:
    """The cache has not heard of it yet."""
    world = await stage.a_stage()
    await world.host.delete(DPU, "dpu-1", some.TENANT)
    came = False

    def come(request: Request) -> None:
        nonlocal came
        if request.verb == "get" and request.kind == "DPUService" and not came:
            came = True
            stage.add_dpu(world, "dpu-1")

    world.host.on_request = come
    async with stage.running(world):
        assert came
        assert stage.requestors(world) == [CHAIN, CONSUMER, PRODUCER, "dpu-1"]


async def test_before_the_effect_is_there_nobody_leaves() -> None:
    world = await stage.a_stage()
    await everything_works(world)
    world.host.add(nodes.a_maintenance(PRODUCER, "dpu-1", applied=False))
    async with stage.running(world) as manager:
        assert stage.requestors(world) == [PRODUCER, "dpu-1"]
        world.host.add(nodes.a_maintenance(PRODUCER, "dpu-1"))
        await manager.settle()
        assert stage.requestors(world) == ["dpu-1"]


@pytest.mark.parametrize("deleting", [True, False], ids=["its-dpu-is-going", "its-dpu-has-gone"])
async def test_without_dpus_nobody_waits_for_an_effect_that_does_not_come(deleting: bool) -> None:
    """The DPUDeployment was deleted while its host was being drained, which takes as long as it takes."""
    world = await stage.a_stage()
    world.host.add(nodes.a_maintenance(CHAIN, PRODUCER, "somebody", applied=False))
    async with stage.running(world) as manager:
        assert stage.requestors(world) == [CHAIN, PRODUCER, "somebody"]
        if deleting:
            stage.add_dpu(world, "dpu-1", phase="Deleting", deleting=True)
        else:
            await world.host.delete(DPU, "dpu-1", some.TENANT)
        await manager.settle()
        assert stage.requestors(world) == ["somebody"]


async def test_a_dpu_that_is_asking_is_not_argued_with() -> None:
    """In Node Effect it would put the requestor back in its next look."""
    world = await stage.a_stage()
    stage.add_dpu(world, "dpu-2", phase="Node Effect", labels={"rack": "b"}, joined=False)
    async with stage.running(world) as manager:
        await everything_works(world, "dpu-1")
        await manager.settle()
        assert PRODUCER in stage.requestors(world)
        stage.add_dpu(world, "dpu-2", phase="Initialize Interface", labels={"rack": "b"}, joined=False)
        await manager.settle()
        assert stage.requestors(world) == ["dpu-1"]


async def test_a_cluster_that_does_not_answer_is_waited_for() -> None:
    world = await stage.a_stage()
    await everything_works(world)
    cluster = stage.dpu_cluster(world)
    is_away = True

    def away(_request: Request) -> None:
        if is_away:
            raise errors.Unreachable("connection refused")

    cluster.on_request = away
    async with stage.running(world) as manager:
        assert stage.requestors(world) == [CHAIN, CONSUMER, PRODUCER, "dpu-1"]
        is_away = False
        for _ in range(4):
            world.clock.advance(40)
            await turns()
            await manager.settle()
        assert stage.requestors(world) == ["dpu-1"]


async def test_the_servers_are_asked_before_anybody_leaves() -> None:
    """What the cache does not know yet holds: here a pod that has just become unready."""
    world = await stage.a_stage()
    async with stage.running(world) as manager:
        cluster, daemon_set = stage.dpu_cluster(world), stage.daemon_set_of(world, "producer")
        fell = False

        def fall(request: Request) -> None:
            nonlocal fell
            if request.verb == "list" and request.kind == "Pod" and not fell:
                fell = True
                cluster.add(stage.a_pod(daemon_set, "dpu-1", ready=False))

        cluster.on_request = fall
        await stage.be_ready(world, "producer")
        await manager.settle()
        assert fell
        assert PRODUCER in stage.requestors(world)


async def test_a_requestor_that_somebody_adds_meanwhile_is_not_lost() -> None:
    world = await stage.a_stage()
    async with stage.running(world) as manager:
        raced = False

        def somebody(request: Request) -> None:
            nonlocal raced
            if request.full_verb == "patch" and request.kind == "DPUNodeMaintenance" and not raced:
                raced = True
                world.host.add(nodes.a_maintenance("dpu-1", "dpu-2", PRODUCER))

        world.host.on_request = somebody
        await stage.be_ready(world, "producer")
        await manager.settle()
        world.clock.advance(5)
        await manager.settle()
        assert raced
        assert stage.requestors(world) == ["dpu-1", "dpu-2"]


async def test_a_maintenance_that_goes_meanwhile_is_let_go() -> None:
    world = await stage.a_stage()
    async with stage.running(world) as manager:
        maintenance, gone = f"{nodes.DPUNODE}-hold", False

        def go(request: Request) -> None:
            nonlocal gone
            if request.verb == "get" and request.kind == "DPUNodeMaintenance" and not gone:
                gone = True
                world.host.add(nodes.a_maintenance("dpu-1"))

        world.host.on_request = go
        before = len(world.writes)
        await stage.be_ready(world, "producer")
        await manager.settle()
        assert gone
        assert [w for w in world.writes[before:] if maintenance in w] == []


async def test_what_cannot_be_read_is_not_gone() -> None:
    world = await stage.a_stage()
    world.host.add_raw(DPUService, {
        "metadata": {"name": "dd-producer", "namespace": some.TENANT}, "spec": {"deployInCluster": "perhaps"},
    })
    async with stage.running(world):
        assert PRODUCER in stage.requestors(world)


async def test_settled_maintenances_and_heartbeats_cause_no_write_and_no_request() -> None:
    world = await stage.a_stage()
    async with stage.running(world) as manager:
        await stage.be_ready(world, "producer")
        await manager.settle()
        before, asked = len(world.writes), len(world.host.requests) + len(stage.dpu_cluster(world).requests)
        beat = {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Kubelet",
                                           "message": "the kubelet says so", "lastHeartbeatTime": "now"}]}}
        await stage.dpu_cluster(world).patch(core.Node, "dpu-1", patch=beat, subresource="status")
        await stage.dpu_cluster(world).patch(
            ServicePod, "dd-producer-dpu-1", "apps", patch={"metadata": {"annotations": {"a": "b"}}}
        )
        assert await manager.settle() == 0
        for controller in manager.controllers:
            controller.enqueue_all()
        await manager.settle()
        assert len(world.writes) == before + 2
        assert len(world.host.requests) + len(stage.dpu_cluster(world).requests) == asked + 2


async def upgrade(world: World, manager: Manager) -> None:
    """Everything that is waited for comes about, one after the other."""
    await stage.be_ready(world, "consumer")
    await manager.settle()
    await stage.be_ready(world, "producer")
    await manager.settle()
    await stage.chain_ready(world)
    await manager.settle()


async def live(world: World) -> None:
    async with stage.running(world) as manager:
        await upgrade(world, manager)


async def test_a_kill_after_any_write_ends_the_same() -> None:
    worlds = [await stage.a_stage() for _ in range(12)]
    for world in worlds:
        for cluster in world.clusters:
            cluster.writes.clear()
    crashes = await crash_everywhere(worlds.pop, live, lambda world: world.state(*stage.KINDS))
    assert crashes >= 4
    done = worlds.pop()
    await live(done)
    assert [m.spec.requestor for m in done.host.objects(DPUNodeMaintenance) if m.spec is not None] == [["dpu-1"]]
