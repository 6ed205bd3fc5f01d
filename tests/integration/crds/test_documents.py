"""The documents' manifests are accepted as they stand, with strict field validation."""

from __future__ import annotations

from string import Template
from typing import Any

import pytest
import yaml
from tests.integration.crds.conftest import ROOT, Kubectl, ensure_namespace
from tests.support.manifests import dpuservice, lost, merge

pytestmark = pytest.mark.parts

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
PLACES = {"BMC_FIRST_IP": "192.0.2.1", "BMC_LAST_IP": "192.0.2.9", "BMC_PORT": "443"}
"""What a user fills in for addresses, where a placeholder is no valid value."""

FRAGMENTS: dict[str, dict[str, Any]] = {
    "config-ports-without-port": {
        "configPorts": {
            "serviceType": "NodePort",
            "ports": [
                {"name": "port1", "protocol": "TCP", "nodePort": 30001},
                {"name": "port2", "protocol": "TCP", "nodePort": 30000},
            ],
        },
    },
    "interfaces": {"serviceID": "example", "interfaces": ["p0-sif", "p1-if", "app-if"]},
    "nested-resources": {
        "serviceDaemonSet": {
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}},
            "nodeSelector": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "bfb", "operator": "In", "values": ["dk"]}]}]
            },
            "labels": {"some-label": "some-value"},
            "annotations": {"some-annotation": "some-value"},
            "resources": {"resources": {"memory": "6Gi", "nvidia.com/bf_sf": 3}},
        },
    },
    "flat-resources": {"serviceDaemonSet": {"resources": {"memory": "6Gi", "cpu": "0.5", "nvidia.com/bf_sf": 3}}},
    "paused": {"paused": True},
    "resumed": {"paused": False},
    "cluster-selector": {"dpuClusterSelector": {"matchLabels": {"environment": "production"}}},
    "spiffe": {"security": {"privileged": False, "spiffe": {}}},
}
"""Parts of a spec that the documents print by themselves (api-svc.md section 11)."""


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_example_is_accepted_and_kept(kubectl: Kubectl, path: Any) -> None:
    for document in yaml.safe_load_all(Template(path.read_text()).safe_substitute(PLACES)):
        ensure_namespace(kubectl.server, document["metadata"]["namespace"])

        # Not created: two examples may have objects of one name, for one or the other to be applied.
        stored = kubectl.would_store(document)

        assert lost(document["spec"], stored["spec"]) == [], "the server changed what the user wrote"


@pytest.mark.parametrize("fragment", FRAGMENTS.values(), ids=FRAGMENTS.keys())
def test_fragment_is_accepted_and_kept(kubectl: Kubectl, fragment: dict[str, Any]) -> None:
    stored = kubectl.create(dpuservice(fragment)).expect(201)

    assert merge(stored["spec"], fragment) == stored["spec"]


def test_pause_patches_work_on_an_object_that_never_said_paused(kubectl: Kubectl) -> None:
    service = dpuservice()
    kubectl.create(service).expect(201)

    paused = kubectl.json_patch(service, {"op": "replace", "path": "/spec/paused", "value": True}).expect()
    resumed = kubectl.json_patch(service, {"op": "replace", "path": "/spec/paused", "value": False}).expect()

    assert (paused["spec"]["paused"], resumed["spec"]["paused"]) == (True, False)


def test_unknown_field_is_refused(kubectl: Kubectl) -> None:
    refused = kubectl.create(dpuservice({"helmChrat": {}}))

    assert refused.status == 400
    assert 'unknown field "spec.helmChrat"' in refused.body["message"]
