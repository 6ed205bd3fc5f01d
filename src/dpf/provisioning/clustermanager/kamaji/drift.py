"""Whether an object of ours still is as it was written, whatever the API server and Kamaji have added to it.

Pure. `runtime.diff.covers` compares lists whole; here the items of a list are compared one by one, because the API
server fills in defaults inside them, and owner references of others beside ours do not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dpf.api.meta import Object

_IDENTITY = ("apiVersion", "kind")


def holds(actual: Object, wanted: Object) -> bool:
    """Whether every field set in `wanted` is in `actual`: maps key by key, lists of one length item by item."""
    have, want = _fields(actual), _fields(wanted)
    found = have["metadata"].pop("ownerReferences", ())
    owners = want["metadata"].pop("ownerReferences", ())
    return all(any(_within(f, owner) for f in found) for owner in owners) and _within(have, want)


def _fields(obj: Object) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(obj)
    return {name: value for name, value in fields.items() if name not in _IDENTITY}


def _within(have: Any, want: Any) -> bool:  # noqa: ANN401 - any JSON value
    if isinstance(want, Mapping):
        return isinstance(have, Mapping) and all(_within(have.get(key), value) for key, value in want.items())
    if isinstance(want, list):
        if not isinstance(have, Sequence) or isinstance(have, str) or len(have) != len(want):
            return False
        return all(_within(*pair) for pair in zip(have, want, strict=True))
    return bool(have == want)
