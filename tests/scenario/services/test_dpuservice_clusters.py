"""Several DPU clusters, of which one dies and comes back (behaviour-service.md section 11, races 1 and 14)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.scenario.services import stage
from tests.support import dpuservices as some
from tests.support.world import World

from dpf.api import core
from dpf.api.argocd import Application, ApplicationDestination, ApplicationSpec, AppProject
from dpf.api.dpfoperatorconfig import DPFOperatorConfig, DPFOperatorConfigSpec
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import ConditionType, DPUService
from dpf.api.meta import Key, ObjectMeta
from dpf.kube import errors
from dpf.kube.memory import MemoryCluster
from dpf.runtime.manager import Manager

PREREQS = ConditionType.APPLICATION_PREREQS_RECONCILED
SERVICE = Key(some.TENANT, "blueman")
THREE = ("dpu-1", "dpu-2", "dpu-3")
EVERYTHING = 100_000


class Outage:
    """A cluster that answers nothing and breaks its connections, until it is over."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._over = False
        refused = errors.Unreachable("connection refused")
        cluster.fail_next(lambda _: not self._over, refused, times=EVERYTHING)
        cluster.end_watches(errors.Unreachable("connection reset"))

    def end(self) -> None:
        self._over = True


def dpu(world: World, name: str) -> MemoryCluster:
    return world.dpus[Key(some.CLUSTERS, name)]


def mirrored(world: World, name: str, namespace: str = some.TENANT) -> list[str]:
    return [s.metadata.name for s in dpu(world, name).objects(core.Secret, namespace)]


def version(world: World, cluster: str) -> str | None:
    source = stage.applications(world)[f"{cluster}-blueman"].spec.source
    return source.targetRevision if source else None


async def edit_version(world: World, manager: Manager, wanted: str) -> None:
    await stage.edit(world, DPUService, SERVICE, {"helmChart": {"source": {"version": wanted}}})
    await manager.settle()


async def test_a_dead_cluster_beside_two_healthy_ones() -> None:
    world = stage.a_stage(*THREE)
    world.host.add(some.a_service(), some.a_pull_secret())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        outage = Outage(dpu(world, "dpu-2"))
        await world.clock.run_for(10)
        await manager.settle()

        await edit_version(world, manager, "2")
        await world.host.patch(core.Secret, "regcred", some.TENANT, patch={"data": {".dockerconfigjson": "e30K"}})
        world.host.add(some.a_pull_secret("second"))
        await manager.settle()
        assert [version(world, name) for name in THREE] == ["2", "1.0.8", "2"]
        assert [mirrored(world, name) for name in THREE] == [["regcred", "second"], ["regcred"], ["regcred", "second"]]
        told = stage.condition(world, PREREQS)
        assert told.status == "False"
        assert "DPUCluster dpf-clusters/dpu-2: dpu cluster is not connected" in told.message
        assert "dpu-1" not in told.message
        assert "dpu-3" not in told.message

        elsewhere = [len(dpu(world, name).writes) for name in ("dpu-1", "dpu-3")]
        outage.end()
        await world.clock.run_for(60)
        await manager.settle()
        await stage.deliver(world, manager)
        assert version(world, "dpu-2") == "2"
        assert mirrored(world, "dpu-2") == ["regcred", "second"]
        assert stage.condition(world, ConditionType.READY).status == "True"
        assert elsewhere == [len(dpu(world, name).writes) for name in ("dpu-1", "dpu-3")], "it catches up alone"


async def test_a_cluster_that_was_dead_from_the_start_catches_up_alone() -> None:
    world = stage.a_stage(*THREE)
    world.host.add(some.a_service(), some.a_pull_secret())
    outage = Outage(dpu(world, "dpu-2"))
    async with stage.running(world) as manager:
        assert set(stage.applications(world)) == {"dpu-1-blueman", "dpu-3-blueman"}
        elsewhere = [len(dpu(world, name).writes) for name in ("dpu-1", "dpu-3")]
        outage.end()
        await world.clock.run_for(60)
        await manager.settle()
        assert set(stage.applications(world)) == {f"{name}-blueman" for name in THREE}
        assert mirrored(world, "dpu-2") == ["regcred"]
        assert elsewhere == [len(dpu(world, name).writes) for name in ("dpu-1", "dpu-3")]


async def test_a_lost_cluster_is_told_within_seconds() -> None:
    """A watch that breaks makes the connection be tried at once; the next probe would be up to ten seconds away."""
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await world.clock.run_for(1)
        Outage(dpu(world, "dpu-1"))
        await world.clock.run_for(4)
        await manager.settle()
        assert stage.condition(world, ConditionType.READY).status == "False"


async def test_race_1_only_targets_count_for_readiness() -> None:
    """Neither a cluster that is not selected nor one that is being deleted is waited for."""
    world = stage.a_stage("dpu-1", "dpu-2", dpu_1={"zone": "a"}, dpu_2={"zone": "b"})
    stage.add_cluster(world, "dpu-3", some.CLUSTERS, labels={"zone": "a"}, deleting=True)
    world.host.add(some.a_service(dpuClusterSelector={"matchLabels": {"zone": "a"}}))
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
    assert set(stage.applications(world)) == {"dpu-1-blueman"}
    assert stage.condition(world, ConditionType.READY).status == "True"


