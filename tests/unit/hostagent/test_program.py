"""`python -m dpf.hostagent` on an emulated host, and the manifests that run it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result
from tests.support import source
from tools.rbacgen import rules

import dpf
from dpf.api import core
from dpf.emulation.hardware import tree
from dpf.emulation.hardware.settings import Card
from dpf.hostagent import __main__ as program
from dpf.hostagent.reboot.controller import HostRebootController
from dpf.runtime.reconciler import Permission

FOLDER = source.ROOT / "deploy" / "host-agent"


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(program.main, ["--emulated-hosts", str(folder), "--node", "worker-1", *arguments])


def manifests(name: str) -> dict[str, Any]:
    return {document["kind"]: document for document in yaml.safe_load_all((FOLDER / name).read_text())}


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    """A folder with one emulated host that has one card."""
    tree.write(tmp_path / "worker-1", [Card(name="c", serial="MT1", index=0, host="worker-1")])
    return tmp_path


def test_features_of_the_host_are_written(hosts: Path) -> None:
    assert run(hosts, "detect", "--once").exit_code == 0
    written = (hosts / "worker-1" / "features.d" / "dpu").read_text().splitlines()
    assert {"dpu-enabled=true", "dpu-0-pci-address=0000-04-00", "dpu-oob-bridge-configured="} <= set(written)


def test_bus_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    result = run(tmp_path, "detect", "--once")

    assert result.exit_code == 1
    assert "is sysfs mounted there?" in result.output


def test_virtual_functions_are_made(hosts: Path) -> None:
    assert run(hosts, "vfs", "--pci", "0000-04-00", "--vfs", "3").exit_code == 0
    devices = hosts / "worker-1" / "sys" / "bus" / "pci" / "devices"
    assert [(devices / f"0000:04:00.{n}" / "sriov_numvfs").read_text().strip() for n in (0, 1)] == ["3", "3"]


def test_card_that_is_not_there_fails_the_init_container(hosts: Path) -> None:
    result = run(hosts, "vfs", "--pci", "0000-99-00", "--vfs", "3")

    assert result.exit_code == 1
    assert "this host has no card at 0000:99:00" in result.output


@pytest.mark.parametrize("arguments", [
    ["vfs", "--vfs", "3"], ["vfs", "--vfs", "3", "--pci", "a", "--pf0", "b"], ["vfs", "--vfs", "3", "--pci", "ens1"],
])
def test_card_has_to_be_named_once(hosts: Path, arguments: list[str]) -> None:
    assert run(hosts, *arguments).exit_code == 2


def test_preflight_passes_on_a_host_without_rshim(hosts: Path) -> None:
    assert run(hosts, "rshim-preflight").exit_code == 0
    (hosts / "worker-1" / "dev" / "rshim0").mkdir(parents=True)
    result = run(hosts, "rshim-preflight")
    assert result.exit_code == 1
    assert "stop and disable the rshim service" in result.output
    assert run(hosts, "devlink-grace-period").exit_code == 0


def test_agent_may_do_what_it_declares_and_no_more() -> None:
    events = Permission(kind=core.Event, verbs=("get", "create", "patch"))
    expected = rules.build_rules([events, *HostRebootController.permissions])
    written = msgspec.convert(manifests("rbac.yaml")["ClusterRole"]["rules"], list[core.PolicyRule])

    assert _single(written) == _single(expected)


def test_daemon_set_runs_commands_that_exist_as_its_own_account() -> None:
    pod = manifests("daemonset.yaml")["DaemonSet"]["spec"]["template"]

    assert pod["spec"]["serviceAccountName"] == manifests("rbac.yaml")["ServiceAccount"]["metadata"]["name"]
    assert {c["args"][0] for c in pod["spec"]["containers"]} <= set(program.main.commands)
    assert {c["image"] for c in pod["spec"]["containers"]} == {f"pydpf/dpf-hostagent:v{dpf.__version__}"}
    assert pod["metadata"]["labels"]["provisioning.dpu.nvidia.com/component"] == "hostagent", "a drain leaves it alone"


def _single(found: list[core.PolicyRule]) -> set[tuple[str, str, tuple[str, ...]]]:
    return {
        (group, resource, tuple(rule.verbs))
        for rule in found for group in rule.apiGroups or () for resource in rule.resources or ()
    }
