"""A root Struct to its CustomResourceDefinition, and the list of kinds. Called by `__main__` and by tests. Pure."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any, Final

import dpf.api
from dpf.api.meta import Object
from dpf.api.schema import CRD, Column
from tools.crdgen import structural

KEEP_ANNOTATION: Final = {"helm.sh/resource-policy": "keep"}
"""Helm leaves the CRD, and with it every object of the kind, when the chart is uninstalled."""

_ROOT: Final[dict[str, Any]] = {
    "apiVersion": {"description": "Group and version of the schema that this object follows.", "type": "string"},
    "kind": {"description": "Kind of the object.", "type": "string"},
    "metadata": {"type": "object"},
}


def own_kinds() -> tuple[type[Object], ...]:
    """Every kind in `dpf.api` that declares a CRD, ordered by file name."""
    kinds: set[type[Object]] = set()
    for module in pkgutil.iter_modules(dpf.api.__path__, "dpf.api."):
        members = vars(importlib.import_module(module.name)).values()
        kinds |= {m for m in members if isinstance(m, type) and issubclass(m, Object) and hasattr(m, "crd")}
    return tuple(sorted(kinds, key=file_name))


def file_name(kind: type[Object]) -> str:
    """`<group>_<plural>.yaml`."""
    return f"{kind.resource.group}_{kind.resource.plural}.yaml"


def build(kind: type[Object]) -> dict[str, Any]:
    """The CustomResourceDefinition of `kind`. Raises structural.SchemaError."""
    resource, crd = kind.resource, crd_of(kind)
    metadata: dict[str, Any] = {"name": resource.qualified_name}
    if crd.keep_on_uninstall:
        metadata["annotations"] = dict(KEEP_ANNOTATION)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": resource.group,
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
            },
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [_version(kind, crd)],
        },
    }


def crd_of(kind: type[Object]) -> CRD:
    """What `kind` declares beside its fields. Raises structural.SchemaError."""
    crd = getattr(kind, "crd", None)
    if not isinstance(crd, CRD):
        raise structural.SchemaError(f"{kind.__name__}: `crd` is not a CRD declaration")
    return crd


def _version(kind: type[Object], crd: CRD) -> dict[str, Any]:
    version: dict[str, Any] = {"name": kind.resource.version, "served": True, "storage": True}
    if crd.columns:
        version["additionalPrinterColumns"] = [_column(column) for column in crd.columns]
    version["schema"] = {"openAPIV3Schema": _root_schema(kind, crd)}
    if crd.status_subresource:
        version["subresources"] = {"status": {}}
    return version


def _column(column: Column) -> dict[str, Any]:
    node: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.priority:
        node["priority"] = column.priority
    return node


def _root_schema(kind: type[Object], crd: CRD) -> dict[str, Any]:
    own = [p for p in structural.build_properties(kind, where=kind.__name__) if p.name not in _ROOT]
    root: dict[str, Any] = {"description": structural.first_paragraph(kind), "type": "object"}
    if crd.rules:
        root["x-kubernetes-validations"] = structural.build_rules(crd.rules)
    root["properties"] = _ROOT | {p.name: p.node for p in own}
    if required := sorted(p.name for p in own if p.required):
        root["required"] = required
    return root
