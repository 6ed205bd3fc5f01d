"""Inventory and options -> one tree of rows.

Pure; called by `command`, printed by `render` and `document`. All decisions about what is shown are here: filters,
children on demand, headings, grouping, which conditions are listed, the order. Source: behaviour-service.md 10.1, 10.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from dpf.api.meta import Condition, Key, ObjectMeta
from dpf.cli.describe import filters, kinds
from dpf.runtime import conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for. Absent filters: everything is shown, nothing is expanded, only bad conditions."""

    show_conditions: filters.Filter = filters.NOTHING
    show_resources: filters.Filter = filters.EVERYTHING
    expand_resources: filters.Filter = filters.NOTHING
    grouping: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One object as `describe` sees it; `conditions` are all but Ready, by type."""

    kind: kinds.Kind
    metadata: ObjectMeta
    ready: Condition | None
    conditions: tuple[Condition, ...]

    @property
    def name(self) -> str:
        """`Kind/name`."""
        return f"{self.kind.name}/{self.metadata.name}"

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return Key(self.metadata.namespace or "", self.metadata.name)

    @property
    def is_ready(self) -> bool:
        """Whether the object says that it is."""
        return self.ready is not None and _holds(self.ready)

    def selected_by(self, chosen: filters.Filter) -> bool:
        """Whether `chosen` selects this object."""
        return chosen.matches(self.kind.name, self.metadata.name, ready=self.is_ready)

    def named_by(self, chosen: filters.Filter) -> bool:
        """Whether `chosen` asks for this object by kind or name."""
        return chosen.names(self.kind.name, self.metadata.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One row and what hangs below it.

    `items` are the objects that it stands for: none for a heading, one for an object, several for a group. `ready`
    fills the columns of the row, `conditions` are listed under it.
    """

    name: str
    namespace: str = ""
    deleting: bool = False
    ready: Condition | None = None
    items: tuple[Item, ...] = ()
    conditions: tuple[Condition, ...] = ()
    children: tuple[Node, ...] = ()


def build(inventory: kinds.Inventory, branches: Sequence[kinds.Branch], options: Options) -> Node:
    """The tree below the DPFOperatorConfig. The root is always shown and selects nothing below it."""
    root = _item(kinds.ROOT, inventory.root)
    scene = _Scene(options=options, places=_place(inventory, branches))
    return _node(root, _below(scene, branches, _TOP, chosen=False), options)


def items(node: Node) -> Iterator[Item]:
    """Every object of the tree, in the order of the table; headings and groups are not objects."""
    yield from node.items
    for child in node.children:
        yield from items(child)


_Place = tuple[str, Key]
"""Where objects hang: kind and key of the object above."""

