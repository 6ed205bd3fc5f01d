"""The server fills in exactly the defaults that the schema is meant to have, and no others."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.crds.conftest import Kubectl
from tests.support import manifests

pytestmark = pytest.mark.parts

PROVISIONING_DEFAULTS = {
    "replicas": 2, "maxDPUParallelInstallations": 50, "maxUnavailableDPUNodes": 50,
    "multiDPUOperationsSyncWaitTime": "30s", "preInstallAgentRegistrationTimeout": "30s",
}
SPIFFE = {
    "spireServerAddress": "spire-server.spire-system.svc:8081", "spireTrustDomain": "example.org",
    "kubeAPIAudience": "api", "spireOIDCURL": "https://oidc.example.org", "spireControllerManagerClassName": "spire",
}


def test_dpuservice(kubectl: Kubectl) -> None:
    minimal = manifests.dpuservice()

    stored = kubectl.create(minimal).expect(201)

    assert stored["spec"] == minimal["spec"] | {"paused": False}
    assert "status" not in stored


def test_dpuservice_config_ports(kubectl: Kubectl) -> None:
    stored = kubectl.create(manifests.dpuservice({"configPorts": {"ports": []}})).expect(201)

    assert stored["spec"]["configPorts"] == {"serviceType": "NodePort", "ports": []}


def test_dpucluster(kubectl: Kubectl) -> None:
    minimal = manifests.dpucluster()

    stored = kubectl.create(minimal).expect(201)

    assert stored["spec"] == {"type": "static", "maxNodes": 1000}
    assert kubectl.get(minimal)["status"] == {"phase": "Pending"}


def test_dpucluster_join_token(kubectl: Kubectl) -> None:
    stored = kubectl.create(manifests.dpucluster({"joinToken": {}})).expect(201)

    assert stored["spec"]["joinToken"] == {"type": "kubeadm", "ttl": "2h"}


def test_dpfoperatorconfig(kubectl: Kubectl) -> None:
    stored = kubectl.create(manifests.dpfoperatorconfig()).expect(201)

    assert stored["spec"] == {
        "networking": {"controlPlaneMTU": 1500, "highSpeedMTU": 1500, "dpuNodeOOBBridgeName": "br-dpu"},
        "provisioningController": PROVISIONING_DEFAULTS,
    }


@pytest.mark.parametrize(("spec", "path", "expected"), [
    ({"kamajiClusterManager": {}}, "kamajiClusterManager", {"replicas": 2}),
    ({"staticClusterManager": {}}, "staticClusterManager", {"replicas": 2}),
    ({"flannel": {}}, "flannel", {}),
    ({"ovsHelper": {}}, "ovsHelper", {}),
    ({"ovsCNI": {}}, "ovsCNI", {}),
    ({"security": {}}, "security", {"privilegedPodEnforcement": True}),
    ({"security": {"certManagement": {}}}, "security.certManagement",
     {"trustBundleConfigMapName": "dpf-ca-trust-bundle"}),
    ({"monitoring": {"openTelemetryCollector": {"logging": {"endpoint": "otel:4318"}}}},
     "monitoring.openTelemetryCollector.logging", {"endpoint": "otel:4318", "transport": "http"}),
    ({"deploymentMode": "zero-trust",
      "provisioningController": {"installInterface": {"installViaRedfish": {}}}},
     "provisioningController", PROVISIONING_DEFAULTS
     | {"installInterface": {"installViaRedfish": {"skipDPUNodeDiscovery": True}}}),
    ({"deploymentMode": "zero-trust",
      "provisioningController": {"installInterface": {"installViaRedfish": {}}},
      "security": {"spiffe": SPIFFE | {"trustBundle": {"name": "bundle", "namespace": "spire"}}}},
     "security.spiffe.trustBundle", {"name": "bundle", "namespace": "spire", "format": "pem"}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_dpfoperatorconfig_component(
    kubectl: Kubectl, spec: dict[str, Any], path: str, expected: dict[str, Any]
) -> None:
    node: Any = kubectl.create(manifests.dpfoperatorconfig(spec)).expect(201)["spec"]
    for key in path.split("."):
        node = node[key]

    assert node == expected
