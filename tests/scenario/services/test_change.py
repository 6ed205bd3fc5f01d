"""What happens around a DPUService that is installed: selection, pause, interfaces, pull secrets.

Behaviour-service.md section 13, tests 8, 11, 13 and 16.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.scenario.services import stage
from tests.support import dpuservices as some
from tests.support.world import World

from dpf.api import core
from dpf.api.argocd import SKIP_RECONCILE_ANNOTATION, Application
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import ConditionType, DPUService
from dpf.api.meta import Key
from dpf.kube import patches
from dpf.kube.memory import MemoryCluster
from dpf.runtime.manager import Manager

SERVICE = Key(some.TENANT, "blueman")


async def test_a_deselected_cluster_loses_its_application() -> None:
    """Scenario 16."""
    world = stage.a_stage("dpu-1", "dpu-2", dpu_1={"zone": "a"}, dpu_2={"zone": "b"})
    world.host.add(some.a_service(dpuClusterSelector={"matchExpressions": [{"key": "zone", "operator": "Exists"}]}))
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await world.host.patch(DPUCluster, "dpu-2", some.CLUSTERS, patch={"metadata": {"labels": {"zone": None}}})
        await manager.settle()

        waiting = stage.condition(world, ConditionType.APPLICATIONS_RECONCILED)
        assert waiting.message == (
            "Unable to reconcile Applications: Stale applications still exist for non matching DPUClusters:\n"
            f"* {some.DPF}/dpu-2-blueman"
        )
        assert (waiting.status, waiting.reason) == ("False", "Error")
        await stage.deliver(world, manager)

    assert set(stage.applications(world)) == {"dpu-1-blueman"}
    assert stage.condition(world, ConditionType.READY).status == "True"


async def test_a_lost_cluster_takes_its_application_and_its_secret_with_it() -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await world.host.delete(DPUCluster, "dpu-2", some.CLUSTERS)
        await manager.settle()
        await stage.deliver(world, manager)

    assert set(stage.applications(world)) == {"dpu-1-blueman"}
    assert [s.metadata.name for s in world.host.objects(core.Secret, some.DPF)] == [f"{some.CLUSTERS}-dpu-1"]


@pytest.mark.parametrize("edit", [
    {"spec": {"source": {"helm": {"valuesObject": {"foreign": {"a": 1}, "serviceDaemonSet": {"labels": {"x": "y"}}}}}}},
    {"spec": {"ignoreDifferences": [{"kind": "DaemonSet"}], "revisionHistoryLimit": 3}},
], ids=["values", "fields"])
async def test_what_a_person_adds_to_the_application_goes_again(edit: dict[str, Any]) -> None:
    world = stage.a_stage("dpu-1")
    source = {"repoURL": "https://charts.example", "version": "1", "chart": "web"}
    world.host.add(some.a_service(helmChart={"source": source, "values": {"keep": None, "a": ""}}))
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        (before,) = stage.applications(world).values()
        await world.host.apply(_as_sent(before, edit), field_owner="person", force=True)
        assert stage.applications(world)[before.metadata.name].spec != before.spec
        await manager.settle()
        assert stage.applications(world)[before.metadata.name].spec == before.spec
        written = len(world.writes)
        manager.controllers[0].enqueue_all()
        await manager.settle()
    assert world.writes[written:] == []


async def test_moving_to_the_host_cluster_and_back() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await stage.edit(world, DPUService, SERVICE, {"deployInCluster": True})
        await stage.deliver(world, manager)
        assert set(stage.applications(world)) == {"in-cluster-blueman"}
        await stage.edit(world, DPUService, SERVICE, {"deployInCluster": None})
        await stage.deliver(world, manager)
    assert set(stage.applications(world)) == {"dpu-1-blueman"}


async def test_pause_stops_everything_and_resume_catches_up() -> None:
    """Scenario 13, the pause."""
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        before = stage.service(world).status
        await stage.edit(world, DPUService, SERVICE, {"paused": True, "helmChart": {"source": {"version": "2"}}})
        await manager.settle()

        (app,) = stage.applications(world).values()
        assert (app.metadata.annotations or {})[SKIP_RECONCILE_ANNOTATION] == "true"
        assert _version(app) == "1.0.8"
        assert stage.service(world).status == before

        await stage.edit(world, DPUService, SERVICE, {"paused": False})
        await manager.settle()
    (app,) = stage.applications(world).values()
    assert SKIP_RECONCILE_ANNOTATION not in (app.metadata.annotations or {})
    assert _version(app) == "2"


async def test_an_application_deleted_during_a_pause_is_finished_by_the_resumption() -> None:
    """Argo CD leaves what it is told to skip alone, also when it is to be deleted."""
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await stage.edit(world, DPUService, SERVICE, {"paused": True})
        await manager.settle()
        (app,) = stage.applications(world).values()
        await world.host.delete(Application, app.metadata.name, app.metadata.namespace)
        await stage.edit(world, DPUService, SERVICE, {"paused": False})
        await manager.settle()
        (app,) = stage.applications(world).values()
        assert app.metadata.deletionTimestamp is not None
        assert (app.metadata.annotations or {})[SKIP_RECONCILE_ANNOTATION] == "false"


async def test_pull_secrets_follow_those_of_the_host() -> None:
    """Scenario 11."""
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service(), some.a_pull_secret(), some.a_pull_secret("other", labelled=False))
    async with stage.running(world) as manager:
        assert _mirrored(world) == {"regcred": "e30="}
        await world.host.patch(
            core.Secret, "regcred", some.TENANT, patch={"data": {".dockerconfigjson": "e30K"}}
        )
        await manager.settle()
        assert _mirrored(world) == {"regcred": "e30K"}
        await _relabel(world, manager, "regcred", None)
        assert _mirrored(world) == {}
        await _relabel(world, manager, "other", "")
        assert _mirrored(world) == {"other": "e30="}
        (dpu,) = world.dpus.values()
        await dpu.delete(core.Secret, "other", some.TENANT)
        await manager.settle()
        assert _mirrored(world) == {"other": "e30="}


async def test_a_key_that_goes_from_a_pull_secret_goes_from_its_copy() -> None:
    world = stage.a_stage("dpu-1")
    secret = some.a_pull_secret()
    secret = msgspec.structs.replace(secret, type="Opaque", data={".dockerconfigjson": "e30=", "extra": "eA=="})
    world.host.add(some.a_service(), secret)
    async with stage.running(world) as manager:
        await world.host.patch(core.Secret, "regcred", some.TENANT, patch={"data": {"extra": None}})
        await manager.settle()
    (dpu,) = world.dpus.values()
    (copy,) = dpu.objects(core.Secret, some.TENANT)
    assert copy.data == {".dockerconfigjson": "e30="}


async def test_labels_of_a_pull_secret_are_mirrored_exactly() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service(), some.a_pull_secret())
    (dpu,) = world.dpus.values()

    def labels() -> dict[str, str] | None:
        return dpu.objects(core.Secret, some.TENANT)[0].metadata.labels

    async with stage.running(world) as manager:
        only = labels()
        await _label(world.host, "team", "a")
        await manager.settle()
        assert labels() == {**(only or {}), "team": "a"}
        await _label(world.host, "team", None)
        await manager.settle()
        assert labels() == only
        await _label(dpu, "foreign", "x")
        await dpu.patch(core.Secret, "regcred", some.TENANT, patch={"data": {"foreign": "eA=="}})
        await manager.settle()
        assert labels() == only
        assert set(dpu.objects(core.Secret, some.TENANT)[0].data or {}) == {".dockerconfigjson"}
        written = len(world.writes)
        manager.controllers[0].enqueue_all()
        await manager.settle()
    assert world.writes[written:] == []


async def test_an_immutable_pull_secret_is_replaced() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service(), some.a_pull_secret(immutable=True))
    async with stage.running(world) as manager:
        await world.host.delete(core.Secret, "regcred", some.TENANT)
        world.host.add(some.a_pull_secret(immutable=True, content="e30K"))
        await manager.settle()
    assert _mirrored(world) == {"regcred": "e30K"}


async def test_a_changed_kubeconfig_reaches_argo_cd() -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service())
    key = next(iter(world.dpus))
    async with stage.running(world) as manager:
        (before,) = world.host.objects(core.Secret, some.DPF)
        renewed = some.a_kubeconfig_secret(key, _with_token(key))
        await world.host.apply(renewed, field_owner="test")
        await manager.settle()
        (after,) = world.host.objects(core.Secret, some.DPF)
    assert (before.data or {})["config"] != (after.data or {})["config"]


def _as_sent(app: Application, edit: dict[str, Any]) -> Application:
    """What a person applies: the Application with `edit` merged over its spec."""
    key = {"name": app.metadata.name, "namespace": app.metadata.namespace}
    return msgspec.convert(patches.merge({"metadata": key, "spec": msgspec.to_builtins(app.spec)}, edit), Application)


def _version(app: Application) -> str | None:
    assert app.spec.source is not None
    return app.spec.source.targetRevision


def _mirrored(world: World) -> dict[str, str]:
    (dpu,) = world.dpus.values()
    return {s.metadata.name: (s.data or {})[".dockerconfigjson"] for s in dpu.objects(core.Secret, some.TENANT)}


async def _relabel(world: World, manager: Manager, name: str, value: str | None) -> None:
    patch = {"metadata": {"labels": {"dpu.nvidia.com/image-pull-secret": value}}}
    await world.host.patch(core.Secret, name, some.TENANT, patch=patch)
    await manager.settle()


async def _label(cluster: MemoryCluster, label: str, value: str | None) -> None:
    """Somebody who is not the controller labels `regcred`."""
    await cluster.patch(core.Secret, "regcred", some.TENANT, patch={"metadata": {"labels": {label: value}}})


def _with_token(key: Key) -> bytes:
    config: dict[str, Any] = msgspec.json.decode(some.worlds.a_kubeconfig(key))
    config["users"][0]["user"]["token"] = "renewed"
    return msgspec.json.encode(config)
