"""Faults around a DPUService: told in a condition, limited to what they concern, mended without help."""

from __future__ import annotations

from typing import Any

import pytest
from tests.scenario.services import stage
from tests.support import dpuservices as some
from tests.support.world import World

from dpf.api import core
from dpf.api.argocd import Application
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import ConditionType, DPUService
from dpf.api.meta import Condition, Key, ObjectMeta
from dpf.kube import errors

PREREQS = ConditionType.APPLICATION_PREREQS_RECONCILED
SERVICE = Key(some.TENANT, "blueman")
UNREADY = (
    "Application is not ready (Sync: OutOfSync, Health: Healthy)."
    " Run 'kubectl describe application dpu-1-blueman -n dpf-operator-system' for details."
)


@pytest.mark.parametrize(("content", "told"), [
    (b"not: a: kubeconfig", "not valid YAML"),
    (b"{}", "auth info list should have one member"),
    (None, "dpf-clusters/dpu-2-admin-kubeconfig, which spec.kubeconfig names, does not exist"),
], ids=["malformed", "empty", "missing"])
async def test_one_bad_kubeconfig_does_not_keep_the_service_from_the_others(content: bytes | None, told: str) -> None:
    """Scenario 12."""
    world = stage.a_stage("dpu-1")
    bad = some.a_cluster("dpu-2")
    world.host.add(bad, some.a_service())
    if content is not None:
        world.host.add(some.a_kubeconfig_secret(Key(some.CLUSTERS, "dpu-2"), content))
    await stage.live(world)

    assert set(stage.applications(world)) == {"dpu-1-blueman"}
    assert [s.metadata.name for s in world.host.objects(core.Secret, some.DPF)] == [f"{some.CLUSTERS}-dpu-1"]
    found = stage.condition(world, PREREQS)
    assert (found.status, found.reason) == ("False", "Error")
    assert found.message.startswith(
        "Unable to reconcile application prereq for cluster namespaces: DPUCluster dpf-clusters/dpu-2: "
    )
    assert told in found.message
    assert "kubeconfig:" not in found.message.split("dpu-2: ")[1].split(" ")[0]


async def test_a_bad_cluster_that_is_not_selected_is_nobodys_business() -> None:
    world = stage.a_stage("dpu-1", dpu_1={"zone": "a"})
    world.host.add(some.a_cluster("dpu-2"), some.a_service(dpuClusterSelector={"matchLabels": {"zone": "a"}}))
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
    assert stage.condition(world, ConditionType.READY).status == "True"


async def test_a_cluster_that_comes_back_is_served_at_once() -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(some.a_service())
    (_, dead) = world.dpus.values()
    dead.fail_next(lambda _: True, errors.Unreachable("connection refused"), times=3)
    async with stage.running(world) as manager:
        assert set(stage.applications(world)) == {"dpu-1-blueman"}
        assert "dpu cluster is not connected" in stage.condition(world, PREREQS).message
        await world.clock.run_for(20)
        await manager.settle()
        assert set(stage.applications(world)) == {"dpu-1-blueman", "dpu-2-blueman"}
        assert stage.condition(world, PREREQS).status == "True"


async def test_an_outage_changes_nothing_in_argo_cd() -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(some.a_service())
    (_, dead) = world.dpus.values()
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        before = world.host.objects(Application)
        dead.fail_next(lambda _: True, errors.Unreachable("connection refused"), times=1000)
        await world.clock.run_for(60)
        await manager.settle()
        assert world.host.objects(Application) == before
        assert stage.condition(world, PREREQS).status == "False"
        assert stage.condition(world, ConditionType.APPLICATIONS_RECONCILED).status == "True"


async def test_a_refused_namespace_stops_neither_the_pull_secrets_elsewhere_nor_other_clusters() -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(some.a_service(), some.a_pull_secret())
    (first, second) = world.dpus.values()
    refused = [True]
    first.fail_next(lambda r: r.kind == "Namespace" and r.is_write and refused[0], errors.Forbidden("quota"), times=99)
    async with stage.running(world) as manager:
        assert stage.condition(world, PREREQS).message.startswith(
            "Unable to reconcile application prereq for cluster namespaces: "
            "apply Namespace tenant in cluster dpf-clusters/dpu-1: quota"
        )
        assert len(second.objects(core.Secret, some.TENANT)) == 1
        assert set(stage.applications(world)) == {"dpu-2-blueman"}
        refused[0] = False
        await world.clock.run_for(30)
        await manager.settle()
    assert stage.condition(world, PREREQS).status == "True"
    assert len(first.objects(core.Secret, some.TENANT)) == 1
    assert set(stage.applications(world)) == {"dpu-1-blueman", "dpu-2-blueman"}


