"""The Node object: what it says, and that it does not pretend."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.support.pods import NOW

from dpf.api.core import Node
from dpf.api.meta import ObjectMeta
from dpf.emulation.kubelet import node
from dpf.emulation.kubelet.config import JoinParameters, NodeConfig
from dpf.emulation.kubelet.node import Machine, NodeFacts


def _facts(problem: str | None = None, **config: Any) -> NodeFacts:
    join = JoinParameters(server="https://x", tokenFile="/x", caPins=[])
    return NodeFacts(
        config=NodeConfig(name="dpu-1", index=0, join=join, **config), platform="dpf1",
        machine=Machine(architecture="x86_64", kernel="6.1.0", boot_id="boot"), server_version="v1.36.3",
        address="198.18.0.2", port=10250, problem=problem,
    )


def _ready(built: Node) -> Any:
    return next(c for c in built.status.conditions or () if c.type == "Ready")


def test_says_that_it_is_emulated() -> None:
    info = node.build(_facts(), NOW).status.nodeInfo
    assert info is not None
    assert info.containerRuntimeVersion.startswith("dpf-emulated://")
    assert "mulated" in info.osImage
    assert info.kubeletVersion == "v1.36.3+dpf-emulated"
    assert (info.architecture, info.kernelVersion) == ("amd64", "6.1.0")


def test_carries_labels_capacity_address_and_port_of_its_configuration() -> None:
    built = node.build(_facts(labels={"dpu": "dpu"}, capacity={"nvidia.com/bf_sf": "4", "x/y": 1}), NOW)
    assert (built.metadata.labels or {})["dpu"] == "dpu"
    assert (built.metadata.labels or {})["kubernetes.io/hostname"] == "dpu-1"
    capacity = built.status.capacity or {}
    assert (capacity["nvidia.com/bf_sf"], capacity["x/y"], capacity["pods"]) == ("4", 1, "110")
    assert built.status.allocatable == capacity
    assert [(a.type, a.address) for a in built.status.addresses or ()] == [
        ("InternalIP", "198.18.0.2"), ("Hostname", "dpu-1"),
    ]
    assert built.status.daemonEndpoints is not None
    assert built.status.daemonEndpoints.kubeletEndpoint is not None
    assert built.status.daemonEndpoints.kubeletEndpoint.Port == 10250


@pytest.mark.parametrize(("problem", "status", "message"), [
    (None, "True", "kubelet is posting ready status"), ("no network", "False", "no network"),
])
def test_ready_unless_it_cannot_run_pods(problem: str | None, status: str, message: str) -> None:
    ready = _ready(node.build(_facts(problem), NOW))
    assert (ready.status, ready.message) == (status, message)


def test_ids_are_stable_and_differ_between_nodes() -> None:
    first, again = (node.build(_facts(), NOW).status.nodeInfo for _ in range(2))
    renamed = msgspec.structs.replace(_facts().config, name="dpu-2")
    other = node.build(replace(_facts(), config=renamed), NOW).status.nodeInfo
    assert first is not None
    assert other is not None
    assert first == again
    assert first.systemUUID != other.systemUUID


def test_a_heartbeat_moves_no_transition_time() -> None:
    first = node.build_status(_facts(), (), NOW)
    later = node.build_status(_facts(), first.conditions or (), NOW + timedelta(minutes=5))
    ready = next(c for c in later.conditions or () if c.type == "Ready")
    assert ready.lastTransitionTime == "2026-01-01T12:00:00Z"
    assert ready.lastHeartbeatTime == "2026-01-01T12:05:00Z"


def test_labels_of_others_stay() -> None:
    wanted = node.build(_facts(labels={"dpu": "dpu"}), NOW)
    current = msgspec.structs.replace(wanted, metadata=ObjectMeta(name="dpu-1", labels={"zone": "a", "dpu": "no"}))
    labels = node.metadata_changes(current, wanted)["metadata"]["labels"]
    assert labels["dpu"] == "dpu"
    assert "zone" not in labels
    assert node.metadata_changes(wanted, wanted) == {}


def test_the_lease_goes_with_its_node() -> None:
    lease = node.build_lease(Node(metadata=ObjectMeta(name="dpu-1", uid="u")), NOW)
    assert (lease.metadata.ownerReferences or [])[0].uid == "u"
    assert (lease.spec.holderIdentity, lease.spec.leaseDurationSeconds) == ("dpu-1", 40)
    assert lease.spec.renewTime == "2026-01-01T12:00:00.000000Z"
