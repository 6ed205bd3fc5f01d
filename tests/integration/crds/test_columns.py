"""`kubectl get` prints the documented columns, filled from the object."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.crds.conftest import Kubectl
from tests.support import manifests

pytestmark = pytest.mark.parts

READY = {
    "type": "Ready", "status": "True", "reason": "Success", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z",
    "observedGeneration": 1,
}


@pytest.mark.parametrize(("manifest", "status", "expected"), [
    (manifests.dpuservice(), {"conditions": [READY]}, {"Name": "example", "Ready": "True", "Phase": "Success"}),
    (manifests.dpuservice(), {}, {"Name": "example", "Ready": None, "Phase": None}),
    (manifests.dpfoperatorconfig(), {"conditions": [READY]},
     {"Name": "dpfoperatorconfig", "Ready": "True", "Phase": "Success"}),
    (manifests.dpucluster({"maxNodes": 10}),
     {"phase": "Ready", "version": "v1.36.3", "nodesCount": 2, "conditions": [READY]},
     {"Name": "example", "Ready": "True", "Phase": "Ready", "Type": "static", "MaxNodes": 10, "Version": "v1.36.3",
      "NodesCount": 2}),
], ids=["DPUService", "DPUService-new", "DPFOperatorConfig", "DPUCluster"])
def test_columns(
    kubectl: Kubectl, manifest: dict[str, Any], status: dict[str, Any], expected: dict[str, Any]
) -> None:
    kubectl.create(manifest).expect(201)
    kubectl.merge(manifest, {"status": status}, subresource="status").expect()

    row = kubectl.table(manifest)

    assert list(row) == [*expected, "Age"]
    assert {name: row[name] for name in expected} == expected


def test_status_is_written_through_its_subresource_only(kubectl: Kubectl) -> None:
    service = manifests.dpuservice()
    kubectl.create(service | {"status": {"serviceID": "made-up"}}).expect(201)

    kubectl.merge(service, {"status": {"serviceID": "made-up"}}).expect()

    assert "status" not in kubectl.get(service)
