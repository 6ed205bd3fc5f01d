"""The DPUServiceChain of a DPUDeployment, in both forms (scenarios 37 and 38)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import deploymentplatform as platforms
from tests.support import dpudeployments as some
from tests.support.deploymentplatform import Platform

from dpf.api.dpudeployment import ConditionType, DPUDeployment
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain, Port, Switch
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuset import DPUSet

KEY = "dpuservicechain-version"
VERSION = f"svc.dpu.nvidia.com/{KEY}"
RECONCILED = ConditionType.DPU_SERVICE_CHAINS_RECONCILED
UPLINK = {"serviceInterface": {"matchLabels": {"uplink": "p0"}}}
PRODUCER = {"service": {"name": "producer", "interface": "eth0"}}
LIST = [{"ports": [UPLINK, PRODUCER]}]
DISRUPTIVE = {"upgradePolicy": {"applyNodeEffect": True}}


def a_platform(chains: Any = LIST, *others: Any, **spec: Any) -> Platform:
    """A deployment with this chain."""
    return platforms.a_deployed("dd", *others, serviceChains=chains, **spec)


def switches(platform: Platform, name: str = "dd") -> list[Switch]:
    spec = platform.one(DPUServiceChain, name).spec
    assert spec is not None
    return spec.template.spec.template.spec.switches


def leads_to(port: Port) -> dict[str, str]:
    return {key.removeprefix("svc.dpu.nvidia.com/"): v for key, v in (port.serviceInterface.matchLabels or {}).items()}


def digest(platform: Platform, name: str = "dd") -> str:
    return (platform.one(DPUServiceChain, name).metadata.annotations or {})[VERSION]


async def set_chain(platform: Platform, chains: Any) -> None:
    await platform.edit(DPUDeployment, "dd", {"serviceChains": chains})


@pytest.mark.parametrize("form", ["list", "object"])
async def test_37_ports_lead_to_services_and_to_what_the_user_names(form: str) -> None:
    ipam = {"matchLabels": {"pool": "a"}, "defaultGateway": True}
    service = {"service": {"name": "producer", "interface": "eth0", "ipam": ipam}}
    given = [{"ports": [UPLINK, service], "serviceMTU": 9000}, {"ports": [PRODUCER]}]
    platform = a_platform(given if form == "list" else {"switches": given})
    async with platform.running():
        first, second = switches(platform)
        uplink, port = first.ports
        assert leads_to(uplink) == {"uplink": "p0"}
        assert leads_to(port) == {"service": "dpudeployment_dd_producer", "interface": "eth0"}
        assert port.serviceInterface.ipam is not None
        assert port.serviceInterface.ipam.matchLabels == {"pool": "a"}
        assert (first.serviceMTU, second.serviceMTU) == (9000, 1500)
        spec = platform.one(DPUServiceChain, "dd").spec
        assert spec is not None
        nodes = spec.template.spec.nodeSelector
        assert nodes is not None
        assert [(e.key, e.operator, e.values) for e in nodes.matchExpressions or ()] == [
            (VERSION, "In", ["dd"]), ("svc.dpu.nvidia.com/owned-by-dpudeployment", "In", ["tenant_dd"]),
        ]
        assert platform.summary(RECONCILED) == ("True", "Success", "")


UNKNOWN = {"service": {"name": "nobody", "interface": "eth0"}}


@pytest.mark.parametrize(("chains", "text"), [
    ([{"ports": [UNKNOWN]}], "failed to resolve service chain switches: service nobody not found in patched services"),
    ([{"ports": [{}]}], "either service or serviceInterface must be specified"),
    ([{"ports": [UPLINK | PRODUCER]}], "either service or serviceInterface must be specified"),
    ("p0", ("spec.serviceChains is neither an object with switches nor a list of switches; write one of them, or leave"
     " it out")),
], ids=["unknown service", "neither", "both", "scalar"])
async def test_37_a_chain_that_cannot_be_made_costs_nothing_and_its_correction_converges(
    chains: Any, text: str,
) -> None:
    platform = a_platform()
    async with platform.running():
        await platform.work()
        expected = platform.end_state(*some.CHILDREN)
        await set_chain(platform, chains)
        assert platform.summary(RECONCILED) == ("False", "Error", f"Error occurred: {text}")
        assert platform.summary(ConditionType.READY)[:2] == ("False", "Pending")
        assert platform.end_state(*some.CHILDREN) == expected
        await platform.wait(3600)
        assert platform.end_state(*some.CHILDREN) == expected
        await set_chain(platform, LIST)
        await platform.work()
        assert platform.condition(ConditionType.READY).status == "True"
        assert platform.end_state(*some.CHILDREN) == expected


async def test_37_with_a_bad_chain_from_the_start_nodes_hear_of_nothing() -> None:
    platform = a_platform([{"ports": [UNKNOWN]}])
    async with platform.running():
        assert platform.names(DPUService) == ["dd-producer"]
        assert platform.names(DPUServiceChain) == platform.names(DPUSet) == []
        await set_chain(platform, LIST)
        await platform.work()
        assert platform.condition(ConditionType.READY).status == "True"


async def test_37_the_two_forms_of_one_chain_are_the_same_revision() -> None:
    platform = a_platform()
    async with platform.running():
        await platform.work()
        before = platform.one(DPUServiceChain, "dd").metadata.resourceVersion
        await set_chain(platform, {"switches": LIST})
        await set_chain(platform, {"switches": LIST, **DISRUPTIVE})
        await set_chain(platform, LIST)
        assert platform.one(DPUServiceChain, "dd").metadata.resourceVersion == before


async def test_38_an_edit_in_place() -> None:
    platform = a_platform()
    async with platform.running():
        await platform.work()
        old = digest(platform)
        await set_chain(platform, [{"ports": [PRODUCER], "serviceMTU": 9000}])
        assert platform.names(DPUServiceChain) == ["dd"]
        assert digest(platform) != old
        assert [len(switch.ports) for switch in switches(platform)] == [1]
        assert platform.node_labels()[KEY] == "dd"
        assert not platform.follows_labels()


async def test_38_a_disruptive_edit_leaves_the_services_alone() -> None:
    platform = a_platform({"switches": LIST, **DISRUPTIVE})
    async with platform.running():
        await platform.work()
        service = platform.one(DPUService, "dd-producer").metadata.resourceVersion
        await set_chain(platform, {"switches": [{"ports": [PRODUCER]}], **DISRUPTIVE})
        (new,) = set(platform.names(DPUServiceChain)) - {"dd"}
        assert platform.node_labels() == {"dpuservice-producer-version": "dd-producer", KEY: new}
        assert platform.follows_labels()
        assert [len(switch.ports) for switch in switches(platform)] == [2], "nodes have it until their turn comes"
        await platform.work()
        assert platform.names(DPUServiceChain) == [new]
        assert not platform.follows_labels()
        assert platform.one(DPUService, "dd-producer").metadata.resourceVersion == service
        assert await platform.look_again() == []


async def test_38_a_service_that_is_disrupted_takes_the_chain_along() -> None:
    configurations = [
        some.a_configuration("producer", interfaces=("eth0",), nodeEffect=True),
        some.a_configuration("consumer", interfaces=("eth0",)),
    ]
    platform = a_platform(LIST, *configurations, services=("producer", "consumer"))
    async with platform.running():
        await platform.work()
        await platform.configure("consumer", replicas=2)
        assert platform.names(DPUServiceChain) == ["dd"]
        await platform.configure("producer", replicas=2)
        (new,) = set(platform.names(DPUServiceChain)) - {"dd"}
        service = platform.services("producer")[-1]
        assert service.spec is not None
        (_, port) = switches(platform, new)[0].ports
        assert leads_to(port) == {"service": service.spec.serviceID, "interface": "eth0"}
        (_, port) = switches(platform)[0].ports
        assert leads_to(port) == {"service": "dpudeployment_dd_producer", "interface": "eth0"}
        await platform.work()
        assert platform.names(DPUServiceChain) == [new]


async def test_38_a_service_that_is_not_in_the_chain_leaves_it_alone() -> None:
    configurations = [some.a_configuration("other", interfaces=("eth0",), nodeEffect=True)]
    platform = a_platform(LIST, *configurations, services=("producer", "other"))
    async with platform.running():
        await platform.work()
        before = platform.one(DPUServiceChain, "dd").metadata.resourceVersion
        await platform.configure("other", replicas=2)
        await platform.work()
        assert platform.one(DPUServiceChain, "dd").metadata.resourceVersion == before


@pytest.mark.parametrize("chains", [LIST, {"switches": LIST}, {"switches": LIST, **DISRUPTIVE}],
                         ids=["list", "object", "disruptive object"])
async def test_race_11_a_service_that_is_edited_in_place_does_not_disrupt_the_chain(chains: Any) -> None:
    """Race 11 of section 11: the service keeps its id, so the chain stays as it is, whatever its policy."""
    platform = a_platform(chains)
    async with platform.running():
        await platform.work()
        before = platform.one(DPUServiceChain, "dd").metadata.resourceVersion
        await platform.configure("producer", replicas=2)
        await platform.configure("producer", interfaces=("eth0", "eth1"))
        await platform.work()
        assert platform.one(DPUServiceChain, "dd").metadata.resourceVersion == before
        assert platform.names(DPUServiceChain) == ["dd"]
        assert not platform.follows_labels()


@pytest.mark.parametrize("forever", [True, False], ids=["for good", "and put back"])
async def test_38_without_serviceChains_there_is_no_chain(forever: bool) -> None:
    platform = a_platform()
    async with platform.running():
        await platform.work()
        expected = platform.end_state(*some.CHILDREN)
        await set_chain(platform, None)
        assert platform.names(DPUServiceChain) == []
        assert KEY not in platform.node_labels()
        assert platform.summary(RECONCILED) == ("True", "Success", "")
        assert platform.summary(ConditionType.DPU_SERVICE_CHAINS_READY) == ("True", "Success", "")
        if not forever:
            await set_chain(platform, LIST)
            await platform.work()
            assert platform.end_state(*some.CHILDREN) == expected


async def test_38_removed_in_the_middle_of_its_upgrade_both_revisions_go() -> None:
    platform = a_platform({"switches": LIST, **DISRUPTIVE})
    async with platform.running():
        await platform.work()
        await set_chain(platform, {"switches": [{"ports": [PRODUCER]}], **DISRUPTIVE})
        assert len(platform.names(DPUServiceChain)) == 2
        await set_chain(platform, None)
        await platform.work()
        assert platform.names(DPUServiceChain) == []
        assert not platform.follows_labels()


async def test_38_a_service_in_the_chain_is_dropped_and_the_chain_with_it() -> None:
    platform = a_platform([{"ports": [PRODUCER, {"service": {"name": "consumer", "interface": "eth0"}}]}],
                          services=("producer", "consumer"))
    async with platform.running():
        await platform.work()
        await platform.edit(DPUDeployment, "dd", {"services": {"consumer": None}})
        assert platform.summary(RECONCILED) == (
            "False", "Error", ("Error occurred: failed to resolve service chain switches: service consumer not found in"
                               " patched services"),
        )
        assert platform.names(DPUServiceChain) == ["dd"], "the old chain stays until there is a new one"
        await set_chain(platform, LIST)
        await platform.work()
        assert platform.condition(ConditionType.READY).status == "True"
        assert await platform.look_again() == []


async def test_the_requestor_of_the_chain_can_be_left_out() -> None:
    platform = a_platform()
    annotation = {"svc.dpu.nvidia.com/dpudeployment-skip-chain-requestor": ""}
    async with platform.running():
        await platform.host.patch(DPUDeployment, "dd", some.TENANT, patch={"metadata": {"annotations": annotation}})
        await platform.settle()
        spec = platform.one(DPUSet, "dd-workers").spec
        assert spec is not None
        assert spec.dpuTemplate.spec.nodeEffect is not None
        assert spec.dpuTemplate.spec.nodeEffect.nodeMaintenanceAdditionalRequestors == ["tenant_dd_dd-producer"]
        assert platform.node_labels()[KEY] == "dd"


async def test_a_chain_and_a_service_that_are_edited_together_flip_together() -> None:
    configuration = some.a_configuration(interfaces=("eth0",), nodeEffect=True)
    platform = a_platform({"switches": LIST, **DISRUPTIVE}, configuration)
    async with platform.running():
        await platform.work()
        await platform.host.patch(DPUDeployment, "dd", some.TENANT, patch={
            "spec": {"serviceChains": {"switches": [{"ports": [PRODUCER]}]}},
        })
        await platform.host.patch(DPUServiceConfiguration, "producer", some.TENANT, patch={
            "spec": {"serviceConfiguration": {"helmChart": {"values": {"replicas": 2}}}},
        })
        await platform.settle()
        assert len(platform.names(DPUServiceChain)) == len(platform.names(DPUService)) == 2
        await platform.work()
        assert len(platform.names(DPUServiceChain)) == len(platform.names(DPUService)) == 1
        assert await platform.look_again() == []
