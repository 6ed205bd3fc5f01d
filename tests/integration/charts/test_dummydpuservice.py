"""The example chart against the rules of the DPUService development guide, and its whole output against files.

Run with `UPDATE_GOLDEN=1` to write the files anew; read the difference before committing it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import needs

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "deploy" / "charts" / "dummydpuservice"
HERE = Path(__file__).parent

pytestmark = pytest.mark.parts

SEED: dict[str, Any] = {
    "image": {"tag": "v0.1.0", "repository": "registry.example/dummydpuservice"},
    "serviceDaemonSet": {
        "nodeSelector": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "dpu", "operator": "In", "values": ["dpu"]}]},
        ]},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}},
        "labels": {"dpuservice.dpu.nvidia.com/name": "dummydpuservice"},
        "annotations": {"dpuservice.dpu.nvidia.com/name": "dummydpuservice"},
        "resources": {"nvidia.com/bf_sf": 1},
    },
}
"""The values of the guide's DPUService."""

EXPOSED: dict[str, Any] = {**SEED, "exposedPorts": {
    "ports": {"exampletcp": True, "exampleudp": True}, "labels": {"dpu.nvidia.com/dpuservice-name": "dummydpuservice"},
}}


@pytest.fixture(scope="session")
def helm() -> Path:
    return needs.program("helm")


def _render(helm: Path, values: dict[str, Any], release: str = "dummy") -> str:
    done = subprocess.run(
        [str(helm), "template", release, str(CHART), "--namespace", "services", "--values", "-"], check=False,
        input=yaml.safe_dump(values), capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _objects(helm: Path, values: dict[str, Any], release: str = "dummy") -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(_render(helm, values, release)) if found]


def _daemon_set(helm: Path, values: dict[str, Any]) -> dict[str, Any]:
    (found,) = [obj for obj in _objects(helm, values) if obj["kind"] == "DaemonSet"]
    return found


@pytest.mark.parametrize(("name", "values"), [("defaults", {}), ("seed", SEED), ("exposed", EXPOSED)])
def test_the_whole_output(helm: Path, name: str, values: dict[str, Any]) -> None:
    golden, rendered = HERE / f"dummydpuservice-{name}.yaml", _render(helm, values)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(rendered)
    assert rendered == golden.read_text()


def test_lint_finds_nothing(helm: Path) -> None:
    done = subprocess.run(
        [str(helm), "lint", "--strict", str(CHART)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_one_daemon_set_and_no_service_unless_a_port_is_exposed(helm: Path) -> None:
    assert [obj["kind"] for obj in _objects(helm, SEED)] == ["DaemonSet"]


def test_two_releases_share_no_name_and_no_selector(helm: Path) -> None:
    def names(release: str) -> set[tuple[str, str]]:
        return {(obj["kind"], obj["metadata"]["name"]) for obj in _objects(helm, EXPOSED, release)}

    assert names("one").isdisjoint(names("two"))
    selectors = [str(obj["spec"]["selector"]) for release in ("one", "two") for obj in _objects(helm, EXPOSED, release)]
    assert len(set(selectors)) == len(selectors)


def test_the_node_selector_becomes_affinity_and_resources_become_limits(helm: Path) -> None:
    pod = _daemon_set(helm, SEED)["spec"]["template"]["spec"]
    required = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required == SEED["serviceDaemonSet"]["nodeSelector"]
    (container,) = pod["containers"]
    assert container["resources"] == {"limits": {"nvidia.com/bf_sf": 1}, "requests": {"nvidia.com/bf_sf": 1}}


def test_resources_in_kubernetes_form_stay_as_they_are(helm: Path) -> None:
    wanted = {"requests": {"cpu": "10m"}, "limits": {"cpu": "1"}}
    values = {**SEED, "serviceDaemonSet": {"resources": wanted}}
    assert _daemon_set(helm, values)["spec"]["template"]["spec"]["containers"][0]["resources"] == wanted


def test_labels_and_annotations_reach_the_pods_and_cannot_break_the_selector(helm: Path) -> None:
    labels = {"team": "a", "app.kubernetes.io/instance": "other"}
    spec = _daemon_set(helm, {**SEED, "serviceDaemonSet": {"labels": labels, "annotations": {"note": "x"}}})["spec"]
    meta = spec["template"]["metadata"]
    assert meta["labels"]["team"] == "a"
    assert meta["annotations"] == {"note": "x"}
    assert spec["selector"]["matchLabels"].items() <= meta["labels"].items()


@pytest.mark.parametrize(("ports", "names"), [
    ({"exampletcp": True}, ["exampletcp"]), ({"exampleudp": True}, ["exampleudp"]),
    ({"exampletcp": True, "exampleudp": True}, ["exampletcp", "exampleudp"]),
])
def test_each_port_is_exposed_by_itself(helm: Path, ports: dict[str, bool], names: list[str]) -> None:
    (service,) = [o for o in _objects(helm, {**SEED, "exposedPorts": {"ports": ports}}) if o["kind"] == "Service"]
    assert [port["name"] for port in service["spec"]["ports"]] == names
    spec = service["spec"]
    policies = spec["type"], spec["internalTrafficPolicy"], spec["externalTrafficPolicy"]
    assert policies == ("NodePort", "Local", "Local")


def test_the_service_is_found_by_the_labels_it_was_given(helm: Path) -> None:
    (service,) = [obj for obj in _objects(helm, EXPOSED) if obj["kind"] == "Service"]
    assert EXPOSED["exposedPorts"]["labels"].items() <= service["metadata"]["labels"].items()
    labels = _daemon_set(helm, EXPOSED)["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


@pytest.mark.parametrize("values", [
    {"image": {"tag": 1}}, {"exposedPorts": {"ports": {"exampletcp": "yes"}}}, {"imagePullSecrets": ["plain"]},
    {"serviceDaemonSet": {"labels": {"a": 1}}}, {"serviceDaemonSet": {"nodeSelector": {"matchLabels": {}}}},
])
def test_wrong_values_are_refused_by_the_schema(helm: Path, values: dict[str, Any]) -> None:
    done = subprocess.run(
        [str(helm), "template", "x", str(CHART), "--values", "-"], input=yaml.safe_dump(values), capture_output=True,
        text=True, timeout=60, check=False,
    )
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr


def test_the_chart_carries_its_version_constraint() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["name"], chart["version"]) == ("dummydpuservice-chart", "0.1.0")
    assert chart["annotations"]["dpu.nvidia.com/doca-version"] == ">= 2.9"
