"""DPUs from a BFB, a DPUFlavor and a DPUSet, by both install interfaces, on hardware that is as the factory left it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support import installations as some
from tests.support import platform as platforms
from tests.support.platform import Platform

NAMESPACE = some.NAMESPACE


@pytest.fixture(scope="module", params=["gnoi", "redfish"])
def hardware(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """A platform with two DPUs that nobody has installed yet."""
    with platforms.platform(interface=request.param) as made:
        yield made


@pytest.fixture(scope="module")
def installed(hardware: Platform) -> Platform:
    """The same after a user has applied the example of its interface; with hosts, the DPUSet is the product's own."""
    if is_gnoi(hardware):
        objects = [o for o in hardware.example("030-provisioning-gnoi.yaml") if o["kind"] != "DPUSet"]
        objects += hardware.example("001-dpuset-dk.yaml")
        hardware.kubectl("label", "node", "worker-1", "worker-2", "e2e.servers/dk=true")
    else:
        objects = hardware.example("031-provisioning-redfish.yaml")
    hardware.apply(*objects)
    some.until(hardware, lambda: phases(hardware) == ["Ready", "Ready"])
    return hardware


def test_every_dpu_is_a_ready_node_with_what_was_flashed(installed: Platform) -> None:
    nodes = some.get(installed, "nodes", dpu=True)
    names = sorted(node["metadata"]["name"] for node in nodes)
    assert names == sorted(dpu["metadata"]["name"] for dpu in some.get(installed, "dpus", "-n", NAMESPACE))
    for node in nodes:
        labels, capacity = node["metadata"]["labels"], node["status"]["capacity"]
        assert ("bfb", "dk") in labels.items() if is_gnoi(installed) else ("dpu", "dpu") in labels.items()
        assert labels["provisioning.dpu.nvidia.com/dpu-node"] == "true"
        assert (capacity["nvidia.com/bf_sf"], capacity["nvidia.com/sf"]) == ("20", "20")
        assert ready(node) == "True"


def test_every_card_was_installed_once(installed: Platform) -> None:
    assert [len(card["installs"]) for card in some.cards(installed).values()] == [1, 1]
    assert "Ready" in some.describe(installed)


def test_hosts_are_as_they_were(installed: Platform) -> None:
    """No taint is left, and nobody is asked to reboot anything."""
    assert [node["spec"]["taints"] for node in some.get(installed, "nodes") if node["spec"].get("taints")] == []
    hosts = some.get(installed, "dpunodes", "-n", NAMESPACE)
    annotations = [host["metadata"].get("annotations") or {} for host in hosts]
    assert not any("reboot-required" in key for found in annotations for key in found)


def test_up_again_leaves_everything_alone(installed: Platform) -> None:
    before = installed.pids()
    installed.up()
    assert installed.pids() == before
    assert installed.status()["healthy"]


def test_hardware_that_was_killed_takes_up_what_was_running(installed: Platform) -> None:
    before, pid = some.cards(installed), installed.pids()["emulated-hardware"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    installed.up()
    assert some.cards(installed) == before
    assert phases(installed) == ["Ready", "Ready"]


def test_a_power_cycle_restarts_a_dpu_and_installs_nothing(installed: Platform) -> None:
    card = next(iter(some.cards(installed)))
    name = some.cards(installed)[card]["node"]
    before = boot_id(installed, name)
    installed.dpfctl("local", "fault", card, "--do", "power-cycle")
    some.until(installed, lambda: boot_id(installed, name) not in ("", before))
    some.until(installed, lambda: phases(installed) == ["Ready", "Ready"])
    assert len(some.cards(installed)[card]["installs"]) == 1


def test_a_service_runs_on_what_was_installed(installed: Platform) -> None:
    nodes = sorted(node["metadata"]["name"] for node in some.get(installed, "nodes", dpu=True))
    installed.kubectl("label", "nodes", "--all", "dpu=dpu", "--overwrite", dpu=True)
    installed.kubectl("create", "namespace", "dummydpuservice")
    installed.apply(*installed.example("000-dummydpuservice.yaml"))
    installed.wait("dpuservice/dummydpuservice", "condition=Ready", "dummydpuservice", timeout_s=120)
    pods = some.get(installed, "pods", "-n", "dummydpuservice", dpu=True)
    assert sorted(pod["spec"]["nodeName"] for pod in pods) == nodes


def test_a_dpu_that_is_deleted_is_installed_again(installed: Platform) -> None:
    """Its set wants it; a card that is busy for a while delays it, and it is installed once more, not twice."""
    card = next(iter(some.cards(installed)))
    name = some.cards(installed)[card]["node"]
    if not is_gnoi(installed):
        installed.dpfctl("local", "fault", card, "--set", "busy=1")
    uid = some.get(installed, "dpus", "-n", NAMESPACE, name)[0]["metadata"]["uid"]
    installed.kubectl("delete", "dpu", name, "-n", NAMESPACE, "--timeout=60s")
    some.until(installed, lambda: phases(installed) == ["Ready", "Ready"])
    assert some.get(installed, "dpus", "-n", NAMESPACE, name)[0]["metadata"]["uid"] != uid
    assert len(some.cards(installed)[card]["installs"]) == 2
    assert ready(some.get(installed, "nodes", name, dpu=True)[0]) == "True"


def test_without_their_set_the_dpus_and_their_nodes_go(installed: Platform) -> None:
    installed.kubectl("delete", "dpusets", "--all", "-n", NAMESPACE, "--timeout=90s")
    some.until(installed, lambda: phases(installed) == [])
    assert some.get(installed, "nodes", dpu=True) == []


def test_no_secret_is_in_a_log(installed: Platform) -> None:
    """Passwords of BMCs, keys and tokens."""
    secrets = some.get(installed, "secrets", "-n", NAMESPACE)
    secrets += some.get(installed, "secrets", "-n", "kube-system", dpu=True)
    words = [
        platforms.decoded(value) for secret in secrets for key, value in (secret.get("data") or {}).items()
        if key in {"password", "token-secret", "join", "tls.key"}
    ]
    text = "".join(path.read_text(errors="replace") for path in (installed.state / "logs").glob("*.log"))
    assert not [word for word in words if word and word in text]
    assert "PRIVATE KEY" not in text


def is_gnoi(platform: Platform) -> bool:
    """Whether its hosts are Nodes."""
    return "BMC_PORT" not in platform.environment


def phases(platform: Platform) -> list[str]:
    """Phases of all DPUs."""
    return [dpu.get("status", {}).get("phase", "") for dpu in some.get(platform, "dpus", "-n", NAMESPACE)]


def ready(node: dict[str, Any]) -> str:
    """The status of the Node's condition Ready."""
    found: str = next(c["status"] for c in node["status"]["conditions"] if c["type"] == "Ready")
    return found


def boot_id(platform: Platform, node: str) -> str:
    """Of the DPU's last boot, once it is Ready again."""
    found = some.get(platform, "nodes", node, dpu=True)[0]
    text: str = found["status"]["nodeInfo"]["bootID"]
    return text if ready(found) == "True" else ""
