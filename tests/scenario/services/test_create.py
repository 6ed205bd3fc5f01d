"""A DPUService is installed where it belongs (behaviour-service.md section 13, tests 1 to 5 and 20)."""

from __future__ import annotations

import base64
import json

import pytest
from tests.scenario.services import stage
from tests.support import dpuservices as some

from dpf.api import core
from dpf.api.argocd import AppProject
from dpf.api.dpuservice import ConditionType, DPUService
from dpf.api.meta import Key
from dpf.runtime import conditions


async def test_each_cluster_gets_an_application_a_secret_and_a_destination() -> None:
    """Scenario 1."""
    world = stage.a_stage("dpu-1", "dpu-2", "dpu-3")
    world.host.add(some.a_service())
    await stage.live(world)

    assert set(stage.applications(world)) == {"dpu-1-blueman", "dpu-2-blueman", "dpu-3-blueman"}
    secrets = {s.metadata.name: s for s in world.host.objects(core.Secret, some.DPF)}
    assert set(secrets) == {f"{some.CLUSTERS}-dpu-{n}" for n in (1, 2, 3)}
    projects = {p.metadata.name: p for p in world.host.objects(AppProject, some.DPF)}
    dpu, host = projects["doca-platform-project-dpu"].spec, projects["doca-platform-project-host"].spec
    assert [d.name for d in dpu.destinations or ()] == ["dpu-1", "dpu-2", "dpu-3"]
    assert [(d.name, d.namespace) for d in host.destinations or ()] == [("in-cluster", "*")]
    assert dpu.sourceNamespaces == [some.DPF]


async def test_ready_when_argo_cd_says_so() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        assert stage.condition(world, ConditionType.READY).status == "False"
        await stage.deliver(world, manager)

    service = stage.service(world)
    assert [c.type for c in service.status.conditions or ()] == [
        "Ready", "ApplicationPrereqsReconciled", "ApplicationsReconciled", "ApplicationsReady",
        "DPUServiceInterfaceReconciled", "ConfigPortsReconciled", "SPIFFEEntriesReady",
    ]
    assert {(c.status, c.reason, c.message) for c in service.status.conditions or ()} == {("True", "Success", "")}
    assert service.status.observedGeneration == service.metadata.generation


async def test_a_spiffe_identity_is_refused_in_words_and_the_rest_goes_on() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service(security={"spiffe": {}}))
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)

    found = stage.condition(world, ConditionType.SPIFFE_ENTRIES_READY)
    assert (found.status, found.reason, found.message) == (
        "False", "Error", "SPIFFE identities are not supported yet; remove spec.security.spiffe"
    )
    assert stage.condition(world, ConditionType.READY).status == "False"
    assert stage.condition(world, ConditionType.CONFIG_PORTS_RECONCILED).status == "True"


async def test_the_namespace_in_the_dpu_cluster_is_labelled() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    await stage.live(world)

    (dpu,) = world.dpus.values()
    (namespace,) = [n for n in dpu.objects(core.Namespace) if n.metadata.name == some.TENANT]
    assert namespace.metadata.labels == {
        "svc.dpu.nvidia.com/dpuservice-namespace": some.TENANT, "svc.dpu.nvidia.com/dpuservice-prereq": "true",
    }


async def test_argo_cd_can_use_the_cluster_secret() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    await stage.live(world)

    (secret,) = world.host.objects(core.Secret, some.DPF)
    data = {name: base64.b64decode(value).decode() for name, value in (secret.data or {}).items()}
    assert data["name"] == "dpu-1"
    assert data["server"] == f"https://dpu-1.{some.CLUSTERS}.example:6443"
    assert json.loads(data["config"]) == {"bearerToken": "not-a-real-token", "tlsClientConfig": {"insecure": True}}


async def test_in_the_host_cluster() -> None:
    """Scenario 2."""
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service(deployInCluster=True))
    await stage.live(world)

    (app,) = stage.applications(world).values()
    assert app.metadata.name == "in-cluster-blueman"
    assert app.spec.project == "doca-platform-project-host"
    assert app.spec.destination.name == "in-cluster"
    assert "dpu.nvidia.com/cluster-namespace" not in (app.metadata.labels or {})
    (dpu,) = world.dpus.values()
    assert some.TENANT not in [n.metadata.name for n in dpu.objects(core.Namespace)]


async def test_a_long_name_is_cut() -> None:
    """Scenario 20."""
    world = stage.a_stage("d" * 40)
    world.host.add(some.a_service("b" * 40))
    await stage.live(world)

    (app,) = stage.applications(world).values()
    assert len(app.metadata.name) <= 63
    assert app.spec.source is not None
    assert app.spec.source.helm is not None
    assert len(app.spec.source.helm.releaseName or "") <= 53


async def test_only_selected_clusters() -> None:
    world = stage.a_stage("dpu-1", "dpu-2", dpu_1={"zone": "a"}, dpu_2={"zone": "b"})
    world.host.add(some.a_service(dpuClusterSelector={"matchLabels": {"zone": "b"}}))
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)

    assert set(stage.applications(world)) == {"dpu-2-blueman"}
    assert conditions.is_true(stage.service(world).status.conditions, "Ready")


async def test_a_new_cluster_is_served_and_a_change_of_the_spec_is_delivered() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        stage.add_cluster(world, "dpu-2", some.CLUSTERS)
        await manager.settle()
        assert set(stage.applications(world)) == {"dpu-1-blueman", "dpu-2-blueman"}
        await stage.edit(world, DPUService, Key(some.TENANT, "blueman"), {"helmChart": {"source": {"version": "2"}}})
        await manager.settle()

    sources = [app.spec.source for app in stage.applications(world).values()]
    assert [source.targetRevision for source in sources if source] == ["2", "2"]


async def test_a_settled_service_causes_no_write_and_few_reads() -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(some.a_service(), some.a_pull_secret())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        written, read = list(world.writes), [len(c.requests) for c in world.clusters]
        for _ in range(5):
            manager.controllers[0].enqueue_all()
            await manager.settle()
        assert world.writes == written
        assert [len(c.requests) for c in world.clusters] == read


async def test_a_restart_writes_nothing() -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(some.a_service(), some.a_pull_secret())
    await stage.live(world, stage.deliver)
    written = list(world.writes)
    await stage.live(world)
    assert world.writes == written


@pytest.mark.parametrize(("kind", "name"), [
    (core.Secret, f"{some.CLUSTERS}-dpu-1"),
    (AppProject, "doca-platform-project-dpu"),
])
async def test_what_a_person_removes_comes_back(kind: type, name: str) -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        await world.host.delete(kind, name, some.DPF)
        await manager.settle()
    assert name in [obj.metadata.name for obj in world.host.objects(kind, some.DPF)]
