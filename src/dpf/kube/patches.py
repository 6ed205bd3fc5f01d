"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902) on plain data.

Pure. Called by the memory cluster and by planners that want to know what a patch would change. Inputs are never
modified; the result shares what did not change with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_MISSING: Final = object()


class PatchError(ValueError):
    """A patch that cannot be applied to this object; the text says which operation and why."""


def merge(target: Any, patch: Any) -> Any:  # noqa: ANN401 - any JSON value
    """`target` after a merge patch: maps merge, None removes, everything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def json_patch(target: Any, operations: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401 - any JSON value
    """`target` after the operations, in order. Raises PatchError; then nothing counts as applied."""
    for number, operation in enumerate(operations):
        try:
            target = _operate(target, operation)
        except PatchError as error:
            raise PatchError(f"operation {number} ({operation.get('op')} {operation.get('path')}): {error}") from None
    return target


def _operate(target: Any, operation: Mapping[str, Any]) -> Any:  # noqa: ANN401
    path = _pointer(operation.get("path"))
    match operation.get("op"):
        case "add":
            return _put(target, path, _value(operation))
        case "remove":
            return _drop(target, path)
        case "replace":
            return _put(_drop(target, path), path, _value(operation)) if path else _value(operation)
        case "move":
            source = _pointer(operation.get("from"))
            return _put(_drop(target, source), path, _find(target, source))
        case "copy":
            return _put(target, path, _find(target, _pointer(operation.get("from"))))
        case "test":
            if _find(target, path) != _value(operation):
                raise PatchError("the value is another one")
            return target
    raise PatchError("op is not one of add, remove, replace, move, copy, test")


def _pointer(text: Any) -> tuple[str, ...]:  # noqa: ANN401
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchError(f"{text!r} is not a JSON pointer")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:])


def _value(operation: Mapping[str, Any]) -> Any:  # noqa: ANN401
    if "value" not in operation:
        raise PatchError("value is missing")
    return operation["value"]


def _find(node: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401
    for step in path:
        node = _child(node, step)
    return node


def _child(node: Any, step: str) -> Any:  # noqa: ANN401
    if isinstance(node, Mapping):
        child = node.get(step, _MISSING)
    elif isinstance(node, list):
        child = node[_index(node, step, len(node) - 1)]
    else:
        child = _MISSING
    if child is _MISSING:
        raise PatchError(f"{step!r} does not exist")
    return child


def _index(node: list[Any], step: str, last: int) -> int:
    if not step.isdigit() or not step.isascii() or int(step) > last:
        raise PatchError(f"{step!r} is not an index of a list of {len(node)}")
    return int(step)


def _put(node: Any, path: tuple[str, ...], value: Any) -> Any:  # noqa: ANN401
    """A copy of `node` in which `path` is `value`; in a list, the value is inserted."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(node, Mapping):
        return {**node, step: _put(_child(node, step) if rest else None, rest, value)}
    if not isinstance(node, list):
        raise PatchError(f"{step!r} does not exist")
    changed = list(node)
    if rest:
        at = _index(node, step, len(node) - 1)
        changed[at] = _put(node[at], rest, value)
    else:
        changed.insert(len(node) if step == "-" else _index(node, step, len(node)), value)
    return changed


def _drop(node: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401
    """A copy of `node` without what is at `path`, which must exist."""
    if not path:
        raise PatchError("the whole object cannot be removed")
    step, rest = path[0], path[1:]
    child = _child(node, step)
    if isinstance(node, Mapping):
        kept = {name: value for name, value in node.items() if name != step}
        return {**node, step: _drop(child, rest)} if rest else kept
    at = int(step)
    return [*node[:at], *([_drop(child, rest)] if rest else []), *node[at + 1:]]