async def test_a_namespace_that_is_being_deleted_is_waited_for() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service(), some.a_pull_secret())
    (dpu,) = world.dpus.values()
    async with stage.running(world) as manager:
        dpu.add(core.ConfigMap(metadata=ObjectMeta(name="stuck", namespace=some.TENANT, finalizers=["test/stay"])))
        await dpu.delete(core.Namespace, some.TENANT)
        await manager.settle()
        assert "namespace tenant is being deleted in DPUCluster dpf-clusters/dpu-1" in (
            stage.condition(world, PREREQS).message
        )
        await dpu.patch(core.ConfigMap, "stuck", some.TENANT, patch={"metadata": {"finalizers": None}})
        await manager.settle()
    assert stage.condition(world, PREREQS).status == "True"
    assert len(dpu.objects(core.Secret, some.TENANT)) == 1


@pytest.mark.parametrize(("status", "message"), [
    ({"sync": "OutOfSync"}, UNREADY),
    ({"sync": "OutOfSync", "conditions": [{"type": "ComparisonError", "message": "chart \"x\" version 9 not found"}]},
     (f"{UNREADY} Argo CD says: chart \"x\" version 9 not found. Check spec.helmChart.source: chart and version must "
     "exist in the repository.")),
    ({"sync": "OutOfSync", "conditions": [
        {"type": "SharedResourceWarning", "message": "no matter"},
        {"type": "InvalidSpecError", "message": "x509: certificate signed by unknown authority"},
    ]}, (f"{UNREADY} Argo CD says: x509: certificate signed by unknown authority. Give Argo CD the certificate "
     "authority of the repository, or correct spec.helmChart.source.repoURL.")),
    ({"sync": "OutOfSync", "operationState": {"phase": "Failed", "message": "one or more objects failed to apply"}},
     f"{UNREADY} Argo CD says: one or more objects failed to apply"),
], ids=["out-of-sync", "no-such-chart", "bad-certificate", "sync-failed"])
async def test_what_argo_cd_says_is_told(status: dict[str, Any], message: str) -> None:
    """Scenario 15."""
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        (app,) = stage.applications(world).values()
        await some.report(world.host, app, **status)
        await manager.settle()
    assert _ready(world) == ("False", "Pending", message)


async def test_two_unready_applications_are_listed() -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        first, _ = stage.applications(world).values()
        await some.report(world.host, first, sync="OutOfSync")
        await manager.settle()
    assert _ready(world) == ("False", "Pending", (
        "The following applications are not ready:\n"
        f"* {some.DPF}/dpu-1-blueman: {UNREADY}\n"
        f"* {some.DPF}/dpu-2-blueman: Application is not yet deployed."
    ))


async def test_argo_cd_that_does_not_run_is_named_after_a_minute() -> None:
    """Scenario 15, before Argo CD has spoken."""
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        assert _ready(world)[2] == "Application is not yet deployed."
        await world.clock.run_for(62)
        await manager.settle()
        assert _ready(world)[2] == (
            "Application is not yet deployed. Argo CD has not looked at it since 2026-01-01T00:00:00Z:"
            " check that argocd-application-controller runs."
        )
        await stage.deliver(world, manager)
    assert _ready(world) == ("True", "Success", "")


async def test_a_selector_that_means_nothing_removes_nothing() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await stage.edit(world, DPUService, SERVICE, {
            "dpuClusterSelector": {"matchExpressions": [{"key": "zone", "operator": "Near", "values": ["a"]}]},
        })
        await manager.settle()
    assert set(stage.applications(world)) == {"dpu-1-blueman"}
    assert "spec.dpuClusterSelector: " in stage.condition(world, PREREQS).message
    spoken = stage.condition(world, ConditionType.APPLICATIONS_READY)
    assert (spoken.observedGeneration or 0) < (stage.service(world).metadata.generation or 0)


async def test_a_service_without_a_spec_is_told_what_to_do() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(DPUService(metadata=ObjectMeta(name="blueman", namespace=some.TENANT)))
    await stage.live(world)
    assert "set spec.helmChart" in stage.condition(world, PREREQS).message


async def test_a_dpucluster_that_cannot_be_read_keeps_its_applications() -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        world.host.add_raw(DPUCluster, {"metadata": {"name": "dpu-2", "namespace": some.CLUSTERS}, "spec": 7})
        manager.controllers[0].enqueue_all()
        await manager.settle()
    assert set(stage.applications(world)) == {"dpu-1-blueman", "dpu-2-blueman"}
    assert len(world.host.objects(core.Secret, some.DPF)) == 2
    assert stage.condition(world, ConditionType.APPLICATIONS_RECONCILED).status == "True"


def _ready(world: World) -> tuple[str, str, str]:
    found: Condition = stage.condition(world, ConditionType.APPLICATIONS_READY)
    return found.status, found.reason, found.message
