"""crdgen: a root Struct to a CustomResourceDefinition."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import pytest
from tools.crdgen import manifest, structural

from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import DPUService
from dpf.api.meta import Model, Object, Resource
from dpf.api.schema import AGE, CRD, Column, Rule, Schema


class WidgetSpec(Model):
    """Wanted."""

    size: int


class Widget(Object, kw_only=True):
    """A widget."""

    resource: ClassVar[Resource] = Resource("example.com", "v1", "Widget", "widgets", namespaced=False)
    crd: ClassVar[CRD] = CRD(
        columns=(Column(name="Size", path=".spec.size", type="integer", priority=1), AGE),
        rules=(Rule(rule="true", message="never"),), status_subresource=False, keep_on_uninstall=False,
    )
    spec: Annotated[WidgetSpec, Schema(description="The spec.")]


def version_of(kind: type[Object]) -> dict[str, Any]:
    (version,) = manifest.build(kind)["spec"]["versions"]
    return dict(version)


def test_widget() -> None:
    assert manifest.build(Widget) == {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "names": {"kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget"},
            "scope": "Cluster",
            "versions": [{
                "name": "v1",
                "served": True,
                "storage": True,
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {"openAPIV3Schema": {
                    "description": "A widget.",
                    "type": "object",
                    "x-kubernetes-validations": [{"rule": "true", "message": "never"}],
                    "properties": {
                        "apiVersion": manifest.build(Widget)["spec"]["versions"][0]["schema"]["openAPIV3Schema"][
                            "properties"]["apiVersion"],
                        "kind": {"description": "Kind of the object.", "type": "string"},
                        "metadata": {"type": "object"},
                        "spec": {"description": "The spec.", "type": "object",
                                 "properties": {"size": {"type": "integer"}}, "required": ["size"]},
                    },
                    "required": ["spec"],
                }},
            }],
        },
    }


@pytest.mark.parametrize("kind", manifest.own_kinds(), ids=lambda kind: kind.__name__)
def test_common_facts(kind: type[Object]) -> None:
    """api-svc.md and api-provisioning.md, section 0 of each."""
    crd = manifest.build(kind)

    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert crd["spec"]["scope"] == "Namespaced"
    assert crd["spec"]["names"].keys() == {"kind", "listKind", "plural", "singular"}
    assert version_of(kind)["name"] == "v1alpha1"
    has_status = "status" in version_of(kind)["schema"]["openAPIV3Schema"]["properties"]
    assert version_of(kind).get("subresources", {}) == ({"status": {}} if has_status else {})


@pytest.mark.parametrize(("kind", "required"), [(DPUService, None), (DPUCluster, ["spec"])])
def test_spec_is_required_of_a_dpucluster_only(kind: type[Object], required: list[str] | None) -> None:
    assert version_of(kind)["schema"]["openAPIV3Schema"].get("required") == required


def test_kinds_are_found_by_their_declaration() -> None:
    plurals = [kind.resource.plural for kind in manifest.own_kinds() if kind.resource.group == "svc.dpu.nvidia.com"]

    assert plurals == [
        "dpudeployments", "dpuservicechains", "dpuserviceconfigurations", "dpuservicecredentialrequests",
        "dpuserviceinterfaces", "dpuservicenads", "dpuservices", "dpuservicetemplates",
    ]


def test_kinds_without_a_status() -> None:
    """api-provisioning.md section 0."""
    bare = {kind.resource.kind for kind in manifest.own_kinds() if "subresources" not in version_of(kind)}

    assert bare == {"DPUFlavor", "DPUFlavorTemplate"}


def test_a_kind_that_declares_nothing_is_refused() -> None:
    class Bare(Object):
        """Bare."""

        resource: ClassVar[Resource] = Resource("example.com", "v1", "Bare", "bares")

    with pytest.raises(structural.SchemaError, match="Bare"):
        manifest.build(Bare)
