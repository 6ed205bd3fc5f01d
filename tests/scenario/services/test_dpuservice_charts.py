"""Where Argo CD is sent for a chart (behaviour-service.md 3.5; section 13, tests 2 to 5; seed 003)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.scenario.services import stage
from tests.support import dpuservices as some
from tests.support.world import World

from dpf.api.argocd import ApplicationSource
from dpf.runtime import mirrors

OWNED = {"svc.dpu.nvidia.com/owned-by-dpudeployment": "producer-consumer"}


def a_world(labels: dict[str, str] | None = None, **source: Any) -> World:
    world = stage.a_stage("dpu-1")
    world.host.add(some.a_service(labels=labels, helmChart={"source": {
        "repoURL": "https://example.com/charts", "version": "v0.0.1", **source,
    }}))
    return world


async def asked(world: World, settings: mirrors.Mirrors = mirrors.NONE) -> ApplicationSource:
    async with stage.running(world, settings):
        (app,) = stage.applications(world).values()
    assert app.spec.source is not None
    return app.spec.source


@pytest.mark.parametrize(("path", "chart"), [
    ("producer", "producer"), ("charts/producer", "producer"), ("/charts/producer/", "producer"), ("/", None),
])
async def test_a_path_of_a_dpudeployment_names_a_chart(path: str, chart: str | None) -> None:
    found = await asked(a_world(OWNED, path=path))
    assert (found.chart, found.path) == (chart, path)


@pytest.mark.parametrize(("labels", "source", "chart"), [
    (None, {"path": "producer"}, None),
    (OWNED, {"path": "producer", "chart": "own"}, "own"),
    (OWNED, {}, None),
], ids=["by-hand", "chart-given", "neither"])
async def test_otherwise_the_chart_is_as_it_is_written(
    labels: dict[str, str] | None, source: dict[str, str], chart: str | None
) -> None:
    found = await asked(a_world(labels, **source))
    assert found.chart == chart


@pytest.mark.parametrize(("repository", "wanted"), [
    ("https://example.com/charts", "https://mirror.local/example"),
    ("https://example.com/charts/stable", "https://mirror.local/example/stable"),
    ("https://example.com/charts-2", "https://example.com/charts-2"),
    ("oci://registry.example/doca", "registry.local/doca"),
    ("oci://other.example/doca", "other.example/doca"),
])
async def test_a_mirrored_repository_is_asked_instead(repository: str, wanted: str) -> None:
    world = a_world(repoURL=repository, chart="web")
    settings = mirrors.parse([
        "https://example.com/charts=https://mirror.local/example", "oci://registry.example=oci://registry.local",
    ])
    assert (await asked(world, settings)).repoURL == wanted
    spec = stage.service(world).spec
    assert spec is not None
    assert spec.helmChart.source.repoURL == repository


async def test_a_mirror_that_comes_or_goes_is_one_write_per_application() -> None:
    world = a_world(chart="web")
    await asked(world)
    before = world.writes
    found = await asked(world, mirrors.parse(["https://example.com=https://mirror.local"]))
    assert found.repoURL == "https://mirror.local/charts"
    assert Counter(world.writes) - Counter(before) == Counter({
        "host: patch Application dpf-operator-system/dpu-1-blueman": 1,
    })


async def test_scenario_3_a_registry_has_no_scheme_for_argo_cd() -> None:
    assert (await asked(a_world(repoURL="oci://repo", chart="web"))).repoURL == "repo"


async def test_race_4_a_value_of_the_user_beats_an_exposed_port() -> None:
    world = stage.a_stage("dpu-1")
    source = {"repoURL": "https://charts.example", "version": "1", "chart": "web"}
    values = {"exposedPorts": {"ports": {"web": False}}}
    config = {"serviceType": "NodePort", "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}]}
    world.host.add(some.a_service(helmChart={"source": source, "values": values}, configPorts=config))
    helm = (await asked(world)).helm
    assert helm is not None
    assert (helm.valuesObject or {})["exposedPorts"]["ports"] == {"web": False}
