"""The server refuses what the sheets say it refuses, in these words.

Sources: behaviour-service.md section 2, api-provisioning.md sections 5 and 13. A refusal carries exactly the expected
message: a second, accidental one would confuse the user.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.crds.conftest import Kubectl, assert_refused, refused_fields
from tests.support.manifests import dpfoperatorconfig, dpucluster, dpuservice, merge

pytestmark = pytest.mark.parts

PORT = {"name": "http", "port": 80, "protocol": "TCP"}
REDFISH = {"installInterface": {"installViaRedfish": {}}}
ZERO_TRUST = {"deploymentMode": "zero-trust", "provisioningController": REDFISH}
SPIFFE = {
    "spireServerAddress": "spire-server.spire-system.svc:8081", "spireTrustDomain": "example.org",
    "kubeAPIAudience": "api", "spireOIDCURL": "https://oidc.example.org", "spireControllerManagerClassName": "spire",
    "trustBundle": {"name": "bundle", "namespace": "spire"},
}
VAULT = {
    "address": "https://vault.example.org", "transit": {"keyName": "dpf"},
    "auth": {"method": "token", "token": {"tokenSecretRef": {"name": "vault", "key": "token"}}},
}
IN_CLUSTER = {"deployInCluster": True}
IMAGE = "registry.example.com/dpf:v1"


def name_too_long(limit: int) -> str:
    return f"name length can't be bigger than {limit} chars"


def either_image(block: str) -> str:
    return f"only either 'image' (deprecated) or '{block}.image' can be set, but not both"


def security(**spiffe: Any) -> dict[str, Any]:
    return ZERO_TRUST | {"security": {"spiffe": SPIFFE | spiffe}}


def vault(**changes: Any) -> dict[str, Any]:
    return {"security": {"vaultKMS": merge(VAULT, changes)}}


CREATES: dict[str, tuple[dict[str, Any], str]] = {
    "service-interfaces-without-id": (
        dpuservice({"interfaces": ["p0"]}), "serviceID must be provided when interfaces are provided"),
    "service-node-port-on-cluster-ip": (
        dpuservice({"configPorts": {"serviceType": "ClusterIP", "ports": [PORT | {"nodePort": 30001}]}}),
        "nodePort can only be set when serviceType is NodePort"),
    "service-config-ports-in-cluster": (
        dpuservice(IN_CLUSTER | {"configPorts": {"ports": [PORT]}}),
        "configPorts cannot be set when deployInCluster is true"),
    "service-selector-in-cluster": (
        dpuservice(IN_CLUSTER | {"dpuClusterSelector": {}}),
        "dpuClusterSelector cannot be set when deployInCluster is true"),
    "service-privileged-in-cluster": (
        dpuservice(IN_CLUSTER | {"security": {"privileged": False}}),
        "security.privileged must not be set when deployInCluster is true"),
    "service-spiffe-in-cluster": (
        dpuservice(IN_CLUSTER | {"security": {"spiffe": {}}}),
        "security.spiffe must not be set when deployInCluster is true"),
    "service-name": (dpuservice(name="n" * 64), name_too_long(63)),
    "cluster-name-too-long": (dpucluster(name="n" * 64), name_too_long(63)),
    "cluster-name-not-a-label": (
        dpucluster(name="1st"),
        ("name must be a DNS-1035 label: start with a lowercase letter, contain only lowercase alphanumerics or '-', "
         "and end with an alphanumeric")),
    "cluster-token-too-short": (
        dpucluster({"joinToken": {"ttl": "9m59s"}}),
        "ttl has to be at least 10m so a token outlives BFB flashing"),
    "cluster-token-too-long": (
        dpucluster({"joinToken": {"ttl": "24h1s"}}), "ttl has to be at most 24h so a leaked token ages out"),
    "config-zero-trust-needs-redfish": (
        dpfoperatorconfig({"deploymentMode": "zero-trust"}),
        "deploymentMode zero-trust requires provisioningController.installInterface.installViaRedfish"),
    "config-host-trusted-without-redfish": (
        dpfoperatorconfig({"deploymentMode": "host-trusted", "provisioningController": REDFISH}),
        "deploymentMode host-trusted does not support provisioningController.installInterface.installViaRedfish"),
    "config-bridge-in-zero-trust": (
        dpfoperatorconfig(ZERO_TRUST | {"networking": {"dpuNodeOOBBridgeName": "br-other"}}),
        "dpuNodeOOBBridgeName is only configurable in host-trusted mode"),
    "config-jumbo-in-zero-trust": (
        dpfoperatorconfig(ZERO_TRUST | {"networking": {"controlPlaneMTU": 1501}}),
        ("controlPlaneMTU must not exceed 1500 in zero-trust mode because DPU OOB interfaces do not support jumbo "
         "frames")),
    "config-spiffe-without-zero-trust": (
        dpfoperatorconfig({"security": {"spiffe": SPIFFE}}),
        "spiffe configuration requires deploymentMode=zero-trust"),
    "config-vault-not-there": (
        dpfoperatorconfig({"kamajiClusterManager": {"etcdEncryptionAtRest": {"provider": "vaultKMS"}}}),
        "kamajiClusterManager.etcdEncryptionAtRest.provider vaultKMS requires spec.security.vaultKMS to be enabled"),
    "config-vault-disabled": (
        dpfoperatorconfig({"kamajiClusterManager": {"etcdEncryptionAtRest": {"provider": "vaultKMS"}},
                           **vault(disable=True)}),
        "kamajiClusterManager.etcdEncryptionAtRest.provider vaultKMS requires spec.security.vaultKMS to be enabled"),
    "config-static-key-missing": (
        dpfoperatorconfig({"kamajiClusterManager": {"etcdEncryptionAtRest": {"provider": "staticKey"}}}),
        "staticKey is required when provider is staticKey"),
    "config-static-key-with-vault": (
        dpfoperatorconfig(vault() | {"kamajiClusterManager": {"etcdEncryptionAtRest": {
            "provider": "vaultKMS", "staticKey": {"keySecretRef": {"name": "key", "key": "key"}}}}}),
        "staticKey must not be set when provider is vaultKMS"),
    "config-two-install-interfaces": (
        dpfoperatorconfig({"provisioningController": {"installInterface": {
            "installViaRedfish": {}, "installViaHostAgent": {}}}}),
        "exactly one of installViaHostAgent, installViaGNOI or installViaRedfish must be set"),
    "config-no-install-interface": (
        dpfoperatorconfig({"provisioningController": {"installInterface": {}}}),
        "exactly one of installViaHostAgent, installViaGNOI or installViaRedfish must be set"),
    "config-two-template-sources": (
        dpfoperatorconfig({"provisioningController": {
            "bfCFGTemplateConfigMap": "template", "enableDynamicBFCFGTemplates": True}}),
        "bfCFGTemplateConfigMap and enableDynamicBFCFGTemplates are mutually exclusive"),
    "config-two-images": (
        dpfoperatorconfig({"multus": {"image": IMAGE, "cni": {"image": IMAGE}}}), either_image("cni")),
    "config-two-provisioning-images": (
        dpfoperatorconfig({"provisioningController": {"image": IMAGE, "controller": {"image": IMAGE}}}),
        either_image("controller")),
    "config-spire-address": (
        dpfoperatorconfig(security(spireServerAddress="Spire")),
        "spireServerAddress must be host:port with a valid DNS-1123 host (e.g. spire-server.spire-system.svc:8081)"),
    "config-spire-port": (
        dpfoperatorconfig(security(spireServerAddress="spire:65536")),
        "spireServerAddress port must be in 1-65535"),
    "config-spire-port-many-digits": (
        dpfoperatorconfig(security(spireServerAddress="spire:99999999999999999999")),
        "spireServerAddress port must be in 1-65535"),
    "config-vault-method-without-block": (
        dpfoperatorconfig({"security": {"vaultKMS": VAULT | {"auth": {"method": "approle"}}}}),
        "appRole is required when method is approle"),
    "config-vault-foreign-block": (
        dpfoperatorconfig(vault(auth={"kubernetes": {"role": "dpf"}})),
        "kubernetes must only be set when method is kubernetes"),
}

UPDATES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "service-type": (
        dpuservice({"configPorts": {"ports": []}}), {"spec": {"configPorts": {"serviceType": "None"}}},
        "Value is immutable"),
    "cluster-kubeconfig-changed": (
        dpucluster({"kubeconfig": "one"}), {"spec": {"kubeconfig": "two"}}, "kubeconfig is immutable"),
    "cluster-kubeconfig-removed": (
        dpucluster({"kubeconfig": "one"}), {"spec": {"kubeconfig": None}}, "kubeconfig is immutable"),
    "cluster-type-changed": (
        dpucluster({"kubeconfig": "one"}), {"spec": {"type": "kamaji"}}, "type is immutable once kubeconfig is set"),
    "config-mode-removed": (
        dpfoperatorconfig({"deploymentMode": "host-trusted"}), {"spec": {"deploymentMode": None}},
        "deploymentMode is immutable after creation: it cannot be changed once set, install anew to change it"),
    "config-mode-removed-with-the-spec": (
        dpfoperatorconfig({"deploymentMode": "host-trusted"}), {"spec": None},
        "deploymentMode is immutable after creation: it cannot be changed once set, install anew to change it"),
    "config-mode-changed": (
        dpfoperatorconfig({"deploymentMode": "host-trusted"}), {"spec": ZERO_TRUST},
        "deploymentMode is immutable after creation: it cannot be changed once set, install anew to change it"),
    "config-spiffe-removed": (
        dpfoperatorconfig(security()), {"spec": {"security": None}},
        "spec.security.spiffe cannot be removed once set; DPUs that were installed with it depend on it"),
}

ALLOWED_UPDATES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "cluster-kubeconfig-set": (dpucluster(), {"spec": {"kubeconfig": "one"}}),
    "cluster-type-changed-without-kubeconfig": (dpucluster(), {"spec": {"type": "kamaji"}}),
    "cluster-type-changed-with-the-kubeconfig": (
        dpucluster({"kubeconfig": ""}), {"spec": {"type": "kamaji", "kubeconfig": "one"}}),
    "cluster-kubeconfig-set-from-empty": (dpucluster({"kubeconfig": ""}), {"spec": {"kubeconfig": "one"}}),
    "service-privileged-set-later": (dpuservice(), {"spec": {"security": {"privileged": True}}}),
    "config-mode-set-later": (dpfoperatorconfig(), {"spec": {"deploymentMode": "host-trusted"}}),
    "config-spiffe-changed": (
        dpfoperatorconfig(security()), {"spec": {"security": {"spiffe": {"kubeAPIAudience": "other"}}}}),
}


@pytest.mark.parametrize(("manifest", "message"), CREATES.values(), ids=CREATES.keys())
def test_create_is_refused(kubectl: Kubectl, manifest: dict[str, Any], message: str) -> None:
    assert_refused(kubectl.create(manifest), message)


@pytest.mark.parametrize(("manifest", "patch", "message"), UPDATES.values(), ids=UPDATES.keys())
def test_update_is_refused(kubectl: Kubectl, manifest: dict[str, Any], patch: dict[str, Any], message: str) -> None:
    kubectl.create(manifest).expect(201)

    assert_refused(kubectl.merge(manifest, patch), message)


@pytest.mark.parametrize(("manifest", "patch"), ALLOWED_UPDATES.values(), ids=ALLOWED_UPDATES.keys())
def test_update_is_allowed(kubectl: Kubectl, manifest: dict[str, Any], patch: dict[str, Any]) -> None:
    kubectl.create(manifest).expect(201)

    kubectl.merge(manifest, patch).expect(200)


SCHEMA_LIMITS: dict[str, tuple[dict[str, Any], str]] = {
    "service-plain-http": (
        dpuservice({"helmChart": {"source": {"repoURL": "http://charts.example.com"}}}),
        "spec.helmChart.source.repoURL"),
    "service-no-version": (dpuservice({"helmChart": {"source": {"version": ""}}}), "spec.helmChart.source.version"),
    "cluster-token-not-a-duration": (dpucluster({"joinToken": {"ttl": "soon"}}), "spec.joinToken.ttl"),
    "service-no-interfaces": (dpuservice({"serviceID": "x", "interfaces": []}), "spec.interfaces"),
    "service-many-interfaces": (dpuservice({"serviceID": "x", "interfaces": ["i"] * 51}), "spec.interfaces"),
    "service-amount-fraction": (
        dpuservice({"serviceDaemonSet": {"resources": {"cpu": 0.5}}}), "spec.serviceDaemonSet.resources.cpu"),
    "service-amount-word": (
        dpuservice({"serviceDaemonSet": {"resources": {"cpu": "abc"}}}), "spec.serviceDaemonSet.resources.cpu"),
    "service-port-name": (
        dpuservice({"configPorts": {"ports": [PORT | {"name": "HTTP"}]}}), "spec.configPorts.ports[0].name"),
    "service-port-number": (
        dpuservice({"configPorts": {"ports": [PORT | {"port": 65536}]}}), "spec.configPorts.ports[0].port"),
    "service-protocol": (
        dpuservice({"configPorts": {"ports": [PORT | {"protocol": "SCTP"}]}}), "spec.configPorts.ports[0].protocol"),
    "cluster-type": (dpucluster({"type": "nobody"}), "spec.type"),
    "cluster-no-nodes": (dpucluster({"maxNodes": 0}), "spec.maxNodes"),
    "cluster-many-nodes": (dpucluster({"maxNodes": 3001}), "spec.maxNodes"),
    "cluster-virtual-router": (
        dpucluster({"clusterEndpoint": {"keepalived": {"vip": "10.0.0.1", "virtualRouterID": 256, "interface": "e"}}}),
        "spec.clusterEndpoint.keepalived.virtualRouterID"),
    "config-mode": (dpfoperatorconfig({"deploymentMode": "trust-me"}), "spec.deploymentMode"),
    "config-mtu": (dpfoperatorconfig({"networking": {"highSpeedMTU": 9217}}), "spec.networking.highSpeedMTU"),
    "config-bridge": (
        dpfoperatorconfig({"networking": {"dpuNodeOOBBridgeName": "BR"}}), "spec.networking.dpuNodeOOBBridgeName"),
    "config-replicas": (dpfoperatorconfig({"nvipam": {"replicas": 4}}), "spec.nvipam.replicas"),
    "config-image": (dpfoperatorconfig({"ovsHelper": {"image": "Not An Image"}}), "spec.ovsHelper.image"),
    "config-amount": (
        dpfoperatorconfig({"sfcController": {"controller": {"resources": {"limits": {"cpu": "much"}}}}}),
        "spec.sfcController.controller.resources.limits.cpu"),
    "config-duration": (
        dpfoperatorconfig({"provisioningController": {"osInstallTimeout": "1 hour"}}),
        "spec.provisioningController.osInstallTimeout"),
}


@pytest.mark.parametrize(("manifest", "path"), SCHEMA_LIMITS.values(), ids=SCHEMA_LIMITS.keys())
def test_value_outside_the_schema_is_refused(kubectl: Kubectl, manifest: dict[str, Any], path: str) -> None:
    refused = kubectl.create(manifest)

    assert refused.status == 422
    assert refused_fields(refused) == {path}


CONDITION = {
    "type": "Ready", "status": "True", "reason": "Success", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z",
}


@pytest.mark.parametrize("missing", CONDITION)
def test_condition_without_a_member_is_refused(kubectl: Kubectl, missing: str) -> None:
    service = dpuservice()
    kubectl.create(service).expect(201)
    condition = {key: value for key, value in CONDITION.items() if key != missing}

    refused = kubectl.merge(service, {"status": {"conditions": [condition]}}, subresource="status")

    assert refused.status == 422
    assert refused_fields(refused) == {f"status.conditions[0].{missing}"}
