"""A DPUSet's template changes: rolling updates, OnDelete, marks, and what is changed on a DPU that stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support import dpusets as some
from tests.support.world import NAMESPACE

from dpf.api.dpu import DPU
from dpf.api.dpucluster import DPUCluster

READY = ("True", "Success", "")
NOT_READY = ("False", "Pending", "Some DPUs are not ready")
LABELS = "provisioning.dpu.nvidia.com/last-applied-labels-on-dpu"


def bfbs(stage: some.Stage) -> dict[str, str | None]:
    return {name: dpu.spec.bfb for name, dpu in stage.dpus.items() if dpu.spec is not None}


def node_labels(stage: some.Stage, name: str = "worker01-dev01") -> dict[str, str]:
    """Of the DPU's Node, without those that every Node gets."""
    dpu = stage.dpus[name]
    assert dpu.spec is not None
    assert dpu.spec.cluster is not None
    labels = dpu.spec.cluster.nodeLabels or {}
    return {key: value for key, value in labels.items() if "nvidia.com/dpunode" not in key and "dpf-version" not in key}


async def test_a_quarter_of_ten_is_replaced_three_at_a_time() -> None:
    stage = some.a_stage(some.a_dpuset(strategy=some.rolling("25%")), *some.hosts(10))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.edit_template(bfb={"name": "bfb-b"})
        await manager.settle()
        assert stage.going == ["worker01-dev01", "worker02-dev02", "worker03-dev03"]
        assert stage.told() == NOT_READY
        await stage.let_go("worker02-dev02")
        await manager.settle()
        assert len(stage.going) == 2
        await stage.install("worker02-dev02")
        await manager.settle()
        assert stage.going == ["worker01-dev01", "worker03-dev03", "worker04-dev04"]
        await stage.work(manager)
    assert set(bfbs(stage).values()) == {"bfb-b"}
    assert stage.told() == READY
    assert ("Normal", "SuccessfulDelete") in stage.events


async def test_broken_ones_are_replaced_at_once_and_count() -> None:
    stage = some.a_stage(some.a_dpuset(strategy=some.rolling(2)), *some.hosts(5))
    async with stage.controller() as manager:
        await stage.work(manager)
        for name in ("worker03-dev03", "worker04-dev04", "worker05-dev05"):
            await stage.report(name, "Error")
        await stage.edit_template(dpuFlavor="flavor-b")
        await manager.settle()
        assert stage.going == ["worker03-dev03", "worker04-dev04", "worker05-dev05"]
        await stage.work(manager)
    assert {dpu.spec.dpuFlavor for dpu in stage.dpus.values() if dpu.spec is not None} == {"flavor-b"}


@pytest.mark.parametrize(("strategy", "going"), [
    (some.rolling(), 1), (some.rolling(1), 1), (some.rolling("1%"), 1), (some.rolling("34%"), 2),
    (some.rolling(99), 4), (some.rolling("100%"), 4), ({"type": "OnDelete"}, 0), ({"type": "Recreate"}, 0),
])
async def test_the_pace(strategy: dict[str, Any], going: int) -> None:
    stage = some.a_stage(some.a_dpuset(strategy=strategy), *some.hosts(4))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.edit_template(bfb={"name": "bfb-b"})
        await manager.settle()
    assert len(stage.going) == going


async def test_on_delete_only_marks_and_a_deleted_dpu_is_installed_anew() -> None:
    stage = some.a_stage(some.a_dpuset(), *some.hosts(2))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.edit_template(bfb={"name": "bfb-b"})
        await stage.work(manager)
        assert stage.going == []
        assert stage.told() == NOT_READY
        outdated = stage.dpus["worker01-dev01"].status.outdated
        assert outdated is not None
        assert (outdated.reason, outdated.timeStamp) == ("OutdatedBFB", "2026-01-01T00:00:00Z")
        assert outdated.message == "OutdatedBFB: the DPU has BFB bfb-a, its DPUSet wants bfb-b"

        await stage.tick(manager, 100)
        await stage.edit_template(dpuFlavor="flavor-b")
        await stage.work(manager)
        outdated = stage.dpus["worker01-dev01"].status.outdated
        assert outdated is not None
        assert (outdated.reason, outdated.timeStamp) == ("OutdatedBFB", "2026-01-01T00:00:00Z")
        assert outdated.message == (
            "OutdatedBFB: the DPU has BFB bfb-a, its DPUSet wants bfb-b; "
            "OutdatedDPUFlavor: the DPU has DPUFlavor flavor-a, its DPUSet wants flavor-b"
        )

        await stage.edit_template(bfb={"name": "bfb-a"})
        await stage.work(manager)
        outdated = stage.dpus["worker01-dev01"].status.outdated
        assert outdated is not None
        assert (outdated.reason, outdated.timeStamp) == ("OutdatedDPUFlavor", "2026-01-01T00:01:40Z")

        await stage.host.delete(DPU, "worker01-dev01", NAMESPACE)
        await stage.work(manager)
        assert stage.dpus["worker01-dev01"].status.outdated is None
        assert stage.dpus["worker02-dev02"].status.outdated is not None
        await stage.edit_template(dpuFlavor="flavor-a")
        await stage.host.delete(DPU, "worker01-dev01", NAMESPACE)
        await stage.work(manager)
        assert stage.dpus["worker02-dev02"].status.outdated is None
    assert stage.told() == READY


