"""A DPUService goes only when everything it caused is gone (behaviour-service.md 3.8; tests 13 and 14)."""

from __future__ import annotations

import pytest
from tests.scenario.services import stage
from tests.support import dpuservices as some
from tests.support.world import World

from dpf.api import core
from dpf.api.argocd import SKIP_RECONCILE_ANNOTATION, Application
from dpf.api.dpuservice import ConditionType, DPUService
from dpf.api.meta import Key
from dpf.kube import errors
from dpf.runtime.manager import Manager

SERVICE = Key(some.TENANT, "blueman")


async def delete(world: World, manager: Manager, name: str = "blueman", namespace: str = some.TENANT) -> None:
    await world.host.delete(DPUService, name, namespace)
    await manager.settle()


def mirrored(world: World) -> list[str]:
    return [s.metadata.name for dpu in world.dpus.values() for s in dpu.objects(core.Secret, some.TENANT)]


async def test_it_waits_for_argo_cd() -> None:
    """Scenario 14."""
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(some.a_service(), some.a_pull_secret())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await delete(world, manager)
        waiting = stage.condition(world, ConditionType.APPLICATIONS_RECONCILED)
        assert (waiting.status, waiting.reason) == ("False", "AwaitingDeletion")
        assert waiting.message == (
            "The following applications are awaiting deletion:\n"
            f"* {some.DPF}/dpu-1-blueman.argoproj.io\n* {some.DPF}/dpu-2-blueman.argoproj.io"
        )
        assert stage.condition(world, ConditionType.READY).reason == "AwaitingDeletion"
        assert mirrored(world) == ["regcred", "regcred"]
        await stage.deliver(world, manager)

    assert world.host.objects(DPUService) == ()
    assert stage.applications(world) == {}
    assert mirrored(world) == []


async def test_pull_secrets_stay_while_another_service_needs_them() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service(), some.a_service("dts"), some.a_pull_secret())
    async with stage.running(world) as manager:
        await delete(world, manager)
        await stage.deliver(world, manager)
        assert [s.metadata.name for s in world.host.objects(DPUService)] == ["dts"]
        assert mirrored(world) == ["regcred"]
        await delete(world, manager, "dts")
        await stage.deliver(world, manager)
    assert mirrored(world) == []


async def test_a_paused_service_stays_until_it_is_resumed() -> None:
    """Scenario 13, the deletion."""
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await stage.edit(world, DPUService, SERVICE, {"paused": True})
        await delete(world, manager)
        await stage.deliver(world, manager)
        assert set(stage.applications(world)) == {"dpu-1-blueman"}
        await stage.edit(world, DPUService, SERVICE, {"paused": False})
        await manager.settle()
        (app,) = stage.applications(world).values()
        assert (app.metadata.annotations or {})[SKIP_RECONCILE_ANNOTATION] == "false"
        await stage.deliver(world, manager)
    assert world.host.objects(DPUService) == ()


async def test_an_error_of_the_api_server_is_told_and_tried_again() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        refusal = errors.Forbidden("applications is forbidden", status=403)
        world.host.fail_next(lambda r: r.verb == "delete" and r.kind == "Application", refusal)
        await delete(world, manager)
        told = stage.condition(world, ConditionType.APPLICATIONS_RECONCILED)
        assert told.reason == "AwaitingDeletion"
        assert told.message.startswith("Error occurred: delete Application dpf-operator-system/dpu-1-blueman")
        await world.clock.run_for(60)
        await stage.deliver(world, manager)
    assert world.host.objects(DPUService) == ()


async def test_an_application_that_the_cache_has_not_seen_keeps_the_service() -> None:
    """The finalizer may not go before the server itself says that nothing is left."""
    world = stage.a_stage("dpu-1")
    async with stage.running(world) as manager:
        deaf = errors.Unreachable("connection reset")
        world.host.fail_next(lambda r: r.verb == "watch" and r.kind == "Application", deaf, times=1000)
        world.host.end_watches()
        world.host.add(some.a_service())
        await manager.settle()
        assert set(stage.applications(world)) == {"dpu-1-blueman"}
        assert not world.registry.host.cache.list(Application)
        manager.controllers[0].enqueue_all()
        await manager.settle()
        assert set(stage.applications(world)) == {"dpu-1-blueman"}

        await delete(world, manager)
        assert [s.metadata.name for s in world.host.objects(DPUService)] == ["blueman"]
        await stage.deliver(world, manager)
        await world.clock.run_for(31)
        await manager.settle()
    assert world.host.objects(DPUService) == ()


async def test_a_pull_secret_that_the_cache_has_not_seen_goes_too() -> None:
    world = stage.a_stage("dpu-1")
    (dpu,) = world.dpus.values()
    async with stage.running(world) as manager:
        deaf = errors.Unreachable("connection reset")
        dpu.fail_next(lambda r: r.verb == "watch" and r.kind == "Secret", deaf, times=1000)
        dpu.end_watches()
        world.host.add(some.a_service(), some.a_pull_secret())
        await manager.settle()
        await world.clock.run_for(3)
        await manager.settle()
        assert mirrored(world) == ["regcred"]
        await delete(world, manager)
        await stage.deliver(world, manager)
    assert world.host.objects(DPUService) == ()
    assert mirrored(world) == []


@pytest.mark.parametrize("known", [True, False], ids=["known-to-be-dead", "just-died"])
async def test_a_dead_cluster_does_not_keep_a_service_whose_applications_are_gone(known: bool) -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(some.a_service(), some.a_pull_secret())
    (_, dead) = world.dpus.values()
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        dead.fail_next(lambda _: True, errors.Unreachable("connection refused"), times=1000)
        if known:
            await world.clock.run_for(60)
        await delete(world, manager)
        await stage.deliver(world, manager)
    assert world.host.objects(DPUService) == ()


async def test_deletion_of_the_namespace_completes() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service(), some.a_pull_secret())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await world.host.delete(core.Namespace, some.TENANT)
        await manager.settle()
        await stage.deliver(world, manager)
    assert world.host.objects(DPUService) == ()
    assert some.TENANT not in [n.metadata.name for n in world.host.objects(core.Namespace)]
