"""The DPUServiceChain of a DPUDeployment (behaviour-service.md 6.9)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import dpudeployments as some
from tests.support import rollouts
from tests.support.rollouts import World

from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuset import DPUSet
from dpf.services.dpudeployment import chains

NS = some.TENANT
SERVICE = {"service": {"name": "producer", "interface": "eth0"}}
UPLINK = {"serviceInterface": {"matchLabels": {"uplink": "p0"}}}
LIST = [{"ports": [SERVICE, UPLINK]}]


def world(given: Any, **options: Any) -> World:
    found = World(some.a_deployment(serviceChains=given), **options)
    found.converge()
    found.log.clear()
    return found


def rechain(found: World, given: Any) -> None:
    found.edit(DPUDeployment, "dd", lambda tree: {**tree, "spec": {**tree["spec"], "serviceChains": given}})


def reconfigure(found: World, **spec: Any) -> None:
    found.edit(DPUServiceConfiguration, "producer", {"spec": spec})


def switches(chain: DPUServiceChain) -> Any:
    assert chain.spec is not None
    return msgspec.to_builtins(chain.spec.template.spec.template.spec.switches)


@pytest.mark.parametrize("given", [LIST, {"switches": LIST}, {"switches": LIST, "upgradePolicy": {}}])
def test_both_forms(given: Any) -> None:
    """Scenario 37."""
    (chain,) = world(given).list(DPUServiceChain)

    assert chain.metadata.name == "dd"
    assert chain.metadata.labels == {"svc.dpu.nvidia.com/owned-by-dpudeployment": f"{NS}_dd"}
    assert [*chain.metadata.annotations] == ["svc.dpu.nvidia.com/dpuservicechain-version"]
    assert switches(chain) == [{"serviceMTU": 1500, "ports": [
        {"serviceInterface": {"matchLabels": {
            "svc.dpu.nvidia.com/service": "dpudeployment_dd_producer", "svc.dpu.nvidia.com/interface": "eth0",
        }}},
        UPLINK,
    ]}]
    assert msgspec.to_builtins(chain.spec.template.spec.nodeSelector) == {"matchExpressions": [
        {"key": "svc.dpu.nvidia.com/dpuservicechain-version", "operator": "In", "values": ["dd"]},
        {"key": "svc.dpu.nvidia.com/owned-by-dpudeployment", "operator": "In", "values": [f"{NS}_dd"]},
    ]}


def test_everything_else_of_a_port_is_taken_over() -> None:
    ipam = {"matchLabels": {"pool": "p"}, "defaultGateway": True, "requiredIPFamilies": ["IPv4"]}
    given = [{"serviceMTU": 9000, "ports": [
        {"service": {**SERVICE["service"], "ipam": ipam}},
        {"serviceInterface": {"matchLabels": {"a": "b"}, "ipam": ipam}},
    ]}]
    (chain,) = world(given).list(DPUServiceChain)
    (switch,) = switches(chain)

    assert switch["serviceMTU"] == 9000
    assert [port["serviceInterface"]["ipam"] for port in switch["ports"]] == [ipam, ipam]


@pytest.mark.parametrize(("given", "text"), [
    ("a", chains.NEITHER_LIST_NOR_OBJECT), (5, chains.NEITHER_LIST_NOR_OBJECT), (True, chains.NEITHER_LIST_NOR_OBJECT),
    ([{"ports": [{}]}], "either service or serviceInterface must be specified"),
    ([{"ports": [{**SERVICE, **UPLINK}]}], "either service or serviceInterface must be specified"),
    ([{"ports": [{"service": {"name": "x", "interface": "eth0"}}]}],
     "failed to resolve service chain switches: service x not found in patched services"),
])
def test_bad_chains_are_told_and_nothing_is_deleted(given: Any, text: str) -> None:
    found = world(LIST)
    rechain(found, given)
    found.settle()

    assert found.findings() == [text]
    assert found.names(DPUServiceChain) == ["dd"]
    assert found.log == []
    rechain(found, LIST)
    assert found.settle() == 0


def test_removed() -> None:
    """Scenario 38."""
    found = world(LIST)
    rechain(found, None)
    found.settle()

    assert found.names(DPUServiceChain) == []
    assert "svc.dpu.nvidia.com/dpuservicechain-version" not in rollouts.node_labels(found)


def test_edited_in_place() -> None:
    found = world(LIST)
    rechain(found, [{"ports": [UPLINK]}])
    found.settle()

    assert found.log == ["apply DPUServiceChain dd"]
    assert switches(found.get(DPUServiceChain, "dd"))[0]["ports"] == [UPLINK]


def test_a_service_that_is_changed_in_place_leaves_the_chain_alone() -> None:
    """Race 11."""
    found = world({"switches": LIST, "upgradePolicy": {"applyNodeEffect": True}})
    reconfigure(found, serviceConfiguration={"helmChart": {"values": {"a": 1}}})
    found.converge()

    assert not any("DPUServiceChain" in line for line in found.log)


def test_disruptive_by_its_own_policy() -> None:
    found = world({"switches": LIST, "upgradePolicy": {"applyNodeEffect": True}}, finalizers=True)
    rechain(found, {"switches": [{"ports": [UPLINK]}], "upgradePolicy": {"applyNodeEffect": True}})
    found.settle()
    old, new = sorted(found.names(DPUServiceChain), key=len)

    assert old == "dd"
    assert rollouts.node_labels(found)["svc.dpu.nvidia.com/dpuservicechain-version"] == new
    assert rollouts.follows_labels(found) == {True}
    found.report(DPUServiceChain)
    found.settle()
    assert len(found.names(DPUServiceChain)) == 2, "the nodes are not there yet"
    found.report(DPUSet)
    found.settle()
    found.collect()
    assert found.names(DPUServiceChain) == [new]
    assert rollouts.follows_labels(found) == {False}


@pytest.mark.parametrize("limit", [10, 1])
def test_flips_together_with_a_service(limit: int) -> None:
    """Scenario 38: with limit 1 too, where the old service is gone before the chain's turn."""
    found = World(
        some.a_deployment(serviceChains=LIST, revisionHistoryLimit=limit),
        some.a_configuration(interfaces=("eth0",), nodeEffect=True), finalizers=True,
    )
    found.converge()
    reconfigure(found, serviceConfiguration={"helmChart": {"values": {"a": 1}}})
    found.settle()
    (service,) = [found.get(DPUService, name) for name in rollouts.service_names(found, paused=False)][-1:]
    new = next(c for c in found.list(DPUServiceChain) if c.metadata.name != "dd")

    assert switches(new)[0]["ports"][0]["serviceInterface"]["matchLabels"]["svc.dpu.nvidia.com/service"] == (
        service.spec.serviceID
    )
    assert rollouts.node_labels(found)["svc.dpu.nvidia.com/dpuservicechain-version"] == new.metadata.name
    found.converge()
    assert found.names(DPUServiceChain) == [new.metadata.name]


