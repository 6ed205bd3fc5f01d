"""All objects of one kind in one cluster, with indexes, subscriptions and honest answers.

`reflector.Reflector` writes; `cache.Cache` holds one store per kind and is what everybody else reads through. Objects
are kept as compact bytes and decoded for each read, so every reader has a private copy and 20,000 objects stay small. A
store that has never been filled, or has lost contact for too long, raises `errors.NotSynced`: silence is never reported
as "absent".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec

from dpf.api.meta import Key, LabelSelector, Object
from dpf.kube import codec, errors, selectors
from dpf.kube.client import Event, EventType, Listing

T = TypeVar("T", bound=Object)

IndexFunction = Callable[[Any], Iterable[str]]
"""Values under which an object is found; computed when it changes, must be pure and total."""
Callback = Callable[[Any, Any], None]
"""`callback(old, new)`: old is None on creation, new is None on deletion. Both are shared between callbacks: do not
change them. A callback must not raise."""

_NAMESPACE: Final = "metadata.namespace"
_PACK: Final = msgspec.msgpack.Encoder().encode


class _Labels(msgspec.Struct):
    labels: dict[str, str] | None = None


class _Labelled(msgspec.Struct):
    metadata: _Labels


_LABELLED: Final = msgspec.msgpack.Decoder(_Labelled)


@dataclass(frozen=True, slots=True)
class Scope:
    """What part of a kind a store holds: one namespace or all (None), and selectors in API syntax."""

    namespace: str | None = None
    labels: str | None = None
    fields: str | None = None

    def widened(self, other: Scope) -> Scope:
        """The smallest scope that holds both."""
        return Scope(
            self.namespace if self.namespace == other.namespace else None,
            self.labels if self.labels == other.labels else None,
            self.fields if self.fields == other.fields else None,
        )


class _Entry:
    """One cached object: its bytes and the index values under which it is filed."""

    __slots__ = ("packed", "postings", "resource_version")

    def __init__(self, resource_version: str, packed: bytes, postings: tuple[tuple[str, str], ...]) -> None:
        self.resource_version = resource_version
        self.packed = packed
        self.postings = postings

    def is_like(self, other: _Entry) -> bool:
        """Whether nothing has changed. A new etcd may give an old resourceVersion to something else: compare both."""
        return self.resource_version == other.resource_version and self.packed == other.packed


class Store(Generic[T]):
    """All objects of one kind. Written by one reflector, read by anybody, in one event loop."""

    def __init__(self, kind: type[T], *, cluster: str = "", scope: Scope = Scope()) -> None:
        self.kind = kind
        self.scope = scope
        self._cluster = cluster
        self._decode: Callable[[bytes], T] = msgspec.msgpack.Decoder(kind).decode
        self._functions: dict[str, IndexFunction] = {}
        self._entries: dict[Key, _Entry] = {}
        self._indexes: dict[str, dict[str, dict[Key, None]]] = {_NAMESPACE: {}}
        self._unreadable: dict[Key, str] = {}
        self._callbacks: list[Callback] = []
        self._synced = asyncio.Event()
        self._why_not = "it has not been listed yet"

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def synced(self) -> bool:
        """Whether reads are answered."""
        return self._synced.is_set()

    @property
    def unreadable(self) -> Mapping[Key, str]:
        """Objects that exist but do not fit our type, and why."""
        return self._unreadable

    async def wait_synced(self) -> None:
        """Return once reads are answered."""
        await self._synced.wait()

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Declare an index; entries that are there already are filed. Raises ValueError when the name is taken."""
        if self._functions.get(name, function) is not function or name == _NAMESPACE:
            raise ValueError(f"{self.kind.resource.kind}: an index {name!r} exists with another function")
        if name in self._functions:
            return
        self._functions[name] = function
        self._indexes[name] = {}
        for key, entry in self._entries.items():
            postings = self._postings(self._decode(entry.packed))
            self._file(key, entry.postings, postings)
            entry.postings = postings

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call `callback(old, new)` after every change from now on; the returned function ends that."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def get(self, key: Key) -> T | None:
        """A private copy, or None when the object does not exist. Raises NotSynced when that cannot be told."""
        self._require_synced()
        entry = self._entries.get(key)
        if key in self._unreadable:
            raise errors.NotSynced(
                f"{self._describe()}: {key} cannot be read: {self._unreadable[key]}; correct the object or upgrade"
            )
        return self._decode(entry.packed) if entry is not None else None

    def list(self, namespace: str | None = None, selector: LabelSelector | None = None) -> tuple[T, ...]:
        """Private copies of the selected objects; unreadable ones are left out. Raises NotSynced, SelectorError."""
        self._require_synced()
        if namespace is None:
            return self._select(self._entries, selector)
        return self._select(self._indexes[_NAMESPACE].get(namespace, {}), selector)

    def by_index(self, name: str, value: str) -> tuple[T, ...]:
        """Private copies of the objects filed under `value`. Raises NotSynced; KeyError for an undeclared index."""
        self._require_synced()
        return self._select(self._indexes[name].get(value, {}), None)

    def keys_by_index(self, name: str, value: str) -> AbstractSet[Key]:
        """Keys of the objects filed under `value`, without reading them: a view, to be used before the next await.

        Unreadable objects are among them. Raises NotSynced; KeyError for an undeclared index.
        """
        self._require_synced()
        return self._indexes[name].get(value, {}).keys()

    def keys(self) -> Iterator[Key]:
        """Keys of the cached objects. Raises NotSynced."""
        self._require_synced()
        return iter(tuple(self._entries))

    def replacement(self) -> Replacement[T]:
        """A complete list is about to arrive."""
        return Replacement(self)

    def replace(self, listing: Listing[T]) -> None:
        """Become what a complete list says. What is gone is announced as deleted; what is the same is not announced."""
        replacement = self.replacement()
        replacement.add(listing)
        replacement.commit()

    def absorb(self, events: Sequence[Event[T]]) -> None:
        """Follow a batch of watch events."""
        for event in events:
            obj = event.object
            if event.type is EventType.DELETED:
                if obj is not None:
                    self._remove(_key(obj))
                elif event.unreadable is not None:
                    self._remove(event.unreadable.key)
            elif obj is not None:
                self._put(obj)
            elif event.unreadable is not None:
                # The last readable version is kept, so that a later deletion is still announced with it.
                self._unreadable[event.unreadable.key] = event.unreadable.why

    def fail(self, why: str) -> None:
        """Answer no reads until the next complete list, because of `why`. What is held stays for the comparison."""
        self._why_not = why
        self._synced.clear()

    @property
    def index_names(self) -> tuple[str, ...]:
        """The declared indexes."""
        return tuple(self._functions)

    def entry(self, obj: T) -> _Entry:
        """How the object is kept. Raises one of `codec.BAD_OBJECT`."""
        return _Entry(obj.metadata.resourceVersion or "", _PACK(obj), self._postings(obj))

    def commit(self, fresh: Mapping[Key, _Entry], unreadable: Mapping[Key, str], *, refile: bool) -> None:
        """Become exactly `fresh`. `refile`: an index was declared since the entries were made."""
        if refile:
            for entry in fresh.values():
                entry.postings = self._postings(self._decode(entry.packed))
        changes: list[tuple[bytes | None, bytes | None]] = []
        for key, entry in fresh.items():
            old = self._entries.get(key)
            if old is not None and key not in self._unreadable and old.is_like(entry):
                continue
            changes.append((old.packed if old is not None else None, entry.packed))
            self._file(key, old.postings if old is not None else (), entry.postings)
            self._entries[key] = entry
        for key in [key for key in self._entries if key not in fresh and key not in unreadable]:
            old = self._entries.pop(key)
            self._file(key, old.postings, ())
            changes.append((old.packed, None))
        self._unreadable = dict(unreadable)
        self._why_not = ""
        self._synced.set()
        # Only now is the store complete: a callback may read it.
        if self._callbacks:
            for before, after in changes:
                self._announce(before, self._decode(after) if after is not None else None)

    def _put(self, obj: T) -> None:
        key = _key(obj)
        if self._unreadable:
            self._unreadable.pop(key, None)
        try:
            packed = _PACK(obj)
        except codec.BAD_OBJECT as error:
            self._unreadable[key] = f"it cannot be kept: {error}"
            return
        entry = self._entries.get(key)
        before: bytes | None = None
        if entry is None:
            entry = self._entries[key] = _Entry("", b"", ())
        else:
            before = entry.packed
        entry.resource_version = obj.metadata.resourceVersion or ""
        entry.packed = packed
        postings = self._postings(obj)
        if postings != entry.postings:
            self._file(key, entry.postings, postings)
            entry.postings = postings
        if self._callbacks:
            self._announce(before, obj)

    def _remove(self, key: Key) -> None:
        self._unreadable.pop(key, None)
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._file(key, entry.postings, ())
            self._announce(entry.packed, None)

    def _announce(self, before: bytes | None, new: T | None) -> None:
        """Tell the subscribers; the old object is decoded only when there are any."""
        if not self._callbacks:
            return
        old = self._decode(before) if before is not None else None
        for callback in tuple(self._callbacks):
            callback(old, new)

    def _postings(self, obj: T) -> tuple[tuple[str, str], ...]:
        """Index names and values under which the object is filed, each once."""
        filed = {(_NAMESPACE, obj.metadata.namespace or ""): None}
        for name, function in self._functions.items():
            for value in function(obj):
                filed[name, value] = None
        return tuple(filed)

    def _file(self, key: Key, old: tuple[tuple[str, str], ...], new: tuple[tuple[str, str], ...]) -> None:
        """Move `key` from old to new index values; the cost is the number of its own values."""
        if old == new:
            return
        for name, value in old:
            bucket = self._indexes[name][value]
            del bucket[key]
            if not bucket:
                del self._indexes[name][value]
        for name, value in new:
            self._indexes[name].setdefault(value, {})[key] = None

    def _select(self, keys: Iterable[Key], selector: LabelSelector | None) -> tuple[T, ...]:
        packed = [self._entries[key].packed for key in keys if key not in self._unreadable]
        if selector is not None:
            packed = [p for p in packed if selectors.matches(selector, _LABELLED.decode(p).metadata.labels)]
        return tuple([self._decode(p) for p in packed])

    def _require_synced(self) -> None:
        if not self._synced.is_set():
            raise errors.NotSynced(f"{self._describe()}: {self._why_not}")

    def _describe(self) -> str:
        where = f" of cluster {self._cluster}" if self._cluster else ""
        return f"{self.kind.resource.qualified_name}{where}"


class Replacement(Generic[T]):
    """A complete list on its way into a store, page by page. Readers see nothing of it before `commit`."""

    def __init__(self, store: Store[T]) -> None:
        self._store = store
        self._indexes = store.index_names
        self._fresh: dict[Key, _Entry] = {}
        self._unreadable: dict[Key, str] = {}

    def add(self, page: Listing[T]) -> None:
        """Take one page."""
        self._unreadable.update((item.key, item.why) for item in page.unreadable)
        for obj in page.items:
            try:
                self._fresh[_key(obj)] = self._store.entry(obj)
            except codec.BAD_OBJECT as error:
                self._unreadable[_key(obj)] = f"it cannot be kept: {error}"

    def commit(self) -> None:
        """The list is complete: make the store equal to it."""
        self._store.commit(self._fresh, self._unreadable, refile=self._indexes != self._store.index_names)


def _key(obj: Object) -> Key:
    metadata = obj.metadata
    return Key(metadata.namespace or "", metadata.name)
