"""DPUs from a BFB, a DPUFlavor and a DPUSet, by both install interfaces, on hardware that is as the factory left it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support import platform as platforms
from tests.support.platform import Platform

NAMESPACE = "dpf-operator-system"
PATIENCE_S = 120


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
    until(lambda: phases(hardware) == ["Ready", "Ready"], lambda: describe(hardware))
    return hardware


def test_every_dpu_is_a_ready_node_with_what_was_flashed(installed: Platform) -> None:
    nodes = get(installed, "nodes", dpu=True)
    names = sorted(node["metadata"]["name"] for node in nodes)
    assert names == sorted(dpu["metadata"]["name"] for dpu in get(installed, "dpus", "-n", NAMESPACE))
    for node in nodes:
        labels, capacity = node["metadata"]["labels"], node["status"]["capacity"]
        assert ("bfb", "dk") in labels.items() if is_gnoi(installed) else ("dpu", "dpu") in labels.items()
        assert labels["provisioning.dpu.nvidia.com/dpu-node"] == "true"
        assert (capacity["nvidia.com/bf_sf"], capacity["nvidia.com/sf"]) == ("20", "20")
        assert ready(node) == "True"


def test_every_card_was_installed_once(installed: Platform) -> None:
    assert [len(card["installs"]) for card in cards(installed).values()] == [1, 1]
    assert "Ready" in describe(installed)


def test_hosts_are_as_they_were(installed: Platform) -> None:
    """No taint is left, and nobody is asked to reboot anything."""
    assert [node["spec"].get("taints") for node in get(installed, "nodes")] == [None] * len(get(installed, "nodes"))
    annotations = [node["metadata"].get("annotations") or {} for node in get(installed, "dpunodes", "-n", NAMESPACE)]
    assert not any("reboot-required" in key for found in annotations for key in found)


def test_up_again_leaves_everything_alone(installed: Platform) -> None:
    before = installed.pids()
    installed.up()
    assert installed.pids() == before
    assert installed.status()["healthy"]


def test_hardware_that_was_killed_takes_up_what_was_running(installed: Platform) -> None:
    before, pid = cards(installed), installed.pids()["emulated-hardware"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    installed.up()
    assert cards(installed) == before
    assert phases(installed) == ["Ready", "Ready"]


def test_a_power_cycle_restarts_a_dpu_and_installs_nothing(installed: Platform) -> None:
    card = next(iter(cards(installed)))
    name = cards(installed)[card]["node"]
    before = boot_id(installed, name)
    installed.dpfctl("local", "fault", card, "--do", "power-cycle")
    until(lambda: boot_id(installed, name) not in ("", before), lambda: describe(installed))
    until(lambda: phases(installed) == ["Ready", "Ready"], lambda: describe(installed))
    assert len(cards(installed)[card]["installs"]) == 1


def test_a_service_runs_on_what_was_installed(installed: Platform) -> None:
    nodes = sorted(node["metadata"]["name"] for node in get(installed, "nodes", dpu=True))
    installed.kubectl("label", "nodes", "--all", "dpu=dpu", "--overwrite", dpu=True)
    installed.kubectl("create", "namespace", "dummydpuservice")
    installed.apply(*installed.example("000-dummydpuservice.yaml"))
    installed.wait("dpuservice/dummydpuservice", "condition=Ready", "dummydpuservice", timeout_s=PATIENCE_S)
    pods = get(installed, "pods", "-n", "dummydpuservice", dpu=True)
    assert sorted(pod["spec"]["nodeName"] for pod in pods) == nodes


def test_a_dpu_that_is_deleted_is_installed_again(installed: Platform) -> None:
    """Its set wants it; a card that is busy for a while delays it, and it is installed once more, not twice."""
    card = next(iter(cards(installed)))
    name = cards(installed)[card]["node"]
    if not is_gnoi(installed):
        installed.dpfctl("local", "fault", card, "--set", "busy=1")
    uid = get(installed, "dpus", "-n", NAMESPACE, name)[0]["metadata"]["uid"]
    installed.kubectl("delete", "dpu", name, "-n", NAMESPACE, "--timeout=60s")
    until(lambda: phases(installed) == ["Ready", "Ready"], lambda: describe(installed))
    assert get(installed, "dpus", "-n", NAMESPACE, name)[0]["metadata"]["uid"] != uid
    assert len(cards(installed)[card]["installs"]) == 2
    assert ready(get(installed, "nodes", name, dpu=True)[0]) == "True"


def test_without_their_set_the_dpus_and_their_nodes_go(installed: Platform) -> None:
    installed.kubectl("delete", "dpusets", "--all", "-n", NAMESPACE, "--timeout=90s")
    until(lambda: phases(installed) == [], lambda: describe(installed))
    assert get(installed, "nodes", dpu=True) == []


def test_no_secret_is_in_a_log(installed: Platform) -> None:
    """Passwords of BMCs, keys and tokens."""
    secrets = get(installed, "secrets", "-n", NAMESPACE) + get(installed, "secrets", "-n", "kube-system", dpu=True)
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


def get(platform: Platform, *arguments: str, dpu: bool = False) -> list[dict[str, Any]]:
    """Objects of one kind, or one."""
    found = json.loads(platform.kubectl("get", *arguments, "-o", "json", dpu=dpu).stdout)
    items: list[dict[str, Any]] = found.get("items", [found])
    return items


def cards(platform: Platform) -> dict[str, dict[str, Any]]:
    """What the cards say of themselves."""
    shown: dict[str, dict[str, Any]] = json.loads(platform.dpfctl("local", "fault", "-o", "json").stdout)
    return shown


def phases(platform: Platform) -> list[str]:
    """Phases of all DPUs."""
    return [dpu.get("status", {}).get("phase", "") for dpu in get(platform, "dpus", "-n", NAMESPACE)]


def ready(node: dict[str, Any]) -> str:
    """The status of the Node's condition Ready."""
    found: str = next(c["status"] for c in node["status"]["conditions"] if c["type"] == "Ready")
    return found


def boot_id(platform: Platform, node: str) -> str:
    """Of the DPU's last boot, once it is Ready again."""
    found = get(platform, "nodes", node, dpu=True)[0]
    text: str = found["status"]["nodeInfo"]["bootID"]
    return text if ready(found) == "True" else ""


def describe(platform: Platform) -> str:
    """What an operator on call looks at."""
    return platform.dpfctl(
        "describe", "dpusets", "--show-conditions=failed", "--kubeconfig", platform.environment["HOST_KUBECONFIG"],
        check=False,
    ).stdout


def until(done: Callable[[], bool], explain: Callable[[], str]) -> None:
    """Look until it is so; what the system says about it is part of the failure."""
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.5)