def test_flips_with_a_service_even_if_the_pass_that_removed_the_old_one_was_cut_short() -> None:
    """With limit 1 nothing but the labels of the DPUSets tells then that the service is being replaced."""
    found = World(
        some.a_deployment(serviceChains=LIST, revisionHistoryLimit=1),
        some.a_configuration(interfaces=("eth0",), nodeEffect=True),
    )
    found.converge()
    reconfigure(found, serviceConfiguration={"helmChart": {"values": {"a": 1}}})
    found.step()
    found.step(cut=1)
    assert len(found.names(DPUService)) == 1
    found.settle()

    assert found.names(DPUServiceChain) != ["dd"]
    assert rollouts.follows_labels(found) == {True}


def test_nodes_follow_even_if_the_pass_that_removed_the_old_chain_was_cut_short() -> None:
    policy = {"upgradePolicy": {"applyNodeEffect": True}}
    found = World(some.a_deployment(serviceChains={"switches": LIST, **policy}, revisionHistoryLimit=1))
    found.converge()
    rechain(found, {"switches": [{"ports": [UPLINK]}], **policy})
    found.step(cut=1)
    found.step(cut=1)
    assert len(found.names(DPUServiceChain)) == 1
    found.settle()

    assert rollouts.follows_labels(found) == {True}


def test_a_chain_that_names_no_service_does_not_flip_with_one() -> None:
    found = World(
        some.a_deployment(serviceChains=[{"ports": [UPLINK]}]),
        some.a_configuration(interfaces=("eth0",), nodeEffect=True),
    )
    found.converge()
    reconfigure(found, serviceConfiguration={"helmChart": {"values": {"a": 1}}})
    found.converge()

    assert found.names(DPUServiceChain) == ["dd"]


def test_a_limit_of_one_holds_for_chains() -> None:
    policy = {"upgradePolicy": {"applyNodeEffect": True}}
    found = World(some.a_deployment(serviceChains={"switches": LIST, **policy}, revisionHistoryLimit=1))
    found.converge()
    rechain(found, {"switches": [{"ports": [UPLINK]}], **policy})
    found.settle()

    assert len(found.names(DPUServiceChain)) == 1


def test_what_somebody_added_is_taken_away() -> None:
    found = world(LIST)
    found.edit(DPUServiceChain, "dd", {"spec": {"clusterSelector": {"matchLabels": {"a": "b"}}}})
    found.settle()

    assert found.log == ["replace DPUServiceChain dd"]
    assert found.get(DPUServiceChain, "dd").spec.clusterSelector is None
