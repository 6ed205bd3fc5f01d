"""The server refuses what api-provisioning.md sections 0 to 10 say it refuses, in these words and for nothing else."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.integration.crds.conftest import Kubectl, assert_refused, refused_fields
from tests.integration.crds.provisioningmanifests import SELECTOR, TAINT, VERSIONS, with_effect
from tests.support.manifests import (
    bfb,
    bluefieldsoftware,
    dpu,
    dpudevice,
    dpuflavor,
    dpuflavortemplate,
    dpunode,
    dpunodemaintenance,
    dpuset,
)
from tools.crdgen import manifest as crdgen

pytestmark = pytest.mark.parts

IMMUTABLE = "Value is immutable"
ALL_VERSIONS = "all four version fields (bsp, doca, uefi, atf) must be provided when versions is set"
ONE_EFFECT = "only one of taint, noEffect, drain, customLabel, customAction, hold can be set"
ONE_SOFTWARE = "exactly one of bfb or blueFieldSoftware must be set"
ONE_FLAVOR = "exactly one of dpuFlavor or dpuFlavorTemplate must be set"
PERCENT = "the value range of maxUnavailable must be greater than 0% and less than or equal to 100%"
NUMBER = "the value range of maxUnavailable must be greater 0"
ONE_REBOOT = "only one of hostAgent, external, script can be set"
UNIQUE_DEVICE = "each nvconfig.device (including unspecified as '*') must be unique (case-insensitive)"
SPECTRUM = "spectrumXOptimized can be enabled only when linkType=='Ethernet' (or unset for Network Bay) and numVfs==1"
ONE_MAC = "options.macAddress requires count == 1"
RESERVED = ("resources are misconfigured: spec.systemReservedResources must not be specified if spec.dpuResources are "
            "not specified")
CLOUD_INIT = "configFiles with type cloud-init (the default) are immutable"
DUPLICATE_PORT = "host network interface configs are misconfigured: duplicate port number"
POWER_CYCLE = "provisioning.dpu.nvidia.com/host-power-cycle-required"
MAC = {"macAddress": "00:11:22:33:44:55"}
CONTENT = {"configMapKeyRef": {"name": "files", "key": "a"}}


def name_too_long(limit: int) -> str:
    return f"name length can't be bigger than {limit} chars"


def rolling(max_unavailable: Any) -> dict[str, Any]:
    return dpuset(spec={"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": max_unavailable}}})


def nvconfig(*devices: str | None) -> dict[str, Any]:
    return dpuflavor({"nvconfig": [{} if device is None else {"device": device} for device in devices]})


def file(**members: Any) -> dict[str, Any]:
    return dpuflavor({"configFiles": [{"path": "/etc/a", **members}]})


def ports(*numbers: int) -> dict[str, Any]:
    return dpuflavor({"hostNetworkInterfaceConfigs": [{"portNumber": number, "dhcp": True} for number in numbers]})


def card(**members: Any) -> dict[str, Any]:
    return dpuflavor({"ewNicConfigurations": [{"numVfs": 1, **members}]})


def without(manifest: dict[str, Any], *path: str) -> dict[str, Any]:
    """A copy of `manifest` without the member at `path` below spec."""
    manifest = copy.deepcopy(manifest)
    node = manifest["spec"]
    for key in path[:-1]:
        node = node[key]
    del node[path[-1]]
    return manifest


CREATES: dict[str, tuple[dict[str, Any], str]] = {
    "bfb-name": (bfb(name="n" * 188), name_too_long(187)),
    "software-name": (bluefieldsoftware(name="n" * 188), name_too_long(187)),
    "set-name": (dpuset(name="n" * 64), name_too_long(63)),
    "device-name": (dpudevice(name="n" * 64), name_too_long(63)),
    "maintenance-name": (dpunodemaintenance(name="n" * 64), name_too_long(63)),
    "node-name": (dpunode(name="n" * 49), name_too_long(48)),
    "bfb-no-version": (bfb({"versions": {}}), ALL_VERSIONS),
    **{f"bfb-without-{part}": (without(bfb({"versions": VERSIONS}), "versions", part), ALL_VERSIONS)
       for part in VERSIONS},
    **{f"bfb-empty-{part}": (bfb({"versions": VERSIONS | {part: ""}}), ALL_VERSIONS) for part in VERSIONS},
    "software-two-bundles": (
        bluefieldsoftware({"nicFw": "a", "platformPldmFwBundle": "b"}),
        "nicFw and platformPldmFwBundle are mutually exclusive; set only one"),
    "flavor-star-and-port": (nvconfig("*", "p0"), "when device is '*', it must be the only nvconfig entry"),
    "flavor-unnamed-and-port": (
        nvconfig("p0", None), "when device is unspecified (defaults to '*'), it must be the only nvconfig entry"),
    "flavor-port-twice": (nvconfig("p0", "p0"), UNIQUE_DEVICE),
    "flavor-port-in-both-cases": (nvconfig("p0", "p1", "P1"), UNIQUE_DEVICE),
    "flavor-file-without-content": (file(), "exactly one of raw or contentFrom must be specified"),
    "flavor-file-from-nowhere": (
        file(type="agent-applied", contentFrom={}), "contentFrom.configMapKeyRef must be specified"),
    "flavor-cloud-init-from-elsewhere": (
        file(type="cloud-init", contentFrom=CONTENT), "type cloud-init supports raw only"),
    "flavor-agent-file-in-place": (
        file(type="agent-applied", raw="x"), "type agent-applied supports contentFrom only"),
    "flavor-default-file-from-elsewhere": (
        file(contentFrom=CONTENT), "type defaults to cloud-init, which requires raw content"),
    "flavor-package-twice": (
        dpuflavor({"packages": [{"name": "jq"}, {"name": "jq"}]}), "package names must be unique"),
    "flavor-service-twice": (
        dpuflavor({"systemdServices": [{"name": "a", "operation": "Start"}, {"name": "a", "operation": "Enable"}]}),
        "systemd service names must be unique"),
    "flavor-reserved-without-resources": (dpuflavor({"systemReservedResources": {"cpu": 1}}), RESERVED),
    "flavor-reserved-of-nothing": (
        dpuflavor({"systemReservedResources": {"cpu": 1}, "dpuResources": {}}), RESERVED),
    "flavor-port-0-repeated": (ports(0, 0), f"{DUPLICATE_PORT} 0 found at index 1"),
    "flavor-port-1-repeated": (ports(1, 1, 0), f"{DUPLICATE_PORT} 1 found at index 1"),
    "flavor-port-0-repeated-later": (ports(0, 1, 0), f"{DUPLICATE_PORT} 0 found at index 2"),
    "flavor-port-1-repeated-later": (ports(0, 1, 1), f"{DUPLICATE_PORT} 1 found at index 2"),
    "flavor-spectrum-on-infiniband": (card(linkType="Infiniband", spectrumXOptimized={"enabled": True}), SPECTRUM),
    "flavor-spectrum-with-functions": (
        card(linkType="Ethernet", numVfs=2, spectrumXOptimized={"enabled": True}), SPECTRUM),
    "flavor-card-without-link": (card(), "linkType is required unless networkBay is configured"),
    "flavor-bay-with-link": (
        card(linkType="Ethernet", networkBay={"conf": {}}),
        ("linkType must not be set when networkBay is configured (the Network Bay link type is governed by the system "
         "configuration)")),
    "flavor-functions-with-one-mac": (dpuflavor({"scalableFunctions": [{"count": 2, "options": MAC}]}), ONE_MAC),
    "flavor-no-function-with-a-mac": (dpuflavor({"scalableFunctions": [{"count": 0, "options": MAC}]}), ONE_MAC),
    "flavor-virtual-functions-with-one-mac": (
        dpuflavor({"virtualFunctions": [{"count": 2, "options": MAC}]}), ONE_MAC),
    "flavor-pool-on-the-host": (
        dpuflavor({"scalableFunctions": [{"count": 1, "hostDevice": True, "poolName": "a"}]}),
        "poolName must not be set when hostDevice is true"),
    "set-two-device-selectors": (
        dpuset(spec={"dpuSelector": {"a": "b"}, "dpuDeviceSelector": SELECTOR}),
        "only one of dpuSelector or dpuDeviceSelector can be specified"),
    "set-two-node-selectors": (
        dpuset(spec={"nodeSelector": SELECTOR, "dpuNodeSelector": SELECTOR}),
        "only one of nodeSelector or dpuNodeSelector can be specified"),
    "set-without-software": (without(dpuset(), "dpuTemplate", "spec", "bfb"), ONE_SOFTWARE),
    "set-with-both": (dpuset({"blueFieldSoftware": {"name": "a"}}), ONE_SOFTWARE),
    "set-without-flavor": (without(dpuset(), "dpuTemplate", "spec", "dpuFlavor"), ONE_FLAVOR),
    "set-with-two-flavors": (dpuset({"dpuFlavorTemplate": "a"}), ONE_FLAVOR),
    "set-nameless-bfb": (without(dpuset(), "dpuTemplate", "spec", "bfb", "name"), "bfb.name must be non-empty"),
    "set-empty-bfb": (dpuset({"bfb": {"name": ""}}), "bfb.name must be non-empty"),
    **{f"set-share-{share or 'empty'}": (rolling(share), PERCENT)
       for share in ("0%", "000%", "101%", "1000%", "-1%", "1.5%", "%", "10", "", "10%%")},
    **{f"set-pace-{number}": (rolling(number), NUMBER) for number in (0, -1)},
    "set-power-cycle": (
        dpuset(spec={"dpuTemplate": {"annotations": {POWER_CYCLE: "yes"}}}),
        f'invalid value "yes" for "{POWER_CYCLE}"'),
    "set-power-cycle-empty": (
        dpuset(spec={"dpuTemplate": {"annotations": {POWER_CYCLE: ""}}}), f'invalid value "" for "{POWER_CYCLE}"'),
    "set-no-effect-named": (with_effect(), ONE_EFFECT),
    "set-only-options": (with_effect(force=True, applyOnLabelChange=True), ONE_EFFECT),
    "set-two-effects": (with_effect(drain=True, hold=True), ONE_EFFECT),
    "set-false-counts": (with_effect(noEffect=False, drain=True), ONE_EFFECT),
    "set-empty-map-counts": (with_effect(customLabel={}, taint=TAINT), ONE_EFFECT),
    "set-empty-text-counts": (with_effect(customAction="", taint=TAINT), ONE_EFFECT),
    "dpu-no-effect-named": (dpu({"nodeEffect": {}}), ONE_EFFECT),
    "maintenance-two-effects": (dpunodemaintenance({"nodeEffect": {"drain": True, "noEffect": False}}), ONE_EFFECT),
    "dpu-without-software": (without(dpu(), "bfb"), ONE_SOFTWARE),
    "dpu-with-both": (dpu({"blueFieldSoftware": "a"}), ONE_SOFTWARE),
    "node-no-reboot": (dpunode({"nodeRebootMethod": {}}), ONE_REBOOT),
    "node-two-reboots": (dpunode({"nodeRebootMethod": {"external": {}, "script": {"name": "a"}}}), ONE_REBOOT),
    "node-agent-and-external": (dpunode({"nodeRebootMethod": {"hostAgent": {}, "external": {}}}), ONE_REBOOT),
    "node-old-agent-and-script": (dpunode({"nodeRebootMethod": {"gNOI": {}, "script": {"name": "a"}}}), ONE_REBOOT),
}

FLAVOR = dpuflavor({
    "dpuMode": "dpu", "bfcfgParameters": ["A=1"], "dpuResources": {"cpu": 2, "memory": "1Gi"},
    "systemReservedResources": {"cpu": 1}, "hostNetworkInterfaceConfigs": [{"portNumber": 0, "mtu": 1500}],
    "configFiles": [
        {"path": "/etc/a", "raw": "x"}, {"path": "/etc/b", "type": "agent-applied", "contentFrom": CONTENT},
    ],
})
FILES = FLAVOR["spec"]["configFiles"]
CLUSTER = {"name": "a", "namespace": "b"}

UPDATES: dict[str, tuple[dict[str, Any], dict[str, Any] | None, str, str]] = {
    "bfb-file": (bfb({"fileName": "a.bfb"}), {"fileName": "b.bfb"}, IMMUTABLE, "spec.fileName"),
    "bfb-file-removed": (bfb({"fileName": "a.bfb"}), {"fileName": None}, IMMUTABLE, "spec.fileName"),
    "bfb-url": (bfb(), {"url": "http://example.com/other.bfb"}, IMMUTABLE, "spec.url"),
    "bfb-spec-removed": (bfb(), None, IMMUTABLE, "spec.url"),
    **{f"bfb-{part}": (
        bfb({"versions": VERSIONS}), {"versions": {part: "other"}}, f"{part.upper()} version is immutable",
        f"spec.versions.{part}") for part in VERSIONS},
    "bfb-versions-removed": (
        bfb({"versions": VERSIONS}), {"versions": None}, "versions cannot be removed once set", "spec.versions"),
    "software": (bluefieldsoftware(), {"osIso": "http://x/y"}, "BlueFieldSpec is immutable", "spec"),
    "software-added": (bluefieldsoftware(), {"nicFw": "a"}, "BlueFieldSpec is immutable", "spec"),
    "software-removed": (bluefieldsoftware(), None, "BlueFieldSpec is immutable", "spec"),
    "flavor-mode": (FLAVOR, {"dpuMode": "nic"}, "dpuMode is immutable", "spec.dpuMode"),
    "flavor-mode-removed": (FLAVOR, {"dpuMode": None}, "dpuMode is immutable", "spec.dpuMode"),
    "flavor-mode-added": (dpuflavor(), {"dpuMode": "nic"}, "dpuMode is immutable", "spec.dpuMode"),
    "flavor-bfcfg": (FLAVOR, {"bfcfgParameters": []}, "bfcfgParameters is immutable", "spec.bfcfgParameters"),
    "flavor-bfcfg-added": (
        dpuflavor(), {"bfcfgParameters": ["A=1"]}, "bfcfgParameters is immutable", "spec.bfcfgParameters"),
    "flavor-resources": (FLAVOR, {"dpuResources": {"cpu": 3}}, "dpuResources is immutable", "spec.dpuResources"),
    "flavor-resources-added": (
        dpuflavor(), {"dpuResources": {"cpu": 3}}, "dpuResources is immutable", "spec.dpuResources"),
    "flavor-reserved": (
        FLAVOR, {"systemReservedResources": {"cpu": 2}}, "systemReservedResources is immutable",
        "spec.systemReservedResources"),
    "flavor-reserved-removed": (
        FLAVOR, {"systemReservedResources": None}, "systemReservedResources is immutable",
        "spec.systemReservedResources"),
    "flavor-ports": (
        FLAVOR, {"hostNetworkInterfaceConfigs": [{"portNumber": 1, "mtu": 1500}]},
        "hostNetworkInterfaceConfigs is immutable", "spec.hostNetworkInterfaceConfigs"),
    "flavor-ports-removed": (
        FLAVOR, {"hostNetworkInterfaceConfigs": None}, "hostNetworkInterfaceConfigs is immutable",
        "spec.hostNetworkInterfaceConfigs"),
    "flavor-file": (
        FLAVOR, {"configFiles": [FILES[0] | {"raw": "y"}, FILES[1]]}, CLOUD_INIT, "spec.configFiles"),
    "flavor-file-removed": (FLAVOR, {"configFiles": [FILES[1]]}, CLOUD_INIT, "spec.configFiles"),
    "flavor-files-removed": (FLAVOR, {"configFiles": None}, CLOUD_INIT, "spec.configFiles"),
    "flavor-file-added": (dpuflavor(), {"configFiles": [FILES[0]]}, CLOUD_INIT, "spec.configFiles"),
    **{f"dpu-{field}": (dpu(), {field: "other"}, IMMUTABLE, f"spec.{field}")
       for field in ("dpuNodeName", "dpuDeviceName", "serialNumber", "dpuFlavor")},
    "dpu-old-node": (dpu({"nodeName": "a"}), {"nodeName": "b"}, IMMUTABLE, "spec.nodeName"),
    "dpu-cluster": (dpu({"cluster": CLUSTER}), {"cluster": {"name": "c"}}, IMMUTABLE, "spec.cluster.name"),
    "dpu-cluster-namespace": (
        dpu({"cluster": CLUSTER}), {"cluster": {"namespace": None}}, IMMUTABLE, "spec.cluster.namespace"),
    "dpu-cluster-removed": (dpu({"cluster": {"name": "a"}}), {"cluster": None}, IMMUTABLE, "spec.cluster.name"),
    "dpu-secure-boot": (dpu({"secureBoot": False}), {"secureBoot": True}, IMMUTABLE, "spec.secureBoot"),
    "device-serial": (
        dpudevice(), {"serialNumber": "MT2"}, "Serial Number is immutable", "spec.serialNumber"),
    "device-psid": (dpudevice({"psid": "a"}), {"psid": "b"}, "PSID is immutable", "spec.psid"),
    "device-opn": (dpudevice({"opn": "a"}), {"opn": None}, "OPN is immutable", "spec.opn"),
    "device-port": (dpudevice(), {"bmcPort": 444}, "BMCPort is immutable", "spec.bmcPort"),
    "device-pfs": (dpudevice(), {"numberOfPFs": 2}, "Number of PFs is immutable", "spec.numberOfPFs"),
    "device-pf0": (dpudevice({"pf0Name": "a"}), {"pf0Name": "b"}, "PF0 Name is immutable", "spec.pf0Name"),
    "device-cards": (
        dpudevice({"nicDeviceCount": 1}), {"nicDeviceCount": 2}, "NICDeviceCount is immutable",
        "spec.nicDeviceCount"),
}

ALLOWED_UPDATES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "bfb-file-named-later": (bfb(), {"fileName": "a.bfb"}),
    "bfb-versions-declared-later": (bfb(), {"versions": VERSIONS}),
    "flavor-firmware": (FLAVOR, {"nvconfig": [{"parameters": ["A=1"]}]}),
    "flavor-gate": (FLAVOR, {"serviceReadiness": {"gate": "OperationalReady"}}),
    "flavor-boot-and-switch": (FLAVOR, {"grub": {"kernelParameters": []}, "ovs": {"rawConfigScript": "x"}}),
    "flavor-agent-file": (
        FLAVOR, {"configFiles": [FILES[1] | {"path": "/etc/c"}, FILES[0], FILES[1] | {"permissions": "0600"}]}),
    "flavor-first-agent-file": (dpuflavor(), {"configFiles": [FILES[1]]}),
    "set-everything": (
        dpuset(), {"strategy": {"type": "RollingUpdate"}, "dpuTemplate": {"spec": {
            "bfb": {"name": "other"}, "dpuFlavor": "other", "nodeEffect": {"drain": True}}}}),
    "set-effect-replaced": (
        with_effect(taint=TAINT), {"dpuTemplate": {"spec": {"nodeEffect": {"taint": None, "noEffect": False}}}}),
    "dpu-allocated": (dpu({"cluster": {"nodeLabels": {"a": "b"}}}), {"cluster": CLUSTER}),
    "dpu-labels": (dpu({"cluster": CLUSTER}), {"cluster": {"nodeLabels": {"a": "b"}}}),
    "dpu-software": (dpu(), {"bfb": "other"}),
    "device-address": (dpudevice({"bmcIp": "10.0.0.1"}), {"bmcIp": "10.0.0.2"}),
    "device-facts-added": (dpudevice(), {"psid": "a", "opn": "b", "pf0Name": "c", "nicDeviceCount": 1}),
    "node-reboot": (dpunode(), {"nodeRebootMethod": {"hostAgent": None, "external": {}}}),
    "node-more-devices": (dpunode({"dpus": [{"name": "a"}]}), {"dpus": [{"name": "a"}, {"name": "b"}]}),
    "maintenance-requestors": (dpunodemaintenance(), {"requestor": ["a"]}),
}

STATUS_UPDATES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str, str]] = {
    "software-versions": (
        bluefieldsoftware(), {"versions": {"doca": "3"}}, {"versions": None}, "versions cannot be removed once set",
        "status.versions"),
    "dpu-version": (dpu(), {"dpfVersion": "v1"}, {"dpfVersion": "v2"}, IMMUTABLE, "status.dpfVersion"),
    "dpu-identity": (
        dpu(), {"identityMode": "spiffe"}, {"identityMode": "bootstrap-token"},
        "identityMode is immutable once set: can only transition from unset to a value", "status.identityMode"),
    "dpu-identity-removed": (
        dpu(), {"identityMode": "spiffe"}, {"identityMode": None},
        "identityMode is immutable once set: can only transition from unset to a value", "status.identityMode"),
    "node-ref": (
        dpunode(), {"kubeNodeRef": "a"}, {"kubeNodeRef": "b"}, "KubeNodeRef is immutable", "status.kubeNodeRef"),
}


@pytest.mark.parametrize(("manifest", "message"), CREATES.values(), ids=CREATES.keys())
def test_create_is_refused(kubectl: Kubectl, manifest: dict[str, Any], message: str) -> None:
    assert_refused(kubectl.create(manifest), message)


@pytest.mark.parametrize(("manifest", "spec", "message", "field"), UPDATES.values(), ids=UPDATES.keys())
def test_update_is_refused(
    kubectl: Kubectl, manifest: dict[str, Any], spec: dict[str, Any] | None, message: str, field: str
) -> None:
    kubectl.create(manifest).expect(201)

    refused = kubectl.merge(manifest, {"spec": spec})

    assert_refused(refused, message)
    assert refused_fields(refused) == {field}


def test_dpu_spec_is_not_removed(kubectl: Kubectl) -> None:
    kubectl.create(dpu()).expect(201)

    refused = kubectl.merge(dpu(), {"spec": None})

    assert refused.status == 422
    assert refused_fields(refused) == {
        "spec.dpuNodeName", "spec.dpuDeviceName", "spec.serialNumber", "spec.dpuFlavor",
    }


@pytest.mark.parametrize(("manifest", "spec"), ALLOWED_UPDATES.values(), ids=ALLOWED_UPDATES.keys())
def test_update_is_allowed(kubectl: Kubectl, manifest: dict[str, Any], spec: dict[str, Any]) -> None:
    kubectl.create(manifest).expect(201)

    kubectl.merge(manifest, {"spec": spec}).expect(200)


@pytest.mark.parametrize(
    ("manifest", "before", "after", "message", "field"), STATUS_UPDATES.values(), ids=STATUS_UPDATES.keys()
)
def test_status_update_is_refused(
    kubectl: Kubectl, manifest: dict[str, Any], before: dict[str, Any], after: dict[str, Any], message: str, field: str
) -> None:
    kubectl.create(manifest).expect(201)
    kubectl.merge(manifest, {"status": before}, subresource="status").expect()

    refused = kubectl.merge(manifest, {"status": after}, subresource="status")

    assert_refused(refused, message)
    assert refused_fields(refused) == {field}


def test_host_is_released_one_way_or_the_other(kubectl: Kubectl) -> None:
    kubectl.create(dpu()).expect(201)
    for outcome in ({}, {"skipped": {}, "succeeded": {}}):
        refused = kubectl.merge(dpu(), {"status": {"agentStatus": {"hostOSInit": outcome}}}, subresource="status")

        assert_refused(refused, "exactly one of skipped or succeeded must be set")


def test_template_without_spec_lacks_software_and_flavor(kubectl: Kubectl) -> None:
    refused = kubectl.create(without(dpuset(), "dpuTemplate", "spec"))

    assert refused.status == 422
    assert [cause.endswith((ONE_SOFTWARE, ONE_FLAVOR)) for cause in refused.causes] == [True, True]
    assert refused_fields(refused) == {"spec.dpuTemplate.spec"}


def test_every_message_is_shown_by_some_object() -> None:
    """A rule without an object that it refuses could be dead."""
    shown = {message for _, message in CREATES.values()} | {IMMUTABLE}
    shown |= {message for *_, message, _ in (*UPDATES.values(), *STATUS_UPDATES.values())}
    shown |= {"exactly one of skipped or succeeded must be set"}
    declared = {
        rule["message"]
        for kind in crdgen.own_kinds()
        if kind.resource.group == "provisioning.dpu.nvidia.com"
        and kind.resource.kind not in ("DPUCluster", "DPUDiscovery")  # have tests of their own
        for rule in _rules(crdgen.build(kind)) if "message" in rule
    }

    assert sorted(declared - shown) == []


SCHEMA_LIMITS: dict[str, tuple[dict[str, Any], str]] = {
    "bfb-url-scheme": (bfb({"url": "ftp://example.com/a.bfb"}), "spec.url"),
    "bfb-url-empty": (bfb({"url": "http://"}), "spec.url"),
    "bfb-file-folder": (bfb({"fileName": "a/b.bfb"}), "spec.fileName"),
    "bfb-file-ending": (bfb({"fileName": "a.iso"}), "spec.fileName"),
    "bfb-file-bare": (bfb({"fileName": ".bfb"}), "spec.fileName"),
    "bfb-no-url": (without(bfb(), "url"), "spec.url"),
    "software-empty": (bluefieldsoftware({"osIso": ""}), "spec.osIso"),
    "software-empty-bundle": (bluefieldsoftware({"pldmFwBundle": ""}), "spec.pldmFwBundle"),
    "flavor-device": (nvconfig("p2"), "spec.nvconfig[0].device"),
    "flavor-no-settings": (dpuflavor({"nvconfig": [{"parameters": []}]}), "spec.nvconfig[0].parameters"),
    "flavor-65-settings": (dpuflavor({"nvconfig": [{"parameters": ["A=1"] * 65}]}), "spec.nvconfig[0].parameters"),
    "flavor-four-nvconfigs": (nvconfig("p0", "p1", "p0", "p1"), "spec.nvconfig"),
    "flavor-setting-without-value": (
        dpuflavor({"nvconfig": [{"parameters": ["A"]}]}), "spec.nvconfig[0].parameters[0]"),
    "flavor-setting-with-space": (
        dpuflavor({"nvconfig": [{"parameters": ["A=1 B=2"]}]}), "spec.nvconfig[0].parameters[0]"),
    "flavor-setting-too-long": (
        dpuflavor({"nvconfig": [{"parameters": ["A=" + "1" * 199]}]}), "spec.nvconfig[0].parameters[0]"),
    "flavor-file-without-path": (dpuflavor({"configFiles": [{"raw": ""}]}), "spec.configFiles[0].path"),
    "flavor-file-type": (file(raw="", type="other"), "spec.configFiles[0].type"),
    "flavor-file-operation": (file(raw="", operation="prepend"), "spec.configFiles[0].operation"),
    "flavor-amount": (dpuflavor({"dpuResources": {"cpu": "many"}}), "spec.dpuResources.cpu"),
    "flavor-fraction": (dpuflavor({"dpuResources": {"cpu": 0.5}}), "spec.dpuResources.cpu"),
    "flavor-mode": (dpuflavor({"dpuMode": "switch"}), "spec.dpuMode"),
    "flavor-port": (ports(2), "spec.hostNetworkInterfaceConfigs[0].portNumber"),
    "flavor-mtu": (
        dpuflavor({"hostNetworkInterfaceConfigs": [{"portNumber": 0, "mtu": 1279}]}),
        "spec.hostNetworkInterfaceConfigs[0].mtu"),
    "flavor-gate": (dpuflavor({"serviceReadiness": {"gate": "Ready"}}), "spec.serviceReadiness.gate"),
    "flavor-packages": (
        dpuflavor({"packages": [{"name": f"p{n}"} for n in range(65)]}), "spec.packages"),
    "flavor-package-policy": (
        dpuflavor({"packages": [{"name": "a", "version": {"value": "1", "matchPolicy": "AtMost"}}]}),
        "spec.packages[0].version.matchPolicy"),
    "flavor-function-device": (
        dpuflavor({"scalableFunctions": [{"count": 1, "device": "eth0"}]}), "spec.scalableFunctions[0].device"),
    "flavor-function-pool": (
        dpuflavor({"virtualFunctions": [{"count": 1, "poolName": "-a"}]}), "spec.virtualFunctions[0].poolName"),
    "flavor-function-cpus": (
        dpuflavor({"scalableFunctions": [{"count": 1, "options": {"cpuList": "0-"}}]}),
        "spec.scalableFunctions[0].options.cpuList"),
    "flavor-17-groups": (dpuflavor({"virtualFunctions": [{"count": 0}] * 17}), "spec.virtualFunctions"),
    "template-empty": (dpuflavortemplate({"template": ""}), "spec.template"),
    "set-no-template": (without(dpuset(), "dpuTemplate"), "spec.dpuTemplate"),
    "set-strategy": (dpuset(spec={"strategy": {"type": "Sometimes"}}), "spec.strategy.type"),
    "set-drain-object": (with_effect(drain={}), "spec.dpuTemplate.spec.nodeEffect.drain"),
    "set-taint": (with_effect(taint={"key": "a"}), "spec.dpuTemplate.spec.nodeEffect.taint.effect"),
    "set-empty-flavor": (dpuset({"dpuFlavor": ""}), "spec.dpuTemplate.spec.dpuFlavor"),
    "dpu-empty-bfb": (dpu({"bfb": ""}), "spec.bfb"),
    "dpu-long-bfb": (dpu({"bfb": "b" * 254}), "spec.bfb"),
    "dpu-no-node": (without(dpu(), "dpuNodeName"), "spec.dpuNodeName"),
    "dpu-no-device": (without(dpu(), "dpuDeviceName"), "spec.dpuDeviceName"),
    "dpu-empty-serial": (dpu({"serialNumber": ""}), "spec.serialNumber"),
    "dpu-no-flavor": (without(dpu(), "dpuFlavor"), "spec.dpuFlavor"),
    "dpu-pci-colons": (dpu({"pciAddress": "0000:0e:00.0"}), "spec.pciAddress"),
    "node-script": (dpunode({"nodeRebootMethod": {"script": {"name": ""}}}), "spec.nodeRebootMethod.script.name"),
    "node-address": (dpunode({"nodeDMSAddress": {"ip": "host", "port": 1}}), "spec.nodeDMSAddress.ip"),
    "node-device": (dpunode({"dpus": [{"name": ""}]}), "spec.dpus[0].name"),
    "device-empty-serial": (dpudevice({"serialNumber": ""}), "spec.serialNumber"),
    "device-address": (dpudevice({"bmcIp": "fd00::1"}), "spec.bmcIp"),
    "device-port": (dpudevice({"bmcPort": 0}), "spec.bmcPort"),
    "device-cards": (dpudevice({"nicDeviceCount": 9}), "spec.nicDeviceCount"),
    "device-policy": (dpudevice({"bmcFactoryResetPolicy": "Always"}), "spec.bmcFactoryResetPolicy"),
    "maintenance-nobody": (without(dpunodemaintenance(), "dpuNodeName"), "spec.dpuNodeName"),
}


@pytest.mark.parametrize(("manifest", "path"), SCHEMA_LIMITS.values(), ids=SCHEMA_LIMITS.keys())
def test_value_outside_the_schema_is_refused(kubectl: Kubectl, manifest: dict[str, Any], path: str) -> None:
    refused = kubectl.create(manifest)

    assert refused.status == 422
    assert refused_fields(refused) == {path}


STATUS_LIMITS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "bfb-phase": (bfb(), {"phase": "Extracting"}, "status.phase"),
    "dpu-phase": (dpu(), {"phase": "Host OS Init Release"}, "status.phase"),
    "dpu-mode": (dpu(), {"deploymentMode": "trusting"}, "status.deploymentMode"),
    "dpu-reboot": (dpu(), {"rebootStatus": {"method": "Kick"}}, "status.rebootStatus.method"),
    "dpu-reboots": (dpu(), {"agentStatus": {"rebootSequenceCount": -1}}, "status.agentStatus.rebootSequenceCount"),
    "device-mode": (dpudevice(), {"dpuMode": "zero-trust"}, "status.dpuMode"),
    "device-mac": (dpudevice(), {"pf0Mac": "00"}, "status.pf0Mac"),
    "node-interface": (dpunode(), {"dpuInstallInterface": "ssh"}, "status.dpuInstallInterface"),
    "maintenance-limit": (dpunodemaintenance(), {"maxUnavailableDPUNodes": 0}, "status.maxUnavailableDPUNodes"),
}


@pytest.mark.parametrize(("manifest", "status", "path"), STATUS_LIMITS.values(), ids=STATUS_LIMITS.keys())
def test_status_outside_the_schema_is_refused(
    kubectl: Kubectl, manifest: dict[str, Any], status: dict[str, Any], path: str
) -> None:
    kubectl.create(manifest).expect(201)

    refused = kubectl.merge(manifest, {"status": status}, subresource="status")

    assert refused.status == 422
    assert refused_fields(refused) == {path}


@pytest.mark.parametrize("phase", [
    "Initializing", "Node Effect", "Pending", "DMS Deployment", "OS Installing", "Rebooting",
    "Host Network Configuration", "DPU Cluster Config", "Ready", "Error", "Deleting", "Initialize Interface",
    "Config FW Parameters", "Prepare BFB", "Checking Host Reboot Required", "Update Firmware", "DPU Config",
    "Service Readiness", "Perform ARM Force Restart", "Node Effect Removal",
])
def test_phase_of_any_release_is_taken(kubectl: Kubectl, phase: str) -> None:
    kubectl.create(dpu()).expect(201)

    stored = kubectl.merge(dpu(), {"status": {"phase": phase}}, subresource="status").expect()

    assert stored["status"]["phase"] == phase


def _rules(node: Any) -> list[dict[str, Any]]:
    match node:
        case dict():
            own = node.get("x-kubernetes-validations", [])
            return [*own, *(rule for child in node.values() for rule in _rules(child))]
        case list():
            return [rule for child in node for rule in _rules(child)]
        case _:
            return []
