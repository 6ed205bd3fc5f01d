"""What a DPUDeployment builds on: texts of problems, marks, release (behaviour-service.md 6.2; scenarios 23-25)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import dpudeployments as some

from dpf.api import names
from dpf.api.bfb import BFB
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuservice import DPUService
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.meta import Key, Object
from dpf.runtime.plan import Patch, Severity, Step
from dpf.services.dpudeployment import dependencies, naming

FINALIZER = names.DPUDEPLOYMENT_FINALIZER
DEPLOYMENT = some.a_deployment()
LABEL = naming.consumer_label(Key(some.TENANT, "dd"))
OTHER = naming.consumer_label(Key(some.TENANT, "other"))


def step(*objects: Object, deployment: DPUDeployment = DEPLOYMENT, **fields: Any) -> Step:
    return dependencies.plan_step(some.a_snapshot(deployment, *objects, **fields))


def getting(kind: str, name: str, why: str) -> str:
    group = "provisioning" if kind.startswith(("BFB", "DPUFlavor")) else "svc"
    return f"error while getting {group}.dpu.nvidia.com/v1alpha1, Kind={kind} tenant/{name}: {why}"


def texts(found: Step) -> list[str]:
    return [finding.message for finding in found.findings]


def patches(found: Step) -> dict[tuple[type[Object], str], Any]:
    assert all(isinstance(action, Patch) for action in found.actions)
    return {(a.kind, a.key.name): a.patch for a in found.actions if isinstance(a, Patch)}


def complete(**replaced: Object) -> list[Object]:
    """All dependencies; `template=...` stands in for the one of that kind."""
    kinds = {type(obj) for obj in replaced.values()}
    return [*(d for d in some.dependencies_of(DEPLOYMENT) if type(d) not in kinds), *replaced.values()]


def with_marks(obj: Any, *labels: str, finalizers: tuple[str, ...] = (FINALIZER,), deleting: bool = False) -> Any:
    """A dependency as it is after deployments have marked it."""
    meta = some.metadata(
        obj.metadata.name, labels=dict.fromkeys(labels, "") or None, finalizers=list(finalizers) or None,
        deleting=deleting,
    )
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(meta, resourceVersion="7"))


def test_everything_is_there() -> None:
    assert texts(step(*complete())) == []


def test_nothing_is_there_and_each_is_named_as_the_server_would() -> None:
    assert texts(step()) == [
        getting("BFB", "bfb", 'bfbs.provisioning.dpu.nvidia.com "bfb" not found'),
        getting("DPUFlavor", "flavor", 'dpuflavors.provisioning.dpu.nvidia.com "flavor" not found'),
        getting("DPUServiceTemplate", "producer", 'dpuservicetemplates.svc.dpu.nvidia.com "producer" not found'),
        getting(
            "DPUServiceConfiguration", "producer", 'dpuserviceconfigurations.svc.dpu.nvidia.com "producer" not found'
        ),
    ]


def test_the_alternatives_of_bfb_and_flavor_are_looked_for() -> None:
    deployment = some.a_deployment(dpus={
        "bfb": None, "flavor": None, "blueFieldSoftware": "software", "flavorTemplate": "rendered",
    })
    found = step(some.a_software(phase="Downloading"), some.a_template(), some.a_configuration(), deployment=deployment)
    assert texts(found) == [
        "BlueFieldSoftware is not ready yet",
        getting(
            "DPUFlavorTemplate", "rendered", 'dpuflavortemplates.provisioning.dpu.nvidia.com "rendered" not found'
        ),
    ]


@pytest.mark.parametrize("phase", ["Initializing", "Downloading", "Error", "Deleting"])
def test_a_bfb_must_be_ready(phase: str) -> None:
    assert texts(step(*complete(bfb=some.a_bfb(phase=phase)))) == ["BFB is not ready yet"]


@pytest.mark.parametrize("template", [
    some.a_template(ready=False), some.a_template(observed=0), some.a_template(ready=True, observed=2),
], ids=["not ready", "generation ahead of what was observed", "status of a later life"])
def test_a_template_must_be_ready_as_it_is_now(template: DPUServiceTemplate) -> None:
    assert texts(step(*complete(template=template))) == ["DPUServiceTemplate tenant/producer is not ready yet"]


@pytest.mark.parametrize(("replaced", "kind"), [
    (some.a_template(deploymentServiceName="consumer"), "DPUServiceTemplate"),
    (DPUServiceTemplate(metadata=some.metadata("producer")), "DPUServiceTemplate"),
    (some.a_configuration(deploymentServiceName="consumer"), "DPUServiceConfiguration"),
    (DPUServiceConfiguration(metadata=some.metadata("producer")), "DPUServiceConfiguration"),
])
def test_both_halves_must_be_meant_for_the_service(replaced: Object, kind: str) -> None:
    found = step(*complete(half=replaced))
    assert texts(found) == [
        f"service in {kind} tenant/producer doesn't match requested service in DPUDeployment"
    ]
    assert {finding.severity for finding in found.findings} == {Severity.INVALID}


@pytest.mark.parametrize(("dpus", "text"), [
    ({"bfb": None}, "exactly one of bfb or blueFieldSoftware must be specified"),
    ({"blueFieldSoftware": "software"}, "exactly one of bfb or blueFieldSoftware must be specified"),
    ({"flavor": None}, "exactly one of flavor or flavorTemplate must be set"),
])
def test_alternatives_of_older_objects_are_checked(dpus: dict[str, Any], text: str) -> None:
    assert text in texts(step(*complete(), some.a_software(), deployment=some.a_deployment(dpus=dpus)))


def test_a_deployment_without_spec_is_told_so() -> None:
    (text,) = texts(step(deployment=DPUDeployment(metadata=some.metadata("dd"))))
    assert "has no spec" in text


def test_what_cannot_be_read_is_not_absent() -> None:
    unreadable: dict[tuple[type[Object], Key], str] = {
        (BFB, Key(some.TENANT, "bfb")): "spec.url is a number", (DPUService, Key(some.TENANT, "dd-producer")): "broken",
    }
    objects = [d for d in complete() if not isinstance(d, BFB)]
    assert texts(step(*objects, unreadable=unreadable)) == [
        getting("BFB", "bfb", "it cannot be read: spec.url is a number; correct the object"),
        getting("DPUService", "dd-producer", "it cannot be read: broken; correct the object"),
    ]


def test_each_dependency_is_marked_in_one_conditional_patch() -> None:
    objects = [with_marks(d, finalizers=("mine",)) for d in some.dependencies_of(DEPLOYMENT)]
    found = patches(step(*objects))
    assert len(found) == 4
    for patch in found.values():
        assert patch == {"metadata": {
            "resourceVersion": "7", "labels": {LABEL: ""}, "finalizers": ["mine", FINALIZER],
        }}


def test_what_is_there_is_marked_while_something_else_is_missing() -> None:
    found = step(some.a_bfb())
    assert [key for _, key in patches(found)] == ["bfb"]
    assert len(texts(found)) == 3


def test_only_what_is_missing_is_written() -> None:
    bfb = with_marks(some.a_bfb(), LABEL, finalizers=())
    flavor = with_marks(some.a_flavor(), OTHER)
    template = with_marks(some.a_template(), LABEL)
    found = {name: patch["metadata"] for (_, name), patch in patches(step(bfb, flavor, template)).items()}
    assert found == {
        "bfb": {"resourceVersion": "7", "finalizers": [FINALIZER]},
        "flavor": {"labels": {LABEL: ""}},
    }


def test_a_label_beside_others_is_set_whatever_they_write_meanwhile() -> None:
    bfb = with_marks(some.a_bfb(), OTHER)
    assert patches(step(bfb)) == {(BFB, "bfb"): {"metadata": {"labels": {LABEL: ""}}}}


def test_an_object_on_its_way_out_takes_no_new_finalizer() -> None:
    gone = with_marks(some.a_bfb(), finalizers=("mine",), deleting=True)
    unlabelled = with_marks(some.a_flavor(), deleting=True)
    assert patches(step(gone, unlabelled)) == {
        (type(unlabelled), "flavor"): {"metadata": {"resourceVersion": "7", "labels": {LABEL: ""}}},
    }


def test_what_two_services_share_is_marked_once() -> None:
    deployment = some.a_deployment(services=("a", "b"))
    assert deployment.spec is not None
    spec = msgspec.structs.replace(deployment.spec, services=dict.fromkeys("ab", deployment.spec.services["a"]))
    found = step(some.a_template("a"), deployment=msgspec.structs.replace(deployment, spec=spec))
    assert len(found.actions) == 1


def marked_and_unnamed(*labels: str) -> DPUServiceTemplate:
    template: DPUServiceTemplate = with_marks(some.a_template("old"), *labels)
    return template


@pytest.mark.parametrize(("labels", "metadata"), [
    ((LABEL,), {"labels": {LABEL: None}, "finalizers": None}),
    ((LABEL, OTHER), {"labels": {LABEL: None}}),
], ids=["nobody else uses it", "somebody else uses it"])
def test_what_is_not_named_any_more_is_let_go(labels: tuple[str, ...], metadata: dict[str, Any]) -> None:
    found = patches(step(*complete(), marked=(marked_and_unnamed(*labels),)))
    assert found[DPUServiceTemplate, "old"] == {"metadata": {"resourceVersion": "7", **metadata}}


def test_nothing_is_let_go_while_something_is_missing() -> None:
    found = step(some.a_bfb(), marked=(marked_and_unnamed(LABEL),))
    assert (DPUServiceTemplate, "old") not in patches(found)


def test_a_settled_deployment_writes_nothing() -> None:
    objects = [with_marks(d, LABEL, OTHER) for d in some.dependencies_of(DEPLOYMENT)]
    assert step(*objects, marked=tuple(objects)).actions == ()


def test_release_lets_everything_go() -> None:
    bfb = with_marks(some.a_bfb(), LABEL, OTHER)
    flavor = with_marks(some.a_flavor(), LABEL, finalizers=("x", FINALIZER))
    stripped = with_marks(some.a_configuration())
    found = dependencies.plan_release(some.a_snapshot(
        DEPLOYMENT, bfb, flavor, stripped, marked=(bfb, flavor, marked_and_unnamed(LABEL))
    ))
    assert found.findings == ()
    assert {name: patch["metadata"] for (_, name), patch in patches(found).items()} == {
        "bfb": {"resourceVersion": "7", "labels": {LABEL: None}},
        "flavor": {"resourceVersion": "7", "labels": {LABEL: None}, "finalizers": ["x"]},
        "old": {"resourceVersion": "7", "labels": {LABEL: None}, "finalizers": None},
        "producer": {"resourceVersion": "7", "finalizers": None},
    }


def test_labels_tell_deployments_of_one_name_apart() -> None:
    labels = {naming.consumer_label(Key(ns, name)) for ns in ("a", "b") for name in ("x", "y")}
    assert len(labels) == 4
    prefix = "svc.dpu.nvidia.com/consumed-by-dpudeployment-"
    assert all(label.startswith(prefix) and len(label) == len(prefix) + 10 for label in labels)
