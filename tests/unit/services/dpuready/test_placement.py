"""Which services, interfaces and chains are meant for a Node."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import dpureadys as some
from tests.support import dpuservices

from dpf.api.dpuservicechain import DPUServiceChain, DPUServiceChainSpec
from dpf.api.meta import ObjectMeta
from dpf.services.dpuready import placement

NODE = some.a_node("dpu-1", {"rack": "a"})
CLUSTER = some.a_cluster(labels={"site": "x"})
RACK_A, RACK_B, SITE_X, SITE_Y = (
    {"matchLabels": {key: value}} for key, value in (("rack", "a"), ("rack", "b"), ("site", "x"), ("site", "y"))
)
ILLEGAL = {"matchExpressions": [{"key": "rack", "operator": "Like", "values": ["a"]}]}


def nodes(*expressions: dict[str, Any]) -> dict[str, Any]:
    return {"serviceDaemonSet": {"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}}}


@pytest.mark.parametrize(("spec", "goes"), [
    ({}, True),
    ({"dpuClusterSelector": SITE_X}, True),
    ({"dpuClusterSelector": SITE_Y}, False),
    ({"dpuClusterSelector": ILLEGAL}, False),
    ({"deployInCluster": True}, False),
    ({"paused": True}, False),
    (nodes({"key": "rack", "operator": "Exists"}), True),
    (nodes({"key": "rack", "operator": "DoesNotExist"}), False),
    (nodes({"key": "rack", "operator": "Like"}), False),
])
def test_service_goes_to_the_node(spec: dict[str, Any], goes: bool) -> None:
    assert placement.goes_to(dpuservices.a_service(**spec), CLUSTER, NODE) is goes


def test_a_service_that_goes_promises_nothing() -> None:
    assert not placement.goes_to(dpuservices.a_service(deleting=True), CLUSTER, NODE)


@pytest.mark.parametrize(("clusters", "selector", "wired"), [
    ({}, None, True),
    ({"dpuClusterSelector": SITE_X}, RACK_A, True),
    ({"dpuClusterSelector": SITE_Y}, RACK_A, False),
    ({"clusterSelector": SITE_Y}, RACK_A, False),
    ({"dpuClusterSelector": SITE_X, "clusterSelector": SITE_Y}, RACK_A, True),
    ({}, RACK_B, False),
    ({}, ILLEGAL, False),
])
def test_chain_is_wired_on_the_node(clusters: dict[str, Any], selector: dict[str, Any] | None, wired: bool) -> None:
    switches = [{"ports": [{"serviceInterface": {"matchLabels": {"a": "b"}}}]}]
    spec = {"template": {"spec": {"nodeSelector": selector, "template": {"spec": {"switches": switches}}}}, **clusters}
    chain = DPUServiceChain(metadata=ObjectMeta(name="c"), spec=msgspec.convert(spec, DPUServiceChainSpec))
    assert placement.wires(chain, CLUSTER, NODE) is wired
