"""What the server refuses of the kinds that a DPUDeployment is made of, and in which words.

Sources: api-svc.md sections 0, 2 to 6, 8 and 9. A refusal carries exactly the expected message.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.crds.conftest import Kubectl, assert_refused, refused_fields
from tests.support.manifests import (
    dpudeployment,
    dpuservicechain,
    dpuserviceconfiguration,
    dpuservicecredentialrequest,
    dpuserviceinterface,
    dpuservicenad,
    dpuservicetemplate,
    merge,
)

pytestmark = pytest.mark.parts

ONE_EFFECT = (
    "exactly one of taint, noEffect=true, drain=true, non-empty customLabel, non-empty customAction, hold=true must be "
    "set"
)
ONE_SOFTWARE = "exactly one of bfb or blueFieldSoftware must be specified"
ONE_FLAVOR = "exactly one of flavor or flavorTemplate must be set"
OWN_DOMAIN = "should not contain dpu.nvidia.com/ and should not end with dpu.nvidia.com"
NETWORK_IMMUTABLE = "virtualNetwork is immutable"
TAINT = {"key": "k", "effect": "NoSchedule"}
REFERENCES = {"serviceTemplate": "a", "serviceConfiguration": "a"}
IN_CLUSTER = {"deployInCluster": True}
INTERFACE = {"name": "eth0", "network": "mybrsfc"}
SERVICE = {"serviceID": "s", "network": "n", "interfaceName": "eth0"}
PORT = {"serviceInterface": {"matchLabels": {"uplink": "p0"}}}
INTERFACE_SPEC = "spec.template.spec.template.spec"
SWITCHES = "spec.template.spec.template.spec.switches"
CREDENTIAL_NAMES = ("serviceAccount", "secret", "targetCluster")


def name_too_long(limit: int) -> str:
    return f"name length can't be bigger than {limit} chars"


def dpus(**changes: Any) -> dict[str, Any]:
    return dpudeployment({"dpus": changes})


def dpus_only(**fields: Any) -> dict[str, Any]:
    manifest = dpudeployment()
    return manifest | {"spec": manifest["spec"] | {"dpus": fields}}


def dpuset(**fields: Any) -> dict[str, Any]:
    return dpus(dpuSets=[{"nameSuffix": "a"} | fields])


def services(*names: str) -> dict[str, Any]:
    manifest = dpudeployment()
    return manifest | {"spec": manifest["spec"] | {"services": dict.fromkeys(names, REFERENCES)}}


def configuration(**fields: Any) -> dict[str, Any]:
    return dpuserviceconfiguration({"serviceConfiguration": fields})


def daemonset(**fields: Any) -> dict[str, Any]:
    return configuration(serviceDaemonSet=fields)


def interface(type_: str, **fields: Any) -> dict[str, Any]:
    return dpuserviceinterface({"interfaceType": type_} | fields)


NO_BLOCK = {
    f"interface-{type_}-without-block": (interface(type_), f"for interfaceType={type_}, {type_} must be set")
    for type_ in ("physical", "vlan", "pf", "vf", "patch", "service")
}
OWN_KEYS = {
    f"{where}-{key}": (build(key), message)
    for key in ("dpu.nvidia.com/a", "svc.dpu.nvidia.com/b", "dpu.nvidia.com", "x/dpu.nvidia.com", "notdpu.nvidia.com/c")
    for where, build, message in (
        ("dpuset-annotation", lambda key: dpuset(dpuAnnotations={key: ""}), OWN_DOMAIN),
        ("label", lambda key: daemonset(labels={key: ""}), f"labels {OWN_DOMAIN}"),
        ("annotation", lambda key: daemonset(annotations={key: ""}), f"annotations {OWN_DOMAIN}"),
    )
}
LONG_NAMES = {
    f"{build.__name__}-name": (build(name="n" * (limit + 1)), name_too_long(limit))
    for build, limit in (
        (dpudeployment, 20), (dpuservicechain, 63), (dpuserviceinterface, 63), (dpuservicenad, 63),
        (dpuservicecredentialrequest, 63),
    )
}
EFFECTS: dict[str, dict[str, Any]] = {
    "no-action": {},
    "only-force": {"force": True},
    "only-false": {"noEffect": False, "drain": False, "hold": False},
    "only-empty": {"customLabel": {}, "customAction": ""},
    "taint-and-drain": {"taint": TAINT, "drain": True},
    "label-and-action": {"customLabel": {"a": "b"}, "customAction": "action"},
    "none-and-hold": {"noEffect": True, "hold": True},
}

CREATES: dict[str, tuple[dict[str, Any], str]] = {
    **NO_BLOCK, **OWN_KEYS, **LONG_NAMES,
    **{f"effect-{name}": (dpus(nodeEffect=effect), ONE_EFFECT) for name, effect in EFFECTS.items()},
    "no-software": (dpus_only(flavor="f"), ONE_SOFTWARE),
    "two-softwares": (dpus(blueFieldSoftware="s"), ONE_SOFTWARE),
    "no-flavor": (dpus_only(bfb="b"), ONE_FLAVOR),
    "two-flavors": (dpus(flavorTemplate="t"), ONE_FLAVOR),
    "same-suffixes": (
        dpus(dpuSets=[{"nameSuffix": name} for name in "aba"]), "DPUSet.NameSuffix values must be unique"),
    "two-node-selectors": (
        dpuset(nodeSelector={}, dpuNodeSelector={}), "only one of nodeSelector or dpuNodeSelector can be specified"),
    "two-dpu-selectors": (
        dpuset(dpuSelector={}, dpuDeviceSelector={}),
        "only one of dpuSelector or dpuDeviceSelector can be specified"),
    "service-key": (services("s", "n" * 29), "service names can't be bigger than 28 chars"),
    "interfaces-in-cluster": (
        dpuserviceconfiguration({"serviceConfiguration": IN_CLUSTER, "interfaces": [INTERFACE]}),
        "interfaces are not supported when deploying in cluster"),
    "config-ports-in-cluster": (
        configuration(**IN_CLUSTER, configPorts={"ports": []}),
        "configPorts cannot be set when deployInCluster is true"),
    "node-port-on-cluster-ip": (
        configuration(configPorts={"serviceType": "ClusterIP", "ports": [
            {"name": "http", "protocol": "TCP", "nodePort": 30080}]}),
        "nodePort can only be set when serviceType is NodePort"),
    "annotation-for-custom-flows": (
        daemonset(annotations={"svc.dpu.nvidia.com/custom-flows": ""}), f"annotations {OWN_DOMAIN}"),
    "vf-card-without-address": (
        interface("vf", vf={"vfID": 0, "pfID": 0, "nicSelector": {"type": "pci"}}), "for type=pci, pci must be set"),
    "pf-card-without-address": (
        interface("pf", pf={"pfID": 0, "nicSelector": {"type": "pci"}}), "for type=pci, pci must be set"),
}


@pytest.mark.parametrize(("manifest", "message"), CREATES.values(), ids=CREATES.keys())
def test_create_is_refused(kubectl: Kubectl, manifest: dict[str, Any], message: str) -> None:
    assert_refused(kubectl.create(manifest), message)


@pytest.mark.parametrize("manifest", [
    *(dpus(nodeEffect=effect) for effect in (
        {"taint": TAINT}, {"noEffect": True}, {"drain": True}, {"customLabel": {"a": "b"}},
        {"customAction": "action", "drain": False}, {"hold": True, "noEffect": False, "customLabel": {}})),
    *(build(name="n" * limit) for build, limit in (
        (dpudeployment, 20), (dpuservicechain, 63), (dpuservicetemplate, 64), (dpuserviceconfiguration, 64))),
    services("n" * 28), services(*(f"s{n}" for n in range(50))),
    dpuset(dpuAnnotations={"noderesources.dpu.nvidia.com": "", "provisioning.dpu.nvidia.com/force-fw-update": ""}),
    dpuset(nameSuffix="n" * 24, dpuAnnotations={f"example.com/{n}": "" for n in range(50)}),
    daemonset(labels={"svc.dpu.nvidia.com/custom-flows": "", "dpu.nvidia.community/a": ""}),
], ids=lambda manifest: "")
def test_create_is_allowed(kubectl: Kubectl, manifest: dict[str, Any]) -> None:
    kubectl.create(manifest).expect(201)


NETWORK_BLOCKS: dict[str, dict[str, Any]] = {
    "vf": {"vfID": 1, "pfID": 0}, "pf": {"pfID": 0}, "service": SERVICE,
}


@pytest.mark.parametrize(("before", "after"), [("blue", "red"), (None, "red"), ("blue", None)],
                         ids=["changed", "added", "removed"])
@pytest.mark.parametrize("block", NETWORK_BLOCKS)
def test_virtual_network_is_immutable(kubectl: Kubectl, block: str, before: str | None, after: str | None) -> None:
    fields = NETWORK_BLOCKS[block] | ({"virtualNetwork": before} if before else {})
    manifest = interface(block, **{block: fields})
    kubectl.create(manifest).expect(201)

    refused = kubectl.merge(manifest, _interface_patch({block: {"virtualNetwork": after}}))

    assert_refused(refused, NETWORK_IMMUTABLE)


def test_rest_of_an_interface_may_change(kubectl: Kubectl) -> None:
    manifest = interface("pf", pf={"pfID": 0, "virtualNetwork": "blue"})
    kubectl.create(manifest).expect(201)

    kubectl.merge(manifest, _interface_patch({"pf": {"pfID": 1}})).expect()
    kubectl.merge(manifest, _interface_patch({"interfaceType": "service", "pf": None, "service": SERVICE})).expect()


def test_service_type_of_config_ports_is_immutable(kubectl: Kubectl) -> None:
    manifest = configuration(configPorts={"ports": []})
    kubectl.create(manifest).expect(201)

    refused = kubectl.merge(manifest, {"spec": {"serviceConfiguration": {"configPorts": {"serviceType": "None"}}}})

    assert_refused(refused, "Value is immutable")


SCHEMA_LIMITS: dict[str, tuple[dict[str, Any], str]] = {
    "bfb": (dpus(bfb=""), "spec.dpus.bfb"),
    "software": (dpus_only(blueFieldSoftware="", flavor="f"), "spec.dpus.blueFieldSoftware"),
    "flavor": (dpus(flavor=""), "spec.dpus.flavor"),
    "flavor-template": (dpus_only(bfb="b", flavorTemplate=""), "spec.dpus.flavorTemplate"),
    "strategy": (dpus(dpuSetStrategy={"type": "Recreate"}), "spec.dpus.dpuSetStrategy.type"),
    "strategy-without-type": (dpus(dpuSetStrategy={}), "spec.dpus.dpuSetStrategy.type"),
    "taint": (dpus(nodeEffect={"taint": {"key": "k"}}), "spec.dpus.nodeEffect.taint.effect"),
    "no-dpusets": (dpus(dpuSets=[]), "spec.dpus.dpuSets"),
    "many-dpusets": (dpus(dpuSets=[{"nameSuffix": str(n)} for n in range(51)]), "spec.dpus.dpuSets"),
    "no-suffix": (dpuset(nameSuffix=""), "spec.dpus.dpuSets[0].nameSuffix"),
    "long-suffix": (dpuset(nameSuffix="n" * 25), "spec.dpus.dpuSets[0].nameSuffix"),
    "many-annotations": (
        dpuset(dpuAnnotations={str(n): "" for n in range(51)}), "spec.dpus.dpuSets[0].dpuAnnotations"),
    "no-services": (services(), "spec.services"),
    "many-services": (services(*map(str, range(51))), "spec.services"),
    "no-dependency": (dpudeployment({"services": {"producer": {"dependsOn": []}}}), "spec.services.producer.dependsOn"),
    "no-history": (dpudeployment({"revisionHistoryLimit": 0}), "spec.revisionHistoryLimit"),
    "template-service": (dpuservicetemplate({"deploymentServiceName": ""}), "spec.deploymentServiceName"),
    "template-long-service": (dpuservicetemplate({"deploymentServiceName": "n" * 29}), "spec.deploymentServiceName"),
    "template-chart": (
        dpuservicetemplate({"helmChart": {"source": {"repoURL": "file:///etc"}}}), "spec.helmChart.source.repoURL"),
    "template-amount": (dpuservicetemplate({"resourceRequirements": {"cpu": 0.5}}), "spec.resourceRequirements.cpu"),
    "configuration-service": (dpuserviceconfiguration({"deploymentServiceName": "n" * 29}),
                              "spec.deploymentServiceName"),
    "configuration-no-interfaces": (dpuserviceconfiguration({"interfaces": []}), "spec.interfaces"),
    "configuration-many-interfaces": (dpuserviceconfiguration({"interfaces": [INTERFACE] * 51}), "spec.interfaces"),
    "configuration-interface": (
        dpuserviceconfiguration({"interfaces": [INTERFACE | {"name": "n" * 16}]}), "spec.interfaces[0].name"),
    "configuration-labels": (
        daemonset(labels={str(n): "" for n in range(51)}), "spec.serviceConfiguration.serviceDaemonSet.labels"),
    "configuration-annotations": (
        daemonset(annotations={str(n): "" for n in range(51)}),
        "spec.serviceConfiguration.serviceDaemonSet.annotations"),
    "configuration-amount": (
        daemonset(resources={"cpu": "much"}), "spec.serviceConfiguration.serviceDaemonSet.resources.cpu"),
    "configuration-effect": (dpuserviceconfiguration({"nodeEffect": "drain"}), "spec.nodeEffect"),
    "chain-many-switches": (dpuservicechain(*[{"ports": [PORT]}] * 51), SWITCHES),
    "chain-no-ports": (dpuservicechain({"ports": []}), f"{SWITCHES}[0].ports"),
    "chain-port-without-interface": (
        dpuservicechain({"ports": [{}]}), f"{SWITCHES}[0].ports[0].serviceInterface"),
    "chain-small-mtu": (dpuservicechain({"ports": [PORT], "serviceMTU": 1279}), f"{SWITCHES}[0].serviceMTU"),
    "chain-large-mtu": (dpuservicechain({"ports": [PORT], "serviceMTU": 9217}), f"{SWITCHES}[0].serviceMTU"),
    "interface-type": (interface("bond"), f"{INTERFACE_SPEC}.interfaceType"),
    "interface-name": (
        interface("service", service=SERVICE | {"interfaceName": "n" * 16}), f"{INTERFACE_SPEC}.service.interfaceName"),
    "interface-vf": (interface("vf", vf={"vfID": 256, "pfID": 0}), f"{INTERFACE_SPEC}.vf.vfID"),
    "interface-pf": (interface("pf", pf={"pfID": -1}), f"{INTERFACE_SPEC}.pf.pfID"),
    "interface-card": (
        interface("pf", pf={"pfID": 0, "nicSelector": {"type": "pci", "pci": {"address": "08:00.0"}}}),
        f"{INTERFACE_SPEC}.pf.nicSelector.pci.address"),
    "interface-controller": (
        interface("pf", pf={"pfID": 0, "nicSelector": {"type": "dpu", "controllerNumber": 256}}),
        f"{INTERFACE_SPEC}.pf.nicSelector.controllerNumber"),
    "nad-type": (dpuservicenad({"resourceType": "pf"}), "spec.resourceType"),
    "nad-mtu": (dpuservicenad({"mtu": 1279}), "spec.mtu"),
    "nad-service-mtu": (dpuservicenad({"serviceMTU": 9217}), "spec.serviceMTU"),
    "nad-chained": (dpuservicenad({"chainedCNIs": [{"type": "tuning"}]}), "spec.chainedCNIs[0].type"),
    "credential-type": (dpuservicecredentialrequest({"type": "token"}), "spec.type"),
    **{f"credential-duration-{text}": (dpuservicecredentialrequest({"duration": text}), "spec.duration")
       for text in ("1", "1d", "1h 30m", "-1h", "")},
    **{f"credential-{field}": (
        merge(dpuservicecredentialrequest(), {"spec": {field: {"name": 1}}}), f"spec.{field}.name")
       for field in CREDENTIAL_NAMES},
}


@pytest.mark.parametrize(("manifest", "path"), SCHEMA_LIMITS.values(), ids=SCHEMA_LIMITS.keys())
def test_value_outside_the_schema_is_refused(kubectl: Kubectl, manifest: dict[str, Any], path: str) -> None:
    refused = kubectl.create(manifest)

    assert refused.status == 422
    assert refused_fields(refused) == {path}


def _interface_patch(fields: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"template": {"spec": fields}}}}}
