"""Compare what a planner wants with what is there, so that nothing is written twice.

Pure. Planners call `covers` before they plan an Apply; `reconcile` calls `merge_patch` for the status.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from dpf.api.meta import Object


def covers(actual: Object, desired: Object, *, exact: Collection[str] = ()) -> bool:
    """Whether every field set in `desired` is present and equal in `actual`.

    Fields are compared as they would be sent: what equals a Struct's default is not set. `apiVersion` and `kind` are
    left out. Maps are compared key by key: a key that only `actual` has does not count (another writer may own it).
    Lists are compared whole. What is absent covers an empty map and an empty list: the API server drops some of them
    (`subsets` of Endpoints) and would be sent them for ever. `exact` holds dotted paths of maps that are ours alone
    (e.g. `spec.source.helm.valuesObject`), where a key too many counts as well.

    `stringData` of a Secret is write-only and therefore never covered: plan with `data`.
    """
    want = _fields(desired)
    have = _fields(actual)
    return _covers(have, want, "", frozenset(exact))


def merge_patch(actual: Mapping[str, Any], desired: Mapping[str, Any]) -> dict[str, Any]:
    """The RFC 7386 patch that turns `actual` into `desired`; empty when they are equal."""
    patch: dict[str, Any] = {key: None for key in actual if key not in desired}
    for key, want in desired.items():
        have = actual.get(key)
        if have == want and key in actual:
            continue
        nested = isinstance(have, Mapping) and isinstance(want, Mapping)
        patch[key] = merge_patch(have, want) if nested else want  # type: ignore[arg-type]
    return patch


def _fields(obj: Object) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(obj)
    fields.pop("apiVersion", None)
    fields.pop("kind", None)
    return fields


def _covers(have: Any, want: Any, path: str, exact: frozenset[str]) -> bool:  # noqa: ANN401 - any JSON value
    if have is None and want == []:
        return True
    if not isinstance(want, Mapping) or path in exact:
        return bool(have == want)
    if have is None:
        have = {}
    if not isinstance(have, Mapping):
        return False
    return all(_covers(have.get(key), value, _join(path, key), exact) for key, value in want.items())


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
