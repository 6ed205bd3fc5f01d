"""Hosts, DPUs and pods on hosts, as the tests of `provisioning/hostpods` need them."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.support.world import NAMESPACE

from dpf.api import core
from dpf.api.dpu import DPU, DPUSpec
from dpf.api.dpunode import DPUNode, DPUNodeSpec, NodeDMSAddress
from dpf.api.meta import ObjectMeta
from dpf.provisioning.hostpods import settings

NODE = "worker-1"
SETTINGS = settings.of_version("1.2.3")


def a_dpunode(*, address: NodeDMSAddress | None = None) -> DPUNode:
    """The host."""
    return DPUNode(
        metadata=ObjectMeta(name=NODE, namespace=NAMESPACE, uid="uid-of-dpunode"),
        spec=DPUNodeSpec(nodeDMSAddress=address),
    )


def a_node(*addresses: tuple[str, str]) -> core.Node:
    """Its Node."""
    return core.Node(
        metadata=ObjectMeta(name=NODE),
        status=core.NodeStatus(addresses=[core.NodeAddress(type=type_, address=a) for type_, a in addresses]),
    )


def a_dpu(*, pci: str | None = "0000-0e-00", labels: dict[str, str] | None = None) -> DPU:
    """A DPU of the host."""
    return DPU(
        metadata=ObjectMeta(name="worker-1-mt1", namespace=NAMESPACE, uid="uid-of-dpu", labels=labels),
        spec=DPUSpec(dpuNodeName=NODE, dpuDeviceName="mt1", serialNumber="MT1", bfb="b", dpuFlavor="f", pciAddress=pci),
    )


def with_status(pod: core.Pod, phase: str, **status: Any) -> core.Pod:
    """The pod as its node reports it."""
    return msgspec.structs.replace(pod, status=msgspec.convert({"phase": phase, **status}, core.PodStatus))


def a_container_status(name: str, *, restarts: int = 0, ready: bool = False, **state: Any) -> dict[str, Any]:
    """One container's status; `state` is its state and `last` the one before."""
    last = state.pop("last", {})
    return {
        "name": name, "image": "i", "imageID": "i", "ready": ready, "restartCount": restarts, "state": state,
        "lastState": last,
    }
