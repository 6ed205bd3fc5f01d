"""A DPUDeployment makes its children when everything fits, and says what does not (scenarios 22-28 of section 13)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.scenario.services import stage_dpudeployment as stage
from tests.support import dpudeployments as some
from tests.support.crash import Crash, crash_at
from tests.support.world import World

from dpf.api.bfb import BFB
from dpf.api.dpudeployment import ConditionType, DPUDeployment
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, Object, ObjectMeta
from dpf.kube.memory import Request
from dpf.runtime.manager import Manager
from dpf.services.dpudeployment import naming

RECONCILED = [type_ for type_ in ConditionType if type_.endswith("Reconciled")]
CHECKED = [
    ConditionType.PREREQUISITES_READY, ConditionType.VERSION_MATCHING_READY, ConditionType.RESOURCE_FITTING_READY,
]
OF_CHILDREN = [
    ConditionType.DPU_SETS_READY, ConditionType.DPU_SERVICES_READY, ConditionType.DPU_SERVICE_CHAINS_READY,
    ConditionType.DPU_SERVICE_INTERFACES_READY,
]
CHAIN = [{"ports": [
    {"service": {"name": "producer", "interface": "eth0"}}, {"service": {"name": "consumer", "interface": "eth0"}},
]}]
LABEL = naming.consumer_label(stage.key("dd"))
MARKED = (True, [LABEL])


def a_rich_stage() -> World:
    """Two services, a chain, two DPUSets."""
    return stage.a_full_stage(
        services=("producer", "consumer"), serviceChains=CHAIN,
        dpus={"dpuSets": [{"nameSuffix": "a"}, {"nameSuffix": "b"}]},
    )


async def test_22_a_full_deployment_becomes_ready() -> None:
    world = a_rich_stage()
    async with stage.running(world) as manager:
        assert stage.names(world, DPUService) == ["dd-consumer", "dd-producer"]
        assert stage.names(world, DPUServiceInterface) == ["dd-consumer-eth0", "dd-producer-eth0"]
        assert stage.names(world, DPUServiceChain) == ["dd"]
        assert stage.names(world, DPUSet) == ["dd-a", "dd-b"]
        for type_ in (*CHECKED, *RECONCILED):
            assert stage.summary(world, type_) == ("True", "Success", "")
        assert stage.summary(world, ConditionType.DPU_SETS_READY) == (
            "False", "Pending", "Objects are not ready:\n* tenant/dd-a\n* tenant/dd-b"
        )
        for type_ in OF_CHILDREN:
            assert stage.summary(world, type_)[:2] == ("False", "Pending")
        await stage.work(world, manager)
        for type_ in ConditionType:
            assert stage.summary(world, type_) == ("True", "Success", "")
        assert stage.one(world, DPUDeployment, "dd").status.observedGeneration == 1


async def test_22_conditions_stand_in_the_documented_order() -> None:
    world = stage.a_full_stage()
    await stage.live(world, stage.work)
    found = stage.one(world, DPUDeployment, "dd").status.conditions or []
    assert [condition.type for condition in found] == list(ConditionType)


async def test_22_a_settled_deployment_causes_no_write() -> None:
    world = a_rich_stage()
    await stage.live(world, stage.work)
    before = list(world.writes)
    async with stage.running(world) as manager:
        for controller in manager.controllers:
            controller.enqueue_all()
        await manager.settle()
    assert world.writes == before


async def test_22_a_settled_deployment_is_observed_without_a_request() -> None:
    world = a_rich_stage()
    await stage.live(world, stage.work)
    async with stage.running(world) as manager:
        before = [r for r in world.host.requests if r.verb != "watch"]
        for controller in manager.controllers:
            controller.enqueue_all()
        await manager.settle()
        assert [r for r in world.host.requests if r.verb != "watch"] == before


async def test_23_without_dependencies_nothing_is_made() -> None:
    world = stage.a_stage(some.a_deployment())
    async with stage.running(world):
        status, reason, message = stage.summary(world, ConditionType.PREREQUISITES_READY)
        assert (status, reason) == ("False", "Pending")
        assert message.startswith(
            "Error occurred: error while getting the DPUDeployment dependencies: [error while getting"
            " provisioning.dpu.nvidia.com/v1alpha1, Kind=BFB tenant/bfb: "
        )
        for type_ in (*CHECKED[1:], *RECONCILED):
            assert stage.summary(world, type_) == ("Unknown", "Pending", "")
        assert stage.summary(world, ConditionType.READY)[:2] == ("False", "Pending")
        assert stage.children(world) == []
        assert stage.one(world, DPUDeployment, "dd").metadata.finalizers == ["dpu.nvidia.com/dpudeployment"]


async def test_23_dependencies_may_come_in_any_order_and_the_last_one_starts_it() -> None:
    world = stage.a_stage(some.a_deployment())
    async with stage.running(world) as manager:
        for dependency in reversed(some.dependencies_of(some.a_deployment())):
            assert stage.children(world) == []
            world.host.add(dependency)
            await manager.settle()
            there = stage.one(world, type(dependency), dependency.metadata.name)
            assert some.marks(there) == MARKED, "protected as soon as it is there"
        assert stage.names(world, DPUService) == ["dd-producer"]


@pytest.mark.parametrize(("broken", "text"), [
    (some.a_bfb(phase="Downloading"), "BFB is not ready yet"),
    (some.a_template(observed=0), "DPUServiceTemplate tenant/producer is not ready yet"),
    (some.a_template(ready=False), "DPUServiceTemplate tenant/producer is not ready yet"),
    (some.a_template(deploymentServiceName="other"),
     "service in DPUServiceTemplate tenant/producer doesn't match requested service in DPUDeployment"),
    (some.a_configuration(deploymentServiceName="other"),
     "service in DPUServiceConfiguration tenant/producer doesn't match requested service in DPUDeployment"),
], ids=["bfb", "template of an older generation", "template", "template of another service",
        "configuration of another service"])
async def test_24_prerequisites_that_do_not_fit(broken: Object, text: str) -> None:
    deployment = some.a_deployment()
    fitting = [d for d in some.dependencies_of(deployment) if type(d) is not type(broken)]
    world = stage.a_stage(deployment, broken, *fitting)
    async with stage.running(world):
        assert stage.summary(world, ConditionType.PREREQUISITES_READY) == (
            "False", "Pending", f"Error occurred: error while getting the DPUDeployment dependencies: {text}"
        )
        assert stage.children(world) == []


async def test_24_a_bfb_that_becomes_ready_starts_it() -> None:
    deployment = some.a_deployment()
    others = [d for d in some.dependencies_of(deployment) if not isinstance(d, BFB)]
    world = stage.a_stage(deployment, some.a_bfb(phase="Downloading"), *others)
    async with stage.running(world) as manager:
        await world.host.patch(BFB, "bfb", some.TENANT, patch={"status": {"phase": "Ready"}}, subresource="status")
        await manager.settle()
        assert stage.summary(world, ConditionType.PREREQUISITES_READY) == ("True", "Success", "")
        assert stage.names(world, DPUSet) == ["dd-workers"]


def bfb_marks(world: World) -> tuple[bool, list[str]]:
    return some.marks(stage.one(world, BFB, "bfb"))


async def test_25_two_deployments_share_a_bfb() -> None:
    first, second = some.a_deployment("one"), some.a_deployment("two")
    world = stage.a_stage(first, second, *some.dependencies_of(first))
    labels = {name: naming.consumer_label(stage.key(name)) for name in ("one", "two")}
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        assert bfb_marks(world) == (True, sorted(labels.values()))
        await stage.delete(world, manager, BFB, "bfb")
        assert stage.one(world, BFB, "bfb").metadata.deletionTimestamp is not None, "it is in use: it waits"
        await stage.delete(world, manager, DPUDeployment, "one")
        assert stage.names(world, DPUDeployment) == ["two"]
        assert bfb_marks(world) == (True, [labels["two"]])
        await stage.delete(world, manager, DPUDeployment, "two")
        assert stage.names(world, BFB) == []
        assert [some.marks(d) for kind in some.DEPENDENCIES for d in world.host.objects(kind)] == [(False, [])] * 3


async def test_25_a_deployment_that_moves_on_lets_the_old_template_go() -> None:
    world = stage.a_full_stage()
    world.host.add(some.a_template("newer", deploymentServiceName="producer"))
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        await stage.edit(world, manager, DPUDeployment, "dd", {"services": {"producer": {"serviceTemplate": "newer"}}})
        assert some.marks(stage.one(world, DPUServiceTemplate, "newer")) == MARKED
        assert some.marks(stage.one(world, DPUServiceTemplate, "producer")) == (False, [])


async def test_25_while_the_new_template_is_missing_the_old_one_is_kept() -> None:
    world = stage.a_full_stage()
    async with stage.running(world) as manager:
        await stage.edit(world, manager, DPUDeployment, "dd", {"services": {"producer": {"serviceTemplate": "newer"}}})
        assert some.marks(stage.one(world, DPUServiceTemplate, "producer")) == MARKED
        assert stage.names(world, DPUService) == ["dd-producer"]


@pytest.mark.parametrize("patch", [
    {"labels": {LABEL: None}}, {"finalizers": None}, {"labels": {LABEL: None}, "finalizers": None},
], ids=["label", "finalizer", "both"])
async def test_25_marks_that_were_taken_off_by_hand_come_back(patch: dict[str, Any]) -> None:
    world = stage.a_full_stage()
    async with stage.running(world) as manager:
        for kind, name in ((BFB, "bfb"), (DPUFlavor, "flavor"), (DPUServiceConfiguration, "producer")):
            await world.host.patch(kind, name, some.TENANT, patch={"metadata": patch})
            await manager.settle()
            assert some.marks(stage.one(world, kind, name)) == MARKED


async def test_25_a_race_for_the_finalizers_loses_nobodys() -> None:
    """Somebody adds a finalizer between our look and our write: ours is refused and tried again."""
    world = stage.a_full_stage()
    raced = False

    def somebody(request: Request) -> None:
        nonlocal raced
        if request.verb == "patch" and request.kind == "BFB" and not raced:
            raced = True
            bfb = some.a_bfb()
            world.host.add(msgspec.structs.replace(bfb, metadata=some.metadata("bfb", finalizers=["mine"])))

    world.host.on_request = somebody
    async with stage.running(world) as manager:
        assert raced
        world.clock.advance(5)
        await manager.settle()
        assert stage.one(world, BFB, "bfb").metadata.finalizers == ["mine", "dpu.nvidia.com/dpudeployment"]
        assert bfb_marks(world) == MARKED
        assert stage.summary(world, ConditionType.PREREQUISITES_READY) == ("True", "Success", "")


@pytest.mark.parametrize(("needs", "missing"), [
    ({"cpu": 6}, "[cpu: 1]"), ({"cpu": 5}, None), (None, None), ({"nvidia.com/sf": 1}, "[nvidia.com/sf: 1]"),
])
async def test_26_services_must_fit(needs: dict[str, Any] | None, missing: str | None) -> None:
    deployment = some.a_deployment()
    world = stage.a_stage(
        deployment, some.a_bfb(), some.a_flavor(dpuResources={"cpu": 8}, systemReservedResources={"cpu": 3}),
        some.a_template(resourceRequirements=needs), some.a_configuration(),
    )
    async with stage.running(world):
        if missing is None:
            assert stage.summary(world, ConditionType.RESOURCE_FITTING_READY) == ("True", "Success", "")
            return
        status, reason, message = stage.summary(world, ConditionType.RESOURCE_FITTING_READY)
        assert (status, reason) == ("False", "Failure")
        assert message == (
            "Error occurred: there are not enough resources for DPUServices to fit in this DPUDeployment:  Additional"
            f" resources needed: {missing}"
        )
        assert stage.summary(world, ConditionType.READY)[1] == "Failure"
        assert stage.children(world) == []


async def test_26_more_is_reserved_than_there_is() -> None:
    world = stage.a_full_stage()
    world.host.add(some.a_flavor(dpuResources={"cpu": 1}, systemReservedResources={"cpu": 3}))
    async with stage.running(world):
        assert stage.summary(world, ConditionType.RESOURCE_FITTING_READY)[2] == (
            "Error occurred: can't calculate available DPU resources: error while calculating allocatable resources,"
            " reserved resources don't fit in total resources"
        )


@pytest.mark.parametrize(("constraint", "version", "fits"), [
    (">= 2.9", "2.9.1", True), (">=3.0", "2.9.1", False), ("~2.9", "2.10.0", False),
])
async def test_27_charts_must_accept_the_version(constraint: str, version: str, fits: bool) -> None:
    world = stage.a_full_stage()
    world.host.add(some.a_bfb(doca=version), some.a_template(doca=constraint))
    async with stage.running(world):
        text = (
            "Error occurred: version constraint for 'dpu.nvidia.com/doca-version' found in DPUServiceTemplate"
            f" 'producer' is not satisfied by the version '{version}' found in the given BFB"
        )
        told = stage.summary(world, ConditionType.VERSION_MATCHING_READY)
        assert told == (("True", "Success", "") if fits else ("False", "Error", text))
        assert bool(stage.children(world)) is fits


async def test_27_a_constraint_that_means_nothing_is_told() -> None:
    world = stage.a_full_stage()
    world.host.add(some.a_template(doca="roughly 2"))
    async with stage.running(world):
        assert "version constraint 'roughly 2' found in DPUServiceTemplate 'producer' is not parsable" in (
            stage.summary(world, ConditionType.VERSION_MATCHING_READY)[2]
        )


async def test_27_a_check_that_fails_later_leaves_the_children_alone() -> None:
    world = stage.a_full_stage()
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        status = {"versions": {"dpu.nvidia.com/doca-version": ">9"}}
        await world.host.patch(
            DPUServiceTemplate, "producer", some.TENANT, patch={"status": status}, subresource="status"
        )
        await manager.settle()
        assert stage.summary(world, ConditionType.VERSION_MATCHING_READY)[1] == "Error"
        assert stage.summary(world, ConditionType.DPU_SERVICES_READY) == ("True", "Success", "")
        assert stage.names(world, DPUService) == ["dd-producer"]


async def test_28_dpusets_follow_the_spec() -> None:
    world = stage.a_full_stage()
    world.host.add(some.a_bfb("newer"))
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        uid = stage.one(world, DPUSet, "dd-workers").metadata.uid
        sets = [{"nameSuffix": "workers"}, {"nameSuffix": "more"}]
        await stage.edit(world, manager, DPUDeployment, "dd", {"dpus": {"dpuSets": sets, "bfb": "newer"}})
        assert stage.names(world, DPUSet) == ["dd-more", "dd-workers"]
        changed = stage.one(world, DPUSet, "dd-workers")
        assert changed.metadata.uid == uid
        assert changed.spec is not None
        assert changed.spec.dpuTemplate.spec.bfb is not None
        assert changed.spec.dpuTemplate.spec.bfb.name == "newer"
        await stage.edit(world, manager, DPUDeployment, "dd", {"dpus": {"dpuSets": sets[1:]}})
        assert stage.names(world, DPUSet) == ["dd-more"]
        await stage.delete(world, manager, DPUSet, "dd-more")
        assert stage.names(world, DPUSet) == ["dd-more"], "made again"


async def test_a_name_that_belongs_to_somebody_else_is_not_taken() -> None:
    world = stage.a_full_stage()
    world.host.add(
        DPUService(metadata=ObjectMeta(name="dd-producer", namespace=some.TENANT, labels={"mine": "yes"})),
        DPUSet(metadata=ObjectMeta(name="dd-workers", namespace=some.TENANT, labels={"mine": "yes"})),
    )
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        for kind, name in ((DPUService, "dd-producer"), (DPUSet, "dd-workers")):
            assert stage.one(world, kind, name).metadata.labels == {"mine": "yes"}
            assert len(stage.names(world, kind)) == 2
            assert all(found.startswith(name) for found in stage.names(world, kind))
        assert stage.summary(world, ConditionType.DPU_SERVICES_RECONCILED) == ("True", "Success", "")


@pytest.mark.parametrize("kind", some.CHILDREN, ids=lambda kind: kind.__name__)
async def test_marks_of_children_that_were_taken_off_by_hand_come_back(kind: type[Object]) -> None:
    world = a_rich_stage()
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        expected = world.state(*stage.KINDS)
        name = stage.names(world, kind)[0]
        await world.host.patch(kind, name, some.TENANT, patch={"metadata": {"labels": None}})
        await manager.settle()
        await world.host.patch(kind, name, some.TENANT, patch={"metadata": {"ownerReferences": None}})
        await manager.settle()
        assert world.state(*stage.KINDS) == expected


async def test_an_unreadable_dependency_is_told_and_not_taken_for_absent() -> None:
    world = stage.a_full_stage()
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        tree = {"metadata": {"name": "producer", "namespace": some.TENANT}, "spec": {"helmChart": 5}}
        world.host.add_raw(DPUServiceTemplate, tree)
        await manager.settle()
        for controller in manager.controllers:
            controller.enqueue_all()
        await manager.settle()
        message = stage.summary(world, ConditionType.PREREQUISITES_READY)[2]
        assert "Kind=DPUServiceTemplate tenant/producer: it cannot be read: " in message
        assert "not found" not in message


async def test_the_deployments_of_two_namespaces_keep_to_themselves() -> None:
    here, there = some.a_deployment(), some.a_deployment(namespace="elsewhere")
    world = stage.a_stage(here, there, *some.dependencies_of(here), *some.dependencies_of(there))
    async with stage.running(world) as manager:
        await stage.work(world, manager)
        assert some.keys(world.host.objects(DPUService)) == [Key("elsewhere", "dd-producer"), stage.key("dd-producer")]
        await stage.delete(world, manager, DPUDeployment, "dd")
        assert some.keys(world.host.objects(DPUService)) == [Key("elsewhere", "dd-producer")]
        assert some.marks(stage.one(world, BFB, "bfb", "elsewhere"))[0]


async def come_and_grow(world: World, manager: Manager) -> None:
    """A story with every kind of write but deletion."""
    await stage.work(world, manager)
    await stage.edit(world, manager, DPUServiceConfiguration, "producer", {
        "serviceConfiguration": {"helmChart": {"values": {"replicas": 2}}},
    })
    await stage.work(world, manager)
    await stage.edit(world, manager, DPUDeployment, "dd", {"dpus": {"dpuSets": [{"nameSuffix": "a"}]}})
    await stage.work(world, manager)


async def test_a_kill_after_any_write_ends_the_same() -> None:
    undisturbed = a_rich_stage()
    await stage.live(undisturbed, come_and_grow)
    expected = undisturbed.state(*stage.KINDS)
    killed = 0
    for n in range(1, len(undisturbed.writes) + 1):
        world = a_rich_stage()
        countdown = crash_at(n, *world.clusters)
        await lives(world)
        killed += countdown.crashed
        assert world.state(*stage.KINDS) == expected, f"killed after write {n}: {undisturbed.writes[n - 1]}"
    assert killed > 20, "the writes of the story itself are few"


async def lives(world: World) -> None:
    """As many lives as it takes; in the second the story is told again from its beginning."""
    try:
        await stage.live(world, come_and_grow)
    except Crash:
        await stage.live(world, come_and_grow)