async def test_labels_change_in_place_and_foreign_ones_stay() -> None:
    template = some.a_template(cluster={"nodeLabels": {"a": "1", "b": "2"}, "nodeAnnotations": {"n": "x"}})
    stage = some.a_stage(some.a_dpuset(strategy=some.rolling(), template=template), *some.hosts(1))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.host.patch(DPU, "worker01-dev01", NAMESPACE, patch={
            "spec": {"cluster": {"name": "tenant1", "namespace": NAMESPACE, "nodeLabels": {"foreign": "kept"}}},
        })
        await stage.edit_template(cluster={"nodeLabels": {"a": None, "b": "3"}, "nodeAnnotations": None})
        await stage.work(manager)
        assert node_labels(stage) == {"b": "3", "foreign": "kept"}
        spec = stage.dpus["worker01-dev01"].spec
        assert spec is not None
        assert spec.cluster is not None
        assert spec.cluster.nodeAnnotations is None
        assert spec.cluster.name == "tenant1"
        assert "foreign" not in json.loads((stage.dpus["worker01-dev01"].metadata.annotations or {})[LABELS])
    assert stage.told() == READY
    assert f"host: delete DPU {NAMESPACE}/worker01-dev01" not in stage.world.writes


async def test_a_label_that_somebody_took_off_comes_back() -> None:
    template = some.a_template(cluster={"nodeLabels": {"a": "1"}})
    stage = some.a_stage(some.a_dpuset(template=template), *some.hosts(1))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.host.patch(DPU, "worker01-dev01", NAMESPACE, patch={
            "spec": {"cluster": {"nodeLabels": {"a": None}}}, "metadata": {"ownerReferences": None, "labels": {
                "provisioning.dpu.nvidia.com/dpudevice-name": "nonsense",
            }},
        })
        await stage.work(manager)
    assert node_labels(stage) == {"a": "1"}
    dpu = stage.dpus["worker01-dev01"]
    assert [owner.name for owner in dpu.metadata.ownerReferences or ()] == ["dpuset-dk"]
    assert (dpu.metadata.labels or {})["provisioning.dpu.nvidia.com/dpudevice-name"] == "dev01"
    assert stage.told() == READY


async def test_a_device_brings_labels_of_its_own() -> None:
    device = some.a_device("d", "n", cluster={"nodeLabels": {"rack": "7"}, "nodeAnnotations": {"note": "x"}})
    template = some.a_template(cluster={"nodeLabels": {"a": "1", "rack": "7"}})
    stage = some.a_stage(some.a_dpuset(template=template), some.a_node("n"), device)
    async with stage.controller() as manager:
        await stage.work(manager)
        assert node_labels(stage, "n-d") == {"a": "1", "rack": "7"}
        await stage.host.patch(type(device), "d", NAMESPACE, patch={"spec": {"cluster": {"nodeLabels": {"u": "4"}}}})
        await stage.work(manager)
    assert node_labels(stage, "n-d") == {"a": "1", "rack": "7", "u": "4"}


async def test_the_node_effect_of_a_dpu_that_is_not_ready_waits_but_not_how_it_is_carried_out() -> None:
    stage = some.a_stage(some.a_dpuset(), *some.hosts(2))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.report("worker02-dev02", "Node Effect")
        await stage.edit_template(nodeEffect={
            "noEffect": None, "hold": True, "applyOnLabelChange": True, "force": True,
            "nodeMaintenanceAdditionalRequestors": ["b"],
        })
        await manager.settle()
        effects = [dpu.spec.nodeEffect for dpu in stage.dpus.values() if dpu.spec is not None]
        assert [(e.noEffect, e.hold, e.applyOnLabelChange, e.force, e.nodeMaintenanceAdditionalRequestors)
                for e in effects if e is not None] == [
            (None, True, True, True, ["b"]), (True, None, True, True, ["b"]),
        ]
        assert stage.told() == NOT_READY
        await stage.work(manager)
        effects = [dpu.spec.nodeEffect for dpu in stage.dpus.values() if dpu.spec is not None]
        assert [e.hold for e in effects if e is not None] == [True, True]
    assert stage.told() == READY