_TOP: Final[_Place] = ("", Key("", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What the walk over the branches looks up: objects by (kind name, place)."""

    options: Options
    places: Mapping[tuple[str, _Place], Sequence[Item]]


def _place(
    inventory: kinds.Inventory, branches: Sequence[kinds.Branch]
) -> Mapping[tuple[str, _Place], Sequence[Item]]:
    """Every object at its place; one that hangs nowhere is left out."""
    places: dict[tuple[str, _Place], list[Item]] = {}
    for above, branch in kinds.walk(branches):
        for view in inventory.objects.get(branch.kind.name, ()):
            place = _place_of(view.metadata, branch, above)
            if place is not None:
                places.setdefault((branch.kind.name, place), []).append(_item(branch.kind, view))
    return places


def _place_of(metadata: ObjectMeta, branch: kinds.Branch, above: str) -> _Place | None:
    if branch.parent_of is None:
        return _TOP
    parent = branch.parent_of(metadata)
    return None if parent is None else (above, parent)


def _below(scene: _Scene, branches: Iterable[kinds.Branch], place: _Place, *, chosen: bool) -> tuple[Node, ...]:
    """Rows of `branches` at `place`. `chosen`: an object above was selected, which selects everything under it."""
    nodes: list[Node] = []
    for branch in branches:
        rows = _rows(scene, branch, place, chosen=chosen)
        if branch.headed and rows:
            nodes.append(Node(name=branch.kind.heading, children=rows))
        else:
            nodes.extend(rows)
    return tuple(sorted(nodes, key=_order))


def _rows(scene: _Scene, branch: kinds.Branch, place: _Place, *, chosen: bool) -> tuple[Node, ...]:
    found = (_row(scene, branch, item, chosen=chosen) for item in scene.places.get((branch.kind.name, place), ()))
    rows: Iterable[Node] = [row for row in found if row is not None]
    if scene.options.grouping and branch.kind.groups:
        rows = _grouped(rows, branch.kind, scene.options)
    return tuple(sorted(rows, key=_order))


def _row(scene: _Scene, branch: kinds.Branch, item: Item, *, chosen: bool) -> Node | None:
    """None when neither the object nor anything above or below it was selected."""
    chosen = chosen or item.selected_by(scene.options.show_resources)
    demanded = not item.is_ready or item.selected_by(scene.options.expand_resources)
    branches = [below for below in branch.below if demanded or not below.on_demand]
    children = _below(scene, branches, (item.kind.name, item.key), chosen=chosen)
    return _node(item, children, scene.options) if chosen or children else None


def _item(kind: kinds.Kind, view: kinds.View | kinds.ApplicationView) -> Item:
    found = kind.conditions_of(view)
    rest = sorted((c for c in found if c.type != conditions.READY), key=lambda c: c.type)
    return Item(
        kind=kind, metadata=view.metadata, ready=conditions.find(found, conditions.READY), conditions=tuple(rest)
    )


def _node(item: Item, children: tuple[Node, ...], options: Options) -> Node:
    """The row carries Ready; under it stand the conditions that do not hold, or all when they were asked for."""
    listed = item.conditions
    if not (options.show_conditions.everything or item.named_by(options.show_conditions)):
        listed = tuple(condition for condition in listed if not _holds(condition))
    return Node(
        name=item.name, namespace=item.metadata.namespace or "", deleting=item.metadata.deletionTimestamp is not None,
        ready=item.ready, items=(item,), conditions=listed, children=children,
    )


def _grouped(rows: Iterable[Node], kind: kinds.Kind, options: Options) -> Iterator[Node]:
    """Rows of one kind with what may be grouped put together, per namespace and reason."""
    candidates: list[Node] = []
    for row in rows:
        if _may_be_grouped(row, options):
            candidates.append(row)
        else:
            yield row
    for _, members in groupby(sorted(candidates, key=_group_key), key=_group_key):
        group = tuple(members)
        yield _group(group, kind) if len(group) > 1 else group[0]


def _may_be_grouped(row: Node, options: Options) -> bool:
    """Ready with all under it, nothing bad to tell, and not asked for by kind or name."""
    (item,) = row.items
    if row.deleting or not item.is_ready or not all(_holds(condition) for condition in item.conditions):
        return False
    if item.named_by(options.show_conditions) or (row.children and item.selected_by(options.expand_resources)):
        return False
    return all(below.is_ready for child in row.children for below in items(child))


def _group_key(row: Node) -> tuple[str, str]:
    return row.namespace, row.ready.reason if row.ready else ""


def _group(rows: Sequence[Node], kind: kinds.Kind) -> Node:
    members = tuple(item for row in sorted(rows, key=_order) for item in row.items)
    times = [item.ready.lastTransitionTime for item in members if item.ready and item.ready.lastTransitionTime]
    namespace, reason = _group_key(rows[0])
    summary = Condition(
        type=conditions.READY, status=conditions.Status.TRUE, reason=reason,
        message=f"See {', '.join(item.metadata.name for item in members)}",
        lastTransitionTime=min(times, default=None),
    )
    return Node(name=f"{len(members)} {kind.heading}...", namespace=namespace, ready=summary, items=members)


def _holds(condition: Condition) -> bool:
    return condition.status == conditions.Status.TRUE


def _order(node: Node) -> tuple[str, str]:
    return node.name, node.namespace

