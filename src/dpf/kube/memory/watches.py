"""Lists and watches of a memory cluster: what a selector sees of objects and of history.

Called by `cluster`. It writes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from dpf.api.meta import Key, LabelSelector, Object
from dpf.kube import codec, errors, selectors
from dpf.kube.client import Event, EventType, Listing, Unreadable
from dpf.kube.memory import rules
from dpf.kube.memory.objects import Change, Objects
from dpf.kube.memory.rules import Family, Tree

T = TypeVar("T", bound=Object)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a list or watch wants of one kind."""

    family: Family
    namespace: str | None
    labels: LabelSelector | None
    fields: tuple[selectors.FieldTerm, ...]

    def selects(self, tree: Tree | None) -> bool:
        """Whether an object is wanted; None is no object."""
        if tree is None or (self.namespace is not None and tree["metadata"].get("namespace") != self.namespace):
            return False
        labels = tree["metadata"].get("labels")
        return selectors.matches(self.labels, labels) and selectors.matches_fields(self.fields, tree)

    def concerns(self, change: Change) -> bool:
        """Whether a watch hears of it: bookmarks always, else when the object is or was wanted."""
        if change.family is None:
            return True
        return change.family == self.family and (self.selects(change.old) or self.selects(change.new))


def choose(kind: type[Object], namespace: str | None, labels: str | None, fields: str | None) -> Choice:
    """What these arguments of the port mean. Raises BadRequest."""
    try:
        return Choice(
            rules.family(kind), namespace if kind.resource.namespaced else None,
            selectors.parse(labels) if labels else None, selectors.parse_fields(fields or ""),
        )
    except selectors.SelectorError as error:
        raise errors.BadRequest(str(error), status=400, reason="BadRequest") from None


def decode(kind: type[T], tree: Tree) -> T:
    """A private copy by construction: it goes through bytes. Raises one of `codec.BAD_OBJECT`."""
    return codec.codec_of(kind).decode(codec.encode_plain(tree))


def listing(kind: type[T], objects: Objects, choice: Choice) -> Listing[T]:
    """Everything that is wanted, sorted by key as etcd sorts."""
    items: list[T] = []
    unreadable: list[Unreadable] = []
    for key, record in sorted(objects.of(choice.family).items()):
        if not choice.selects(record.tree):
            continue
        try:
            items.append(decode(kind, record.tree))
        except codec.BAD_OBJECT as error:
            unreadable.append(Unreadable(key, str(error)))
    return Listing(tuple(items), str(objects.version), tuple(unreadable))


class Watch:
    """One open watch: a position in history.

    Without a resourceVersion, or with "0", the objects that exist are sent as added first, as the API server does.
    """

    def __init__(self, objects: Objects, choice: Choice, resource_version: str) -> None:
        """Raises Expired and BadRequest."""
        self._objects = objects
        self._choice = choice
        self._initial: list[Change] = []
        if resource_version in {"", "0"}:
            self._position = objects.end
            trees = [record.tree for _, record in sorted(objects.of(choice.family).items())]
            self._initial = [
                Change(int(tree["metadata"]["resourceVersion"]), choice.family, None, tree)
                for tree in trees if choice.selects(tree)
            ]
            return
        if not resource_version.isdigit():
            raise errors.BadRequest(f"resourceVersion {resource_version!r} is not a number", status=400)
        if int(resource_version) < objects.floor:
            raise _expired(f"{resource_version} ({objects.floor})")
        self._position = objects.start_after(int(resource_version))

    def take(self, kind: type[T]) -> Sequence[Event[T]]:
        """The events since the last call. Raises Expired when history was lost in between."""
        changes = self._objects.since(self._position)
        if changes is None:
            raise _expired("history was compacted")
        self._position = self._objects.end
        wanted = [*self._initial, *(change for change in changes if self._choice.concerns(change))]
        self._initial = []
        return [_event(kind, self._choice, change) for change in wanted]


async def something_happens(changed: asyncio.Event, deadline: float) -> bool:
    """Whether `changed` is set before the deadline, a time of the event loop."""
    try:
        async with asyncio.timeout_at(deadline):
            await changed.wait()
    except TimeoutError:
        return False
    return True


def _event(kind: type[T], choice: Choice, change: Change) -> Event[T]:
    """To a watch with a selector, an object that stops matching is deleted and one that starts to is added."""
    version = str(change.version)
    if change.family is None:
        return Event(EventType.BOOKMARK, None, version)
    was, now = choice.selects(change.old), choice.selects(change.new)
    type_ = EventType.MODIFIED if was and now else EventType.ADDED if now else EventType.DELETED
    # Whoever stops seeing an object is shown it as it was before.
    shown = change.old if type_ is EventType.DELETED else change.new
    tree = rules.with_metadata(shown or {}, resourceVersion=version)
    try:
        return Event(type_, decode(kind, tree), version)
    except codec.BAD_OBJECT as error:
        unreadable = Unreadable(Key(tree["metadata"].get("namespace") or "", tree["metadata"]["name"]), str(error))
        return Event(type_ if type_ is EventType.DELETED else EventType.UNREADABLE, None, version, unreadable)


def _expired(detail: str) -> errors.Expired:
    return errors.Expired(f"too old resource version: {detail}", status=410, reason="Expired")
