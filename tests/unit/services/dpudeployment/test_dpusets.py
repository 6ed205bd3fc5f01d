"""DPUSets of a DPUDeployment (behaviour-service.md 6.10)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import dpudeployments as some
from tests.support import rollouts
from tests.support.rollouts import World

from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key
from dpf.services.dpudeployment import dpusets, naming

NS = some.TENANT
SETS = [{"nameSuffix": "one"}, {"nameSuffix": "two"}]


def world(*others: Any, **options: Any) -> World:
    found = World(some.a_deployment(**options), *others)
    found.converge()
    found.log.clear()
    return found


def made(**dpus: Any) -> dict[str, Any]:
    """The spec of the only DPUSet of a deployment with these `dpus`."""
    (dpuset,) = world(dpus=dpus).list(DPUSet)
    return dict(msgspec.to_builtins(dpuset.spec))


def redefine(found: World, **dpus: Any) -> None:
    found.edit(DPUDeployment, "dd", {"spec": {"dpus": dpus}})


def test_dpuset_of_an_entry() -> None:
    found = world(dpus={"dpuSets": [{
        "nameSuffix": "dpuset1", "dpuNodeSelector": {"matchLabels": {"rack": "1"}},
        "dpuDeviceSelector": {"matchLabels": {"d": "1"}}, "dpuClusterSelector": {"env": "p"},
        "dpuAnnotations": {"a": "b"},
    }], "secureBoot": True, "astraEnabled": False}, serviceChains=[{"ports": [
        {"service": {"name": "producer", "interface": "eth0"}},
    ]}])
    (dpuset,) = found.list(DPUSet)

    assert dpuset.metadata.name == "dd-dpuset1"
    assert dpuset.metadata.labels == {"svc.dpu.nvidia.com/owned-by-dpudeployment": f"{NS}_dd"}
    assert msgspec.to_builtins(dpuset.spec) == {
        "strategy": {"type": "RollingUpdate"},
        "dpuNodeSelector": {"matchLabels": {"rack": "1"}}, "dpuDeviceSelector": {"matchLabels": {"d": "1"}},
        "dpuTemplate": {
            "annotations": {"a": "b"},
            "spec": {
                "bfb": {"name": "bfb"}, "dpuFlavor": "flavor", "secureBoot": True, "astraEnabled": False,
                "nodeEffect": {
                    "drain": True, "nodeMaintenanceAdditionalRequestors": [f"{NS}_dd_dd", f"{NS}_dd_dd-producer"],
                },
                "cluster": {
                    "selector": {"matchLabels": {"env": "p"}},
                    "nodeLabels": {
                        "svc.dpu.nvidia.com/owned-by-dpudeployment": f"{NS}_dd",
                        "svc.dpu.nvidia.com/dpuservice-producer-version": "dd-producer",
                        "svc.dpu.nvidia.com/dpuservicechain-version": "dd",
                    },
                },
            },
        },
    }


@pytest.mark.parametrize(("given", "strategy"), [
    ({}, {"type": "RollingUpdate"}),
    ({"dpuSetStrategy": {"type": "OnDelete"}}, {"type": "OnDelete"}),
    ({"dpuSetStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}}},
     {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}}),
])
def test_strategy(given: dict[str, Any], strategy: dict[str, Any]) -> None:
    """resolutions.md row 2."""
    assert made(**given)["strategy"] == strategy


@pytest.mark.parametrize(("given", "action"), [
    ({"drain": True}, {"drain": True}),
    ({"noEffect": True, "drain": False, "customLabel": {}, "customAction": ""}, {"noEffect": True}),
    ({"taint": {"key": "a", "effect": "NoSchedule"}}, {"taint": {"key": "a", "effect": "NoSchedule"}}),
    ({"customLabel": {"a": "b"}}, {"customLabel": {"a": "b"}}),
    ({"customAction": "pod"}, {"customAction": "pod"}),
    ({"hold": True, "force": True}, {"hold": True, "force": True}),
])
def test_node_effect_has_exactly_one_action(given: dict[str, Any], action: dict[str, Any]) -> None:
    """resolutions.md row 23: a DPUSet counts a false action as one."""
    effect = made(nodeEffect=given)["dpuTemplate"]["spec"]["nodeEffect"]
    del effect["nodeMaintenanceAdditionalRequestors"]

    assert effect == action


@pytest.mark.parametrize(("zero_trust", "action"), [(False, "drain"), (True, "hold")])
def test_without_a_node_effect_hosts_are_drained_or_where_they_are_not_trusted_held(
    zero_trust: bool, action: str
) -> None:
    """api-svc.md section 12, resolutions.md row 3."""
    found = World(some.a_deployment(dpus={}))
    found.zero_trust = zero_trust
    found.converge()
    (dpuset,) = found.list(DPUSet)
    effect = msgspec.to_builtins(dpuset.spec.dpuTemplate.spec.nodeEffect)

    assert {key for key, value in effect.items() if value is True} == {action}


@pytest.mark.parametrize("given", [{"drain": True, "hold": True}, {"drain": False}])
def test_a_node_effect_that_is_not_one_action_is_told(given: dict[str, Any]) -> None:
    found = world(dpus={"nodeEffect": given})

    (text,) = found.findings()
    assert text == (
        "exactly one of taint, noEffect=true, drain=true, non-empty customLabel, non-empty customAction, hold=true"
        " must be set"
    )
    assert found.names(DPUSet) == []


PACE = "spec.dpus.dpuSetStrategy.rollingUpdate.maxUnavailable"
PERCENT = "the value range of maxUnavailable must be greater than 0% and less than or equal to 100%"


@pytest.mark.parametrize(("pace", "text"), [
    ("0%", f"{PACE} is '0%': {PERCENT}"), ("101%", f"{PACE} is '101%': {PERCENT}"), ("5", f"{PACE} is '5': {PERCENT}"),
    (0, f"{PACE} is 0: the value range of maxUnavailable must be greater 0"),
])
def test_a_pace_that_a_dpuset_does_not_take_is_told_where_it_stands(pace: str | int, text: str) -> None:
    found = world()
    redefine(found, dpuSetStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": pace}}, bfb="newer")
    found.add(some.a_bfb("newer"))
    found.converge()

    assert found.findings() == [text]
    (dpuset,) = found.list(DPUSet)
    assert dpuset.spec.dpuTemplate.spec.bfb.name == "bfb"


@pytest.mark.parametrize(("strategy", "pace"), [("RollingUpdate", "100%"), ("RollingUpdate", 1), ("OnDelete", "0%")])
def test_a_pace_that_a_dpuset_takes(strategy: str, pace: str | int) -> None:
    given = {"type": strategy, "rollingUpdate": {"maxUnavailable": pace}}
    assert made(dpuSetStrategy=given)["strategy"] == given


def test_other_software_and_flavor() -> None:
    found = world(some.a_software(), some.a_flavor_template(), dpus={
        "bfb": None, "flavor": None, "blueFieldSoftware": "software", "flavorTemplate": "rendered",
    })
    (dpuset,) = found.list(DPUSet)
    template = msgspec.to_builtins(dpuset.spec.dpuTemplate.spec)

    assert template["blueFieldSoftware"] == {"name": "software"}
    assert template["dpuFlavorTemplate"] == "rendered"
    assert not {"bfb", "dpuFlavor"} & template.keys()


def test_older_selectors() -> None:
    """Seed 003, resolutions.md row 4."""
    spec = made(dpuSets=[{
        "nameSuffix": "a", "nodeSelector": {"matchLabels": {"rack": "b-100"}},
        "dpuSelector": {"pciAddr": "0000:0e:00.0", "other": "x"},
    }])

    assert spec["dpuNodeSelector"] == {"matchLabels": {"rack": "b-100"}}
    assert spec["dpuDeviceSelector"] == {"matchLabels": {
        "provisioning.dpu.nvidia.com/dpudevice-pciAddress": "0000-0e-00", "other": "x",
    }}
    assert not {"nodeSelector", "dpuSelector"} & spec.keys()


@pytest.mark.parametrize(("address", "value"), [
    ("0000:0e:00.0", "0000-0e-00"), ("0e:00.0", "0e-00"), ("0000:0E:00", "0000-0e-00"), ("0000-1a-00", "0000-1a-00"),
    ("rack-7", "rack-7"),
])
def test_pci_address(address: str, value: str) -> None:
    assert dpusets.device_labels({"pciAddr": address}) == {
        "provisioning.dpu.nvidia.com/dpudevice-pciAddress": value
    }


@pytest.mark.parametrize(("selector", "text"), [
    ({"pciAddr": "0000:0e"}, "dpuSelector pciAddr: '0000:0e' cannot"),
    ({"x": "a b"}, "dpuSelector x: 'a b' cannot"),
    ({"x": "a" * 64}, f"dpuSelector x: '{'a' * 64}' cannot"),
    ({"x": "-a"}, "dpuSelector x: '-a' cannot"),
])
def test_what_cannot_be_a_label_value_is_told(selector: dict[str, str], text: str) -> None:
    found = world(dpus={"dpuSets": [{"nameSuffix": "bad", "dpuSelector": selector}, {"nameSuffix": "good"}]})

    assert found.findings() == [
        f"dpuSet bad: {text} be the value of a label; select the DPUs by labels that DPUDevices carry"
    ]
    assert found.names(DPUSet) == ["dd-good"]


def test_added_changed_removed_and_made_again() -> None:
    """Scenario 28."""
    found = world(some.a_bfb("next"), dpus={"dpuSets": SETS})
    redefine(found, dpuSets=[*SETS, {"nameSuffix": "three"}])
    found.converge()
    assert found.names(DPUSet) == ["dd-one", "dd-three", "dd-two"]
    redefine(found, bfb="next")
    found.converge()
    assert {d.spec.dpuTemplate.spec.bfb.name for d in found.list(DPUSet)} == {"next"}
    redefine(found, dpuSets=SETS[:1])
    found.converge()
    assert found.names(DPUSet) == ["dd-one"]
    uid = found.get(DPUSet, "dd-one").metadata.uid
    found.remove(DPUSet, "dd-one")
    found.converge()
    assert found.names(DPUSet) == ["dd-one"]
    assert found.get(DPUSet, "dd-one").metadata.uid != uid


def test_nothing_is_removed_while_something_is_wrong() -> None:
    found = world(dpus={"dpuSets": SETS})
    redefine(found, dpuSets=[{"nameSuffix": "bad", "dpuSelector": {"x": "a b"}}])
    found.settle()

    assert found.names(DPUSet) == ["dd-one", "dd-two"]


def test_one_that_is_being_deleted_is_made_again_when_it_is_gone() -> None:
    found = World(some.a_deployment(), finalizers=True)
    found.converge()
    found.remove(DPUSet, "dd-workers")
    assert found.settle() == 0
    found.collect()
    found.settle()

    assert found.names(DPUSet) == ["dd-workers"]
    assert found.get(DPUSet, "dd-workers").metadata.deletionTimestamp is None


def test_name_that_somebody_else_has() -> None:
    found = World(some.a_deployment(dpus={"dpuSets": SETS}))
    found.foreign.add((DPUSet, Key(NS, "dd-one")))
    found.converge()
    other, two = found.names(DPUSet)

    assert two == "dd-two"
    assert other == next(naming.candidates("dd-one", f"uid-{NS}-dd", "DPUSet", "one"))
    found.foreign.clear()
    assert found.settle() == 0, "a name once given is kept"


def test_a_chain_can_be_left_out_of_the_requestors() -> None:
    deployment = some.a_deployment(serviceChains=[{"ports": [{"service": {"name": "producer", "interface": "eth0"}}]}])
    metadata = msgspec.structs.replace(
        deployment.metadata, annotations={"svc.dpu.nvidia.com/dpudeployment-skip-chain-requestor": ""}
    )
    found = World(msgspec.structs.replace(deployment, metadata=metadata))
    found.converge()
    effect = found.get(DPUSet, "dd-workers").spec.dpuTemplate.spec.nodeEffect

    assert effect.nodeMaintenanceAdditionalRequestors == [f"{NS}_dd_dd-producer"]


def test_nodes_hear_of_in_cluster_services_too() -> None:
    found = world(some.a_configuration(serviceConfiguration={"deployInCluster": True}))
    key = naming.in_cluster_key(Key(NS, "dd"), "producer")

    assert rollouts.node_labels(found)[key] == "dd-producer"


def test_no_dpusets_at_all() -> None:
    found = world(some.a_configuration(nodeEffect=True), dpus={"dpuSets": None})
    assert found.names(DPUSet) == []
    found.edit(DPUServiceConfiguration, "producer", {"spec": {
        "serviceConfiguration": {"helmChart": {"values": {"a": 1}}},
    }})
    found.converge()

    assert len(rollouts.service_names(found, paused=False)) == 1
    assert rollouts.service_names(found, paused=True) == []


def test_label_taken_off_by_hand_comes_back_and_additions_go() -> None:
    found = world()
    found.edit(DPUSet, "dd-workers", {
        "metadata": {"labels": {"svc.dpu.nvidia.com/owned-by-dpudeployment": None}},
        "spec": {"dpuTemplate": {"spec": {"cluster": {"nodeLabels": {"mine": "x"}}}}},
    })
    found.settle()

    assert found.get(DPUSet, "dd-workers").metadata.labels == {
        "svc.dpu.nvidia.com/owned-by-dpudeployment": f"{NS}_dd"
    }
    assert "mine" not in rollouts.node_labels(found)
