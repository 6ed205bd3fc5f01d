"""DPUFlavors and DPUs to render: an empty flavor, one with every setting, and the facts of a DPU of worker1."""

from __future__ import annotations

from typing import Any

import msgspec

from dpf.api.bfb import BFB
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.provisioning import InstallInterface
from dpf.kube.memory.authority import CA_PEM
from dpf.provisioning.flavor.facts import AgentAccess, DPUFacts, Join

NAMESPACE = "dpf-operator-system"
TOKEN = "abcdef.0123456789abcdef"
PIN = "sha256:" + "0123456789abcdef" * 4
JOIN = Join(server="10.0.110.10:30443", token=TOKEN, pins=(PIN,))
AGENT_TOKEN = "fedcba.fedcba9876543210"
AGENT = AgentAccess(
    server="https://10.0.110.1:6443", ca_pem=CA_PEM.decode(), token=AGENT_TOKEN, user="da-worker1-0000-2b-00",
    groups=("dpf:dpu-agents", "dpf:dpu-agent:8f3c6a0e-6c0f-4d7a-9a5e-2b7c1d0e9f11"),
)
PASSWORD_HASH = "$6$salt$Fnu8HRoGDzPbCMQtZ4qhXuo3ri"

OVS_SCRIPT = """\
_ovs() {
  ovs-vsctl --no-wait --timeout 15 "$@"
}

_ovs set Open_vSwitch . other_config:doca-init=true
_ovs --may-exist add-br br-sfc
"""

FULL_SPEC: dict[str, Any] = {
    "grub": {"kernelParameters": ["console=hvc0", "hugepagesz=2048kB", "hugepages=3072", 'dyndbg="file $a.c +p"']},
    "sysctl": {"parameters": ["vm.nr_overcommit_hugepages=16", "# a comment", "vm.swappiness = 10"]},
    "nvconfig": [
        {"device": "p0", "parameters": ["PF_TOTAL_SF=20", "NUM_OF_VFS=46"], "force": True},
        {"device": "P1", "parameters": ["PF_TOTAL_SF=4", "ODD=$(reboot)"]},
    ],
    "ovs": {"rawConfigScript": OVS_SCRIPT},
    "bfcfgParameters": ["UPDATE_ATF_UEFI=yes", "WITH_NIC_FW_UPDATE=yes"],
    "configFiles": [
        {"path": "/etc/mellanox/mlnx-bf.conf", "permissions": "0600", "operation": "override",
         "raw": 'ALLOW_SHARED_RQ="no"\n\n\nHOME_OF=$HOME `id` \\ \'EOF\'\n'},
        {"path": "/etc/mellanox/mlnx-bf.conf", "operation": "append", "raw": "DPF_USER_DATA\n  indented\n"},
        {"path": "/etc/mellanox/mlnx-sf.conf", "raw": ""},
        {"path": "/etc/tabs", "raw": "\ttab\r\nwithout an end"},
    ],
    "containerdConfig": {"registryEndpoint": "https://registry.example.com:5000/"},
    "dpuResources": {"cpu": 16, "memory": "16Gi", "nvidia.com/sf": 20},
    "systemReservedResources": {"cpu": 4, "memory": "4Gi", "nvidia.com/sf": 4},
}


def a_flavor(name: str = "flavor", **spec: Any) -> DPUFlavor:
    """A flavor with these fields, as the API server would deliver it."""
    return msgspec.convert(
        {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}, DPUFlavor
    )


def a_full_flavor(**spec: Any) -> DPUFlavor:
    """A flavor that uses everything that is rendered."""
    return a_flavor("full", **{**FULL_SPEC, **spec})


def a_dpu(**facts: Any) -> DPUFacts:
    """A DPU of worker1, installed through DMS."""
    known: dict[str, Any] = {
        "namespace": NAMESPACE, "name": "worker1-0000-2b-00", "uid": "8f3c6a0e-6c0f-4d7a-9a5e-2b7c1d0e9f11",
        "install_interface": InstallInterface.GNOI, "host_name": "worker1", "join": JOIN,
    }
    return DPUFacts(**{**known, **facts})


def a_bfb(doca: str | None = "2.9.1", name: str = "bfb") -> BFB:
    """A BFB with this DOCA, None for one whose versions are not known."""
    versions = {"versions": {"doca": doca}} if doca else {}
    return msgspec.convert({
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"url": "https://example.com/a.bfb"},
        "status": versions,
    }, BFB)
