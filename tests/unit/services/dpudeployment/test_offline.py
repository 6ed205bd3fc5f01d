"""The planner on manifests, without a cluster: seed 003 as its document prints it."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
import yaml
from tests.support import rollouts, source

from dpf.api.bluefieldsoftware import BlueFieldSoftware
from dpf.api.meta import Key
from dpf.runtime.plan import Apply, Plan
from dpf.services.dpudeployment import offline, plan
from dpf.services.dpudeployment.offline import OfflineError

DOCUMENTS: list[dict[str, Any]] = list(
    yaml.safe_load_all((source.ROOT / "examples" / "003-producer-consumer.yaml").read_text())
)
KEY = Key("customer-namespace", "producer-consumer")


def documents() -> list[dict[str, Any]]:
    return copy.deepcopy(DOCUMENTS)


def of_kind(kind: str, given: list[dict[str, Any]]) -> dict[str, Any]:
    return next(document for document in given if document["kind"] == kind)


def planned(given: list[dict[str, Any]]) -> Plan:
    return plan.plan(offline.load(given), rollouts.NOW)


def findings(found: Plan) -> list[str]:
    return [finding.message for step in found.steps for finding in step.findings]


def applied(found: Plan) -> list[str]:
    actions = (action for step in found.steps for action in step.actions)
    return [f"{type(a.object).__name__} {a.object.metadata.name}" for a in actions if isinstance(a, Apply)]


def manifests(found: Plan) -> list[dict[str, Any]]:
    """What the plan applies, as it would be stored."""
    actions = (action for step in found.steps for action in step.actions)
    return [
        {**msgspec.to_builtins(a.object), "apiVersion": type(a.object).resource.api_version,
         "kind": type(a.object).resource.kind}
        for a in actions if isinstance(a, Apply)
    ]


def test_seed_003() -> None:
    first = planned(documents())
    second = planned([*documents(), *manifests(first)])

    assert findings(first) == findings(second) == []
    assert applied(first) == ["DPUService producer-consumer-consumer", "DPUService producer-consumer-producer"]
    assert applied(second) == [
        "DPUServiceInterface producer-consumer-consumer-app-iface",
        "DPUServiceInterface producer-consumer-producer-app-iface",
        "DPUServiceChain producer-consumer",
        "DPUSet producer-consumer-dpuset1", "DPUSet producer-consumer-dpuset2",
    ]
    third = planned([*documents(), *manifests(first), *manifests(second)])
    assert applied(third) == []


def test_a_list_of_documents_and_empty_ones() -> None:
    wrapped = [None, {}, {"apiVersion": "v1", "kind": "List", "items": documents()}, {"kind": "ConfigMap"}]

    assert offline.load(wrapped).key == KEY


def test_the_namespace_of_a_manifest_without_one() -> None:
    given = documents()
    for document in given:
        del document["metadata"]["namespace"]

    assert offline.load(given).key == Key("default", "producer-consumer")
    assert findings(planned(given)) == []


def test_versions_that_a_bfb_declares_are_checked() -> None:
    given = documents()
    of_kind("BFB", given)["spec"]["versions"] = {"doca": "2.9.1", "bsp": "1", "uefi": "1", "atf": "1"}
    template = of_kind("DPUServiceTemplate", given)
    ready = {"type": "Ready", "status": "True", "reason": "Success", "message": ""}
    template["metadata"]["generation"] = 3
    template["status"] = {
        "versions": {"dpu.nvidia.com/doca-version": ">= 3.0"}, "observedGeneration": 3, "conditions": [ready],
    }

    (text,) = findings(planned(given))
    assert text == (
        "version constraint for 'dpu.nvidia.com/doca-version' found in DPUServiceTemplate 'producer' is not satisfied"
        " by the version '2.9.1' found in the given BFB"
    )


def test_a_status_that_is_there_counts() -> None:
    given = documents()
    of_kind("BFB", given)["status"] = {"phase": "Downloading"}

    assert findings(planned(given)) == ["BFB is not ready yet"]


def test_what_is_missing_or_broken_is_told() -> None:
    given = documents()
    given.remove(of_kind("DPUFlavor", given))
    of_kind("BFB", given)["spec"]["url"] = 5
    flavor, bfb = sorted(findings(planned(given)), key=lambda text: "BFB" in text)

    assert "dpuflavors.provisioning.dpu.nvidia.com \"producer-consumer\" not found" in flavor
    assert "Expected `str`, got `int`" in bfb


def test_somebody_elses_object_keeps_its_name() -> None:
    given = documents()
    service = manifests(planned(given))[0]
    service["metadata"] = {"name": service["metadata"]["name"], "namespace": KEY.namespace}
    names = applied(planned([*given, service]))

    assert names[0].startswith("DPUService producer-consumer-consumer-")


def test_marks_of_the_deployment_are_seen() -> None:
    given = documents()
    label = "svc.dpu.nvidia.com/consumed-by-dpudeployment-"
    snapshot = offline.load(given)
    (marks,) = [step for step in plan.plan(snapshot, rollouts.NOW).steps if step.name == "dependencies"]
    patch: Any = marks.actions[0]
    own = next(iter(patch.patch["metadata"]["labels"]))
    of_kind("BFB", given)["metadata"]["labels"] = {own: ""}
    of_kind("DPUFlavor", given)["metadata"]["labels"] = {f"{label}0123456789": ""}

    assert [obj.metadata.name for obj in offline.load(given).marked] == ["bfb-2.9"]


def test_software_without_status_is_ready() -> None:
    given = documents()
    dpus = of_kind("DPUDeployment", given)["spec"]["dpus"]
    del dpus["bfb"]
    dpus["blueFieldSoftware"] = "software"
    software = {"apiVersion": BlueFieldSoftware.resource.api_version, "kind": "BlueFieldSoftware",
                "metadata": {"name": "software", "namespace": KEY.namespace}, "spec": {"osIso": "http://x/y.iso"}}

    assert findings(planned([*given, software])) == []


@pytest.mark.parametrize(("change", "wanted", "text"), [
    (lambda given: given[:-1], None, "there is no DPUDeployment in the manifests"),
    (lambda given: given, Key("x", "y"), "there is no DPUDeployment x/y in the manifests"),
    (lambda given: [*given, {**given[-1], "metadata": {"name": "a", "namespace": "x"}}], None,
     "the manifests hold several DPUDeployments, say which: customer-namespace/producer-consumer, x/a"),
    (lambda given: [{**given[-1], "spec": {"dpus": 5}}], None,
     ("DPUDeployment customer-namespace/producer-consumer cannot be read: Expected `object`, got `int`"
      " - at `$.spec.dpus`; correct the manifest")),
])
def test_no_deployment_to_plan(change: Any, wanted: Key | None, text: str) -> None:
    with pytest.raises(OfflineError) as caught:
        offline.load(change(documents()), wanted)

    assert str(caught.value) == text


def test_one_of_several() -> None:
    given = documents()
    other = {**given[-1], "metadata": {"name": "a", "namespace": "x"}}

    assert offline.load([*given, other], KEY).key == KEY
