"""What users and hosts write: cards, hosts, a BFB, a DPUFlavor and one DPUSet; and which writes a DPU needs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from dpf.api import names

GROUP: Final = "provisioning.dpu.nvidia.com/v1alpha1"
NAMESPACE: Final = names.DPF_NAMESPACE
DPUSET: Final = "fleet"
BFB: Final = "bf-bundle"
FLAVOR: Final = "flavor"
PASSWORD: Final = "bench-Password-1"
BFB_SITE: Final = "http://bfb.example.com"
CLUSTER: Final = "dpu-0"
NODE_LABEL: Final = "rack"
_LABEL: Final = "bench"
Tree = dict[str, Any]

NEEDED: Final[Mapping[str, int]] = {
    "create dpus": 1,
    "patch dpus": 2,
    "patch dpus/status": 13,
    "create secrets": 2,
    "apply new secrets": 1,
    "apply new roles": 1,
    "apply new rolebindings": 1,
    "delete secrets": 3,
    "patch nodes": 1,
}
"""What we have to write for one DPU that is installed by its BMC and asks for no node effect; Events aside.

The DPU itself, its finalizer and its DPUCluster. Of its status: the install interface, which stays whatever the
platform does later; each of the 11 moves of the table of phases (`provisioning/dpu/phases/table.py`) from Initializing
to Ready, because what a phase does must not happen before it is known that the phase has begun; and the id of the
BMC's task, without which a restart could install twice. Two tokens, which are taken back (a Secret each, in two
clusters), the join Secret, which is too, and a Role and a RoleBinding for the agent. The labels of the Node.
"""
SYSTEM: Final[Mapping[str, int]] = {"create nodes": 1, "patch dpus/status": 1}
"""What the system on the card writes at least: its Node, and the report of its agent."""


def node_name(number: int) -> str:
    """A host."""
    return f"host-{number:04}"


def device_name(number: int) -> str:
    """Its card, which has this name for the emulator as well."""
    return f"card-{number:04}"


def serial(number: int) -> str:
    """The serial number of a card."""
    return f"MT2440X{number:05}"


def site() -> Iterator[Tree]:
    """What all cards share."""
    yield {**_object("v1", "Secret", "bmc-shared-password"), "stringData": {"password": PASSWORD}}
    yield _object(GROUP, "BFB", BFB, {"url": f"{BFB_SITE}/bf-bundle-2.9.1.bfb"})
    yield _object(GROUP, "DPUFlavor", FLAVOR, {
        "bfcfgParameters": ["UPDATE_ATF_UEFI=yes", "WITH_NIC_FW_UPDATE=yes"],
        "grub": {"kernelParameters": ["console=hvc0", "hugepagesz=2048kB", "hugepages=3072"]},
        "nvconfig": [{"device": "*", "parameters": ["PF_TOTAL_SF=20", "NUM_OF_VFS=16"]}],
    })


def card(number: int, port: int) -> Iterator[Tree]:
    """A DPUDevice, and the DPUNode that lists it."""
    name = device_name(number)
    yield _object(GROUP, "DPUDevice", name, {"serialNumber": serial(number), "bmcIp": "127.0.0.1", "bmcPort": port})
    spec = {"nodeRebootMethod": {"external": {}}, "dpus": [{"name": name}]}
    node = _object(GROUP, "DPUNode", node_name(number), spec)
    yield {**node, "metadata": {**node["metadata"], "labels": {_LABEL: "true"}}}


def dpuset(rack: str = "a") -> Tree:
    """All cards; `rack` is a label of their Nodes."""
    return _object(GROUP, "DPUSet", DPUSET, {
        "dpuNodeSelector": {"matchLabels": {_LABEL: "true"}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
        "dpuTemplate": {"spec": {
            "bfb": {"name": BFB}, "dpuFlavor": FLAVOR, "nodeEffect": {"noEffect": True},
            "cluster": {"nodeLabels": {NODE_LABEL: rack}},
        }},
    })


def node(name: str, now: str) -> Tree:
    """The Node as the kubelet of a card registers it."""
    ready = {
        "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status",
        "lastHeartbeatTime": now, "lastTransitionTime": now,
    }
    resources = {"cpu": "16", "memory": "32Gi", "pods": "110", "nvidia.com/bf_sf": "20"}
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {
            "conditions": [ready], "capacity": resources, "allocatable": resources,
            "addresses": [{"type": "Hostname", "address": name}],
        },
    }


def agent_report(now: str) -> Tree:
    """What the agent patches into the status of its DPU when nothing has to restart."""
    return {"status": {"agentStatus": {
        "lastStartupTime": now, "initialBootID": "00000000-0000-0000-0000-000000000001", "rebootMethod": "NoAction",
        "rebootSequenceCount": 0, "kubeletVersion": "v1.31.0",
    }}}


def _object(version: str, kind: str, name: str, spec: Tree | None = None) -> Tree:
    metadata = {"name": name, "namespace": NAMESPACE}
    found: Tree = {"apiVersion": version, "kind": kind, "metadata": metadata}
    return found if spec is None else {**found, "spec": spec}
