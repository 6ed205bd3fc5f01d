"""The one status patch of a pass: from what the root carries and what the pass found, or None when nothing changed.

Pure; `pipeline` calls it. Source: behaviour-service.md 1.1 and 1.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, get_args

import msgspec

from dpf.api.meta import Condition, Object
from dpf.runtime import conditions, diff
from dpf.runtime.reconciler import Verdict


def compute(
    root: Object, verdict: Verdict, *, types: Sequence[str], observes_generation: bool, now: str,
    keeps_unseen: bool = True,
) -> dict[str, Any] | None:
    """A merge patch of `status`, conditional on the resourceVersion of `root`; None when `root` says all that already.

    `types` are the condition types that this controller writes, in their order; others are left as they are. `Ready` is
    summarized when it is among them and `verdict` does not name it. Without `keeps_unseen` a condition that nobody has
    found yet is not written, and one that the verdict drops goes. `now` is RFC 3339 UTC.
    Raises TypeError for a field that the kind's status does not have: a programming error.
    """
    status_type = _status_type(type(root))
    have: dict[str, Any] = msgspec.to_builtins(getattr(root, "status", None)) or {}
    want = {**have, **_fields(verdict, status_type)}
    generation = root.metadata.generation or 0
    if not keeps_unseen:
        types = _seen(root, verdict, types)
    if types or verdict.dropped:
        want["conditions"] = _conditions(root, verdict, types, generation, now) or have.get("conditions")
    if observes_generation:
        want["observedGeneration"] = generation
    want = {name: value for name, value in want.items() if value is not None}
    if msgspec.convert(want, status_type) == getattr(root, "status", None):
        return None
    return {
        "metadata": {"resourceVersion": root.metadata.resourceVersion},
        "status": diff.merge_patch(have, want),
    }


@cache
def _status_type(kind: type[Object]) -> type[msgspec.Struct]:
    """The Struct that `kind` declares for `status`, without annotations and None."""
    declared = next(field.type for field in msgspec.structs.fields(kind) if field.name == "status")
    candidates = [declared, *get_args(declared)]
    return next(c for c in candidates if isinstance(c, type) and issubclass(c, msgspec.Struct))


def _fields(verdict: Verdict, status_type: type[msgspec.Struct]) -> dict[str, Any]:
    unknown = [name for name in verdict.fields if name not in status_type.__struct_fields__]
    if unknown:
        raise TypeError(f"status has no field {', '.join(unknown)}")
    return {name: msgspec.to_builtins(value) for name, value in verdict.fields.items()}


def _seen(root: Object, verdict: Verdict, types: Sequence[str]) -> Sequence[str]:
    """Of `types` those that stand on `root` already, or were found now."""
    seen = {condition.type for condition in _carried(root)} - verdict.dropped | set(verdict.states)
    return [type_ for type_ in types if type_ in seen]


def _carried(root: Object) -> Sequence[Condition]:
    return getattr(getattr(root, "status", None), "conditions", None) or ()


def _conditions(
    root: Object, verdict: Verdict, types: Sequence[str], generation: int, now: str,
) -> list[dict[str, Any]] | None:
    """Conditions to write, or None when those of `root` say the same; their order alone is no reason to write."""
    old = [condition for condition in _carried(root) if condition.type not in verdict.dropped]
    found = dict(verdict.states)
    merged = conditions.merge(types, old, found, generation=generation, now=now)
    if conditions.READY in types and conditions.READY not in found:
        found[conditions.READY] = conditions.summarize(types, merged, generation=generation)
        merged = conditions.merge(types, old, found, generation=generation, now=now)
    if _by_type(merged) == _by_type(_carried(root)):
        return None
    return [_encode(condition) for condition in merged]


def _by_type(items: Sequence[Condition]) -> Mapping[str, Condition]:
    return {condition.type: condition for condition in items}


def _encode(condition: Condition) -> dict[str, Any]:
    """All the fields that metav1.Condition requires are sent, also empty ones."""
    encoded = {
        "type": condition.type, "status": str(condition.status), "reason": str(condition.reason),
        "message": condition.message, "lastTransitionTime": condition.lastTransitionTime,
    }
    if condition.observedGeneration is not None:
        return {**encoded, "observedGeneration": condition.observedGeneration}
    return encoded
