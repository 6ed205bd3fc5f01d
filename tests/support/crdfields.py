"""The fields that a CRD declares and those that a manifest uses, as paths, so that a test can demand every field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def used(value: Any, path: str) -> set[str]:
    """Every path in `value`; keys that no schema names are found too, and do no harm."""
    match value:
        case dict():
            return {path}.union(*(used(child, f"{path}.{key}") for key, child in value.items()),
                                *(used(child, f"{path}.*") for child in value.values()))
        case list():
            return {path}.union(*(used(child, f"{path}[]") for child in value))
        case _:
            return {path}


def declared(crd: Mapping[str, Any], part: str) -> set[str]:
    """Every path below `part` (spec or status) of the CRD, under the name of the kind."""
    (version,) = crd["spec"]["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    kind = crd["spec"]["names"]["kind"]
    return _fields(properties[part], f"{kind}.{part}") if part in properties else set()


def _fields(node: Mapping[str, Any], path: str) -> set[str]:
    found = {path}
    if node.get("x-kubernetes-map-type") == "atomic":
        return found  # A selector: what it looks like inside is not this kind's matter.
    for name, child in node.get("properties", {}).items():
        found |= _fields(child, f"{path}.{name}")
    for key, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if key in node:
            found |= _fields(node[key], f"{path}{suffix}")
    return found
