"""What `kubectl get` prints for the kinds that a DPUDeployment is made of (api-svc.md section 0)."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from tests.integration.crds.conftest import CRDS, Kubectl
from tests.support import crdfields, manifests, needs

pytestmark = pytest.mark.parts

READY = {
    "type": "Ready", "status": "False", "reason": "Pending", "message": "Objects are not ready",
    "lastTransitionTime": "2026-01-02T03:04:05Z", "observedGeneration": 1,
}
SUMMARY = {"Ready": "False", "Phase": "Pending"}
SERVICE = {"serviceID": "s", "network": "n", "interfaceName": "eth0"}
PF = {"interfaceType": "pf", "pf": {"pfID": 0}}


@pytest.mark.parametrize(("manifest", "columns"), [
    (manifests.dpudeployment(), SUMMARY),
    (manifests.dpuservicechain(), SUMMARY),
    (manifests.dpuservicecredentialrequest(), SUMMARY),
    (manifests.dpuserviceinterface(), {"IfType": "physical", "IfName": "p0"} | SUMMARY),
    (manifests.dpuserviceinterface({"interfaceType": "service", "service": SERVICE}),
     {"IfType": "service", "IfName": "eth0"} | SUMMARY),
    (manifests.dpuserviceinterface(PF), {"IfType": "pf", "IfName": None} | SUMMARY),
    (manifests.dpuservicetemplate(), {}),
    (manifests.dpuservicenad(), {}),
], ids=["deployment", "chain", "credential-request", "physical", "service", "pf", "template", "nad"])
def test_columns(kubectl: Kubectl, manifest: dict[str, Any], columns: dict[str, Any]) -> None:
    kubectl.create(manifest).expect(201)
    kubectl.merge(manifest, {"status": {"conditions": [READY]}}, subresource="status").expect()

    row = kubectl.table(manifest)

    assert list(row) == ["Name", *columns, "Age"]
    assert {name: row[name] for name in columns} == columns


def test_configuration_has_an_empty_status(kubectl: Kubectl) -> None:
    configuration = manifests.dpuserviceconfiguration()
    kubectl.create(configuration).expect(201)

    kubectl.merge(configuration, {"status": {}}, subresource="status").expect()

    assert list(kubectl.table(configuration)) == ["Name", "Age"]


STATUSES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "deployment": (manifests.dpudeployment(), {"conditions": [READY], "observedGeneration": 1}),
    "template": (manifests.dpuservicetemplate(), {
        "conditions": [READY], "observedGeneration": 1, "versions": {"dpu.nvidia.com/doca-version": ">= 2.9"},
        "sourceDigest": "0123456789"}),
    "chain": (manifests.dpuservicechain(), {"conditions": [READY], "observedGeneration": 1}),
    "interface": (manifests.dpuserviceinterface(), {"conditions": [READY], "observedGeneration": 1}),
    "nad": (manifests.dpuservicenad(), {"conditions": [READY]}),
    "credential-request": (manifests.dpuservicecredentialrequest(), {
        "conditions": [READY], "serviceAccount": "a/b", "targetCluster": "c/d", "targetClusterUID": "e",
        "secret": "f/g", "expirationTimestamp": "2026-01-02T04:04:05Z", "issuedAt": "2026-01-02T03:04:05Z"}),
}


@pytest.mark.parametrize(("manifest", "status"), STATUSES.values(), ids=STATUSES.keys())
def test_every_field_of_the_status_is_kept(
    kubectl: Kubectl, manifest: dict[str, Any], status: dict[str, Any]
) -> None:
    crd = next(crd for crd in CRDS if crd["spec"]["names"]["kind"] == manifest["kind"])
    kubectl.create(manifest).expect(201)

    kubectl.merge(manifest, {"status": status}, subresource="status").expect()

    assert kubectl.get(manifest)["status"] == status
    used = crdfields.used(status, f"{manifest['kind']}.status")
    assert sorted(crdfields.declared(crd, "status") - used) == [], "a field that this test does not have"


def test_kubectl_prints_the_name_of_an_interface(kubectl: Kubectl) -> None:
    """The path of the column is a union, which the program has to understand too."""
    for name, interface in (("p0", None), ("pf", PF), ("eth0", {"interfaceType": "service", "service": SERVICE})):
        kubectl.create(manifests.dpuserviceinterface(interface, name=name)).expect(201)

    printed = subprocess.run(
        [needs.program("kubectl"), "--kubeconfig", kubectl.server.kubeconfig, "-n", kubectl.namespace,
         "get", "dpuserviceinterfaces"],
        check=True, capture_output=True, text=True, timeout=60,
    ).stdout

    header, *rows = [line.split() for line in printed.splitlines()]
    assert header == ["NAME", "IFTYPE", "IFNAME", "READY", "PHASE", "AGE"]
    assert [row[:3] for row in rows[:2]] == [["eth0", "service", "eth0"], ["p0", "physical", "p0"]]
    assert rows[2][:2] == ["pf", "pf"]
