"""What `up --provision` applies is what the examples say, and how far it is can be told."""

from __future__ import annotations

from pathlib import Path
from string import Template

import pytest
import yaml
from tests.support.clock import FakeClock
from tests.support.source import ROOT

from dpf.api import names
from dpf.api.dpu import DPU, ConditionType, DPUSpec, DPUStatus
from dpf.api.meta import Condition, ObjectMeta
from dpf.kube import codec
from dpf.kube.memory import MemoryCluster
from dpf.local import errors
from dpf.local.platform import addresses, fleet, settings
from dpf.local.platform.settings import InstallInterface, Settings

PORTS = {"bmc": 443}


def a_platform(interface: InstallInterface) -> Settings:
    return Settings(state=Path("/nowhere"), dpus=2, install_interface=interface, ports=PORTS)


def a_dpu(name: str, phase: str, message: str = "") -> DPU:
    told = [Condition(type=ConditionType.OS_INSTALLED, status="False", reason="R", message=message)]
    return DPU(
        metadata=ObjectMeta(name=name, namespace=names.DPF_NAMESPACE), spec=DPUSpec(),
        status=DPUStatus(phase=phase, conditions=told if message else None),
    )


def a_cluster(*dpus: DPU) -> MemoryCluster:
    cluster = MemoryCluster(now=FakeClock().now)
    cluster.add(*dpus)
    return cluster


@pytest.mark.parametrize(("interface", "file"), [
    ("gnoi", "030-provisioning-gnoi.yaml"), ("redfish", "031-provisioning-redfish.yaml"),
])
def test_it_is_the_example(interface: InstallInterface, file: str) -> None:
    platform = a_platform(interface)
    environment = {
        "BMC_FIRST_IP": addresses.of_bmc(platform.id, 1), "BMC_LAST_IP": addresses.of_bmc(platform.id, 2),
        "BMC_PORT": "443",
    }
    text = Template((ROOT / "examples" / file).read_text()).substitute(environment)
    example = {document["kind"]: document for document in yaml.safe_load_all(text)}
    made = {
        document["kind"]: document
        for obj in fleet.objects(platform) for document in [yaml.safe_load(codec.encode(obj))]
    }
    assert set(made) == set(example)
    for kind, document in example.items():
        assert made[kind]["metadata"] == document["metadata"]
        assert said(made[kind]["spec"], document["spec"]) == document["spec"]


async def test_it_waits_for_all_of_them() -> None:
    await fleet.wait_ready(a_cluster(a_dpu("a", "Ready"), a_dpu("b", "Ready")), 2)


async def test_a_dpu_in_error_ends_the_wait_with_its_reason() -> None:
    with pytest.raises(errors.StepError, match="DPU/b: Error: the card caught fire"):
        await fleet.wait_ready(a_cluster(a_dpu("a", "Ready"), a_dpu("b", "Error", "the card caught fire")), 2)


async def test_what_is_missing_after_a_while_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "TIMEOUT_S", -1.0)
    with pytest.raises(errors.StepError, match="DPU/a: OS Installing; 1 DPUs are not there yet"):
        await fleet.wait_ready(a_cluster(a_dpu("a", "OS Installing")), 2)


def test_no_bmcs_are_looked_for_without_dpus() -> None:
    platform = settings.Settings(state=Path("/nowhere"), dpus=0, install_interface="redfish", ports=PORTS)
    assert [type(obj).__name__ for obj in fleet.objects(platform)] == ["BFB", "DPUFlavor", "DPUSet"]


def said(made: object, example: object) -> object:
    """`made` without the defaults that the example leaves to the API server."""
    if isinstance(made, dict) and isinstance(example, dict):
        return {key: said(made.get(key), value) for key, value in example.items()}
    return made
