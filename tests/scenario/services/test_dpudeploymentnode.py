"""Host nodes run the revision of in-cluster services that their label names (scenario 40, race 10)."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.scenario.services import stage_dpudeployment as stage
from tests.support import dpudeploymentnodes as nodes
from tests.support import dpudeployments as some
from tests.support.crash import Crash, crash_at
from tests.support.world import World

from dpf.api import core
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuservice import DPUService
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuset import DPUSet
from dpf.kube.memory import Request
from dpf.runtime.manager import Manager

KEY = nodes.key("dd", "agent")
MATCHING = {"dpuSets": [{"nameSuffix": "a", "dpuNodeSelector": {"matchLabels": {"rack": "a"}}}]}


def a_stage(**spec: Any) -> World:
    """An in-cluster service for the hosts of rack a: host-1 is in it, host-2 is not, host-3 has no DPU."""
    deployment = some.a_deployment(services=("agent",), dpus=MATCHING, **spec)
    others = [d for d in some.dependencies_of(deployment) if not isinstance(d, DPUServiceConfiguration)]
    return stage.a_stage(
        deployment, *others, some.a_configuration("agent", serviceConfiguration={"deployInCluster": True}),
        *(nodes.a_node(f"host-{n}") for n in (1, 2, 3)), nodes.a_dpunode("worker-1", node="host-1"),
        nodes.a_dpunode("worker-2", node="host-2", rack="b"), nodes.a_dpunode("worker-4", node=None),
    )


def labels(world: World) -> dict[str, str]:
    """The version labels of each node that has some."""
    return {
        node.metadata.name: (node.metadata.labels or {})[KEY]
        for node in world.host.objects(core.Node) if KEY in (node.metadata.labels or {})
    }


def requestors(world: World) -> list[str] | None:
    (maintenance,) = world.host.objects(DPUNodeMaintenance)
    return maintenance.spec.requestor if maintenance.spec is not None else None


async def update(world: World, manager: Manager) -> None:
    """A disruptive change of the service."""
    await stage.edit(world, manager, DPUServiceConfiguration, "agent", {
        "upgradePolicy": {"applyNodeEffect": True}, "serviceConfiguration": {"helmChart": {"values": {"replicas": 2}}},
    })


async def maintain(world: World, manager: Manager) -> None:
    """Provisioning asks for the node effect as the DPUSet says, and it is not applied yet."""
    dpuset = stage.one(world, DPUSet, "dd-a")
    assert dpuset.spec is not None
    effect = dpuset.spec.dpuTemplate.spec.nodeEffect
    assert effect is not None
    if not world.host.objects(DPUNodeMaintenance):
        asked = effect.nodeMaintenanceAdditionalRequestors or []
        world.host.add(nodes.a_maintenance("dpu-1", *asked, applied=False))
    await manager.settle()


async def apply_effect(world: World, manager: Manager) -> None:
    """The host is free."""
    status = msgspec.to_builtins(nodes.a_maintenance().status)
    name = f"{nodes.DPUNODE}-hold"
    await world.host.patch(
        DPUNodeMaintenance, name, some.TENANT, patch={"status": status}, subresource="status"
    )
    await manager.settle()


def newest(world: World) -> str:
    return next(s.metadata.name for s in world.host.objects(DPUService) if s.spec is not None and not s.spec.paused)


async def test_40_matching_nodes_get_the_label_at_first_rollout() -> None:
    world = a_stage()
    async with stage.running(world):
        assert labels(world) == {"host-1": "dd-agent"}


async def test_40_a_node_that_comes_later_gets_it_too() -> None:
    world = a_stage()
    async with stage.running(world) as manager:
        world.host.add(nodes.a_node("host-5"), nodes.a_dpunode("worker-5", node=None))
        await manager.settle()
        assert labels(world) == {"host-1": "dd-agent"}
        await world.host.patch(
            DPUNode, "worker-5", some.TENANT, patch={"status": {"kubeNodeRef": "host-5"}}, subresource="status"
        )
        await manager.settle()
        assert labels(world) == {"host-1": "dd-agent", "host-5": "dd-agent"}


async def test_40_a_disruptive_update_waits_for_the_node_effect() -> None:
    world = a_stage()
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        await update(world, manager)
        new = newest(world)
        assert new != "dd-agent"
        await maintain(world, manager)
        assert requestors(world) == ["dpu-1", f"tenant_dd_{new}"]
        assert labels(world) == {"host-1": "dd-agent"}
        await apply_effect(world, manager)
        assert labels(world) == {"host-1": new}
        assert requestors(world) == ["dpu-1"]


async def test_40_the_label_is_there_before_the_requestor_goes() -> None:
    world = a_stage()
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        await update(world, manager)
        await maintain(world, manager)
        before = len(world.writes)
        await apply_effect(world, manager)
        written = [w for w in world.writes[before:] if "status" not in w]
        assert written == ["host: patch Node host-1", "host: patch DPUNodeMaintenance tenant/worker-1-hold"]


async def test_40_a_requestor_that_somebody_adds_meanwhile_is_not_lost() -> None:
    world = a_stage()
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        await update(world, manager)
        await maintain(world, manager)
        raced = False

        def somebody(request: Request) -> None:
            nonlocal raced
            if request.full_verb == "patch" and request.kind == "DPUNodeMaintenance" and not raced:
                raced = True
                world.host.add(nodes.a_maintenance("dpu-1", "dpu-2", f"tenant_dd_{newest(world)}"))

        world.host.on_request = somebody
        await apply_effect(world, manager)
        world.clock.advance(5)
        await manager.settle()
        assert raced
        assert requestors(world) == ["dpu-1", "dpu-2"]


async def test_40_the_label_goes_with_the_deployment() -> None:
    world = a_stage()
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        for service in world.host.objects(DPUService):
            await some.hold(world.host, service)
        await manager.settle()
        await stage.delete(world, manager, DPUDeployment, "dd")
        assert stage.names(world, DPUService) == ["dd-agent"], "it is still there"
        assert labels(world) == {}
        await stage.work(world, manager)
    assert stage.names(world, DPUDeployment) == []


async def test_a_service_that_leaves_the_host_cluster_takes_the_label_along() -> None:
    world = a_stage()
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        await world.host.patch(core.Node, "host-3", patch={"metadata": {"labels": {KEY: "by-hand"}}})
        await manager.settle()
        assert labels(world) == {"host-1": "dd-agent", "host-3": "by-hand"}, "not ours to judge while it is in use"
        await stage.edit(world, manager, DPUServiceConfiguration, "agent", {
            "serviceConfiguration": {"deployInCluster": None},
        })
        assert labels(world) == {}
        await stage.edit(world, manager, DPUServiceConfiguration, "agent", {
            "serviceConfiguration": {"deployInCluster": True},
        })
        assert labels(world) == {"host-1": newest(world)}


async def test_a_label_that_was_taken_off_by_hand_comes_back_and_a_stray_one_goes() -> None:
    world = a_stage()
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        stray = nodes.key("gone", "agent")
        for name, patch in (("host-1", {KEY: None}), ("host-3", {stray: "gone-agent", "rack": "a"})):
            await world.host.patch(core.Node, name, patch={"metadata": {"labels": patch}})
        await manager.settle()
        assert labels(world) == {"host-1": "dd-agent"}
        (host,) = (n for n in world.host.objects(core.Node) if n.metadata.name == "host-3")
        assert host.metadata.labels == {"rack": "a"}


async def test_a_service_that_was_deleted_by_hand_runs_again() -> None:
    """Its successor has another name while it is on its way out; no node effect is asked for, so none is waited for."""
    world = a_stage()
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        await some.hold(world.host, stage.one(world, DPUService, "dd-agent"))
        await stage.delete(world, manager, DPUService, "dd-agent")
        await stage.work(world, manager)
        await stage.work(world, manager)
        (name,) = stage.names(world, DPUService)
        assert labels(world) == {"host-1": name}


async def test_two_deployments_with_a_service_of_one_name() -> None:
    """Race 10: each has its own label, and its own nodes."""
    world = a_stage()
    sets = {"dpuSets": [{"nameSuffix": "a", "dpuNodeSelector": {"matchLabels": {"rack": "b"}}}]}
    world.host.add(some.a_deployment("other", services=("agent",), dpus=sets))
    async with stage.running(world):
        found = {n.metadata.name: n.metadata.labels for n in world.host.objects(core.Node)}
        assert found == {
            "host-1": {KEY: "dd-agent"}, "host-2": {nodes.key("other", "agent"): "other-agent"}, "host-3": None,
        }


async def test_a_service_that_cannot_be_read_takes_no_label_away() -> None:
    world = a_stage()
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        world.host.add_raw(DPUService, {
            "metadata": {"name": "dd-agent", "namespace": some.TENANT}, "spec": {"deployInCluster": "perhaps"},
        })
        await manager.settle()
        for controller in manager.controllers:
            controller.enqueue_all()
        await manager.settle()
        assert labels(world) == {"host-1": "dd-agent"}


async def test_heartbeats_and_settled_nodes_cause_no_write_and_no_read() -> None:
    world = a_stage()
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        before = list(world.writes)
        beat = {"status": {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "now"}]}}
        for node in world.host.objects(core.Node):
            await world.host.patch(core.Node, node.metadata.name, patch=beat, subresource="status")
        asked = len(world.host.requests)
        await manager.settle()
        assert [w for w in world.writes[len(before):] if "patch/status Node" not in w] == []
        assert world.host.requests[asked:] == []


async def upgrade(world: World, manager: Manager) -> None:
    """From the first rollout through a disruptive update to the end of the maintenance."""
    await stage.work(world, manager)
    await update(world, manager)
    await maintain(world, manager)
    await apply_effect(world, manager)
    await stage.work(world, manager)


async def test_a_kill_after_any_write_ends_the_same() -> None:
    undisturbed = a_stage()
    await stage.live(undisturbed, upgrade)
    expected = undisturbed.state(*stage.KINDS)
    assert labels(undisturbed)["host-1"] == newest(undisturbed) != "dd-agent"
    killed = 0
    for n in range(1, len(undisturbed.writes) + 1):
        world = a_stage()
        countdown = crash_at(n, *world.clusters)
        try:
            await stage.live(world, upgrade)
        except Crash:
            await stage.live(world, upgrade)
        killed += countdown.crashed
        assert world.state(*stage.KINDS) == expected, f"killed after write {n}: {undisturbed.writes[n - 1]}"
    assert killed > 15
