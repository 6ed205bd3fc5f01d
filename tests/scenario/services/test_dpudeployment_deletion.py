"""A DPUDeployment goes last: chains, interfaces, services, then DPUSets, then the marks (scenario 41, race 15)."""

from __future__ import annotations

import pytest
from tests.scenario.services import stage_dpudeployment as stage
from tests.support import dpudeployments as some
from tests.support.crash import Crash, crash_at
from tests.support.world import World

from dpf.api.bfb import BFB
from dpf.api.dpudeployment import ConditionType, DPUDeployment
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuset import DPUSet
from dpf.kube import errors
from dpf.runtime.manager import Manager

CHAIN = [{"ports": [{"service": {"name": "producer", "interface": "eth0"}},
                    {"serviceInterface": {"matchLabels": {"svc.dpu.nvidia.com/interface": "p0"}}}]}]


async def a_life(*, stuck: tuple[str, ...] = ()) -> World:
    """A settled deployment; children of the kinds `stuck` have a finalizer of their own controller."""
    world = stage.a_full_stage(serviceChains=CHAIN)
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        for child in stage.children(world):
            if type(child).__name__ in stuck:
                await some.hold(world.host, child)
        await manager.settle()
    return world


def awaited(world: World) -> dict[str, str]:
    """What the conditions say about what is left."""
    types = [type_ for type_ in ConditionType if type_.endswith("Reconciled")]
    return {
        type_: message for type_ in types
        if (message := stage.condition(world, type_).message) and stage.condition(world, type_).reason == (
            "AwaitingDeletion"
        )
    }


def marks(world: World) -> list[tuple[bool, list[str]]]:
    return [some.marks(dependency) for kind in some.DEPENDENCIES for dependency in world.host.objects(kind)]


async def test_41_a_stuck_chain_keeps_the_dpusets() -> None:
    world = await a_life(stuck=("DPUServiceChain", "DPUSet"))
    async with stage.running(world) as manager:
        await stage.delete(world, manager, DPUDeployment, "dd")
        assert awaited(world) == {
            "DPUServiceChainsReconciled": "There are still 1 DPUServiceChains that are not completely deleted",
            "DPUServiceInterfacesReconciled": "All DPUServiceInterfaces are deleted",
            "DPUServicesReconciled": "All DPUServices are deleted",
        }
        assert stage.summary(world, ConditionType.READY)[:2] == ("False", "AwaitingDeletion")
        assert stage.one(world, DPUSet, "dd-workers").metadata.deletionTimestamp is None
        assert all(protected for protected, _ in marks(world))

        await some.let_go(world.host, stage.one(world, DPUServiceChain, "dd"))
        await manager.settle()
        assert awaited(world) == {
            "DPUServiceChainsReconciled": "All DPUServiceChains are deleted",
            "DPUServiceInterfacesReconciled": "All DPUServiceInterfaces are deleted",
            "DPUServicesReconciled": "All DPUServices are deleted",
            "DPUSetsReconciled": "There are still 1 DPUSets that are not completely deleted",
        }
        assert stage.one(world, DPUSet, "dd-workers").metadata.deletionTimestamp is not None
        assert all(protected for protected, _ in marks(world)), "the DPUs may still need them"

        await some.let_go(world.host, stage.one(world, DPUSet, "dd-workers"))
        await manager.settle()
    assert world.host.objects(DPUDeployment) == ()
    assert stage.children(world) == []
    assert marks(world) == [(False, [])] * 4


async def test_41_it_looks_again_by_itself() -> None:
    """An event that got lost costs half a minute, not for ever."""
    world = await a_life(stuck=("DPUService",))
    async with stage.running(world) as manager:
        await stage.delete(world, manager, DPUDeployment, "dd")
        (controller,) = (c for c in manager.controllers if c.reconciler.name == "dpudeployment")
        due_s = controller.queue.next_due_s()
        assert due_s is not None
        assert due_s <= 30.0


async def test_41_deleted_in_the_middle_of_an_upgrade_old_revisions_are_woken() -> None:
    """Race 15: nobody looks at a paused DPUService, so its finalizer would stay."""
    world = await a_life(stuck=("DPUService",))
    async with stage.running(world) as manager:
        await stage.edit(world, manager, DPUServiceConfiguration, "producer", {
            "upgradePolicy": {"applyNodeEffect": True},
            "serviceConfiguration": {"helmChart": {"values": {"replicas": 2}}},
        })
        services = world.host.objects(DPUService)
        assert sorted(s.spec.paused for s in services if s.spec is not None) == [False, True]
        for service in services:
            if "test/stay" not in (service.metadata.finalizers or ()):
                await some.hold(world.host, service)
        await manager.settle()
        await stage.delete(world, manager, DPUDeployment, "dd")
        left = world.host.objects(DPUService)
        assert len(left) == 2
        assert not any(s.spec.paused for s in left if s.spec is not None)
        assert all(s.metadata.deletionTimestamp is not None for s in left)
        await stage.work(world, manager)
    assert world.host.objects(DPUDeployment) == ()
    assert stage.children(world) == []


async def test_without_children_it_goes_at_once() -> None:
    world = stage.a_stage(some.a_deployment(), some.a_bfb())
    async with stage.running(world) as manager:
        assert some.marks(stage.one(world, BFB, "bfb"))[0]
        await stage.delete(world, manager, DPUDeployment, "dd")
    assert world.host.objects(DPUDeployment) == ()
    assert some.marks(stage.one(world, BFB, "bfb")) == (False, [])


