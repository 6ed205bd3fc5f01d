"""The interfaces of a DPUService (behaviour-service.md 3.3 and 3.8; section 13, tests 6 to 10 and 13)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from tests.scenario.services import stage
from tests.support import dpuservices as some
from tests.support.clock import turns
from tests.support.world import World

from dpf.api import names
from dpf.api.dpuservice import ConditionType, DPUService
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicenad import DPUServiceNAD
from dpf.api.meta import Key, Object
from dpf.kube import errors
from dpf.runtime.manager import Manager

RECONCILED = ConditionType.DPU_SERVICE_INTERFACE_RECONCILED
SERVICE = Key(some.TENANT, "blueman")
NETWORKS = "k8s.v1.cni.cncf.io/networks"
HBN: dict[str, Any] = {"serviceID": "hbn", "interfaces": ["app"]}


def a_world(*objects: Object, **spec: Any) -> World:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service(**{**HBN, **spec}), *objects)
    return world


def consumer(world: World, name: str = "app") -> str | None:
    return (stage.interface(world, name).metadata.annotations or {}).get("dpu.nvidia.com/consumed-by")


def told(world: World, name: str = "blueman") -> tuple[str, str, str]:
    found = stage.condition(world, RECONCILED, name)
    return found.status, found.reason, found.message


async def annotate(world: World, value: str | None, name: str = "app") -> None:
    """Somebody writes the claim by hand."""
    await world.host.patch(DPUServiceInterface, name, some.TENANT, patch={
        "metadata": {"annotations": {names.CONSUMED_BY_ANNOTATION: value}},
    })


async def test_scenario_7_a_good_interface_is_claimed_and_reaches_the_values() -> None:
    world = a_world(
        some.an_interface("app", network="mybrhbn", interface="pf2dpu3_if"), some.an_interface("unrelated"),
        serviceDaemonSet={"annotations": {"own": "x"}, "resources": {"memory": "6Gi"}},
    )
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
    assert consumer(world) == "blueman"
    assert consumer(world, "unrelated") is None
    found = stage.daemonset(world)
    assert found["annotations"] == {
        "own": "x", NETWORKS: '[{"name":"mybrhbn","interface":"pf2dpu3_if","cni-args":null}]',
    }
    assert found["resources"] == {"memory": "6Gi"}
    assert told(world) == ("True", "Success", "")
    assert stage.condition(world, ConditionType.READY).status == "True"


async def test_race_2_the_users_object_stays_as_it_was_written() -> None:
    world = a_world(
        some.an_interface(), some.a_nad(), serviceDaemonSet={"labels": {"a": "b"}, "resources": {"memory": "1Gi"}},
    )
    before = stage.service(world).spec
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await stage.edit(world, DPUService, SERVICE, {"helmChart": {"source": {"version": "2"}}})
        await manager.settle()
        await stage.edit(world, DPUService, SERVICE, {"helmChart": {"source": {"version": "1.0.8"}}})
        await manager.settle()
    assert stage.service(world).spec == before
    assert stage.daemonset(world)["resources"] == {"memory": "1Gi", "nvidia.com/bf_sf": "1"}


async def test_only_the_claim_is_written_to_an_interface() -> None:
    world = a_world(some.an_interface(labels={"a": "b"}))
    before = stage.interface(world)
    await stage.live(world)
    after = stage.interface(world)
    assert (after.spec, after.status, after.metadata.labels) == (before.spec, before.status, before.metadata.labels)
    assert [w for w in world.writes if "DPUServiceInterface" in w] == ["host: patch DPUServiceInterface tenant/app"]


async def test_the_webs_of_other_versions_are_not_spun() -> None:
    """Without an injector that removes it, an element `invalid-network` would keep every pod from starting."""
    world = a_world(some.an_interface())
    await stage.live(world)
    assert [e["name"] for e in json.loads(stage.daemonset(world)["annotations"][NETWORKS])] == ["mynad"]


def a_physical_interface() -> DPUServiceInterface:
    interface = some.an_interface()
    wire = msgspec.to_builtins(interface)
    wire["spec"]["template"]["spec"]["template"]["spec"] = {
        "interfaceType": "physical", "physical": {"interfaceName": "p0"}, "service": None,
    }
    return msgspec.convert(wire, DPUServiceInterface)


@pytest.mark.parametrize(("objects", "message"), [
    ((), 'dpuserviceinterfaces.svc.dpu.nvidia.com "app" not found'),
    ((some.an_interface(namespace="elsewhere"),), 'dpuserviceinterfaces.svc.dpu.nvidia.com "app" not found'),
    ((a_physical_interface(),), "wrong service definition in DPUServiceInterface app"),
    ((DPUServiceInterface(metadata=some.an_interface().metadata),),
     "wrong service definition in DPUServiceInterface app"),
    ((some.an_interface(service_id="other"),), "conflicting ServiceID in DPUServiceInterface app"),
    ((some.an_interface(consumer="dts", uid="u"), some.a_service("dts", paused=True)),
     "dpuServiceInterface app is in use by another DPUService"),
    ((some.an_interface(consumer="somebody"),), "dpuServiceInterface app is in use by another DPUService"),
], ids=["missing", "elsewhere", "wrong-type", "no-spec", "other-id", "consumed", "consumed-by-hand"])
async def test_scenario_8_what_is_wrong_is_told_and_nothing_installed(
    objects: tuple[Object, ...], message: str
) -> None:
    world = a_world(*objects)
    async with stage.running(world) as manager:
        await manager.settle()
    assert told(world) == ("False", "Error", f"Unable to reconcile interfaces for {message}")
    assert not [name for name in stage.applications(world) if name.endswith("blueman")]
    assert stage.condition(world, ConditionType.APPLICATION_PREREQS_RECONCILED).status == "Unknown"
    assert stage.condition(world, ConditionType.READY).status == "False"
    assert stage.service(world).status.serviceID == "hbn"


async def test_networks_of_the_user_that_cannot_be_read_are_told() -> None:
    world = a_world(some.an_interface(), serviceDaemonSet={"annotations": {NETWORKS: "net1,net2"}})
    await stage.live(world)
    status, reason, message = told(world)
    assert (status, reason) == ("False", "Error")
    assert message.startswith("Unable to reconcile interfaces for failed to unmarshal existing networks: ")
    assert message.endswith(", expected format is a list of objects")
    assert stage.applications(world) == {}
    assert consumer(world) is None


async def test_without_interfaces_the_values_are_as_they_were() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service(serviceID="hbn", serviceDaemonSet={"annotations": {NETWORKS: "net1,net2"}}))
    await stage.live(world)
    assert stage.daemonset(world)["annotations"] == {NETWORKS: "net1,net2"}


async def test_later_conditions_keep_what_they_say_and_what_runs_goes_on() -> None:
    world = a_world(some.an_interface())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await world.host.delete(DPUServiceInterface, "app", some.TENANT)
        await manager.settle()
        assert told(world)[0] == "False"
        assert stage.condition(world, ConditionType.APPLICATIONS_RECONCILED).status == "True"
        assert set(stage.applications(world)) == {"dpu-1-blueman"}


async def test_an_interface_that_comes_after_its_service_is_found_at_once() -> None:
    world = a_world()
    async with stage.running(world) as manager:
        assert told(world)[0] == "False"
        world.host.add(some.an_interface())
        await manager.settle()
        assert told(world)[0] == "True"
        assert set(stage.applications(world)) == {"dpu-1-blueman"}


async def test_scenario_10_devices_follow_the_nad() -> None:
    wanted = [f"if{n}" for n in range(3)]
    world = a_world(
        *(some.an_interface(name) for name in wanted), interfaces=wanted,
        serviceDaemonSet={"resources": {"nvidia.com/bf_sf": 1, "memory": "1Gi"}},
    )
    async with stage.running(world) as manager:
        assert stage.daemonset(world)["resources"] == {"memory": "1Gi", "nvidia.com/bf_sf": 1}
        world.host.add(some.a_nad())
        await manager.settle()
        assert stage.daemonset(world)["resources"] == {"memory": "1Gi", "nvidia.com/bf_sf": "3"}
        await world.host.patch(DPUServiceNAD, "mynad", some.TENANT, patch={
            "metadata": {"annotations": {names.TRUSTED_SFS_ANNOTATION: "true"}},
        })
        await manager.settle()
        found = stage.daemonset(world)["resources"]
        assert found == {"memory": "1Gi", "nvidia.com/bf_sf": 1, "nvidia.com/bf_sf_trusted": "3"}


async def test_a_changed_network_reaches_the_values() -> None:
    world = a_world(some.an_interface())
    async with stage.running(world) as manager:
        await stage.edit(world, DPUServiceInterface, Key(some.TENANT, "app"), {
            "template": {"spec": {"template": {"spec": {"service": {"network": "other/net"}}}}},
        })
        await manager.settle()
    (found,) = json.loads(stage.daemonset(world)["annotations"][NETWORKS])
    assert (found["namespace"], found["name"]) == ("other", "net")


async def test_a_system_component_gets_its_networks_under_global() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(
        some.a_service(labels={"dpu.nvidia.com/component": "x"}, **HBN), some.an_interface(network="mybrhbn")
    )
    await stage.live(world)
    (app,) = stage.applications(world).values()
    source = app.spec.source
    assert source is not None
    assert source.helm is not None
    assert (source.helm.valuesObject or {})["global"]["serviceDaemonSet"]["annotations"] == {
        "dpu.nvidia.com/cluster": "dpu-1", "dpu.nvidia.com/cluster-namespace": some.TENANT,
        NETWORKS: '[{"name":"mybrhbn","interface":"app","cni-args":null}]',
    }


# Claims.

@pytest.mark.parametrize("seed", range(6))
async def test_two_services_never_hold_one_interface(seed: int) -> None:
    """Both list both, in opposite order; one gets everything, the other nothing."""
    world = stage.a_stage("dpu-1")
    async with stage.running(world) as manager:
        world.host.add(
            some.a_service("a", serviceID="hbn", interfaces=["x", "y"]),
            some.a_service("b", serviceID="hbn", interfaces=["y", "x"]),
            some.an_interface("x"), some.an_interface("y"),
        )
        await manager.settle(stage.at_random(seed))
        await world.clock.run_for(5)
        await manager.settle(stage.at_random(seed))
    assert consumer(world, "x") == consumer(world, "y")
    assert {told(world, "a")[0], told(world, "b")[0]} == {"True", "False"}


async def test_of_two_passes_at_the_same_time_one_gets_everything() -> None:
    """Both see the interfaces free; what decides is the version that each has read."""
    world = stage.a_stage("dpu-1")
    async with stage.running(world) as manager:
        world.host.add(
            some.a_service("a", serviceID="hbn", interfaces=["x", "y"]),
            some.a_service("b", serviceID="hbn", interfaces=["y", "x"]),
        )
        await manager.settle()
        world.host.add(some.an_interface("x"), some.an_interface("y"))
        await turns()
        controller = manager.controllers[0]
        due = [controller.queue.take(), controller.queue.take()]
        await asyncio.gather(*(controller.work(key) for key in due if key is not None))
        written = [w for w in world.writes if "DPUServiceInterface" in w]
        assert len(written) == 3, "one pass stopped at its first claim, which was refused"
        await world.clock.run_for(5)
        await manager.settle()
    assert consumer(world, "x") == consumer(world, "y")
    assert sorted([told(world, "a")[0], told(world, "b")[0]]) == ["False", "True"]


async def test_a_claim_on_an_outdated_version_is_refused_and_tried_again() -> None:
    """What the cache did not know when the claim was planned: somebody else was faster."""
    world = a_world(some.a_service("dts", serviceID="hbn", paused=True))

    async def steal() -> None:
        await annotate(world, "dts")

    async with stage.running(world) as manager:
        world.host.add(some.an_interface())
        world.host.fail_next(
            lambda r: r.verb == "patch" and r.kind == "DPUServiceInterface", errors.Conflict("the object has changed"),
        )
        await manager.settle()
        assert consumer(world) is None
        assert stage.applications(world) == {}
        await steal()
        await world.clock.run_for(2)
        await manager.settle()
    assert consumer(world) == "dts"
    assert told(world)[2].endswith("dpuServiceInterface app is in use by another DPUService")


async def test_a_half_available_list_claims_nothing() -> None:
    world = a_world(
        some.an_interface("app"), some.an_interface("used", consumer="somebody"), interfaces=["app", "used"],
    )
    await stage.live(world)
    assert consumer(world, "app") is None


async def test_a_released_interface_is_taken_by_the_one_that_waits() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(
        some.a_service("first", created="2025-01-01T00:00:00Z", **HBN), some.an_interface(consumer="first"),
        some.a_service("second", **HBN),
    )
    async with stage.running(world) as manager:
        assert told(world, "second")[0] == "False"
        await stage.edit(world, DPUService, Key(some.TENANT, "first"), {"interfaces": None})
        await manager.settle()
        assert consumer(world) == "second"
        assert told(world, "second")[0] == "True"
        assert "dpu-1-second" in stage.applications(world)


async def test_an_interface_that_is_not_listed_any_more_is_let_go() -> None:
    world = a_world(some.an_interface("app"), some.an_interface("more"), interfaces=["app", "more"])
    async with stage.running(world) as manager:
        assert (consumer(world), consumer(world, "more")) == ("blueman", "blueman")
        await stage.edit(world, DPUService, SERVICE, {"interfaces": ["app"]})
        await manager.settle()
        assert (consumer(world), consumer(world, "more")) == ("blueman", None)
        await stage.edit(world, DPUService, SERVICE, {"interfaces": None})
        await manager.settle()
        assert consumer(world) is None


async def test_a_claim_that_a_person_removes_comes_back() -> None:
    world = a_world(some.an_interface())
    async with stage.running(world) as manager:
        await annotate(world, None)
        await manager.settle()
        assert consumer(world) == "blueman"


@pytest.mark.parametrize(("owner", "uid"), [("gone", "u"), ("not/a/name", "u"), ("..", "u"), ("", None), ("", "u")])
async def test_a_claim_whose_service_does_not_exist_is_free(owner: str, uid: str | None) -> None:
    world = a_world(some.an_interface(consumer=owner, uid=uid), some.a_service("gone", "elsewhere"))
    await stage.live(world)
    assert consumer(world) == "blueman"
    assert told(world)[0] == "True"


async def test_a_service_whose_finalizer_was_taken_off_frees_its_interfaces_at_once() -> None:
    first = some.a_service("first", created="2025-01-01T00:00:00Z", **HBN)
    world = stage.a_stage("dpu-1")
    world.host.add(first, some.an_interface())
    async with stage.running(world) as manager:
        world.host.add(some.a_service(**HBN))
        await manager.settle()
        assert (consumer(world), told(world)[0]) == ("first", "False")
        await world.host.patch(DPUService, "first", some.TENANT, patch={"metadata": {"finalizers": None}})
        await world.host.delete(DPUService, "first", some.TENANT)
        await manager.settle()
        assert (consumer(world), told(world)[0]) == ("blueman", "True")


async def test_a_service_that_the_cache_has_not_seen_keeps_its_claim() -> None:
    """It was made a moment ago, and its claim came in sooner than itself."""
    world = a_world()
    async with stage.running(world) as manager:
        deaf = errors.Unreachable("connection reset")
        world.host.fail_next(lambda r: r.verb == "watch" and r.kind == "DPUService", deaf, times=1000)
        world.host.end_watches()
        world.host.add(some.a_service("new", **HBN), some.an_interface(consumer="new", uid="u"))
        manager.controllers[0].enqueue_all()
        await manager.settle()
        assert consumer(world) == "new"


async def test_an_interface_that_cannot_be_read_is_not_taken_for_missing() -> None:
    world = a_world()
    world.host.add_raw(DPUServiceInterface, {"metadata": {"name": "app", "namespace": some.TENANT}, "spec": 7})
    await stage.live(world)
    assert 'dpuserviceinterfaces.svc.dpu.nvidia.com "app" cannot be read' in told(world)[2]


async def test_a_settled_service_writes_nothing_and_asks_nothing() -> None:
    world = a_world(some.an_interface(), some.a_nad())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        written = len(world.writes)
        world.host.fail_next(lambda r: r.verb in {"get", "list"}, errors.Forbidden("not needed"), times=1000)
        manager.controllers[0].enqueue_all()
        await manager.settle()
    assert world.writes[written:] == []
    assert told(world)[0] == "True"


# Deletion and pause.

async def remove(world: World, manager: Manager) -> None:
    await world.host.delete(DPUService, "blueman", some.TENANT)
    await manager.settle()
    await stage.deliver(world, manager)


async def test_scenario_13_deletion_waits_for_resume_and_clears_its_own_claims_only() -> None:
    world = a_world(some.an_interface(), some.an_interface("other", consumer="somebody"))
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await stage.edit(world, DPUService, SERVICE, {"paused": True})
        await manager.settle()
        await remove(world, manager)
        (app,) = stage.applications(world).values()
        assert (app.metadata.annotations or {})["argocd.argoproj.io/skip-reconcile"] == "true"
        assert consumer(world) == "blueman"

        await stage.edit(world, DPUService, SERVICE, {"paused": False})
        await manager.settle()
        assert consumer(world) == "blueman", "while an Application is left, its pods use the interface"
        await stage.deliver(world, manager)
    assert world.host.objects(DPUService) == ()
    assert stage.interface(world).metadata.annotations in (None, {})
    assert consumer(world, "other") == "somebody"


async def test_a_claim_that_the_cache_has_not_seen_is_cleared_too() -> None:
    world = a_world()
    async with stage.running(world) as manager:
        world.host.add(some.an_interface("app"))
        await manager.settle()
        deaf = errors.Unreachable("connection reset")
        world.host.fail_next(lambda r: r.verb == "watch" and r.kind == "DPUServiceInterface", deaf, times=1000)
        world.host.end_watches()
        world.host.add(some.an_interface("late", consumer="blueman"))
        await remove(world, manager)
    assert world.host.objects(DPUService) == ()
    assert (consumer(world), consumer(world, "late")) == (None, None)


async def test_an_interface_of_another_that_cannot_be_read_does_not_keep_the_service() -> None:
    world = a_world(some.an_interface())
    world.host.add_raw(DPUServiceInterface, {"metadata": {"name": "odd", "namespace": some.TENANT}, "spec": 7})
    async with stage.running(world) as manager:
        await remove(world, manager)
    assert world.host.objects(DPUService) == ()
    assert consumer(world) is None


async def test_a_new_service_of_the_same_name_takes_its_interface_over() -> None:
    world = a_world(some.an_interface())
    async with stage.running(world) as manager:
        await remove(world, manager)
        world.host.add(some.a_service(**HBN))
        await manager.settle()
        assert consumer(world) == "blueman"
        assert told(world)[0] == "True"