async def test_a_set_is_not_ready_before_its_dpus_have_noticed() -> None:
    """A DPUDeployment lets the old revision of a service go when it reads Ready."""
    stage = some.a_stage(some.a_dpuset(), *some.hosts(1))
    async with stage.controller() as manager:
        await stage.work(manager)
        ready: list[str] = []
        stage.host.after_write = lambda request: ready.append(stage.told()[0])
        await stage.edit_template(cluster={"nodeLabels": {"version": "2"}})
        await manager.settle()
        assert stage.told() == NOT_READY
        assert stage.dpus["worker01-dev01"].status.phase == "Ready"
        await stage.report("worker01-dev01", "Node Effect")
        await manager.settle()
        await stage.report("worker01-dev01")
        await manager.settle()
    assert stage.told() == READY
    assert ready == ["True"] * (ready.index("False")) + ["False"] * (len(ready) - ready.index("False") - 1) + ["True"]


async def test_a_template_annotation_reaches_dpus_with_the_template_only() -> None:
    """Its controller takes an annotation off that it has acted on."""
    stage = some.a_stage(some.a_dpuset(), *some.hosts(1))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.edit({"dpuTemplate": {"annotations": {"once": "true"}}})
        await stage.work(manager)
        assert (stage.dpus["worker01-dev01"].metadata.annotations or {})["once"] == "true"
        await stage.host.patch(DPU, "worker01-dev01", NAMESPACE, patch={"metadata": {"annotations": {"once": None}}})
        await stage.work(manager)
    assert "once" not in (stage.dpus["worker01-dev01"].metadata.annotations or {})
    assert stage.told() == READY


@pytest.mark.parametrize(("strategy", "going"), [
    ({"type": "OnDelete"}, ["worker01-dev01", "worker02-dev02"]), (some.rolling(1), ["worker01-dev01"]),
])
async def test_a_cluster_that_does_not_match_any_more_is_left(strategy: dict[str, Any], going: list[str]) -> None:
    template = some.a_template(cluster={"selector": {"matchLabels": {"tenant": "a"}}})
    stage = some.a_stage(
        some.a_dpuset(strategy=strategy, template=template), *some.hosts(2), some.a_cluster("one", tenant="a")
    )
    async with stage.controller() as manager:
        await stage.work(manager)
        for name in stage.dpus:
            assignment = {"name": "one", "namespace": NAMESPACE}
            await stage.host.patch(DPU, name, NAMESPACE, patch={"spec": {"cluster": assignment}})
        await stage.work(manager)
        assert stage.told() == READY
        await stage.host.patch(DPUCluster, "one", NAMESPACE, patch={"metadata": {"labels": {"tenant": "b"}}})
        await manager.settle()
        assert stage.going == going
        assert all(dpu.status.outdated is None for dpu in stage.dpus.values())
        assert stage.told() != READY


async def test_a_cluster_selector_changes_in_place() -> None:
    template = some.a_template(cluster={"selector": {"matchLabels": {"tenant": "a"}}})
    stage = some.a_stage(some.a_dpuset(template=template), *some.hosts(1))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.edit_template(cluster={"selector": {"matchLabels": {"tenant": None, "zone": "b"}}})
        await stage.work(manager)
    spec = stage.dpus["worker01-dev01"].spec
    assert spec is not None
    assert spec.cluster is not None
    assert spec.cluster.selector is not None
    assert spec.cluster.selector.matchLabels == {"zone": "b"}
    assert stage.told() == READY


async def test_a_dpu_that_is_replaced_is_not_taken_out_of_service_for_a_label_before() -> None:
    """Else more DPUs than allowed would be out of service: one for its BFB, another for its labels."""
    template = some.a_template(nodeEffect={"hold": True, "applyOnLabelChange": True})
    stage = some.a_stage(some.a_dpuset(strategy=some.rolling(1), template=template), *some.hosts(3))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.edit_template(bfb={"name": "bfb-b"}, cluster={"nodeLabels": {"version": "2"}})
        await manager.settle()
        assert stage.going == ["worker01-dev01"]
        assert node_labels(stage, "worker02-dev02") == {}
        await stage.work(manager)
    assert {name: node_labels(stage, name) for name in stage.dpus} == {name: {"version": "2"} for name in stage.dpus}
    assert stage.told() == READY
