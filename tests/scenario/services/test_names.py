"""Two owners that want one name both work, and the first keeps the documented one (design.md section 8)."""

from __future__ import annotations

import base64

import pytest
from tests.scenario.services import stage
from tests.support import dpuservices as some
from tests.support.world import World

from dpf.api import core
from dpf.api.argocd import Application, ApplicationDestination, ApplicationSpec, AppProject
from dpf.api.dpuservice import ConditionType, DPUService
from dpf.api.meta import ObjectMeta


def owners(world: World) -> dict[str, str]:
    """Namespace of the DPUService by Application name."""
    return {
        name: (app.metadata.labels or {})["dpu.nvidia.com/dpuservice-namespace"]
        for name, app in stage.applications(world).items()
    }


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
async def test_the_older_of_two_namesakes_keeps_the_documented_name(first: str, second: str) -> None:
    world = stage.a_stage("dpu-1")
    world.host.add(
        some.a_service(namespace=first, created="2025-01-01T00:00:00Z"),
        some.a_service(namespace=second, created="2025-01-02T00:00:00Z"),
    )
    await stage.live(world)
    found = owners(world)
    assert found.pop("dpu-1-blueman") == first
    ((name, namespace),) = found.items()
    assert namespace == second
    assert name.startswith("dpu-1-blueman-")
    told = stage.condition(world, ConditionType.APPLICATIONS_RECONCILED, namespace=second)
    assert (told.status, name in told.message, "dpu-1-blueman," in told.message) == ("True", True, True)


async def test_a_name_once_given_is_kept() -> None:
    """The older one goes: the younger one is not installed anew under its name. Neither is one that comes back."""
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service(namespace="a"), some.a_service(namespace="b"))
    async with stage.running(world) as manager:
        before = owners(world)
        await world.host.delete(DPUService, "blueman", "a")
        await stage.deliver(world, manager)
        assert owners(world) == {name: owner for name, owner in before.items() if owner == "b"}
        world.host.add(some.a_service(namespace="a"))
        await manager.settle()
    assert owners(world) == before


async def test_a_foreign_application_is_never_taken_over() -> None:
    world = stage.a_stage("dpu-1")
    foreign = Application(
        metadata=ObjectMeta(name="dpu-1-blueman", namespace=some.DPF),
        spec=ApplicationSpec(project="default", destination=ApplicationDestination(name="mine")),
    )
    world.host.add(foreign, some.a_service())
    await stage.live(world)
    apps = stage.applications(world)
    assert len(apps) == 2
    assert apps["dpu-1-blueman"].spec.project == "default"


async def test_names_that_meet_by_joining() -> None:
    """Cluster `a-b` with service `c`, and cluster `a` with service `b-c`, would share one Application."""
    world = stage.a_stage("a-b", "a", a_b={"x": "1"}, a={"x": "2"})
    world.host.add(
        some.a_service("c", dpuClusterSelector={"matchLabels": {"x": "1"}}),
        some.a_service("b-c", dpuClusterSelector={"matchLabels": {"x": "2"}}),
    )
    await stage.live(world)
    apps = stage.applications(world)
    assert len(apps) == 2
    assert {app.spec.destination.name for app in apps.values()} == {"a-b", "a"}


async def test_two_clusters_of_one_name() -> None:
    world = stage.a_stage("dpu-1")
    stage.add_cluster(world, "dpu-1", "another", created="2025-12-31T00:00:00Z")
    world.host.add(some.a_service())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)

    apps = stage.applications(world)
    assert len(apps) == 2
    assert apps["dpu-1-blueman"].metadata.labels["dpu.nvidia.com/cluster-namespace"] == some.CLUSTERS  # type: ignore[index]
    secrets = {s.metadata.name: base64.b64decode((s.data or {})["name"]).decode()
               for s in world.host.objects(core.Secret, some.DPF)}
    assert secrets[f"{some.CLUSTERS}-dpu-1"] == "dpu-1"
    assert secrets["another-dpu-1"].startswith("dpu-1-")
    assert {app.spec.destination.name for app in apps.values()} == set(secrets.values())
    project = next(p for p in world.host.objects(AppProject) if p.metadata.name.endswith("-dpu"))
    assert {d.name for d in project.spec.destinations or ()} == set(secrets.values())
    assert stage.condition(world, ConditionType.READY).status == "True"


async def test_a_dpucluster_cannot_pass_for_the_host_cluster() -> None:
    world = stage.a_stage("in-cluster")
    world.host.add(some.a_service())
    await stage.live(world)
    (app,) = stage.applications(world).values()
    assert app.spec.destination.name != "in-cluster"
    assert app.spec.project == "doca-platform-project-dpu"


async def test_clusters_whose_secrets_would_share_a_name() -> None:
    world = stage.a_stage()
    stage.add_cluster(world, "c", "a-b")
    stage.add_cluster(world, "b-c", "a")
    world.host.add(some.a_service())
    await stage.live(world)
    assert len(world.host.objects(core.Secret, some.DPF)) == 2
