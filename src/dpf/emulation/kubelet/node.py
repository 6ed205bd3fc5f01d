"""The Node object of an emulated node: what it says about itself.

Pure. Called by `agent`. It never pretends: the container runtime, the OS image and the kubelet version say that the
node is emulated; kernel and architecture are those of the machine that it runs on.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import dpf
from dpf.api import core
from dpf.api.core import IntOrString
from dpf.api.meta import ObjectMeta, OwnerReference
from dpf.emulation.kubelet.config import NodeConfig
from dpf.runtime.clock import rfc3339, rfc3339_micro

LEASE_NAMESPACE: Final = "kube-node-lease"
LEASE_DURATION_S: Final = 40
RENEW_EVERY_S: Final = 10.0
HEARTBEAT_S: Final = 300.0
DEFAULT_CAPACITY: Final[Mapping[str, IntOrString]] = {
    "cpu": "8", "memory": "16Gi", "pods": "110", "ephemeral-storage": "64Gi", "nvidia.com/bf_sf": "20",
}
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_PRESSURES: Final = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)
_NAMESPACE_UUID: Final = uuid.UUID("6e0c4b1e-7f0b-5d5c-9d51-0d6c2f1b6a11")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is true of the real machine: `platform.machine()`, kernel release, boot id."""

    architecture: str
    kernel: str
    boot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """Everything that the Node's status is made of. `problem` says why the node cannot run pods, None when it can."""

    config: NodeConfig
    platform: str
    machine: Machine
    server_version: str
    address: str
    port: int | None
    problem: str | None = None


def build(facts: NodeFacts, now: datetime) -> core.Node:
    """The complete Node, as a kubelet registers it."""
    config = facts.config
    architecture = _ARCHITECTURES.get(facts.machine.architecture, facts.machine.architecture)
    labels = {
        "kubernetes.io/hostname": config.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": architecture,
    } | config.labels
    return core.Node(
        metadata=ObjectMeta(name=config.name, labels=labels, annotations=config.annotations or None),
        spec=core.NodeSpec(taints=config.taints or None), status=build_status(facts, (), now),
    )


def build_status(facts: NodeFacts, old: Sequence[core.NodeCondition], now: datetime) -> core.NodeStatus:
    """The complete status. `old` are the conditions that the Node has, for the time of their last change."""
    capacity = {**DEFAULT_CAPACITY, **facts.config.capacity}
    daemon = core.NodeDaemonEndpoints(kubeletEndpoint=core.DaemonEndpoint(Port=facts.port)) if facts.port else None
    return core.NodeStatus(
        capacity=capacity, allocatable=capacity, conditions=_conditions(facts.problem, old, now),
        addresses=[
            core.NodeAddress(type="InternalIP", address=facts.address),
            core.NodeAddress(type="Hostname", address=facts.config.name),
        ],
        nodeInfo=_system_info(facts), daemonEndpoints=daemon,
    )


def metadata_changes(current: core.Node, wanted: core.Node) -> dict[str, Any]:
    """Labels and annotations of `wanted` that `current` has not, as a merge patch; empty when it has them all.

    Labels that others put on the node stay; one that left our configuration stays too, as a kubelet leaves it.
    """
    patch: dict[str, Any] = {}
    for field in ("labels", "annotations"):
        have, want = getattr(current.metadata, field) or {}, getattr(wanted.metadata, field) or {}
        missing = {key: value for key, value in want.items() if have.get(key) != value}
        if missing:
            patch[field] = missing
    return {"metadata": patch} if patch else {}


def build_lease(node: core.Node, now: datetime) -> core.Lease:
    """The node's Lease; it goes with its Node."""
    name = node.metadata.name
    owner = OwnerReference(apiVersion="v1", kind="Node", name=name, uid=node.metadata.uid or "")
    return core.Lease(
        metadata=ObjectMeta(name=name, namespace=LEASE_NAMESPACE, ownerReferences=[owner]),
        spec=core.LeaseSpec(
            holderIdentity=name, leaseDurationSeconds=LEASE_DURATION_S, renewTime=rfc3339_micro(now)
        ),
    )


def _conditions(
    problem: str | None, old: Sequence[core.NodeCondition], now: datetime
) -> list[core.NodeCondition]:
    before = {condition.type: condition for condition in old}
    wanted = [(type_, "False", reason, message) for type_, reason, message in _PRESSURES]
    ready = ("Ready", "True", "KubeletReady", "kubelet is posting ready status")
    wanted.append(ready if problem is None else ("Ready", "False", "KubeletNotReady", problem))
    return [_condition(*condition, before.get(condition[0]), now) for condition in wanted]


def _condition(
    type_: str, status: str, reason: str, message: str, old: core.NodeCondition | None, now: datetime
) -> core.NodeCondition:
    since = old.lastTransitionTime if old is not None and old.status == status else None
    return core.NodeCondition(
        type=type_, status=status, reason=reason, message=message, lastHeartbeatTime=rfc3339(now),
        lastTransitionTime=since or rfc3339(now),
    )


def _system_info(facts: NodeFacts) -> core.NodeSystemInfo:
    """Ids are made from the node's name: the same after every restart, and different for every node."""
    identity = uuid.uuid5(_NAMESPACE_UUID, f"{facts.platform}/{facts.config.name}")
    boot = str(uuid.uuid5(identity, facts.config.boot)) if facts.config.boot else facts.machine.boot_id
    return core.NodeSystemInfo(
        architecture=_ARCHITECTURES.get(facts.machine.architecture, facts.machine.architecture),
        bootID=boot, containerRuntimeVersion=f"dpf-emulated://{dpf.__version__}",
        kernelVersion=facts.machine.kernel, kubeletVersion=f"{facts.server_version}+dpf-emulated",
        machineID=identity.hex, systemUUID=str(identity), operatingSystem="linux",
        osImage=f"Emulated {facts.config.system} (pydpf {dpf.__version__})",
    )
