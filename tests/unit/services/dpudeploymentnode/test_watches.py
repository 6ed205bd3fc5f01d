"""Which changes concern which host Node (behaviour-service.md 6.11)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from tests.support import dpudeploymentnodes as nodes
from tests.support import dpudeployments as some

from dpf.api import core
from dpf.api.dpunode import DPUNode, DPUNodeStatus
from dpf.api.dpuservice import DPUService
from dpf.api.meta import Condition, Key, Object, object_key
from dpf.services.dpudeploymentnode import watches

DPUNODES = (
    nodes.a_dpunode(), nodes.a_dpunode("worker-2", node="host-2"), nodes.a_dpunode("worker-3", node=None),
    nodes.a_dpunode("worker-4", namespace="elsewhere", node="host-4"),
)
LABELLED = nodes.a_node("host-9", labels={nodes.key("dd", "agent"): "dd-agent"})
OBJECTS: tuple[Object, ...] = (nodes.an_agent("dd-agent"), LABELLED)


def keys(kind: type[Object], index: str, value: str) -> Iterable[Key]:
    """What the cache of a host with these objects would answer."""
    (declared,) = (watch for watch in WATCHES if watch.kind is kind)
    return [object_key(o) for o in OBJECTS if isinstance(o, kind) and value in declared.indexes[index](o)]


WATCHES = watches.build(watches.Lookups(
    keys=keys, dpunode=lambda key: next((d for d in DPUNODES if object_key(d) == key), None),
    dpunodes=lambda namespace: [d for d in DPUNODES if d.metadata.namespace == namespace],
))


def told(old: Any, new: Any) -> list[str]:
    kind = type(new if new is not None else old)
    return sorted({key.name for watch in WATCHES if watch.kind is kind for key in watch.maps(old, new)})


def changed(obj: Any, **metadata: Any) -> Any:
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, resourceVersion="9", **metadata))


def test_a_dpunode_concerns_the_node_that_it_stands_for() -> None:
    node = nodes.a_dpunode()
    assert told(None, node) == told(node, None) == ["host-1"]
    assert told(node, nodes.a_dpunode(rack="b")) == ["host-1"]
    assert told(nodes.a_dpunode(node=None), node) == ["host-1"]
    assert told(None, nodes.a_dpunode(node=None)) == []
    condition = Condition(type="Ready", status="True", reason="x")
    busy: DPUNode = changed(node, annotations={"a": "b"})
    status = DPUNodeStatus(kubeNodeRef="host-1", conditions=[condition], rebootInProgress=True)
    assert told(node, msgspec.structs.replace(busy, status=status)) == []


def test_a_maintenance_concerns_the_node_of_its_dpunode() -> None:
    maintenance = nodes.a_maintenance("dpu-1", applied=False)
    assert told(maintenance, nodes.a_maintenance("dpu-1")) == ["host-1"]
    assert told(maintenance, nodes.a_maintenance("dpu-1", "dpu-2", applied=False)) == ["host-1"]
    assert told(maintenance, changed(maintenance, finalizers=["x"])) == []
    assert told(None, nodes.a_maintenance(dpunode="unknown")) == []


def test_a_deployment_concerns_the_nodes_of_its_namespace_if_it_has_in_cluster_services() -> None:
    deployment = nodes.a_deployment()
    for other in (nodes.a_deployment(reconciled=False), nodes.a_deployment(deleting=True),
                  nodes.a_deployment(selector={"rack": "b"})):
        assert told(deployment, other) == ["host-1", "host-2"]
    assert told(None, deployment) == ["host-1", "host-2"]
    assert told(None, nodes.a_deployment("other")) == []
    assert told(deployment, changed(deployment, annotations={"a": "b"})) == []


def test_a_service_concerns_the_nodes_of_its_namespace_and_those_that_carry_its_label() -> None:
    agent: DPUService = nodes.an_agent("dd-agent")
    assert told(None, agent) == ["host-1", "host-2"]
    assert told(agent, None) == ["host-1", "host-2", "host-9"]
    assert told(agent, nodes.an_agent("dd-agent", paused=True)) == ["host-1", "host-2"]
    assert told(agent, nodes.an_agent("dd-agent", in_cluster=False)) == ["host-1", "host-2", "host-9"]
    assert told(agent, changed(agent, annotations={"a": "b"})) == []
    assert told(None, nodes.an_agent("dd-agent", in_cluster=False)) == []


@pytest.mark.parametrize(("before", "after", "names"), [
    (nodes.a_dpuset("a"), nodes.a_dpuset("b"), ["host-1", "host-2"]),
    (nodes.a_dpuset("a"), nodes.a_dpuset("a", on_label_change=True), ["host-1", "host-2"]),
    (nodes.a_dpuset("a"), changed(nodes.a_dpuset("a"), annotations={"a": "b"}), []),
    (nodes.a_dpuset("a", owner="other"), nodes.a_dpuset("b", owner="other"), []),
])
def test_a_dpuset_concerns_nodes_by_what_it_asks_of_maintenances(before: Any, after: Any, names: list[str]) -> None:
    assert told(before, after) == names


def test_nodes_are_followed_by_the_runtime_itself() -> None:
    assert told(None, core.Node(metadata=some.metadata("host-1"))) == []
