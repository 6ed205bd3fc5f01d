"""Kinds of svc.dpu.nvidia.com: whatever was stored can be read, and what a reader has to tell apart stays apart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import manifests

from dpf.api import names
from dpf.api.dpudeployment import ConditionType, DeploymentSwitch, DPUDeployment, DPUDeploymentSpec, ServiceChains
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration, DPUServiceConfigurationSpec
from dpf.api.dpuservicecredentialrequest import DPUServiceCredentialRequest
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicenad import DPUServiceNAD
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.meta import Object

KINDS: tuple[type[Object], ...] = (
    DPUDeployment, DPUServiceTemplate, DPUServiceConfiguration, DPUServiceChain, DPUServiceInterface, DPUServiceNAD,
    DPUServiceCredentialRequest,
)
PORT = {"service": {"name": "producer", "interface": "eth0"}}


def stored(spec: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"spec": spec})


def read_chains(chains: Any) -> object:
    raw = msgspec.json.encode({"dpus": {}, "services": {}, "serviceChains": chains})
    return msgspec.json.decode(raw, type=DPUDeploymentSpec).serviceChains


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("raw", [
    b"{}", b'{"metadata": {"name": "a"}}', b'{"spec": null}', b'{"status": {}}',
    b'{"status": {"conditions": [], "future": {"a": 1}}}',
])
def test_object_without_spec_is_readable(kind: type[Object], raw: bytes) -> None:
    decoded = msgspec.json.decode(raw, type=kind)

    assert getattr(decoded, "spec", None) is None


OLDER: dict[str, tuple[type[Object], dict[str, Any]]] = {
    "deployment-24.10": (DPUDeployment, {
        "dpus": {"bfb": "b", "flavor": "f", "dpuSets": [{"nameSuffix": "n" * 63, "dpuSelector": {"pciAddr": "x"}}]},
        "services": {"n" * 63: {"serviceTemplate": "", "serviceConfiguration": ""}},
        "serviceChains": [{"ports": [{"service": {"name": "n" * 63, "interface": "i" * 63}}]}],
    }),
    "deployment-2025": (DPUDeployment, {
        "dpus": {}, "services": {}, "serviceChains": {"switches": [{"ports": [], "serviceMTU": 1000}]},
    }),
    "deployment-of-the-future": (DPUDeployment, {
        "dpus": {"firmware": "f"}, "services": {}, "serviceChains": {"switches": [], "wires": 1}, "zones": ["a"],
    }),
    "deployment-odd-effect": (DPUDeployment, {"dpus": {"nodeEffect": {"noEffect": False}}, "services": {}}),
    "template-bare-quantities": (DPUServiceTemplate, {
        "deploymentServiceName": "", "helmChart": {"source": {"repoURL": "http://charts", "version": ""}},
        "resourceRequirements": {"cpu": 1, "memory": "1Gi"},
    }),
    "configuration-24.10": (DPUServiceConfiguration, {
        "deploymentServiceName": "n" * 63, "interfaces": [{"name": "i" * 28, "network": ""}],
    }),
    "configuration-mixed": (DPUServiceConfiguration, {
        "deploymentServiceName": "a", "nodeEffect": True, "upgradePolicy": {"applyNodeEffect": False},
        "serviceConfiguration": {"helmChart": {}, "serviceDaemonSet": {"labels": {"dpu.nvidia.com/a": "b"}}},
    }),
    "chain-24.10": (DPUServiceChain, {
        "clusterSelector": {}, "template": {"spec": {"template": {"spec": {"switches": [
            {"ports": [{"serviceInterface": {"matchLabels": {}}}]}]}}}},
    }),
    "interface-24.10": (DPUServiceInterface, {
        "template": {"spec": {"template": {"spec": {
            "interfaceType": "vf", "vf": {"vfID": 256, "pfID": -1, "parentInterfaceRef": "p0"}}}}},
    }),
    "interface-of-an-unknown-type": (DPUServiceInterface, {
        "template": {"spec": {"template": {"spec": {"interfaceType": "bond", "bond": {"members": ["p0", "p1"]}}}}},
    }),
    "nad-2025": (DPUServiceNAD, {"resourceType": "sf", "serviceMTU": 1000, "metadata": {"labels": {"a": "b"}}}),
    "credential-request": (DPUServiceCredentialRequest, {
        "serviceAccount": {"name": ""}, "secret": {"name": ""}, "type": "other", "duration": "soon",
    }),
}


@pytest.mark.parametrize(("kind", "spec"), OLDER.values(), ids=OLDER.keys())
def test_what_another_schema_let_in_is_readable(kind: type[Object], spec: dict[str, Any]) -> None:
    decoded = msgspec.json.decode(stored(spec), type=kind)

    assert getattr(decoded, "spec", None) is not None


@pytest.mark.parametrize("scalar", ["none", "", 0, 3, 2.5, True, False, 10**30], ids=repr)
def test_scalar_for_chains_arrives_as_it_is(scalar: object) -> None:
    chains = read_chains(scalar)

    assert chains == scalar
    assert type(chains) is type(scalar)


def test_forms_of_chains_are_told_apart() -> None:
    as_list, as_object = read_chains([{"ports": [PORT]}]), read_chains({"switches": [{"ports": [PORT]}]})

    assert isinstance(as_list, list)
    assert isinstance(as_object, ServiceChains)
    assert as_list == as_object.switches
    assert isinstance(as_list[0], DeploymentSwitch)
    assert read_chains(None) is None


@pytest.mark.parametrize("chains", [[{"ports": [PORT]}], {"switches": [{"ports": [PORT]}]}, "none", 3],
                         ids=["list", "object", "word", "number"])
def test_chains_are_sent_in_the_form_in_which_they_came(chains: Any) -> None:
    document = manifests.dpudeployment({"serviceChains": chains})

    assert msgspec.to_builtins(msgspec.convert(document, DPUDeployment)) == document


@pytest.mark.parametrize(("fields", "policy", "alias"), [
    ({}, None, None),
    ({"upgradePolicy": {}}, None, None),
    ({"nodeEffect": False}, None, False),
    ({"nodeEffect": True, "upgradePolicy": {"applyNodeEffect": False}}, False, True),
], ids=["nothing", "empty", "alias", "both"])
def test_silence_about_the_disruptive_flag_is_told_from_false(
    fields: dict[str, Any], policy: bool | None, alias: bool | None
) -> None:
    """Which one counts is the planner's decision; the type must not make it (skew 2)."""
    spec = msgspec.convert({"deploymentServiceName": "a", **fields}, DPUServiceConfigurationSpec)

    assert (spec.upgradePolicy.applyNodeEffect, spec.nodeEffect) == (policy, alias)


def test_floats_of_values_stay_floats() -> None:
    """`cpu: 0.2` goes into the Helm values as the number it is (api-svc.md section 12)."""
    document = manifests.dpuservicetemplate({"helmChart": {"values": {"cpu": 0.2, "whole": 1.0, "count": 1}}})

    raw = msgspec.json.encode(msgspec.json.decode(msgspec.json.encode(document), type=DPUServiceTemplate))

    assert b'"values":{"cpu":0.2,"whole":1.0,"count":1}' in raw


def test_conditions_of_a_deployment_are_written_in_the_documented_order() -> None:
    """behaviour-service.md section 5."""
    pairs = ("DPUSets", "DPUServices", "DPUServiceChains", "DPUServiceInterfaces")

    assert [str(type_) for type_ in ConditionType] == [
        "Ready", "PrerequisitesReady", "ResourceFittingReady", "VersionMatchingReady",
        *(f"{kind}{state}" for kind in pairs for state in ("Reconciled", "Ready")),
    ]


def test_node_label_of_a_service() -> None:
    assert names.DPUSERVICE_NODE_LABEL.format(service="producer") == "svc.dpu.nvidia.com/dpuservice-producer-version"
