"""Manifests of provisioning.dpu.nvidia.com that together use every field, and statuses that do."""

from __future__ import annotations

from typing import Any

from tests.support.manifests import (
    bfb,
    bluefieldsoftware,
    dpu,
    dpudevice,
    dpudiscovery,
    dpuflavor,
    dpuflavortemplate,
    dpunode,
    dpunodemaintenance,
    dpuset,
    merge,
)

SELECTOR = {"matchLabels": {"environment": "production"}}
TIME = "2026-01-02T03:04:05Z"
TAINT = {"key": "dpu", "effect": "NoSchedule", "value": "provisioning", "timeAdded": TIME}
EFFECT_OPTIONS = {"force": True, "applyOnLabelChange": True, "nodeMaintenanceAdditionalRequestors": ["a"]}
METADATA = {"nodeLabels": {"a": "b"}, "nodeAnnotations": {"c": "d"}}
VERSIONS = {"bsp": "4.9.0", "doca": "2.9.1", "uefi": "4.9", "atf": "4.9"}
RESOURCES = {"cpu": 16, "memory": "16Gi", "nvidia.com/sf": 20}
CONDITIONS = [{
    "type": "Ready", "status": "True", "reason": "Success", "message": "", "lastTransitionTime": TIME,
    "observedGeneration": 1,
}]


def software(manifest: dict[str, Any], *path: str, reference: Any = "software") -> dict[str, Any]:
    """`manifest` with a BlueFieldSoftware in place of its BFB, in the map at `path` below spec."""
    node = manifest["spec"]
    for key in path:
        node = node[key]
    del node["bfb"]
    node["blueFieldSoftware"] = reference
    return manifest


def with_effect(**effect: Any) -> dict[str, Any]:
    """A DPUSet whose template has this effect."""
    return dpuset({"nodeEffect": effect})


def flavor_template_set() -> dict[str, Any]:
    """A DPUSet whose devices get rendered flavors."""
    manifest = software(dpuset(), "dpuTemplate", "spec", reference={"name": "software"})
    del manifest["spec"]["dpuTemplate"]["spec"]["dpuFlavor"]
    return merge(manifest, {"spec": {"dpuTemplate": {"spec": {"dpuFlavorTemplate": "template"}}}})


