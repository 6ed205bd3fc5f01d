"""What a DPUSet says when it cannot do what it is asked: collisions, clashes, refusals, objects that cannot be used."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import dpusets as some
from tests.support.world import NAMESPACE

from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.dpuset import DPUSet
from dpf.api.meta import ObjectMeta
from dpf.kube import errors
from dpf.kube.memory import Request
from dpf.runtime.conditions import find

READY = ("True", "Success", "")
PREREQS = "DPUSetPrereqsReconciled"
TEMPLATE = "spec.dpuTemplate.spec"
COLLISION = "provisioning.dpu.nvidia.com/collision-dpuset-second"


async def test_two_sets_that_want_one_device() -> None:
    stage = some.a_stage(some.a_dpuset("first"), *some.hosts(2))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.host.create(some.a_dpuset("second", dpuNodeSelector={"matchLabels": {"zone": "1"}}))
        await stage.host.patch(DPUNode, "worker01", NAMESPACE, patch={"metadata": {"labels": {"zone": "1"}}})
        await stage.work(manager)
        assert stage.told(name="second") == ("False", "Pending", (
            "1/1 DPU(s) cannot be provisioned, owned by another DPUSet: worker01-dev01"
        ))
        labels = stage.dpus["worker01-dev01"].metadata.labels or {}
        assert labels[COLLISION] == "true"
        assert stage.told(name="first") == READY
        assert stage.statistics("second") is None

        await stage.edit({"dpuNodeSelector": {"matchLabels": {"zone": "2"}}}, "second")
        await stage.work(manager)
        assert COLLISION not in (stage.dpus["worker01-dev01"].metadata.labels or {})
        assert stage.told(name="second") == READY

        await stage.edit({"dpuNodeSelector": {"matchLabels": {"zone": "1"}}}, "second")
        await stage.work(manager)
        await stage.host.delete(DPUSet, "first", NAMESPACE)
        await stage.work(manager)
        assert list(stage.dpus) == ["worker01-dev01"]
        assert [o.name for o in stage.dpus["worker01-dev01"].metadata.ownerReferences or ()] == ["second"]
        assert COLLISION not in (stage.dpus["worker01-dev01"].metadata.labels or {})
    assert stage.told(name="second") == READY


async def test_a_set_that_goes_takes_its_collision_label_along() -> None:
    stage = some.a_stage(some.a_dpuset("first"), *some.hosts(1))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.host.create(some.a_dpuset("second"))
        await stage.work(manager)
        assert COLLISION in (stage.dpus["worker01-dev01"].metadata.labels or {})
        await stage.host.delete(DPUSet, "second", NAMESPACE)
        await stage.work(manager)
        assert COLLISION not in (stage.dpus["worker01-dev01"].metadata.labels or {})
    assert stage.dpuset("second") is None
    assert stage.told(name="first") == READY


async def test_template_and_device_that_disagree_about_a_label() -> None:
    template = some.a_template(cluster={"nodeLabels": {"a": "1"}})
    stage = some.a_stage(
        some.a_dpuset(template=template), some.a_node("n"),
        some.a_device("d1", "n", cluster={"nodeLabels": {"a": "2"}}), some.a_device("d2", "n"),
    )
    message = "DPUDevice d1: node label a is '1' in the DPUSet's template and '2' in the DPUDevice"
    async with stage.controller() as manager:
        await stage.work(manager)
        assert list(stage.dpus) == ["n-d2"]
        assert stage.told() == ("False", "ClusterMetadataConflict", message)
        assert stage.told(PREREQS) == ("False", "Error", message)
        assert stage.events.count(("Warning", "ClusterMetadataConflict")) == 1
        writes = list(stage.world.writes)
        for _ in range(3):
            await stage.tick(manager, 700)
        assert stage.world.writes == writes
        await stage.host.patch(DPUDevice, "d1", NAMESPACE, patch={"spec": {"cluster": {"nodeLabels": {"a": "1"}}}})
        await stage.work(manager)
    assert set(stage.dpus) == {"n-d1", "n-d2"}
    assert stage.told() == READY


@pytest.mark.parametrize("config", [
    {"provisioningController": {"installInterface": {"installViaRedfish": {}}}}, {"deploymentMode": "zero-trust"},
], ids=["redfish", "zero-trust"])
@pytest.mark.parametrize(("effect", "name"), [
    ({"drain": True}, "drain"), ({"taint": {"key": "k", "effect": "NoSchedule"}}, "taint"),
    ({"customLabel": {"a": "b"}}, "customLabel"),
])
async def test_an_effect_on_a_host_without_access_to_it_is_refused(
    config: dict[str, Any], effect: dict[str, Any], name: str
) -> None:
    stage = some.a_stage(
        some.a_config(**config), some.a_dpuset(template=some.a_template(nodeEffect=effect)), *some.hosts(1)
    )
    async with stage.controller() as manager:
        await manager.settle()
        assert stage.told(PREREQS) == ("False", "Error", (
            f"node effect ({name}) is not supported when DPUs are installed through redfish, without access to the "
            "host; use noEffect, hold or customAction in spec.dpuTemplate.spec.nodeEffect"
        ))
        assert stage.told() == (
            "False", "Pending", "The following conditions are not ready: DPUSetPrereqsReconciled"
        )
        assert stage.dpus == {}
        await stage.edit_template(nodeEffect={name: None, "hold": True})
        await stage.work(manager)
    assert list(stage.dpus) == ["worker01-dev01"]
    assert stage.told() == READY


async def test_a_change_of_the_platform_is_noticed() -> None:
    stage = some.a_stage(some.a_config(), some.a_dpuset(template=some.a_template(nodeEffect={"drain": True})))
    async with stage.controller() as manager:
        await manager.settle()
        assert stage.told(PREREQS) == READY
        redfish = {"spec": {"provisioningController": {"installInterface": {"installViaRedfish": {}}}}}
        await stage.host.patch(DPFOperatorConfig, "dpfoperatorconfig", NAMESPACE, patch=redfish)
        await manager.settle()
    assert stage.told(PREREQS)[:2] == ("False", "Error")


@pytest.mark.parametrize(("spec", "message"), [
    ({"dpuNodeSelector": {}, "nodeSelector": {}}, "only one of nodeSelector or dpuNodeSelector can be specified"),
    ({"dpuSelector": {}, "dpuDeviceSelector": {}}, "only one of dpuSelector or dpuDeviceSelector can be specified"),
    ({"dpuNodeSelector": {"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}},
     "spec.dpuNodeSelector: selector on 'a': operator 'Like' is not one of In, NotIn, Exists or DoesNotExist"),
    ({"strategy": some.rolling("0%")},
     "the value range of maxUnavailable must be greater than 0% and less than or equal to 100%"),
    ({"strategy": some.rolling("many")},
     "the value range of maxUnavailable must be greater than 0% and less than or equal to 100%"),
    ({"template": some.a_template(bfb=None)}, "bfb.name must be non-empty"),
    ({"template": some.a_template(dpuFlavor=None)}, "exactly one of dpuFlavor or dpuFlavorTemplate must be set"),
    ({"template": some.a_template(bfb=None, blueFieldSoftware={"name": "x"})},
     f"{TEMPLATE}.blueFieldSoftware is not supported yet; name a BFB in {TEMPLATE}.bfb instead"),
    ({"template": some.a_template(dpuFlavor=None, dpuFlavorTemplate="t")},
     f"{TEMPLATE}.dpuFlavorTemplate is not supported yet; name a DPUFlavor in {TEMPLATE}.dpuFlavor instead"),
    ({"template": some.a_template(astraEnabled=True)}, "astraEnabled=true requires zero-trust deployment mode"),
])
async def test_a_set_that_cannot_be_used_says_why_and_touches_nothing(spec: dict[str, Any], message: str) -> None:
    stage = some.a_stage(
        some.a_dpuset(**spec), *some.hosts(1), some.a_dpu("worker09-dev09", node="worker09", device="dev09")
    )
    async with stage.controller() as manager:
        await manager.settle()
    assert stage.told(PREREQS) == ("False", "Error", message)
    assert list(stage.dpus) == ["worker09-dev09"]
    assert stage.going == []


async def test_a_set_without_a_spec() -> None:
    stage = some.a_stage(DPUSet(metadata=ObjectMeta(name=some.SET, namespace=NAMESPACE)), *some.hosts(1))
    async with stage.controller() as manager:
        await manager.settle()
    assert stage.told(PREREQS)[2].startswith("the DPUSet has no spec")


async def test_a_device_that_is_refused_holds_up_no_other() -> None:
    stage = some.a_stage(some.a_dpuset(), *some.hosts(3))

    def refuse(request: Request) -> None:
        if (request.verb, request.key.name) == ("create", "worker02-dev02"):
            raise errors.Invalid("spec.pciAddress: Invalid value", status=422)

    stage.host.on_request = refuse
    async with stage.controller() as manager:
        await manager.settle()
        assert list(stage.dpus) == ["worker01-dev01", "worker03-dev03"]
        assert stage.told(PREREQS)[:2] == ("False", "Error")
        assert stage.told(PREREQS)[2] == f"create DPU {NAMESPACE}/worker02-dev02: spec.pciAddress: Invalid value"
        assert ("Warning", "FailedCreate") in stage.events
        stage.host.on_request = None
        await stage.tick(manager)
        await stage.work(manager)
    assert len(stage.dpus) == 3
    assert stage.told() == READY


async def test_devices_that_cannot_have_a_dpu_are_named() -> None:
    template = some.a_template(astraEnabled=True)
    stage = some.a_stage(
        some.a_config(deploymentMode="zero-trust"), some.a_dpuset(template=template), some.a_node("n"),
        some.a_device("d1", "n", serial=""), some.a_device("d2", "n"),
        some.a_device("d3", "n", dpu_type="BlueField4"),
    )
    async with stage.controller() as manager:
        await manager.settle()
    assert list(stage.dpus) == ["n-d3"]
    assert stage.told(PREREQS) == ("False", "Error", (
        "DPUDevice d1 has no serial number; set spec.serialNumber; DPUDevice d2 is a BlueField3 and is skipped: "
        "astraEnabled is for BlueField4"
    ))


async def test_a_name_that_another_device_has() -> None:
    """Host a-b with device c, and host a with device b-c."""
    stage = some.a_stage(
        some.a_dpuset(), some.a_node("a-b"), some.a_device("c", "a-b"), some.a_node("a"), some.a_device("b-c", "a")
    )
    async with stage.controller() as manager:
        await manager.settle()
        await stage.tick(manager)
        assert list(stage.dpus) == ["a-b-c"]
        (dpu,) = stage.dpus.values()
        assert dpu.spec is not None
        other = {"c": "b-c", "b-c": "c"}[dpu.spec.dpuDeviceName]
    assert stage.told(PREREQS) == (
        "False", "Error", f"DPU a-b-c is for DPUDevice {dpu.spec.dpuDeviceName}: rename one of the DPUDevices"
    )
    assert other != dpu.spec.dpuDeviceName


async def test_a_dpu_that_cannot_be_read_is_there_nevertheless() -> None:
    stage = some.a_stage(some.a_dpuset(), *some.hosts(1))
    stage.host.add_raw(DPU, {
        "apiVersion": "provisioning.dpu.nvidia.com/v1alpha1", "kind": "DPU",
        "metadata": {"name": "worker01-dev01", "namespace": NAMESPACE}, "spec": {"dpuDeviceName": 5},
    })
    async with stage.controller() as manager:
        await manager.settle()
        writes = list(stage.world.writes)
        await stage.tick(manager, 700)
    assert f"{NAMESPACE}/worker01-dev01 cannot be read" in stage.told(PREREQS)[2]
    assert not any(" create " in write for write in writes)
    assert stage.world.writes == writes


@pytest.mark.parametrize("kind", [DPUDevice, DPUNode])
async def test_a_device_or_host_that_cannot_be_read_is_not_lost(kind: type[DPUDevice] | type[DPUNode]) -> None:
    stage = some.a_stage(some.a_dpuset(), *some.hosts(1))
    async with stage.controller() as manager:
        await stage.work(manager)
    name = "dev01" if kind is DPUDevice else "worker01"
    found = next(o for o in stage.host.objects(kind) if o.metadata.name == name)
    stage.host.add_raw(kind, {
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": found.metadata.labels}, "spec": {"dpus": "x"},
        "status": {"pciAddress": 5},
    })
    async with stage.controller() as manager:
        await stage.tick(manager)
    assert list(stage.dpus) == ["worker01-dev01"]
    assert stage.going == []


async def test_a_dpu_of_an_older_release_is_neither_deleted_nor_doubled() -> None:
    """24.10 knew no DPUDevices; its DPU names the Node."""
    older = some.a_dpu("worker01-0000-2b-00", node="", device="", nodeName="worker01", labels={
        "provisioning.dpu.nvidia.com/dpuset-name": some.SET,
    })
    stage = some.a_stage(some.a_dpuset(strategy=some.rolling(1)), older, *some.hosts(1))
    async with stage.controller() as manager:
        await manager.settle()
        assert list(stage.dpus) == ["worker01-0000-2b-00"]
        assert stage.going == []
        assert stage.told(PREREQS)[2] == (
            "DPU worker01-0000-2b-00 was made by an older release and does not say for which DPUDevice of worker01; "
            "delete it to have it made anew"
        )
        await stage.host.delete(DPU, "worker01-0000-2b-00", NAMESPACE)
        await stage.work(manager)
    assert list(stage.dpus) == ["worker01-dev01"]
    assert stage.told() == READY


async def test_a_device_that_moves_to_another_host_never_has_two_dpus() -> None:
    stage = some.a_stage(some.a_dpuset(), *some.hosts(1), some.a_node("worker02"))
    async with stage.controller() as manager:
        await stage.work(manager)
        moved = {"metadata": {"labels": {some.NODE_LABEL: "worker02"}}}
        await stage.host.patch(DPUDevice, "dev01", NAMESPACE, patch=moved)
        await manager.settle()
        await stage.tick(manager)
        assert list(stage.dpus) == stage.going == ["worker01-dev01"]
        await stage.work(manager)
    assert list(stage.dpus) == ["worker02-dev01"]
    assert stage.told() == READY


async def test_a_set_that_is_deleted_waits_for_its_dpus_and_says_so() -> None:
    stage = some.a_stage(some.a_dpuset(), *some.hosts(12))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.report("worker02-dev02", "OS Installing")
        await stage.host.delete(DPUSet, some.SET, NAMESPACE)
        await manager.settle()
        assert len(stage.going) == 12
        status, reason, message = stage.told()
        assert (status, reason) == ("False", "AwaitingDeletion")
        assert message.startswith(
            "not all DPUs are deleted: worker01-dev01 (Ready), worker02-dev02 (OS Installing), worker03-dev03 (Ready)"
        )
        assert message.endswith("worker10-dev10 (Ready) and 2 more")
        writes = list(stage.world.writes)
        for _ in range(3):
            await stage.tick(manager, 700)
        assert stage.world.writes == writes
        for name in stage.going[1:]:
            await stage.let_go(name)
        await manager.settle()
        assert stage.told()[2] == "not all DPUs are deleted: worker01-dev01 (Ready)"
        await stage.let_go("worker01-dev01")
        await manager.settle()
    assert stage.dpuset() is None


async def test_a_set_that_cannot_be_used_can_be_deleted() -> None:
    stage = some.a_stage(some.a_dpuset(strategy=some.rolling(1)), *some.hosts(1))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.edit({"strategy": some.rolling("0%")})
        await manager.settle()
        await stage.host.delete(DPUSet, some.SET, NAMESPACE)
        await stage.work(manager)
    assert (stage.dpuset(), stage.dpus) == (None, {})


async def test_every_condition_is_about_the_generation_that_was_seen() -> None:
    stage = some.a_stage(some.a_dpuset(), *some.hosts(1))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.edit_template(cluster={"nodeLabels": {"a": "1"}})
        await stage.work(manager)
    dpuset = stage.dpuset()
    assert dpuset is not None
    assert dpuset.status.observedGeneration == dpuset.metadata.generation == 2
    for type_ in ("Ready", PREREQS):
        condition = find(dpuset.status.conditions, type_)
        assert condition is not None
        assert condition.observedGeneration == 2
