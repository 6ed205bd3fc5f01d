"""Manifests of provisioning.dpu.nvidia.com: what users wrote for any release is taken, kept and read without loss."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml
from tests.integration.crds.conftest import ROOT, Kubectl
from tests.integration.crds.provisioningmanifests import SPECS, STATUSES
from tests.support import crdfields
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
    lost,
)
from tools.crdgen import manifest as crdgen

from dpf.api.meta import Object
from dpf.kube import codec

pytestmark = pytest.mark.parts

OTHER_TEST = {"DPUCluster"}
KINDS: dict[str, type[Object]] = {
    kind.resource.kind: kind for kind in crdgen.own_kinds()
    if kind.resource.group == "provisioning.dpu.nvidia.com" and kind.resource.kind not in OTHER_TEST
}
SEEDS = {
    f"{path.stem}-{document['kind']}": document
    for path in sorted((ROOT / "examples").glob("00*.yaml"))
    for document in yaml.safe_load_all(path.read_text()) if document["kind"] in KINDS
}


def through_our_types(manifest: dict[str, Any]) -> dict[str, Any]:
    """`manifest` as it looks after our decoder and encoder."""
    rewritten: dict[str, Any] = msgspec.json.decode(codec.encode(msgspec.convert(manifest, KINDS[manifest["kind"]])))
    return rewritten


def test_the_documents_have_these_kinds() -> None:
    assert list(SEEDS) == ["001-dpuset-dk-DPUSet", "003-producer-consumer-DPUFlavor", "003-producer-consumer-BFB"]


@pytest.mark.parametrize("document", [*SEEDS.values(), *SPECS.values()], ids=[*SEEDS, *SPECS])
def test_spec_is_kept_and_survives_our_types(kubectl: Kubectl, document: dict[str, Any]) -> None:
    document = document | {"metadata": {"name": document["metadata"]["name"]}}
    rewritten = through_our_types(document)

    stored = kubectl.create(document).expect(201)

    assert lost(document["spec"], stored["spec"]) == [], "the server changed what the user wrote"
    rewritten["metadata"]["name"] = "rewritten"
    assert kubectl.would_store(rewritten).get("spec", {}) == stored["spec"], "a field got lost in decoding or encoding"


@pytest.mark.parametrize(("document", "status"), STATUSES.values(), ids=STATUSES.keys())
def test_status_is_kept_and_survives_our_types(
    kubectl: Kubectl, document: dict[str, Any], status: dict[str, Any]
) -> None:
    rewritten = through_our_types(document | {"status": status})["status"]
    second = document | {"metadata": {"name": "rewritten"}}
    for manifest in (document, second):
        kubectl.create(manifest).expect(201)

    stored = kubectl.merge(document, {"status": status}, subresource="status").expect()["status"]
    again = kubectl.merge(second, {"status": rewritten}, subresource="status").expect()["status"]

    assert lost(status, stored) == []
    assert again == stored


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_manifests_use_every_field(kind: type[Object]) -> None:
    """The round trips above prove nothing about a field that no manifest has."""
    name, crd = kind.resource.kind, crdgen.build(kind)
    used: set[str] = set()
    for document in SPECS.values():
        used |= crdfields.used(document["spec"], f"{document['kind']}.spec")
    for document, status in STATUSES.values():
        used |= crdfields.used(status, f"{document['kind']}.status")

    missing = (crdfields.declared(crd, "spec") | crdfields.declared(crd, "status")) - used

    assert sorted(missing) == [], f"no manifest of {name} has them"


EFFECT_DEFAULTS = {"force": False, "applyOnLabelChange": False}
DEFAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]] = {
    "bfb": (bfb(), {}, {"phase": "Initializing"}),
    "software": (bluefieldsoftware(), {}, {"phase": "Initializing"}),
    "flavor": (dpuflavor(), {}, None),
    "flavor-template": (dpuflavortemplate(), {}, None),
    "set": (dpuset(), {"strategy": {"type": "OnDelete"}}, None),
    "set-with-a-pace": (
        dpuset(spec={"strategy": {"rollingUpdate": {}}}), {"strategy": {"type": "OnDelete", "rollingUpdate": {}}},
        None),
    "dpu": (dpu(), {}, {"phase": "Initializing", "dpuType": "Unknown", "dpuMode": "dpu"}),
    "dpu-with-effect": (
        dpu({"nodeEffect": {"drain": True}}), {"nodeEffect": {"drain": True, **EFFECT_DEFAULTS}},
        {"phase": "Initializing", "dpuType": "Unknown", "dpuMode": "dpu"}),
    "node": (dpunode(), {"nodeRebootMethod": {"hostAgent": {}}}, None),
    "device": (
        dpudevice(), {"bmcPort": 443, "numberOfPFs": 1, "bmcFactoryResetPolicy": "OnInitialization"}, None),
    "maintenance": (dpunodemaintenance(), {}, None),
}


@pytest.mark.parametrize(("minimal", "spec", "status"), DEFAULTS.values(), ids=DEFAULTS.keys())
def test_minimal_manifest_gets_these_defaults_only(
    kubectl: Kubectl, minimal: dict[str, Any], spec: dict[str, Any], status: dict[str, Any] | None
) -> None:
    kubectl.create(minimal).expect(201)
    stored = kubectl.get(minimal)

    assert stored["spec"] == minimal["spec"] | spec
    assert stored.get("status") == status


def test_status_defaults_of_a_device(kubectl: Kubectl) -> None:
    device = dpudevice()
    kubectl.create(device).expect(201)

    stored = kubectl.merge(device, {"status": {"psid": "p"}}, subresource="status").expect()

    assert stored["status"] == {"psid": "p", "bmcPort": 443, "dpuType": "Unknown", "dpuMode": "dpu"}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_object_without_spec_is_taken(kubectl: Kubectl, kind: type[Object]) -> None:
    bare = {"apiVersion": kind.resource.api_version, "kind": kind.resource.kind, "metadata": {"name": "bare"}}

    assert "spec" not in kubectl.would_store(bare)


READY = [{"type": "Ready", "status": "True", "reason": "Success", "message": "",
          "lastTransitionTime": "2026-01-02T03:04:05Z"}]
OPERATIONAL = [READY[0] | {"type": "OperationalReady", "status": "False"}]


@pytest.mark.parametrize(("manifest", "status", "row"), [
    (bfb(), {"phase": "Downloading"}, {"Phase": "Downloading"}),
    (bluefieldsoftware(), {}, {"Phase": "Initializing"}),
    (dpuset(), {"conditions": READY}, {"Ready": "True"}),
    (dpu(), {"conditions": READY, "operationalConditions": OPERATIONAL, "phase": "Ready"},
     {"Ready": "True", "Operational": "False", "Phase": "Ready"}),
], ids=["BFB", "BlueFieldSoftware", "DPUSet", "DPU"])
def test_columns(kubectl: Kubectl, manifest: dict[str, Any], status: dict[str, Any], row: dict[str, str]) -> None:
    kubectl.create(manifest).expect(201)
    kubectl.merge(manifest, {"status": status}, subresource="status").expect()

    printed = kubectl.table(manifest)

    assert list(printed) == ["Name", *row, "Age"]
    assert {name: printed[name] for name in row} == row


def test_columns_of_a_device(kubectl: Kubectl) -> None:
    device = dpudevice()
    kubectl.create(device).expect(201)
    kubectl.merge(device, {"status": {"conditions": READY}}, subresource="status").expect()

    assert kubectl.table(device) == {"Name": "example", "Ready": "True"}


@pytest.mark.parametrize(
    "manifest", [dpuflavor(), dpuflavortemplate(), dpunode(), dpunodemaintenance()], ids=lambda m: m["kind"]
)
def test_kinds_without_columns_print_their_age(kubectl: Kubectl, manifest: dict[str, Any]) -> None:
    """The API server's own columns where a CRD declares none."""
    kubectl.create(manifest).expect(201)

    assert list(kubectl.table(manifest)) == ["Name", "Age"]


@pytest.mark.parametrize("kind", [dpuflavor, dpuflavortemplate], ids=["DPUFlavor", "DPUFlavorTemplate"])
def test_flavors_have_no_status(kubectl: Kubectl, kind: Any) -> None:
    manifest = kind()
    kubectl.create(manifest).expect(201)

    assert kubectl.merge(manifest, {"status": {}}, subresource="status").status == 404