async def test_marks_are_let_go_even_if_the_label_was_taken_off_last() -> None:
    world = await a_life()
    await world.host.patch(BFB, "bfb", some.TENANT, patch={"metadata": {"labels": None}})
    await world.host.delete(DPUDeployment, "dd", some.TENANT)
    await stage.live(world)
    assert world.host.objects(DPUDeployment) == ()
    assert marks(world) == [(False, [])] * 4


async def test_a_child_that_lost_its_label_is_deleted_as_well() -> None:
    world = await a_life(stuck=("DPUSet",))
    await world.host.patch(DPUSet, "dd-workers", some.TENANT, patch={"metadata": {"labels": None}})
    await world.host.delete(DPUDeployment, "dd", some.TENANT)
    async with stage.running(world) as manager:
        assert stage.one(world, DPUSet, "dd-workers").metadata.deletionTimestamp is not None
        assert stage.names(world, DPUDeployment) == ["dd"]
        await stage.work(world, manager)
    assert world.host.objects(DPUDeployment) == ()


async def test_what_carries_the_label_of_a_deployment_and_belongs_to_another_stays() -> None:
    world = await a_life()
    service = stage.one(world, DPUService, "dd-producer")
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x", "uid": "u", "controller": True}
    tree = {"metadata": {"name": "copy", "namespace": some.TENANT, "labels": service.metadata.labels,
                         "ownerReferences": [reference], "uid": "copy"}}
    world.host.add_raw(DPUService, tree)
    async with stage.running(world) as manager:
        await stage.delete(world, manager, DPUDeployment, "dd")
    assert world.host.objects(DPUDeployment) == ()


async def test_a_cache_that_is_late_does_not_let_it_go_too_early() -> None:
    """Absence is what the server says: children that the cache has not heard of keep the deployment."""
    world = await a_life(stuck=("DPUServiceInterface",))
    async with stage.running(world) as manager:
        store = world.registry.host.cache.store(DPUServiceInterface)
        await world.host.delete(DPUDeployment, "dd", some.TENANT)
        store.commit({}, {}, refile=False)  # as if the interface had just been made
        await manager.settle()
        assert stage.names(world, DPUDeployment) == ["dd"]
        assert stage.names(world, DPUServiceInterface) == ["dd-producer-eth0"]


@pytest.mark.parametrize("kind", ["DPUServiceChain", "DPUServiceInterface", "DPUService", "DPUSet"])
async def test_a_refused_deletion_is_told_and_tried_again(kind: str) -> None:
    world = await a_life()
    is_refused = True
    refusal = errors.Forbidden("it is forbidden", status=403)
    world.host.fail_next(lambda r: is_refused and r.verb == "delete" and r.kind == kind, refusal, times=20)
    async with stage.running(world) as manager:
        await stage.delete(world, manager, DPUDeployment, "dd")
        assert awaited(world)[f"{kind}sReconciled"].startswith(f"Error occurred: delete {kind} tenant/dd")
        assert awaited(world)[f"{kind}sReconciled"].endswith(": it is forbidden")
        assert stage.names(world, DPUSet) == ["dd-workers"], "the others first"
        is_refused = False
        world.clock.advance(40)
        await manager.settle()
    assert world.host.objects(DPUDeployment) == ()


async def test_a_list_that_fails_is_not_an_empty_one() -> None:
    world = await a_life(stuck=("DPUService",))
    async with stage.running(world) as manager:
        refusal = errors.ServerError("out of order", status=500)
        world.host.fail_next(lambda r: r.verb == "list" and r.kind == "DPUService", refusal, times=3)
        await stage.delete(world, manager, DPUDeployment, "dd")
        assert stage.names(world, DPUDeployment) == ["dd"]
        for _ in range(4):
            world.clock.advance(10)
            await manager.settle()
        await stage.work(world, manager)
    assert world.host.objects(DPUDeployment) == ()


async def upgrade_and_delete(world: World, manager: Manager) -> None:
    """An upgrade that does not end, and the deletion."""
    await stage.edit(world, manager, DPUServiceConfiguration, "producer", {
        "upgradePolicy": {"applyNodeEffect": True},
        "serviceConfiguration": {"helmChart": {"values": {"replicas": 2}}},
    })
    if stage.names(world, DPUDeployment):
        await stage.delete(world, manager, DPUDeployment, "dd")
    await stage.work(world, manager)


async def test_a_kill_after_any_write_ends_with_nothing_left() -> None:
    everything = ("DPUService", "DPUServiceInterface", "DPUServiceChain", "DPUSet")
    undisturbed = await a_life(stuck=everything)
    before = len(undisturbed.writes)
    await stage.live(undisturbed, upgrade_and_delete)
    assert undisturbed.host.objects(DPUDeployment) == ()
    killed = 0
    for n in range(1, len(undisturbed.writes) - before + 1):
        world = await a_life(stuck=everything)
        countdown = crash_at(n, *world.clusters)
        try:
            await stage.live(world, upgrade_and_delete)
        except Crash:
            await stage.live(world, upgrade_and_delete)
        killed += countdown.crashed
        assert world.state(*stage.KINDS) == undisturbed.state(*stage.KINDS), f"killed after write {n}"
    assert killed > 20
    assert marks(undisturbed) == [(False, [])] * 4


async def test_interfaces_and_services_are_deleted_before_anything_waits() -> None:
    world = await a_life(stuck=("DPUServiceInterface", "DPUService", "DPUServiceChain"))
    async with stage.running(world) as manager:
        await stage.delete(world, manager, DPUDeployment, "dd")
        for kind in (DPUServiceInterface, DPUService, DPUServiceChain):
            assert all(child.metadata.deletionTimestamp is not None for child in world.host.objects(kind))