SPECS: dict[str, dict[str, Any]] = {
    "bfb": bfb({"fileName": "a_b-c.1.bfb", "versions": VERSIONS}),
    "bfb-with-a-dot": bfb(name="bfb-2.9"),
    "bfb-that-does-not-end-in-bfb": bfb({"url": "https://example.com/latest?download=1"}),
    "software": bluefieldsoftware({"pldmFwBundle": "a", "nicFw": "b"}),
    "software-platform": bluefieldsoftware({"platformPldmFwBundle": "a"}),
    "flavor": dpuflavor({
        "grub": {"kernelParameters": ["console=hvc0"]},
        "sysctl": {"parameters": ["net.ipv4.ip_forward=1"]},
        "nvconfig": [
            {"device": "p0", "parameters": ["PF_BAR2_ENABLE=0", "EMPTY="], "hostPowerCycleRequired": False,
             "force": False},
            {"device": "P1", "parameters": ["PER_PF_NUM_SF=1"]},
        ],
        "ovs": {"rawConfigScript": "ovs-vsctl show\n"},
        "bfcfgParameters": ["UPDATE_ATF_UEFI=yes"],
        "configFiles": [
            {"path": "/etc/a", "operation": "append", "type": "cloud-init", "raw": "", "permissions": "0644"},
            {"path": "/etc/a", "raw": "again"},
            {"path": "/etc/b", "operation": "override", "type": "agent-applied", "contentFrom": {
                "configMapKeyRef": {"name": "files", "key": "b", "optional": False}}},
        ],
        "packages": [
            {"name": "tcpdump", "version": {"value": "4.99", "matchPolicy": "Exact"}, "repoFileRef": {"any": ["x"]}},
            {"name": "jq"},
        ],
        "systemdServices": [{"name": "rsyslog", "operation": "EnableAndStart"}],
        "containerdConfig": {"registryEndpoint": "registry.example.com"},
        "dpuResources": RESOURCES,
        "systemReservedResources": {"cpu": "4", "memory": "4Gi"},
        "dpuMode": "zero-trust",
        "hostNetworkInterfaceConfigs": [
            {"portNumber": 0, "mtu": 1280, "dhcp": False, "nvconfig": [{"any": "thing"}]}, {"portNumber": 1},
        ],
        "ewNicConfigurations": [
            {"numVfs": 1, "linkType": "Ethernet", "rawNvConfig": [{"name": "a", "value": "b"}], "force": True,
             "spectrumXOptimized": {"enabled": True, "version": "1", "overlay": "none", "multiplaneMode": "none",
                                    "numberOfPlanes": 2}},
            {"numVfs": 1, "networkBay": {"conf": {"any": "thing"}}, "spectrumXOptimized": {"enabled": True}},
            {"numVfs": 16, "linkType": "Infiniband", "spectrumXOptimized": {"enabled": False}},
        ],
        "serviceReadiness": {"gate": "OperationalReady"},
        "scalableFunctions": [
            {"count": 1, "device": "p0", "poolName": "pool", "options": {
                "macAddress": "00:11:22:33:44:55", "sfNumStart": 0, "trusted": False, "controller": 15,
                "cpuList": "0-3,6", "disableRoCE": True, "disableNetdev": False}},
            {"count": 0, "device": "0000:03:00.1", "hostDevice": True},
        ],
        "virtualFunctions": [
            {"count": 1, "device": "*", "poolName": "pool", "options": {"macAddress": "00:11:22:33:44:55"}}],
        "dma": {"enabled": False},
    }),
    "flavor-of-everything-at-once": dpuflavor({"nvconfig": [{"device": "*", "parameters": ["A=1"]}]}),
    "flavor-of-unnamed-ports": dpuflavor({"nvconfig": [{"parameters": ["A=1"]}]}),
    "flavor-of-the-older-releases": dpuflavor({"nvconfig": [{"hostPowerCycleRequired": True}]}),
    "flavor-template": dpuflavortemplate({
        "template": "spec: {grub: {kernelParameters: [{{ .x }}]}}", "dpuResources": RESOURCES,
        "systemReservedResources": {"cpu": 1}}),
    "set": dpuset(
        {"nodeEffect": {"taint": TAINT, **EFFECT_OPTIONS}, "cluster": {**METADATA, "selector": SELECTOR},
         "astraEnabled": True, "secureBoot": False, "automaticNodeReboot": True},
        spec={"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
              "dpuNodeSelector": SELECTOR, "dpuDeviceSelector": SELECTOR,
              "dpuTemplate": {"annotations": {"provisioning.dpu.nvidia.com/host-power-cycle-required": "T"}}}),
    "set-of-older-releases": dpuset(
        {"automaticNodeReboot": False},
        spec={"strategy": {"type": "Recreate"}, "nodeSelector": SELECTOR,
              "dpuSelector": {"feature.node.kubernetes.io/dpu-0-pci-address": "0000-0e-00"}}),
    "set-with-a-number": dpuset(
        spec={"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}}),
    "set-with-all-at-once": dpuset(
        spec={"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}}}),
    "set-that-does-not-roll": dpuset(spec={"strategy": {"rollingUpdate": {"maxUnavailable": 0}}}),
    "set-of-templates": flavor_template_set(),
    "effect-none": with_effect(noEffect=True),
    "effect-not-none": with_effect(noEffect=False),
    "effect-drain": with_effect(drain=True),
    "effect-labels": with_effect(customLabel={"a": "b"}),
    "effect-no-labels": with_effect(customLabel={}),
    "effect-action": with_effect(customAction="pod"),
    "effect-hold": with_effect(hold=False),
    "dpu": dpu({
        "pciAddress": "0000-0e-00", "nodeEffect": {"customLabel": {"a": "b"}, **EFFECT_OPTIONS},
        "cluster": {"name": "a", "namespace": "b", "selector": SELECTOR, **METADATA},
        "astraEnabled": False, "secureBoot": True, "bmcIP": "10.0.0.1", "automaticNodeReboot": False,
        "nodeName": "worker1"}),
    "dpu-hold": dpu({"nodeEffect": {"hold": True}}),
    "dpu-taint": dpu({"nodeEffect": {"taint": TAINT}}),
    "dpu-drain": dpu({"nodeEffect": {"drain": True}}),
    "dpu-none": dpu({"nodeEffect": {"noEffect": True}}),
    "dpu-action": dpu({"nodeEffect": {"customAction": "pod"}}),
    "dpu-software": software(dpu({"pciAddress": "0e-00"})),
    "node": dpunode({
        "nodeRebootMethod": {"gNOI": {}, "hostAgent": {}}, "nodeDMSAddress": {"ip": "10.0.0.1", "port": 9339},
        "dpus": [{"name": "mt1"}]}),
    "node-gnoi": dpunode({"nodeRebootMethod": {"gNOI": {}}}),
    "node-external": dpunode({"nodeRebootMethod": {"external": {}}}),
    "node-script": dpunode({"nodeRebootMethod": {"script": {"name": "reboot"}}}),
    "node-name-of-48": dpunode(name="n" * 48),
    "device": dpudevice({
        "psid": "MT_0000000884", "opn": "900-9D3B6-00SV-AA0", "bmcIp": "10.0.0.1", "bmcPort": 8443, "numberOfPFs": 2,
        "pf0Name": "eth0", "nicDeviceCount": 8, "bmcCredentialSecretName": "bmc", "bmcFactoryResetPolicy": "Never",
        "cluster": METADATA, "values": {"any": ["thing", 1, {"a": None}]}}),
    "discovery": dpudiscovery({
        "ipRangeSpec": {"ipRange": {"port": 8443}}, "scanInterval": "10m", "workers": 4}),
    "maintenance": dpunodemaintenance({
        "nodeEffect": {"hold": True, **EFFECT_OPTIONS}, "requestor": ["dpu-1"]}),
    "maintenance-taint": dpunodemaintenance({"nodeEffect": {"taint": TAINT}}),
    "maintenance-drain": dpunodemaintenance({"nodeEffect": {"drain": True}}),
    "maintenance-none": dpunodemaintenance({"nodeEffect": {"noEffect": True}}),
    "maintenance-labels": dpunodemaintenance({"nodeEffect": {"customLabel": {"a": "b"}}}),
    "maintenance-action": dpunodemaintenance({"nodeEffect": {"customAction": "pod"}}),
}
"""A spec for each alternative; together they use every field."""

AGENT = {
    "lastStartupTime": TIME, "initialBootID": "b", "rebootMethod": "DPUWarmReboot", "rebootSequenceCount": 1,
    "lastObservedPendingNvconfig": {"bootID": "b", "devices": [{"device": "p0", "entries": [
        {"name": "a", "default": "0", "current": "0", "next_boot": "1"}]}]},
    "kubeletVersion": "v1.36.3", "preInstall": {"agentReported": TIME, "conditions": CONDITIONS},
    "trustBundleHash": "h", "trustBundleLastUpdateTime": TIME, "clock": {"dpuTime": TIME, "hostTime": TIME},
    "conditions": CONDITIONS, "spiffe": {"lastProbeTime": TIME, "lastProbeMessage": "m"},
    "hostOSInit": {"skipped": {"reason": "r", "message": "m"}},
}

STATUSES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "bfb": (bfb(), {
        "phase": "Ready", "fileName": "a.bfb", "versions": VERSIONS, "observedGeneration": 1,
        "conditions": CONDITIONS}),
    "software": (bluefieldsoftware(), {
        "phase": "Extracting", "observedGeneration": 1, "conditions": CONDITIONS,
        "versions": dict.fromkeys(("doca", "fwBundleVersion", "osISOVersion", "ewNicFwVersion", "bmcVersion",
                                   "bmcErotVersion", "sbiosVersion", "bfNicFwVersion"), "1"),
        "downloadedComponents": {"pldmFwBundle": "a", "platformPldmFwBundle": "b", "osIso": "c", "nicFw": "d"}}),
    "set": (dpuset(), {
        "dpuStatistics": {"OS Installing": 2}, "observedGeneration": 1, "conditions": CONDITIONS}),
    "dpu": (dpu(), {
        "phase": "Config FW Parameters", "previousPhase": "Initialize Interface",
        "outdated": {"timeStamp": TIME, "reason": "OutdatedBFB", "message": "BFB a, wanted b"},
        "conditions": CONDITIONS,
        "operationalConditions": CONDITIONS, "observedGeneration": 1, "bfbFile": "a", "bfCFGFile": "b",
        "bfbVersion": "c", "pciDevice": "d", "dpfVersion": "v26.1.0", "requiredReset": True,
        "firmware": {"bmc": "a", "nic": "b", "uefi": "c"}, "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        "dpuInstallInterface": "redfish", "postProvisioningNodeEffect": False, "hostless": False,
        "dpuType": "BlueField3", "dpuMode": "zero-trust", "deploymentMode": "zero-trust",
        "secureBoot": {"enabled": False}, "redfishTaskId": "7", "agentLastStartupTime": TIME, "identityMode": "spiffe",
        "rebootStatus": {"phase": "WaitForShutdown", "method": "HostlessDPUReboot", "reason": "r", "message": "m",
                         "lastTransitionTime": TIME},
        "agentStatus": AGENT}),
    "dpu-waited": (dpu(), {"agentStatus": {"hostOSInit": {"succeeded": {"gate": "OperationalReady"}}}}),
    "dpu-of-older-releases": (dpu(), {"phase": "DMS Deployment"}),
    "node": (dpunode(), {
        "conditions": CONDITIONS, "dpuInstallInterface": "hostAgent", "kubeNodeRef": "worker1",
        "rebootMethod": "SystemLevelReset", "rebootInProgress": False}),
    "device": (dpudevice(), {
        "conditions": CONDITIONS, "serialNumber": "MT1", "psid": "p", "opn": "o", "bmcIp": "10.0.0.1", "bmcPort": 8443,
        "pciAddress": "0000-0e-00", "pf0Name": "eth0", "pf0Mac": "00-11-22-33-44-55", "dpuType": "BlueField4",
        "dpuMode": "nic", "secureBoot": {"enabled": True}, "bmcCredentialSecretName": "bmc",
        "bmcFactoryResetRequestTime": TIME,
        "bmcServerCertificate": {"notAfter": TIME, "lastRotationTime": TIME, "observedManualTrigger": "1"},
        "caTrustBundle": {"observedBundleHash": "h", "lastUpdateTime": TIME}}),
    "discovery": (dpudiscovery(), {"conditions": CONDITIONS, "lastScanTime": TIME, "foundDPUs": 2}),
    "maintenance": (dpunodemaintenance(), {
        "conditions": CONDITIONS, "nodeEffectSyncStartTime": TIME, "multiDPUOperationsSyncWaitTime": "30s",
        "maxUnavailableDPUNodes": 50}),
}
"""An object and a status; together the statuses use every field."""
