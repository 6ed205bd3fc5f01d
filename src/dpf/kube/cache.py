"""What we know about one cluster: one `store.Store` per kind. Kinds are registered before they are read.

Reconcilers, planners and mappings read here; `reflector.Reflectors` keeps the stores filled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from dpf.api.meta import Key, LabelSelector, Object
from dpf.kube.store import Callback, IndexFunction, Scope, Store

T = TypeVar("T", bound=Object)


class Cache:
    """The stores of one cluster, by kind. Kinds are registered before they are read."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._stores: dict[type[Object], Store[Any]] = {}
        self._started: set[type[Object]] = set()
        self._on_register: Callable[[Store[Any]], None] | None = None

    @property
    def stores(self) -> tuple[Store[Any], ...]:
        """All stores, in the order of registration."""
        return tuple(self._stores.values())

    def register(
        self, kind: type[T], *, namespace: str | None = None, labels: str | None = None, fields: str | None = None,
        indexes: Mapping[str, IndexFunction] | None = None,
    ) -> Store[T]:
        """Have `kind` cached, with these indexes.

        Several parts of a program may register one kind: indexes add up, and different scopes make the store hold the
        smallest scope that covers them all. Raises ValueError when a store that is being filled would have to widen.
        """
        wanted = Scope(namespace, labels, fields)
        store = self._stores.get(kind)
        fresh = store is None
        if store is None:
            store = self._stores[kind] = Store(kind, cluster=self.name, scope=wanted)
        elif store.scope.widened(wanted) != store.scope:
            if kind in self._started:
                raise ValueError(f"{kind.resource.kind}: followed in a narrower scope; register before starting")
            store.scope = store.scope.widened(wanted)
        for name, function in (indexes or {}).items():
            store.add_index(name, function)
        if fresh and self._on_register is not None:
            self._on_register(store)
        return store

    def start(self, follow: Callable[[Store[Any]], None]) -> None:
        """Have every store filled by `follow(store)`, also those that are registered later. Called by `reflector`."""
        def _start(store: Store[Any]) -> None:
            self._started.add(store.kind)
            follow(store)

        self._on_register = _start
        for store in self.stores:
            _start(store)

    def stop(self, why: str) -> None:
        """Nobody fills the stores any more; reads fail with `why` until `start` and a complete list."""
        self._on_register = None
        self._started.clear()
        for store in self.stores:
            store.fail(why)

    def store(self, kind: type[T]) -> Store[T]:
        """The store of `kind`. Raises LookupError for a kind that was never registered: a programming error."""
        try:
            return self._stores[kind]
        except KeyError:
            raise LookupError(f"{kind.resource.kind} is not cached for {self.name}; register it first") from None

    def get(self, kind: type[T], key: Key) -> T | None:
        """See `Store.get`."""
        return self.store(kind).get(key)

    def list(
        self, kind: type[T], namespace: str | None = None, selector: LabelSelector | None = None
    ) -> tuple[T, ...]:
        """See `Store.list`."""
        return self.store(kind).list(namespace, selector)

    def by_index(self, kind: type[T], index: str, value: str) -> tuple[T, ...]:
        """See `Store.by_index`."""
        return self.store(kind).by_index(index, value)

    def subscribe(self, kind: type[T], callback: Callback) -> Callable[[], None]:
        """See `Store.subscribe`."""
        return self.store(kind).subscribe(callback)

    def is_synced(self, *kinds: type[Object]) -> bool:
        """Whether reads of these kinds (of all registered ones, when none is named) are answered."""
        return all(self.store(kind).synced for kind in kinds or self._stores)

    async def wait_synced(self, *kinds: type[Object]) -> None:
        """Return once reads of these kinds (of all registered ones, when none is named) are answered."""
        for kind in kinds or tuple(self._stores):
            await self.store(kind).wait_synced()
