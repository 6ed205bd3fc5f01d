"""Inventory and options -> one tree of rows.

Pure; called by `command`, printed by `render` and `document`. All decisions about what is shown are here: filters,
children on demand, headings, grouping, which conditions are listed, the order. Source: behaviour-service.md 10.1, 10.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from dpf.api.meta import Condition, Key, ObjectMeta, object_key
from dpf.cli.describe import filters, kinds
from dpf.cli.describe.views import AnyView
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
    """One object as `describe` sees it; `conditions` are all but Ready, by type, and `note` what they do not tell."""

    kind: kinds.Kind
    metadata: ObjectMeta
    ready: Condition | None
    conditions: tuple[Condition, ...]
    note: str = ""

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
        """Whether the object says that it is, or is of a kind that need not say so."""
        return self.kind.silent if self.ready is None else _holds(self.ready)

    def is_good(self, condition: Condition) -> bool:
        """Whether a condition needs nobody's attention."""
        if self.kind.remarks is not None and condition.type.startswith(self.kind.remarks):
            return self.is_ready
        return _holds(condition) != (condition.type in self.kind.bad_news)

    @property
    def is_well(self) -> bool:
        """Ready, and all else is good."""
        return self.is_ready and all(map(self.is_good, self.conditions))

    def selected_by(self, chosen: filters.Filter) -> bool:
        """Whether `chosen` selects this object."""
        return chosen.matches(self.kind.name, self.metadata.name, ready=self.is_ready)

    def named_by(self, chosen: filters.Filter) -> bool:
        """Whether `chosen` asks for this object by kind or name."""
        return chosen.names(self.kind.name, self.metadata.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One row and what hangs below it.

    `items` are the objects that it stands for: none for a heading, one for an object, all that a group folds away.
    `ready` and `note` fill the columns of the row, `conditions` are listed under it; those of `bad_news` are good when
    they do not hold.
    """

    name: str
    namespace: str = ""
    deleting: bool = False
    ready: Condition | None = None
    note: str = ""
    items: tuple[Item, ...] = ()
    conditions: tuple[Condition, ...] = ()
    bad_news: frozenset[str] = frozenset()
    children: tuple[Node, ...] = ()


def build(inventory: kinds.Inventory, branches: kinds.Branches, options: Options) -> Node:
    """The tree below the DPFOperatorConfig. The root is always shown and selects nothing below it."""
    root = _item(kinds.ROOT, inventory.root, {})
    scene = _Scene(options=options, places=_place(inventory, branches))
    return _node(root, _below(scene, branches, _TOP, chosen=False), options)


def items(node: Node) -> Iterator[Item]:
    """Every object of the tree, in the order of the table; headings and groups are not objects."""
    yield from node.items
    for child in node.children:
        yield from items(child)


_Place = tuple[str, Hashable]
"""Where objects hang: kind and identity of the object above."""

_TOP: Final[_Place] = ("", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What the walk over the branches looks up: objects by (kind name, place)."""

    options: Options
    places: Mapping[tuple[str, _Place], Sequence[Item]]


def _place(inventory: kinds.Inventory, branches: kinds.Branches) -> Mapping[tuple[str, _Place], Sequence[Item]]:
    """Every object at its places. What is above it must exist: else it counts as one that has no other place."""
    walked = list(kinds.walk(branches))
    found = {branch.kind.name: _Objects.of(branch.kind, inventory) for _, branch in walked}
    places: dict[tuple[str, _Place], list[Item]] = {}
    relations = {
        (above, b.kind.name, b.parent_of, b.above, b.named_by): b for above, b in walked if not b.takes_the_rest
    }
    for (above, name, *_), branch in relations.items():
        for parent, item in _related(found[name], branch, found[above]):
            places.setdefault((name, (above, parent)), []).append(item)
    placed = {(name, item.key) for (name, _), items_there in places.items() for item in items_there}
    for name in {branch.kind.name for _, branch in walked if branch.takes_the_rest}:
        places[name, _TOP] = [item for key, item in found[name].items.items() if (name, key) not in placed]
    return places


@dataclass(frozen=True, slots=True, kw_only=True)
class _Objects:
    """All objects of one kind by key, their views, and what their children call them by."""

    items: Mapping[Key, Item]
    views: Sequence[AnyView]
    identities: Mapping[Hashable, Key]

    @staticmethod
    def of(kind: kinds.Kind, inventory: kinds.Inventory) -> _Objects:
        """Those of `kind`."""
        views, counted = inventory.objects.get(kind.name, ()), _counted(kind, inventory)
        items = {object_key(view): _item(kind, view, counted) for view in views}
        return _Objects(items=items, views=views, identities={kind.identity(key): key for key in items})


def _related(children: _Objects, branch: kinds.Branch, parents: _Objects) -> Iterator[tuple[Hashable, Item]]:
    """The key of the object above, and the object."""
    if branch.parent_of is not None:
        for item in children.items.values():
            parent = parents.identities.get(branch.parent_of(item.metadata))
            if parent is not None:
                yield parent, item
    if branch.above is not None:
        for view in children.views:
            parent = parents.identities.get(branch.above(view))
            if parent is not None:
                yield parent, children.items[object_key(view)]
    if branch.named_by is not None:
        for view in parents.views:
            named = branch.named_by(view)
            yield from ((object_key(view), children.items[key]) for key in named if key in children.items)


def _below(scene: _Scene, branches: kinds.Branches, place: _Place, *, chosen: bool) -> tuple[Node, ...]:
    """Rows of `branches` at `place`. `chosen`: an object above was selected, which selects everything under it."""
    nodes: list[Node] = []
    for branch in branches:
        if isinstance(branch, kinds.Section):
            rows, heading = _below(scene, branch.branches, place, chosen=chosen), branch.heading
        else:
            rows, heading = _rows(scene, branch, place, chosen=chosen), branch.kind.heading if branch.headed else ""
        if heading and rows:
            nodes.append(Node(name=heading, children=rows))
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
    """None when neither the object nor anything above or below it was selected.

    What is shown on demand explains the object above it, so it comes with one that was selected for having failed;
    other objects below that one have to be selected themselves.
    """
    wanted = scene.options.show_resources
    shown = chosen or item.selected_by(wanted)
    all_below = chosen or wanted.everything or item.named_by(wanted)
    place = (item.kind.name, item.key)
    parts = [part for part in branch.below if not _on_demand(part)]
    children = _below(scene, parts, place, chosen=all_below)
    if not item.is_ready or item.selected_by(scene.options.expand_resources):
        reasons = [part for part in branch.below if _on_demand(part)]
        children = tuple(sorted((*children, *_below(scene, reasons, place, chosen=shown)), key=_order))
    if branch.quiet and not children and not _is_worth_a_row(item, scene.options):
        return None
    return _node(item, children, scene.options) if shown or children else None


def _is_worth_a_row(item: Item, options: Options) -> bool:
    """Whether something quiet explains a wait, or was asked for."""
    if not item.is_well or item.metadata.deletionTimestamp is not None:
        return True
    asked = item.named_by(options.show_conditions) or item.named_by(options.show_resources)
    return asked or options.show_conditions.everything or item.selected_by(options.expand_resources)


def _on_demand(branch: kinds.Branch | kinds.Section) -> bool:
    return isinstance(branch, kinds.Branch) and branch.on_demand


def _counted(kind: kinds.Kind, inventory: kinds.Inventory) -> Counter[Key]:
    """How many objects count for each one of `kind`."""
    if kind.counts is None:
        return Counter()
    found = map(kind.counts.of, inventory.objects.get(kind.counts.kind.name, ()))
    return Counter(key for key in found if key is not None)


def _note(kind: kinds.Kind, view: AnyView, counted: Mapping[Key, int]) -> str:
    note = kind.note_of(view)
    if kind.counts is None:
        return note
    return ". ".join(filter(None, (note, kind.counts.told(view, counted.get(object_key(view), 0)))))


def _item(kind: kinds.Kind, view: AnyView, counted: Mapping[Key, int]) -> Item:
    found = kind.conditions_of(view)
    rest = sorted((c for c in found if c.type != conditions.READY), key=lambda c: c.type)
    return Item(
        kind=kind, metadata=view.metadata, ready=conditions.find(found, conditions.READY), conditions=tuple(rest),
        note=_note(kind, view, counted),
    )


def _node(item: Item, children: tuple[Node, ...], options: Options) -> Node:
    """The row carries Ready; under it stand the conditions that do not hold, or all when they were asked for."""
    listed = item.conditions
    if not (options.show_conditions.everything or item.named_by(options.show_conditions)):
        listed = tuple(c for c in listed if not item.is_good(c) and not _is_told(item, c))
    return Node(
        name=item.name, namespace=item.metadata.namespace or "", deleting=item.metadata.deletionTimestamp is not None,
        ready=item.ready, note=item.note, items=(item,), conditions=listed, bad_news=item.kind.bad_news,
        children=children,
    )


def _is_told(item: Item, condition: Condition) -> bool:
    """Whether the row of the object says the very same: once is enough."""
    ready = item.ready
    if ready is None or not condition.message or condition.message not in ready.message:
        return False
    return condition.reason == ready.reason or condition.type in item.kind.bad_news


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
    """Ready with all under it, without a note, and neither it nor anything under it asked for by kind or name."""
    (item,) = row.items
    if row.deleting or row.note or not item.is_well or item.ready is None:
        return False
    if item.named_by(options.show_conditions) or (row.children and item.selected_by(options.expand_resources)):
        return False
    return all(_may_be_folded(below, options) for child in row.children for below in _nodes(child))


def _may_be_folded(row: Node, options: Options) -> bool:
    """Whether nobody misses this row, which stands under one that is to be grouped."""
    filters_of_interest = (options.show_conditions, options.show_resources, options.expand_resources)
    return not row.deleting and not row.note and all(
        item.is_well and not any(item.named_by(chosen) for chosen in filters_of_interest) for item in row.items
    )


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _nodes(child)


def _group_key(row: Node) -> tuple[str, str]:
    return row.namespace, row.ready.reason if row.ready else ""


def _group(rows: Sequence[Node], kind: kinds.Kind) -> Node:
    """One row for `rows`. It stands for their objects and everything under them."""
    ordered = sorted(rows, key=_order)
    times = [row.ready.lastTransitionTime for row in ordered if row.ready and row.ready.lastTransitionTime]
    namespace, reason = _group_key(ordered[0])
    summary = Condition(
        type=conditions.READY, status=conditions.Status.TRUE, reason=reason,
        message=f"See {', '.join(row.items[0].metadata.name for row in ordered)}",
        lastTransitionTime=min(times, default=None),
    )
    return Node(
        name=f"{len(ordered)} {kind.heading}...", namespace=namespace, ready=summary,
        items=tuple(item for row in ordered for item in items(row)),
    )


def _holds(condition: Condition) -> bool:
    return condition.status == conditions.Status.TRUE


def _order(node: Node) -> tuple[str, str]:
    return node.name, node.namespace

