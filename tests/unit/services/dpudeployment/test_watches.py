"""Which changes concern which DPUDeployment, and which concern none (behaviour-service.md 6.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from tests.support import dpudeployments as some

from dpf.api import names
from dpf.api.bfb import BFB
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuservice import DPUService, DPUServiceStatus
from dpf.api.meta import Condition, Key, Object, OwnerReference, object_key
from dpf.services.dpudeployment import naming, watches

DD, OTHER, NEIGHBOUR = Key(some.TENANT, "dd"), Key(some.TENANT, "other"), Key("elsewhere", "dd")


def lookup(kind: type[Object], index: str, value: str) -> Iterable[Key]:
    """What the cache of a host with three DPUDeployments would answer."""
    assert kind is DPUDeployment
    (declared,) = (watch for watch in WATCHES if watch.kind is DPUDeployment)
    some_deployments = [some.a_deployment(key.name, key.namespace) for key in (DD, OTHER, NEIGHBOUR)]
    return [object_key(d) for d in some_deployments if value in declared.indexes[index](d)]


EVERY = (DD, OTHER, NEIGHBOUR)
WATCHES = watches.build(lambda: EVERY, lookup)


def told(old: Any, new: Any) -> set[Key]:
    kind = type(new if new is not None else old)
    return {key for watch in WATCHES if watch.kind is kind for key in watch.maps(old, new)}


def changed(obj: Any, **metadata: Any) -> Any:
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, resourceVersion="9", **metadata))


def a_child(*, owner: Key | None = DD, label: str | None = None, status: DPUServiceStatus | None = None) -> DPUService:
    references = [OwnerReference(
        apiVersion="svc.dpu.nvidia.com/v1alpha1", kind="DPUDeployment", name=owner.name, uid="u", controller=True
    )] if owner is not None else None
    labels = {names.OWNED_BY_DPUDEPLOYMENT_LABEL: label} if label else None
    meta = msgspec.structs.replace(some.metadata("dd-a", labels=labels), ownerReferences=references)
    return DPUService(metadata=meta, status=status or DPUServiceStatus())


@pytest.mark.parametrize("child", [
    a_child(), a_child(owner=None, label=naming.owner_value(DD)), a_child(label="somebody_else"),
], ids=["by reference", "by label", "the reference stands above the label"])
def test_a_child_concerns_its_owner(child: DPUService) -> None:
    assert told(None, child) == {DD}
    assert told(child, None) == {DD}


@pytest.mark.parametrize("child", [
    a_child(owner=None), a_child(owner=None, label="tenant_nobody"), a_child(owner=Key(some.TENANT, "gone")),
], ids=["nobody's", "label of nobody", "owner is gone"])
def test_what_belongs_to_nobody_concerns_nobody(child: DPUService) -> None:
    assert told(None, child) == set()


def test_another_controllers_child_is_not_ours_whatever_its_label() -> None:
    child = a_child(label=naming.owner_value(DD))
    reference = OwnerReference(apiVersion="apps/v1", kind="DPUDeployment", name="dd", uid="u", controller=True)
    foreign = changed(child, ownerReferences=[reference])
    assert told(None, foreign) == set()


def a_condition(type_: str, status: str, generation: int = 1) -> Condition:
    return Condition(type=type_, status=status, reason="Pending", observedGeneration=generation)


def test_only_what_a_decision_needs_of_a_child_is_told() -> None:
    before = a_child(status=DPUServiceStatus(conditions=[a_condition("Ready", "False")]))

    def after(*conditions: Condition, **metadata: Any) -> DPUService:
        found: DPUService = changed(before, **metadata)
        return msgspec.structs.replace(found, status=DPUServiceStatus(conditions=list(conditions), serviceID="x"))

    assert told(before, after(a_condition("Ready", "False"), a_condition("ApplicationsReady", "True"))) == set()
    assert told(before, after(a_condition("Ready", "False"), finalizers=["new"])) == set()
    assert told(before, after(a_condition("Ready", "True"))) == {DD}
    assert told(before, after(a_condition("Ready", "False", generation=2))) == set()
    assert told(before, after(a_condition("Ready", "Unknown"))) == set()
    claim = {names.CONSUMED_BY_ANNOTATION: "dd-a", f"{names.CONSUMED_BY_ANNOTATION}-uid": "u"}
    assert told(before, after(a_condition("Ready", "False"), annotations=claim)) == set()
    for change in ({"generation": 2}, {"labels": {"a": "b"}}, {"annotations": {"a": "b"}}, {"ownerReferences": None},
                   {"deletionTimestamp": "2026-01-01T00:00:00Z"}):
        assert told(before, after(a_condition("Ready", "False"), **change)) == {DD}


def test_a_dependency_concerns_everybody_who_names_it() -> None:
    assert told(None, some.a_bfb()) == {DD, OTHER}
    assert told(some.a_bfb(), None) == {DD, OTHER}
    assert told(None, some.a_bfb("unknown")) == set()
    assert told(None, some.a_configuration(namespace="elsewhere")) == {NEIGHBOUR}


@pytest.mark.parametrize(("before", "after"), [
    (some.a_bfb(phase="Downloading"), some.a_bfb()),
    (some.a_bfb(), some.a_bfb(doca="3.0.0")),
    (some.a_template(ready=False), some.a_template()),
    (some.a_template(), some.a_template(doca=">3")),
    (some.a_template(), changed(some.a_template(), generation=2)),
    (some.a_flavor(), changed(some.a_flavor(), generation=2)),
    (some.a_configuration(), changed(some.a_configuration(), generation=2)),
    (some.a_configuration(), changed(some.a_configuration(), annotations={names.TEMPLATE_DELIMITER_ANNOTATION: "<,>"})),
    (changed(some.a_bfb(), finalizers=[names.DPUDEPLOYMENT_FINALIZER]), some.a_bfb()),
], ids=["phase", "version", "ready", "constraint", "template", "flavor", "configuration", "delimiters", "finalizer"])
def test_what_matters_of_a_dependency_is_told(before: Object, after: Object) -> None:
    assert told(before, after) == {DD, OTHER}


def test_what_does_not_matter_of_a_dependency_is_not_told() -> None:
    bfb = some.a_bfb()
    assert told(bfb, changed(bfb, labels={"a": "b"}, finalizers=["mine"])) == set()
    status = msgspec.structs.replace(bfb.status, fileName="other.bfb", observedGeneration=3)
    assert told(bfb, msgspec.structs.replace(changed(bfb), status=status)) == set()


def test_a_mark_concerns_only_the_deployment_that_it_stands_for() -> None:
    bfb = some.a_bfb()
    marked: BFB = changed(bfb, labels={naming.consumer_label(DD): ""}, finalizers=[names.DPUDEPLOYMENT_FINALIZER])
    assert told(bfb, marked) == {DD}
    stripped: BFB = changed(marked, labels=None)
    assert told(marked, stripped) == {DD}


def test_trust_in_hosts_concerns_everybody_and_nothing_else_of_the_configuration_does() -> None:
    def a_config(**spec: Any) -> DPFOperatorConfig:
        return msgspec.convert({"metadata": {"name": "c"}, "spec": spec}, DPFOperatorConfig)

    trusted, wary = a_config(deploymentMode="host-trusted"), a_config(deploymentMode="zero-trust")
    assert told(None, wary) == told(trusted, wary) == set(EVERY)
    assert told(None, trusted) == told(wary, a_config(deploymentMode="zero-trust", imagePullSecrets=["a"])) == set()
