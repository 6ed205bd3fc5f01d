"""Manifests of svc.dpu.nvidia.com: what users wrote for any release is taken, kept and read without loss."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml
from tests.integration.crds.conftest import ROOT, Kubectl
from tests.support import crdfields
from tests.support.manifests import (
    dpudeployment,
    dpuservice,
    dpuservicechain,
    dpuserviceconfiguration,
    dpuservicecredentialrequest,
    dpuserviceinterface,
    dpuservicenad,
    dpuservicetemplate,
    lost,
    merge,
)
from tools.crdgen import manifest as crdgen

from dpf.api.meta import Object
from dpf.kube import codec

pytestmark = pytest.mark.parts

KINDS: dict[str, type[Object]] = {
    kind.resource.kind: kind for kind in crdgen.own_kinds() if kind.resource.group == "svc.dpu.nvidia.com"
}
DOCUMENTS = {
    f"{path.stem}-{document['kind']}-{document['metadata']['name']}": document
    for path in sorted((ROOT / "examples").glob("0*.yaml"))
    for document in yaml.safe_load_all(path.read_text()) if document["kind"] in KINDS
}
CONFIGURATION = DOCUMENTS["003-producer-consumer-DPUServiceConfiguration-producer"]
SELECTOR = {"matchLabels": {"environment": "production"}}
METADATA = {"labels": {"a": "b"}, "annotations": {"c": "d"}}
CARD = {"type": "pci", "pci": {"address": "0000:08:00.1"}, "controllerNumber": 1}
SWITCH = {"serviceMTU": 9216, "ports": [
    {"service": {"name": "producer", "interface": "eth0", "ipam": {
        "matchLabels": {"a": "b"}, "defaultGateway": True, "setDefaultRoute": False,
        "requiredIPFamilies": ["IPv4", "IPv6"]}}},
    {"serviceInterface": {"matchLabels": {"uplink": "p0"}, "ipam": {
        "matchLabels": {"a": "b"}, "defaultGateway": False, "setDefaultRoute": True, "requiredIPFamilies": ["IPv4"]}}},
]}
EVERYTHING: dict[str, dict[str, Any]] = {
    "deployment": dpudeployment({
        "dpus": {
            "astraEnabled": True, "secureBoot": True,
            "nodeEffect": {
                "taint": {"key": "k", "effect": "NoSchedule", "value": "v", "timeAdded": "2026-01-02T03:04:05Z"},
                "noEffect": False, "drain": False, "hold": False, "customLabel": {}, "customAction": "", "force": True,
            },
            "dpuSetStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "dpuSets": [
                {"nameSuffix": "a", "dpuNodeSelector": SELECTOR, "dpuDeviceSelector": {
                    "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
                 "dpuClusterSelector": {"environment": "production"}, "dpuAnnotations": {
                    "example.com/a": "b", "noderesources.dpu.nvidia.com/any": "c",
                    "provisioning.dpu.nvidia.com/force-fw-update": "true"}},
                {"nameSuffix": "b", "nodeSelector": SELECTOR, "dpuSelector": {"pciAddr": "0000:0e:00.0"}},
            ],
        },
        "services": {"producer": {"dependsOn": [{"name": "consumer", "wait": True}]}},
        "serviceChains": {
            "upgradePolicy": {"applyNodeEffect": False},
            "switches": [SWITCH],
        },
        "revisionHistoryLimit": 1,
    }),
    "deployment-with-a-list": dpudeployment({"serviceChains": [SWITCH, SWITCH]}),
    "software-and-flavor-template": merge(dpudeployment(), {
        "spec": {"dpus": {"blueFieldSoftware": "software", "flavorTemplate": "template"}}}),
    "deployment-with-labels": dpudeployment({"dpus": {"nodeEffect": {"customLabel": {"a": "b"}}}}),
    "template": dpuservicetemplate({
        "helmChart": {"source": {"releaseName": "release"}},
        "resourceRequirements": {"cpu": 1, "memory": "1.5Gi"}, "security": {"privileged": False, "spiffe": {}}}),
    "configuration": dpuserviceconfiguration({
        "serviceConfiguration": {
            "helmChart": {"values": {"a": [1, 2.5, None, {"b": "c"}], "on": True}},
            "serviceDaemonSet": {
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "10%"}},
                "labels": {"svc.dpu.nvidia.com/custom-flows": ""}, "annotations": {"a": "b"},
                "resources": {"nvidia.com/bf_sf": 1},
            },
            "deployInCluster": False,
            "configPorts": {"serviceType": "NodePort", "ports": [
                {"name": "http", "protocol": "TCP", "port": 80, "nodePort": 30080}]},
        },
        "interfaces": [{"name": "eth0", "network": "other/mybrsfc", "virtualNetwork": "blue"}],
        "upgradePolicy": {"applyNodeEffect": False},
        "nodeEffect": True,
    }),
    "in-cluster-configuration": dpuserviceconfiguration({"serviceConfiguration": {"deployInCluster": True}}),
    "chain": dpuservicechain(spec={
        "dpuClusterSelector": SELECTOR, "clusterSelector": SELECTOR,
        "template": {"metadata": METADATA, "spec": {"nodeSelector": SELECTOR, "template": {
            "metadata": METADATA, "spec": {
                "node": "dpu-1", "switches": [{"serviceMTU": 1280, "ports": [{"serviceInterface": {
                    "matchLabels": {"uplink": "p0"},
                    "ipam": {"matchLabels": {"pool": "a"}, "defaultGateway": True, "setDefaultRoute": True,
                        "requiredIPFamilies": ["IPv6"]}}}]}]}}}},
    }),
    "interface-selectors-and-metadata": dpuserviceinterface(spec={
        "dpuClusterSelector": SELECTOR, "clusterSelector": SELECTOR,
        "template": {"metadata": METADATA, "spec": {"template": {"metadata": METADATA}}}}),
    "interface-vlan": dpuserviceinterface({
        "interfaceType": "vlan", "vlan": {"vlanID": 7, "parentInterfaceRef": "p0"}, "node": "dpu-1"}),
    "interface-vf": dpuserviceinterface({
        "interfaceType": "vf", "vf": {"vfID": 255, "pfID": 0, "parentInterfaceRef": "p0", "virtualNetwork": "blue",
                                      "nicSelector": CARD}}),
    "interface-pf": dpuserviceinterface({
        "interfaceType": "pf", "pf": {"pfID": 0, "virtualNetwork": "blue", "nicSelector": CARD}}),
    "interface-pf-of-the-dpu": dpuserviceinterface({
        "interfaceType": "pf", "pf": {"pfID": 0, "nicSelector": {"type": "dpu"}}}),
    "interface-service": dpuserviceinterface({
        "interfaceType": "service",
        "service": {"serviceID": "s", "network": "n", "interfaceName": "eth0", "virtualNetwork": "blue"}}),
    "interface-ovn": dpuserviceinterface({"interfaceType": "ovn"}),
    "interface-ovn-bridge": dpuserviceinterface({"interfaceType": "ovn", "ovn": {"externalBridge": "br-x"}}),
    "interface-patch": dpuserviceinterface({
        "interfaceType": "patch", "patch": {
            "peerBridge": "br-x", "peerPatchName": "p_a_to_b", "peerExternalIDs": {"owner": "me"}}}),
    "interface-with-another-block": dpuserviceinterface({
        "interfaceType": "physical", "physical": {"interfaceName": "p0"}, "pf": {"pfID": 1}}),
    "nad": dpuservicenad({
        "bridge": "br-sfc", "serviceMTU": 1280, "mtu": 9216, "ipam": True, "dpuClusterSelector": SELECTOR,
        "chainedCNIs": [{"type": "rdma", "config": {"any": {"thing": 1}}}], "metadata": METADATA}),
    "credential-request": dpuservicecredentialrequest({
        "serviceAccount": {"name": "a", "namespace": "b"}, "secret": {"name": "c", "namespace": "d"},
        "targetCluster": {"name": "e", "namespace": "f"}, "type": "tokenFile", "duration": "1h30m0.5s",
        "metadata": METADATA}),
}
"""A manifest that uses every field, at least one for each alternative."""
for absent in ("bfb", "flavor"):
    del EVERYTHING["software-and-flavor-template"]["spec"]["dpus"][absent]


@pytest.mark.parametrize("document", [*DOCUMENTS.values(), *EVERYTHING.values()], ids=[*DOCUMENTS, *EVERYTHING])
def test_manifest_is_kept_and_survives_our_types(kubectl: Kubectl, document: dict[str, Any]) -> None:
    document = document | {"metadata": {"name": document["metadata"]["name"]}}
    rewritten = msgspec.json.decode(codec.encode(msgspec.convert(document, KINDS[document["kind"]])))

    stored = kubectl.create(document).expect(201)

    assert lost(document["spec"], stored["spec"]) == [], "the server changed what the user wrote"
    rewritten["metadata"]["name"] = "rewritten"
    assert kubectl.would_store(rewritten)["spec"] == stored["spec"], "a field got lost in decoding or encoding"


@pytest.mark.parametrize("kind", sorted({document["kind"] for document in EVERYTHING.values()}))
def test_manifests_use_every_field(kind: str) -> None:
    """The round trip above proves nothing about a field that no manifest has."""
    documents = [d for d in (*EVERYTHING.values(), *DOCUMENTS.values()) if d["kind"] == kind]
    used = set().union(*(crdfields.used(document["spec"], f"{kind}.spec") for document in documents))

    assert sorted(crdfields.declared(crdgen.build(KINDS[kind]), "spec") - used) == []


def test_interface_of_a_configuration_is_renamed_by_patch(kubectl: Kubectl) -> None:
    configuration = CONFIGURATION | {"metadata": {"name": "producer"}}
    kubectl.create(configuration).expect(201)

    stored = kubectl.json_patch(
        configuration, {"op": "replace", "path": "/spec/interfaces/0/name", "value": "app-iface2"}
    ).expect()

    assert stored["spec"]["interfaces"] == [{"name": "app-iface2", "network": "mynad"}]


@pytest.mark.parametrize(("path", "wanted"), [
    ("/spec/nodeEffect", {"nodeEffect": True, "upgradePolicy": {}}),
    ("/spec/upgradePolicy/applyNodeEffect", {"upgradePolicy": {"applyNodeEffect": True}}),
])
def test_disruptive_flag_is_added_by_patch(kubectl: Kubectl, path: str, wanted: dict[str, Any]) -> None:
    configuration = CONFIGURATION | {"metadata": {"name": "producer"}}
    kubectl.create(configuration).expect(201)

    stored = kubectl.json_patch(configuration, {"op": "add", "path": path, "value": True}).expect()

    assert stored["spec"] == configuration["spec"] | wanted


@pytest.mark.parametrize("document", [
    dpuservicechain(spec={"dpuClusterSelector": SELECTOR}), dpuserviceinterface(spec={"dpuClusterSelector": SELECTOR}),
], ids=["chain", "interface"])
def test_cluster_selector_is_merged_in(kubectl: Kubectl, document: dict[str, Any]) -> None:
    plain = document | {"spec": {"template": document["spec"]["template"]}}
    kubectl.create(plain).expect(201)

    stored = kubectl.merge(plain, {"spec": {"dpuClusterSelector": SELECTOR}}).expect()

    assert stored["spec"]["dpuClusterSelector"] == SELECTOR


DEFAULTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "deployment": (dpudeployment(), {"revisionHistoryLimit": 10}),
    "template": (dpuservicetemplate(), {}),
    "configuration": (dpuserviceconfiguration(), {"upgradePolicy": {}}),
    "interface": (dpuserviceinterface(), {}),
    "nad": (dpuservicenad(), {}),
    "credential-request": (dpuservicecredentialrequest(), {}),
}


@pytest.mark.parametrize(("minimal", "defaults"), DEFAULTS.values(), ids=DEFAULTS.keys())
def test_minimal_manifest_gets_these_defaults_only(
    kubectl: Kubectl, minimal: dict[str, Any], defaults: dict[str, Any]
) -> None:
    stored = kubectl.would_store(minimal)

    assert stored["spec"] == minimal["spec"] | defaults
    assert "status" not in stored


def test_defaults_further_down(kubectl: Kubectl) -> None:
    chain = kubectl.would_store(dpuservicechain())
    ovn = kubectl.would_store(dpuserviceinterface({"interfaceType": "ovn", "ovn": {}}))
    ports = kubectl.would_store(dpuserviceconfiguration({"serviceConfiguration": {"configPorts": {"ports": []}}}))
    effect = kubectl.would_store(dpudeployment({"dpus": {"nodeEffect": {"drain": True}}}))

    assert [s["serviceMTU"] for s in chain["spec"]["template"]["spec"]["template"]["spec"]["switches"]] == [1500]
    assert ovn["spec"]["template"]["spec"]["template"]["spec"]["ovn"] == {"externalBridge": "br-ovn"}
    assert ports["spec"]["serviceConfiguration"]["configPorts"] == {"serviceType": "NodePort", "ports": []}
    assert effect["spec"]["dpus"]["nodeEffect"] == {"drain": True, "force": False}


def test_object_without_spec_is_taken(kubectl: Kubectl) -> None:
    """As by the original's schemas (api-svc.md section 0)."""
    for document in (*EVERYTHING.values(), dpuservice()):
        bare = {key: document[key] for key in ("apiVersion", "kind")} | {"metadata": {"name": "bare"}}

        assert "spec" not in kubectl.would_store(bare)
