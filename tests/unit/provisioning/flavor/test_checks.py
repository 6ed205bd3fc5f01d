"""What is wrong with a flavor by itself: exact texts, and that every field of a bad one is named."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import dpuflavors as some

from dpf.api.dpuflavor import DPUFlavor
from dpf.provisioning.flavor import checks

NAME = "DPUFlavor dpf-operator-system/flavor: "


def told(**spec: Any) -> list[str]:
    return [problem.message for problem in checks.problems(some.a_flavor(**spec))]


@pytest.mark.parametrize("flavor", [
    some.a_full_flavor(), some.a_flavor(), msgspec.convert({"metadata": {"name": "a"}}, DPUFlavor),
], ids=["full", "empty", "without spec"])
def test_a_good_flavor_has_no_problem(flavor: DPUFlavor) -> None:
    assert checks.problems(flavor) == ()
    assert checks.unsupported(flavor) == ()


@pytest.mark.parametrize(("total", "reserved", "missing"), [
    ({"cpu": 4}, {"cpu": 5}, "cpu: 1"),
    ({"cpu": 4, "memory": "1Gi"}, {"memory": "1.5Gi", "cpu": "4500m"}, "cpu: 500m, memory: 512Mi"),
    ({"cpu": 4}, {"nvidia.com/sf": 2}, "nvidia.com/sf: 2"),
])
def test_a_reserve_larger_than_the_whole_is_told_with_the_documented_text(
    total: dict[str, Any], reserved: dict[str, Any], missing: str,
) -> None:
    (message,) = told(dpuResources=total, systemReservedResources=reserved)
    assert message == (
        "resources are misconfigured: reserved resource specified in spec.systemReservedResources exceed the ones "
        f"defined in spec.dpuResources: Additional resources needed in spec.dpuResources: [{missing}]"
    )


def test_a_reserve_of_nothing_is_told_with_the_documented_text() -> None:
    (message,) = told(systemReservedResources={"cpu": 1})
    assert message == (
        "resources are misconfigured: spec.systemReservedResources must not be specified if spec.dpuResources are not "
        "specified"
    )


@pytest.mark.parametrize("resources", [
    {"dpuResources": {"cpu": "many"}},
    {"dpuResources": {"cpu": -1}},
    {"dpuResources": {"memory": "1Gi"}, "systemReservedResources": {"memory": "1 Gi"}},
])
def test_an_amount_that_is_none_is_named(resources: dict[str, Any]) -> None:
    (message,) = told(**resources)
    assert message.startswith(f"{NAME}spec.")


def test_a_reserve_that_fits_exactly_is_fine() -> None:
    assert told(dpuResources={"memory": "1Gi"}, systemReservedResources={"memory": "1024Mi"}) == []


def test_a_port_without_options_is_told_with_the_documented_text() -> None:
    ports = [{"portNumber": 0, "dhcp": False}, {"portNumber": 1}]
    (message,) = told(hostNetworkInterfaceConfigs=ports)
    assert message == (
        "host network interface configs are misconfigured: host network interface config at index 1 (port 1) has no "
        "configuration options specified"
    )


@pytest.mark.parametrize(("spec", "field"), [
    ({"grub": {"kernelParameters": ["a", "b\nc"]}}, "spec.grub.kernelParameters[1]"),
    ({"grub": {"kernelParameters": ["hugepagesz=3M hugepages=1"]}}, "spec.grub.kernelParameters"),
    ({"grub": {"kernelParameters": ["hugepages=many"]}}, "spec.grub.kernelParameters"),
    ({"sysctl": {"parameters": ["a"]}}, "spec.sysctl.parameters[0]"),
    ({"sysctl": {"parameters": ["a=1\nb=2"]}}, "spec.sysctl.parameters[0]"),
    ({"sysctl": {"parameters": ["=1"]}}, "spec.sysctl.parameters[0]"),
    ({"sysctl": {"parameters": ["net/ipv4/ip_forward = 0"]}}, "spec.sysctl.parameters[0]"),
    ({"bfcfgParameters": ["A=\x00"]}, "spec.bfcfgParameters[0]"),
    ({"bfcfgParameters": ["A='1", "B=2"]}, "spec.bfcfgParameters"),
    ({"bfcfgParameters": ["A=1 \\"]}, "spec.bfcfgParameters"),
    ({"nvconfig": [{"device": "p2", "parameters": ["A=1"]}]}, "spec.nvconfig[0].device"),
    ({"nvconfig": [{"parameters": ["A=1", "A=2"]}]}, "spec.nvconfig[0].parameters[1]"),
    ({"nvconfig": [{"parameters": ["--yes=2"]}]}, "spec.nvconfig[0].parameters[0]"),
    ({"nvconfig": [{"parameters": ["PF_TOTAL_SF=lots"]}]}, "spec.nvconfig[0].parameters[0]"),
    ({"nvconfig": [{"parameters": ["NUM_OF_VFS=-1"]}]}, "spec.nvconfig[0].parameters[0]"),
    ({"nvconfig": [{"parameters": ["PF_TOTAL_SF=99999999999"]}]}, "spec.nvconfig[0].parameters[0]"),
    *(({"containerdConfig": {"registryEndpoint": endpoint}}, "spec.containerdConfig.registryEndpoint")
      for endpoint in ("ftp://a", "https://", "a b", 'a"]\n', "https://user:secret@a", "a:99999", "https://[::1")),
    *(({"configFiles": [{"path": path, "raw": "a"}]}, "spec.configFiles[0].path")
      for path in ("", "a", "/", "/a/", "//a", "/a/../b", "/a/./b", "/a\nb", "/proc/sys/a", "/dev/null",
                   "/opt/dpf/join_cluster.sh", "/etc/systemd/system/dpf-join-cluster.service")),
    *(({"configFiles": [{"path": "/a", "raw": "a", "permissions": mode}]}, "spec.configFiles[0].permissions")
      for mode in ("0888", "rw", "64", "0o644", "00644")),
])
def test_the_field_of_a_mistake_is_named(spec: dict[str, Any], field: str) -> None:
    (problem,) = checks.problems(some.a_flavor(**spec))
    assert problem.message.startswith(f"{NAME}{field}: ")
    assert problem.remedy
    assert problem.blocks


@pytest.mark.parametrize("spec", [
    {"bfcfgParameters": ["A='two", "lines'", "# isn't a quotation", "cat <<EOF\nisn't either\nEOF"]},
    {"bfcfgParameters": ["bfb_pre_install()\n{\n\techo hello\n}"]},
    {"sysctl": {"parameters": ["", "# text", "; text", "-net.ipv4.tcp_a=1", "a = b c"]}},
    {"nvconfig": [{"device": "P0", "parameters": ["A[1]=2"]}, {"device": "p1", "parameters": ["A[1]=3"]}]},
    {"containerdConfig": {"registryEndpoint": ""}},
    {"containerdConfig": {"registryEndpoint": "http://[fd00::1]:5000/v2/"}},
    {"configFiles": [{"path": "/opt/dpf/mine", "raw": "a", "permissions": "644"}]},
    {"configFiles": [{"path": "/with space/ä", "raw": "a", "permissions": ""}]},
])
def test_what_is_unusual_but_works_is_accepted(spec: dict[str, Any]) -> None:
    assert told(**spec) == []


def test_values_of_parameters_are_never_repeated() -> None:
    texts = told(bfcfgParameters=["BMC_PASSWORD='hidden", "X=hidden\x01", "ubuntu_PASSWORD=hid=den"])
    assert len(texts) == 3
    assert not [text for text in texts if "hid" in text]


def test_a_function_that_would_never_be_called_is_advice() -> None:
    (problem,) = checks.problems(some.a_flavor(bfcfgParameters=["bfb_modify_os()\n{\n:\n}"]))
    assert not problem.blocks


@pytest.mark.parametrize(("spec", "field"), [
    ({"packages": [{"name": "a"}]}, "spec.packages"),
    ({"systemdServices": [{"name": "a", "operation": "Start"}]}, "spec.systemdServices"),
    ({"configFiles": [{"path": "/a", "type": "agent-applied", "contentFrom": {"configMapKeyRef": {"key": "a"}}}]},
     "spec.configFiles of the type agent-applied"),
    ({"ewNicConfigurations": [{"numVfs": 1, "linkType": "Ethernet"}]}, "spec.ewNicConfigurations"),
    ({"scalableFunctions": [{"count": 1}]}, "spec.scalableFunctions"),
    ({"virtualFunctions": [{"count": 1}]}, "spec.virtualFunctions"),
    ({"dma": {"enabled": True}}, "spec.dma.enabled"),
    ({"dpuMode": "nic"}, "spec.dpuMode: nic"),
])
def test_what_only_an_agent_could_do_is_told_apart_from_mistakes(spec: dict[str, Any], field: str) -> None:
    flavor = some.a_flavor(**spec)
    assert checks.problems(flavor) == ()
    assert [problem.message for problem in checks.unsupported(flavor)] == [
        f"{NAME.removesuffix(': ')}: {field} is not supported yet; remove it from the flavor"
    ]