async def test_race_3_an_application_that_cannot_be_read_is_not_overwritten() -> None:
    """A failed read says nothing about whose the name is: nothing is written until it succeeds."""
    world = stage.a_stage("dpu-1")
    spec = ApplicationSpec(project="default", destination=ApplicationDestination(name="elsewhere"))
    world.host.add(some.a_service(), Application(
        metadata=ObjectMeta(name="dpu-1-blueman", namespace=some.DPF), spec=spec,
    ))
    failing = [True]
    world.host.fail_next(
        lambda r: failing[0] and r.verb == "get" and r.kind == "Application", errors.ServerError("etcd"), times=99,
    )
    async with stage.running(world) as manager:
        for _ in range(3):
            await world.clock.run_for(10)
            await manager.settle()
        assert [app.spec for app in stage.applications(world).values()] == [spec]
        failing[0] = False
        await world.clock.run_for(60)
        await manager.settle()
        assert stage.applications(world)["dpu-1-blueman"].spec == spec
        assert len(stage.applications(world)) == 2


async def test_race_14_an_unreachable_cluster_keeps_neither_others_nor_deletion() -> None:
    world = stage.a_stage("dpu-1", "dpu-2", dpu_1={"zone": "a"}, dpu_2={"zone": "b"})
    world.host.add(
        some.a_service(dpuClusterSelector={"matchLabels": {"zone": "a"}}),
        some.a_service("elsewhere", dpuClusterSelector={"matchLabels": {"zone": "b"}}),
    )
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        Outage(dpu(world, "dpu-2"))
        await world.clock.run_for(10)
        await manager.settle()
        assert stage.condition(world, ConditionType.READY).status == "True"
        assert stage.condition(world, ConditionType.READY, "elsewhere").status == "False"
        await world.host.delete(DPUService, "blueman", some.TENANT)
        await stage.deliver(world, manager)
    assert [s.metadata.name for s in world.host.objects(DPUService)] == ["elsewhere"]


# Pull secrets that were left behind.

async def lose_the_service(world: World, manager: Manager) -> Outage:
    """The DPUService goes while one cluster is down."""
    outage = Outage(dpu(world, "dpu-2"))
    await world.clock.run_for(10)
    await world.host.delete(DPUService, "blueman", some.TENANT)
    await manager.settle()
    await stage.deliver(world, manager)
    assert [s.metadata.name for s in world.host.objects(DPUService, some.TENANT)] == []
    assert (mirrored(world, "dpu-1"), mirrored(world, "dpu-2")) == ([], ["regcred"])
    return outage


@pytest.mark.parametrize("restarted", [False, True], ids=["same-process", "after-a-restart"])
async def test_a_pull_secret_does_not_outlive_its_service_on_a_cluster_that_was_down(restarted: bool) -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(some.a_service(), some.a_service("other", "other"), some.a_pull_secret(),
                   some.a_pull_secret(namespace="other"))
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        outage = await lose_the_service(world, manager)
        if not restarted:
            outage.end()
            await world.clock.run_for(60)
            await manager.settle()
    if restarted:
        outage.end()
        await stage.live(world)
    assert mirrored(world, "dpu-2") == []
    assert mirrored(world, "dpu-2", "other") == ["regcred"]


async def test_a_new_service_keeps_the_pull_secret_that_was_left_behind() -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(some.a_service(), some.a_pull_secret())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        outage = await lose_the_service(world, manager)
        world.host.add(some.a_service("next"))
        await manager.settle()
        outage.end()
        await world.clock.run_for(60)
        await manager.settle()
    assert mirrored(world, "dpu-2") == ["regcred"]
    assert "host: delete" not in " ".join(w for w in world.writes if "Secret" in w)


async def test_secrets_that_are_not_left_over_stay() -> None:
    """One in a namespace that others made, one without the label, and one of a service that cannot be read."""
    world = stage.a_stage("dpu-1")
    cluster = dpu(world, "dpu-1")
    world.host.add(some.a_service(), some.a_service("blind", "blind"), some.a_pull_secret(namespace="blind"))
    cluster.add(core.Namespace(metadata=ObjectMeta(name="theirs")), some.a_pull_secret(namespace="theirs"))
    async with stage.running(world) as manager:
        cluster.add(some.a_pull_secret("plain", labelled=False))
        world.host.add_raw(DPUService, {"metadata": {"name": "blind", "namespace": "blind"}, "spec": 7})
        await world.host.patch(DPUService, "blueman", some.TENANT, patch={"metadata": {"finalizers": None}})
        await world.host.delete(DPUService, "blueman", some.TENANT)
        await manager.settle()
    assert mirrored(world, "dpu-1", "theirs") == ["regcred"]
    assert mirrored(world, "dpu-1") == ["plain"]
    assert mirrored(world, "dpu-1", "blind") == ["regcred"]


