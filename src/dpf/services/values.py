"""Arithmetic on JSON values: how Helm values are merged, and when two of them are the same.

Pure. Called by the planners of services and deployments. It knows no kind and never changes its arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge(dst: Mapping[str, Any] | None, src: Mapping[str, Any] | None) -> dict[str, Any]:
    """`dst` completed by what only `src` has (behaviour-service.md 1.3).

    Maps are merged key by key; of scalars and lists, and of a map against anything else, `dst` wins whole. An explicit
    null in `dst` stays: in Helm it removes a default of the chart.
    """
    merged = dict(dst or {})
    for key, value in (src or {}).items():
        if key not in merged:
            merged[key] = value
        elif isinstance(merged[key], Mapping) and isinstance(value, Mapping):
            merged[key] = merge(merged[key], value)
    return merged


def settled(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """`value` without map entries that are null, an empty string or an empty map, at any depth.

    Programs that hold an object in Go structs lose such entries on the way; two values that differ only there mean the
    same to them.
    """
    if isinstance(value, Mapping):
        inner = {key: settled(entry) for key, entry in value.items()}
        return {key: entry for key, entry in inner.items() if entry is not None and entry not in ("", {})}
    if isinstance(value, list | tuple):
        return [settled(entry) for entry in value]
    return value


def same(left: Any, right: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether two JSON values mean the same to a reader of YAML.

    Python's `==` calls `True` and `1` equal; for a chart, they are a flag and a number. 1 and 1.0 are one number: the
    API server does not keep them apart.
    """
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)
