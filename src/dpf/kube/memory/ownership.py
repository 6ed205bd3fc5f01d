"""Who owns which field: server-side apply as the memory cluster does it.

Pure. A field is a path of map keys down to a leaf; a list is one leaf, except `metadata.finalizers` and
`metadata.ownerReferences`, whose entries are owned one by one as at a real API server. That is enough for the kinds
this project writes; lists with `x-kubernetes-list-type: map` in a CRD are treated as one leaf as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Path = tuple[str, ...]
Tree = dict[str, Any]

_MISSING: Final = object()
_SYSTEM_METADATA: Final = (
    "name", "namespace", "generateName", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields",
)
_SYSTEM: Final = frozenset({("apiVersion",), ("kind",), *(("metadata", name) for name in _SYSTEM_METADATA)})
"""Fields that nobody owns."""
_ENTRY_KEYS: Final[Mapping[Path, str | None]] = {
    ("metadata", "finalizers"): None, ("metadata", "ownerReferences"): "uid",
}
"""Lists whose entries are owned one by one, and the field that identifies an entry (None: the entry itself)."""


@dataclass(frozen=True, slots=True, order=True)
class Manager:
    """A field manager: its name, how it writes (Apply or Update), and the subresource it writes through."""

    name: str
    operation: str
    subresource: str = ""


Owners = Mapping[Manager, frozenset[Path]]


class OwnershipConflict(Exception):
    """An apply without force would change fields of others. `fields` maps a dotted field to its owner's name."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(", ".join(f"{field} (owned by {owner})" for field, owner in fields.items()))
        self.fields = fields


def apply(live: Tree, owners: Owners, manager: Manager, wanted: Tree, *, force: bool) -> tuple[Tree, Owners]:
    """`live` and its owners after `manager` has applied exactly `wanted`.

    What the manager applied before and does not want any more is removed, unless another manager owns it too.
    Raises OwnershipConflict, never with `force`.
    """
    live, wanted_leaves = _open(live), _leaves(_open(wanted))
    others = {other: paths for other, paths in owners.items() if other != manager}
    contested = _contested(_leaves(live), others, wanted_leaves)
    if contested and not force:
        raise OwnershipConflict({".".join(path): other.name for path, other in contested})
    lost = {path for path, _ in contested}
    others = {other: _without(paths, lost) for other, paths in others.items()}
    for path in sorted(owners.get(manager, frozenset()) - wanted_leaves.keys(), reverse=True):
        if not _in_use(path, [*others.values(), wanted_leaves.keys()]):
            live = _removed(live, path)
    for path, value in wanted_leaves.items():
        live = _set(live, path, value)
    return _closed(live), _tidy({**others, manager: frozenset(wanted_leaves)})


def record(before: Tree, after: Tree, owners: Owners, manager: Manager) -> Owners:
    """The owners after `manager` has turned `before` into `after` by a create or a patch: it owns what it changed."""
    old, new = _leaves(_open(before)), _leaves(_open(after))
    changed = frozenset(path for path, value in new.items() if old.get(path, _MISSING) != value)
    removed = old.keys() - new.keys()
    if not changed and not removed:
        return owners
    kept = {other: _without(paths - removed, changed) for other, paths in owners.items()}
    return _tidy({**kept, manager: kept.get(manager, frozenset()) | changed})


def _leaves(tree: Tree) -> dict[Path, Any]:
    found: dict[Path, Any] = {}
    stack: list[tuple[Path, Any]] = [((), tree)]
    while stack:
        path, node = stack.pop()
        if path in _SYSTEM:
            continue
        if isinstance(node, Mapping) and (node or not path):
            stack += [((*path, name), child) for name, child in node.items()]
        else:
            found[path] = node
    return found


def _contested(
    live: Mapping[Path, Any], others: Owners, wanted: Mapping[Path, Any]
) -> list[tuple[Path, Manager]]:
    """Wanted fields that differ from what somebody else owns at, above or below them."""
    return [
        (path, other)
        for path, value in wanted.items() if live.get(path, _MISSING) != value
        for other, paths in others.items()
        if any(_overlap(path, theirs) for theirs in paths) and not (value == {} and path not in paths)
    ]


def _overlap(one: Path, other: Path) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _without(paths: frozenset[Path], taken: Iterable[Path]) -> frozenset[Path]:
    taken = tuple(taken)
    return frozenset(path for path in paths if not any(_overlap(path, other) for other in taken)) if taken else paths


def _in_use(path: Path, claims: Iterable[Iterable[Path]]) -> bool:
    return any(other[:len(path)] == path for paths in claims for other in paths)


def _tidy(owners: Owners) -> Owners:
    return {manager: paths for manager, paths in owners.items() if paths}


def _set(node: Any, path: Path, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if not path:
        return node if value == {} and isinstance(node, Mapping) else value
    base = node if isinstance(node, Mapping) else {}
    return {**base, path[0]: _set(base.get(path[0]), path[1:], value)}


def _removed(node: Any, path: Path) -> Any:  # noqa: ANN401 - any JSON value
    """Without the field, and without maps below the top level that become empty by that."""
    if not isinstance(node, Mapping) or path[0] not in node:
        return node
    rest = {name: child for name, child in node.items() if name != path[0]}
    if len(path) == 1:
        return rest
    child = _removed(node[path[0]], path[1:])
    return {**rest, path[0]: child} if child else rest


def _open(tree: Tree) -> Tree:
    """Lists whose entries are owned one by one become maps."""
    for path, key in _ENTRY_KEYS.items():
        entries = tree.get(path[0], {}).get(path[1])
        if isinstance(entries, list):
            opened = {str(entry if key is None else entry.get(key)): _Entry(entry) for entry in entries}
            tree = {**tree, path[0]: {**tree[path[0]], path[1]: opened}}
    return tree


def _closed(tree: Tree) -> Tree:
    for path in _ENTRY_KEYS:
        entries = tree.get(path[0], {}).get(path[1])
        if isinstance(entries, Mapping):
            listed = [entry.value for entry in entries.values()]
            rest = {name: child for name, child in tree[path[0]].items() if name != path[1]}
            tree = {**tree, path[0]: {**rest, path[1]: listed} if listed else rest}
    return tree


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of an opened list: one leaf, whatever is inside."""

    value: Any
