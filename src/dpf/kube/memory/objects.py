"""What exists in a memory cluster, and what happened: objects by key, resourceVersions, history.

Written by `cluster` and `collector`, read by `watches`. It knows no rules: it stores what it is given.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dpf.api.meta import Key
from dpf.kube.memory import ownership, rules
from dpf.kube.memory.rules import Family, Tree

Place = tuple[Family, Key]
"""Where one object is."""


@dataclass(frozen=True, slots=True)
class Record:
    """One object: its wire form, never changed in place, and who owns which field."""

    tree: Tree
    owners: ownership.Owners


@dataclass(frozen=True, slots=True)
class Change:
    """One step of history. A bookmark has no family."""

    version: int
    family: Family | None
    old: Tree | None
    new: Tree | None


class Objects:
    """All objects of one cluster. `history` is the number of changes that are remembered for watches."""

    def __init__(self, history: int) -> None:
        self.version = 1
        """The newest resourceVersion."""
        self.floor = 0
        """The oldest resourceVersion from which a watch can start."""
        self.owners_changed = False
        """Set when somebody may have lost its owners; `collector` resets it."""
        self.terminating: set[Place] = set()
        """Where the objects are that are marked for deletion."""
        self._families: dict[Family, dict[Key, Record]] = {}
        self._by_uid: dict[str, Place] = {}
        self._dependents: dict[str, set[Place]] = {}
        self._history: deque[Change] = deque(maxlen=history)
        self._forgotten = 0
        self._changed = asyncio.Event()

    def of(self, family: Family) -> Mapping[Key, Record]:
        """The objects of one kind."""
        return self._families.get(family, {})

    def find(self, place: Place) -> Record | None:
        """The object at a place."""
        return self.of(place[0]).get(place[1])

    def in_namespace(self, namespace: str) -> list[Place]:
        """Where the objects of a namespace are."""
        return [(family, key) for family, objs in self._families.items() for key in objs if key.namespace == namespace]

    def place_of(self, uid: str) -> Place | None:
        """Where the object with that uid is."""
        return self._by_uid.get(uid)

    def dependents_of(self, uid: str) -> list[Place]:
        """Where the objects are that name `uid` as an owner."""
        return sorted(self._dependents.get(uid, ()))

    def owned(self) -> Iterator[str]:
        """The uids that any object names as an owner."""
        return iter([uid for uid, dependents in self._dependents.items() if dependents])

    def store(self, place: Place, new: Record) -> Record:
        """Make `new` the current object under a new resourceVersion, and history."""
        family, key = place
        old = self.find(place)
        self.version += 1
        stored = Record(rules.with_metadata(new.tree, resourceVersion=str(self.version)), new.owners)
        self._families.setdefault(family, {})[key] = stored
        self._index(place, old.tree if old else None, stored.tree)
        self._log(Change(self.version, family, old.tree if old else None, stored.tree))
        return stored

    def drop(self, place: Place, last: Record | None = None) -> Record:
        """The object is gone; its last form (as given, else as it was) carries the deletion's resourceVersion."""
        family, key = place
        record = self._families[family].pop(key)
        self.version += 1
        self._index(place, record.tree, None)
        tree = rules.with_metadata((last or record).tree, resourceVersion=str(self.version))
        self._log(Change(self.version, family, tree, None))
        return Record(tree, record.owners)

    def bookmark(self) -> None:
        """A mark in history that every watch hears."""
        self._log(Change(self.version, None, None, None))

    def compact(self) -> None:
        """Forget history."""
        self._forgotten += len(self._history)
        self._history.clear()
        self.floor = self.version

    @property
    def end(self) -> int:
        """The number of changes ever."""
        return self._forgotten + len(self._history)

    def start_after(self, version: int) -> int:
        """The number of the first change after a resourceVersion that is not below `floor`."""
        later = (n for n, change in enumerate(self._history) if change.version > version and change.family)
        return self._forgotten + next(later, len(self._history))

    def since(self, position: int) -> list[Change] | None:
        """The changes from number `position` on; None when some of them have been forgotten."""
        if position < self._forgotten:
            return None
        return [self._history[n] for n in range(position - self._forgotten, len(self._history))]

    @property
    def changed(self) -> asyncio.Event:
        """Set at the next change or `wake`, then replaced: take it before looking."""
        return self._changed

    def wake(self) -> None:
        """Have every watch look."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _index(self, place: Place, old: Tree | None, new: Tree | None) -> None:
        for uid in rules.owner_uids(old):
            self._dependents[uid].discard(place)
        for uid in rules.owner_uids(new):
            self._dependents.setdefault(uid, set()).add(place)
        if old is not None:
            self._by_uid.pop(old["metadata"]["uid"], None)
        if new is not None:
            self._by_uid[new["metadata"]["uid"]] = place
        self.terminating.discard(place)
        if new is not None and new["metadata"].get("deletionTimestamp"):
            self.terminating.add(place)
        if new is None or rules.owner_uids(old) != rules.owner_uids(new):
            self.owners_changed = True

    def _log(self, change: Change) -> None:
        if len(self._history) == self._history.maxlen:
            self._forgotten += 1
            self.floor = self._history[0].version
        self._history.append(change)
        self.wake()