async def test_a_service_whose_finalizer_was_taken_off_leaves_no_pull_secret() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service(), some.a_pull_secret())
    async with stage.running(world) as manager:
        assert mirrored(world, "dpu-1") == ["regcred"]
        await world.host.patch(DPUService, "blueman", some.TENANT, patch={"metadata": {"finalizers": None}})
        await world.host.delete(DPUService, "blueman", some.TENANT)
        await manager.settle()
    assert mirrored(world, "dpu-1") == []


# What all services share.

async def test_a_change_of_a_shared_fact_reaches_the_next_pass() -> None:
    """What is computed once for all services is computed anew when a Secret, a DPUCluster or a project changes."""
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await world.host.patch(AppProject, "doca-platform-project-dpu", some.DPF, patch={"spec": {"sourceRepos": []}})
        await manager.settle()
        assert _project(world).spec.sourceRepos == ["*"]
        stage.add_cluster(world, "dpu-2", some.CLUSTERS)
        await manager.settle()
        assert [d.name for d in _project(world).spec.destinations or ()] == ["dpu-1", "dpu-2"]
        (dead,) = [s for s in world.host.objects(core.Secret, some.DPF) if s.metadata.name.endswith("dpu-2")]
        await world.host.delete(core.Secret, dead.metadata.name, some.DPF)
        await manager.settle()
        assert dead.metadata.name in [s.metadata.name for s in world.host.objects(core.Secret, some.DPF)]


async def test_a_shared_object_that_stops_being_readable_is_noticed() -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        key = Key(some.CLUSTERS, "dpu-2-admin-kubeconfig")
        world.host.add_raw(core.Secret, {"metadata": {"name": key.name, "namespace": key.namespace}, "data": 7})
        manager.controllers[0].enqueue_all()
        await manager.settle()
        assert f"secret {key} cannot be read" in stage.condition(world, PREREQS).message
        assert len(stage.applications(world)) == 2
        assert len(world.host.objects(core.Secret, some.DPF)) == 2


async def test_dpf_lives_where_its_configuration_does() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(
        core.Namespace(metadata=ObjectMeta(name="dpf-elsewhere")), some.a_service(),
        DPFOperatorConfig(metadata=ObjectMeta(name="config", namespace="dpf-elsewhere"), spec=_a_config()),
    )
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        (app,) = stage.applications(world).values()
        assert app.metadata.namespace == "dpf-elsewhere"
        assert _project(world).metadata.namespace == "dpf-elsewhere"
        assert _project(world).spec.sourceNamespaces == ["dpf-elsewhere"]
        await world.host.delete(DPUService, "blueman", some.TENANT)
        await manager.settle()
        await stage.deliver(world, manager)
    assert world.host.objects(DPUService) == ()
    assert world.host.objects(Application) == ()


async def test_a_configuration_that_goes_moves_no_application() -> None:
    world = stage.a_stage("dpu-1")
    config = DPFOperatorConfig(metadata=ObjectMeta(name="config", namespace="dpf-elsewhere"), spec=_a_config())
    world.host.add(core.Namespace(metadata=ObjectMeta(name="dpf-elsewhere")), some.a_service(), config)
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await world.host.delete(DPFOperatorConfig, "config", "dpf-elsewhere")
        await manager.settle()
        await edit_version(world, manager, "2")
        (app,) = stage.applications(world).values()
        assert (app.metadata.namespace, version(world, "dpu-1")) == ("dpf-elsewhere", "2")
        await world.host.delete(DPUService, "blueman", some.TENANT)
        await manager.settle()
        await stage.deliver(world, manager)
    assert world.host.objects(DPUService) == ()
    assert world.host.objects(Application) == ()


async def test_scenario_12_a_malformed_kubeconfig_keeps_no_other_cluster_from_argo_cd() -> None:
    world = stage.a_stage("dpu-1", "dpu-3")
    bad = Key(some.CLUSTERS, "dpu-2")
    world.host.add(some.a_cluster("dpu-2"), some.a_kubeconfig_secret(bad, b"{"), some.a_service())
    await stage.live(world)
    assert [s.metadata.name for s in world.host.objects(core.Secret, some.DPF)] == [
        "dpf-clusters-dpu-1", "dpf-clusters-dpu-3",
    ]


async def test_the_status_of_a_dpucluster_is_never_written() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service(), some.a_pull_secret())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await world.host.delete(DPUService, "blueman", some.TENANT)
        await stage.deliver(world, manager)
    assert [w for w in world.writes if " DPUCluster " in w] == []
    assert world.host.objects(DPUCluster)[0].metadata.finalizers is None


def _a_config() -> DPFOperatorConfigSpec:
    minimal: dict[str, Any] = {}
    return msgspec.convert(minimal, DPFOperatorConfigSpec)


def _project(world: World) -> AppProject:
    return next(p for p in world.host.objects(AppProject) if p.metadata.name == "doca-platform-project-dpu")
