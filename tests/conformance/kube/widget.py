"""A custom resource with a status subresource, and one without, that only the conformance suite uses."""

from __future__ import annotations

from typing import Any, ClassVar

from dpf.api.core import CustomResourceDefinition
from dpf.api.meta import Condition, Model, Object, ObjectMeta, Resource

GROUP = "conformance.dpf.example"


class WidgetSpec(Model):
    size: int | None = None
    color: str | None = None
    parts: list[str] | None = None
    options: dict[str, str] | None = None


class WidgetStatus(Model):
    phase: str | None = None
    conditions: list[Condition] | None = None


class Widget(Object):
    resource: ClassVar[Resource] = Resource(GROUP, "v1", "Widget", "widgets")
    spec: WidgetSpec = WidgetSpec()
    status: WidgetStatus = WidgetStatus()


class Gadget(Object):
    """As Argo CD's Application: `status` is an ordinary field."""

    resource: ClassVar[Resource] = Resource(GROUP, "v1", "Gadget", "gadgets")
    spec: WidgetSpec = WidgetSpec()
    status: WidgetStatus = WidgetStatus()


class Unserved(Object):
    resource: ClassVar[Resource] = Resource("unserved.dpf.example", "v1", "Unserved", "unserveds")


class StrictSpec(Model):
    size: str


class StrictWidget(Object, kw_only=True):
    """The same resource as `Widget`, seen by a program whose types expect something else."""

    resource: ClassVar[Resource] = Widget.resource
    spec: StrictSpec


def definition(kind: type[Object], *, status_subresource: bool) -> CustomResourceDefinition:
    resource = kind.resource
    version: dict[str, Any] = {
        "name": resource.version, "served": True, "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {
            "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {
                "color": {"type": "string", "maxLength": 20}}},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        }}},
    }
    if status_subresource:
        version["subresources"] = {"status": {}}
    return CustomResourceDefinition(
        metadata=ObjectMeta(name=resource.qualified_name),
        spec={
            "group": resource.group, "scope": "Namespaced", "versions": [version],
            "names": {"kind": resource.kind, "plural": resource.plural, "singular": resource.kind.lower()},
        },
    )
