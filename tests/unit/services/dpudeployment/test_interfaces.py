"""DPUServiceInterfaces of a DPUDeployment (behaviour-service.md 6.8)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import dpudeployments as some
from tests.support import rollouts
from tests.support.rollouts import World

from dpf.api.dpuservice import DPUService
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.meta import Key

NS = some.TENANT


def world(*interfaces: str, disruptive: bool = False, **spec: Any) -> World:
    found = World(
        some.a_deployment(**spec), some.a_configuration(interfaces=interfaces or ("eth0",), nodeEffect=disruptive),
        finalizers=True,
    )
    found.converge()
    found.log.clear()
    return found


def rename(found: World, *interfaces: dict[str, Any]) -> None:
    found.edit(DPUServiceConfiguration, "producer", {"spec": {"interfaces": list(interfaces)}})


def eth(name: str = "eth0", network: str = "mynad", **more: Any) -> dict[str, Any]:
    return {"name": name, "network": network, **more}


def test_interface_of_a_service() -> None:
    found = world("p0_if", dpus={"dpuSets": [{"nameSuffix": "a", "dpuClusterSelector": {"r": "a"}}]})
    (interface,) = found.list(DPUServiceInterface)
    service = found.get(DPUService, "dd-producer")
    metadata = interface.metadata

    assert metadata.name == "dd-producer-p0-if"
    assert metadata.labels == {
        "svc.dpu.nvidia.com/owned-by-dpudeployment": f"{NS}_dd",
        "svc.dpu.nvidia.com/dpudeployment-service": "producer",
    }
    assert metadata.annotations == service.metadata.annotations
    owners = sorted(metadata.ownerReferences, key=lambda owner: owner.kind)
    assert [(o.kind, o.name, o.uid, o.controller, o.blockOwnerDeletion) for o in owners] == [
        ("DPUDeployment", "dd", f"uid-{NS}-dd", True, True),
        ("DPUService", "dd-producer", service.metadata.uid, False, False),
    ]
    assert msgspec.to_builtins(interface.spec) == {
        "dpuClusterSelector": {"matchExpressions": [{"key": "r", "operator": "In", "values": ["a"]}]},
        "template": {"spec": {
            "nodeSelector": {"matchExpressions": [
                {"key": "svc.dpu.nvidia.com/dpuservice-producer-version", "operator": "In", "values": ["dd-producer"]},
                {"key": "svc.dpu.nvidia.com/owned-by-dpudeployment", "operator": "In", "values": [f"{NS}_dd"]},
            ]},
            "template": {
                "metadata": {"labels": {
                    "svc.dpu.nvidia.com/service": "dpudeployment_dd_producer", "svc.dpu.nvidia.com/interface": "p0_if",
                }},
                "spec": {"interfaceType": "service", "service": {
                    "serviceID": "dpudeployment_dd_producer", "network": "mynad", "interfaceName": "p0_if",
                }},
            },
        }},
    }


def test_they_are_made_when_their_service_is_there() -> None:
    found = World(some.a_deployment())
    found.step()

    assert found.log == ["create DPUService dd-producer"]
    assert [step.name for step in found.plan.steps][-1] == "services"
    found.step()
    assert found.log[1] == "create DPUServiceInterface dd-producer-eth0"


def test_changed_in_place() -> None:
    """Scenario 30."""
    found = world()
    rename(found, eth(network="other"))
    found.settle()

    assert found.log == ["apply DPUService dd-producer", "apply DPUServiceInterface dd-producer-eth0"]
    (interface,) = found.list(DPUServiceInterface)
    assert interface.spec.template.spec.template.spec.service.network == "other"
    assert interface.metadata.annotations == found.get(DPUService, "dd-producer").metadata.annotations


def test_renamed_without_disruption() -> None:
    """Seed 003: the same DPUService lists the new interface, and the old one goes."""
    found = world()
    rename(found, eth("eth1"))
    found.converge()

    assert found.get(DPUService, "dd-producer").spec.interfaces == ["dd-producer-eth1"]
    assert found.names(DPUServiceInterface) == ["dd-producer-eth1"]


def test_renamed_with_disruption_the_old_one_stays_with_its_service() -> None:
    """Scenario 35."""
    found = world(disruptive=True)
    rename(found, eth("eth1"))
    found.settle()
    old, new = rollouts.service_names(found, paused=True), rollouts.service_names(found, paused=False)

    assert old == ["dd-producer"]
    assert found.names(DPUServiceInterface) == ["dd-producer-eth0", "dd-producer-eth1"]
    assert [line for line in found.log if line.startswith("delete")] == []
    assert found.get(DPUService, new[0]).spec.interfaces == ["dd-producer-eth1"]
    found.converge()
    assert found.names(DPUServiceInterface) == ["dd-producer-eth1"]


def test_disruptive_update_has_interfaces_of_its_own() -> None:
    found = world(disruptive=True)
    rename(found, eth(network="other"))
    found.settle()
    (name,) = rollouts.service_names(found, paused=False)
    new = found.get(DPUService, name)
    (interface,) = new.spec.interfaces

    assert interface.startswith("dd-producer-eth0-")
    made = found.get(DPUServiceInterface, interface).spec.template.spec
    assert made.template.spec.service.serviceID == new.spec.serviceID != "dpudeployment_dd_producer"
    assert made.nodeSelector.matchExpressions[0].values == [name]
    kept = found.get(DPUServiceInterface, "dd-producer-eth0").spec.template.spec.template.spec.service
    assert (kept.serviceID, kept.network) == ("dpudeployment_dd_producer", "mynad")


def test_another_virtual_network_needs_another_object() -> None:
    """The field is immutable: changing it in place would be refused for ever."""
    found = world()
    rename(found, eth(virtualNetwork="blue"))
    found.converge()
    (name,) = found.names(DPUServiceInterface)

    assert name.startswith("dd-producer-eth0-")
    assert found.get(DPUService, "dd-producer").spec.interfaces == [name]


def test_the_interface_in_use_is_changed_even_if_the_flag_came_in_between() -> None:
    """A pass that ended between DPUService and interface, and a policy that was edited before the next one."""
    found = world()
    rename(found, eth(network="other"))
    found.settle()
    found.edit(DPUServiceInterface, "dd-producer-eth0", {"metadata": {"annotations": {
        "svc.dpu.nvidia.com/dpuservice-version": "0123456789",
    }}})
    found.edit(DPUServiceConfiguration, "producer", {"spec": {"nodeEffect": True}})
    found.converge()

    assert found.names(DPUServiceInterface) == ["dd-producer-eth0"]
    assert found.names(DPUService) == ["dd-producer"]


def test_hand_deleted() -> None:
    found = world()
    found.remove(DPUServiceInterface, "dd-producer-eth0")
    found.converge()
    (name,) = found.names(DPUServiceInterface)

    assert found.get(DPUService, "dd-producer").spec.interfaces == [name]


def test_interface_of_a_service_made_anew_names_its_new_owner() -> None:
    found = World(some.a_deployment())
    found.converge()
    found.remove(DPUService, "dd-producer")
    found.converge()
    (interface,) = found.list(DPUServiceInterface)

    assert {o.uid for o in interface.metadata.ownerReferences} == {
        f"uid-{NS}-dd", found.get(DPUService, "dd-producer").metadata.uid,
    }


def test_name_that_two_interfaces_would_have() -> None:
    found = World(
        some.a_deployment(services=("a", "a-b")), some.a_configuration("a", interfaces=("b-c",)),
        some.a_configuration("a-b", interfaces=("c",)),
    )
    found.step()
    listed = [i for s in found.list(DPUService) for i in s.spec.interfaces]
    found.converge()

    assert len(set(listed)) == 2
    assert "dd-a-b-c" in listed
    assert sorted(listed) == found.names(DPUServiceInterface)


@pytest.mark.parametrize("label", [
    "svc.dpu.nvidia.com/owned-by-dpudeployment", "svc.dpu.nvidia.com/dpudeployment-service",
])
def test_a_stripped_label_comes_back(label: str) -> None:
    found = world()
    found.edit(DPUServiceInterface, "dd-producer-eth0", {"metadata": {"labels": {label: None}}})
    found.settle()

    assert found.log == ["apply DPUServiceInterface dd-producer-eth0"]
    assert label in found.get(DPUServiceInterface, "dd-producer-eth0").metadata.labels


def test_somebody_elses_name() -> None:
    found = World(some.a_deployment())
    found.foreign.add((DPUServiceInterface, Key(NS, "dd-producer-eth0")))
    found.converge()
    (name,) = found.names(DPUServiceInterface)

    assert name.startswith("dd-producer-eth0-")
    assert found.get(DPUService, "dd-producer").spec.interfaces == [name]
