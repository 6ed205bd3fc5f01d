"""Keeps a `store.Store` equal to an API server: list, watch, and list again when history is lost.

`clusters.Cluster` runs one `Reflectors` per cluster, which runs one `Reflector` per store. The rules are those of
design section 5, and each is a test. No decision about objects is made here.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar, cast

from dpf.api.meta import Object
from dpf.kube import errors
from dpf.kube.cache import Cache
from dpf.kube.client import Client, Event
from dpf.kube.store import Store

T = TypeVar("T", bound=Object)

_LOG: Final = logging.getLogger(__name__)

WATCH_TIMEOUT_S: Final = (240.0, 480.0)
"""The server ends a watch after a random time between these, so that watches do not end all at once."""
PAGE_SIZE: Final = 500
FIRST_BACKOFF_S: Final = 0.5
BACKOFF_CAP_S: Final = 30.0
GRACE_S: Final = 60.0
"""How long a store goes on answering from what it has while contact is lost (an API server restart takes seconds)."""
SHORT_WATCH_S: Final = 1.0
"""A watch that ends sooner and without an event counts as a failure; else a broken proxy would make us spin."""

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Clock, sleep and randomness, handed in so that tests decide them."""

    clock: Callable[[], float] = time.monotonic
    sleep: Sleep = asyncio.sleep
    rng: random.Random = field(default_factory=random.Random)


REAL_TIME: Final = Timing()


def _ignore() -> None:
    """Nobody wants to know."""


class Reflector(Generic[T]):
    """Follows one kind. `run` returns only by cancellation; anything else is a fault that `Reflectors` makes loud.

    `on_lost` is called whenever the server did not answer; it must not raise.
    """

    def __init__(
        self, client: Client, store: Store[T], *, timing: Timing = REAL_TIME, on_lost: Callable[[], None] = _ignore
    ) -> None:
        self._client = client
        self._store = store
        self._timing = timing
        self._on_lost = on_lost
        self._position: str | None = None
        self._failures = 0
        self._failing_since: float | None = None
        self.last_error = ""
        self.unreadable_total = 0

    @property
    def kind(self) -> type[T]:
        """The kind that is followed."""
        return self._store.kind

    @property
    def healthy(self) -> bool:
        """Whether the last contact succeeded."""
        return not self.last_error

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            try:
                if self._position is None:
                    await self._list()
                await self._watch()
            except errors.Error as error:
                await self._recover(error)

    def crashed(self, error: BaseException | None) -> None:
        """`run` ended although nobody cancelled it: start from a fresh list, and say so."""
        self._position = None
        self.last_error = f"stopped unexpectedly: {error!r}" if error else "stopped unexpectedly"
        self._store.fail(self.last_error)

    async def _list(self) -> None:
        """Fill the store from a complete list; history that runs out half way is tried once more, unpaged."""
        try:
            await self._read_pages(PAGE_SIZE)
        except errors.Expired:
            await self._read_pages(0)

    async def _read_pages(self, page_size: int) -> None:
        scope = self._store.scope
        replacement = self._store.replacement()
        position = ""
        pages = self._client.pages(
            self._store.kind, scope.namespace, labels=scope.labels, fields=scope.fields, page_size=page_size
        )
        async for page in pages:
            for item in page.unreadable:
                self._report_unreadable(item.key, item.why)
            replacement.add(page)
            position = page.resource_version
        replacement.commit()
        self._position = position
        self._in_contact()

    async def _watch(self) -> None:
        """One watch, from the last known position to the end of the stream."""
        scope = self._store.scope
        began = self._timing.clock()
        quiet = True
        events = self._client.watch(
            self._store.kind, scope.namespace, resource_version=self._position or "", labels=scope.labels,
            fields=scope.fields, timeout_s=self._timing.rng.uniform(*WATCH_TIMEOUT_S),
        )
        # An async generator has to be closed, else its connection lives until it is collected.
        async with aclosing(cast("AsyncGenerator[Sequence[Event[T]], None]", events)) as stream:
            async for batch in stream:
                self._in_contact()
                if batch:
                    quiet = False
                    self._absorb(batch)
        if quiet and self._timing.clock() - began < SHORT_WATCH_S:
            raise errors.ServerError("the watch ended at once without an event")
        self._failures = 0

    def _absorb(self, batch: Sequence[Event[T]]) -> None:
        self._failures = 0
        for unreadable in [event.unreadable for event in batch if event.unreadable is not None]:
            self._report_unreadable(unreadable.key, unreadable.why)
        self._store.absorb(batch)
        self._advance(batch[-1].resource_version)

    def _advance(self, position: str) -> None:
        """Remember where to go on. Raises Expired when history runs backwards: etcd was restored or replaced."""
        if position.isdigit() and self._position and self._position.isdigit() and int(position) < int(self._position):
            raise errors.Expired(f"resourceVersion went back from {self._position} to {position}")
        self._position = position or self._position

    async def _recover(self, error: errors.Error) -> None:
        """Decide between going on and listing again; wait longer after each failure in a row."""
        if not isinstance(error, errors.Transient) or isinstance(error, errors.Expired):
            self._position = None
        # History that expired is normal once; a server that says so again and again is not.
        if isinstance(error, errors.Expired) and not self._failures:
            self._failures += 1
            return
        self._failed(error)
        ceiling = min(BACKOFF_CAP_S, FIRST_BACKOFF_S * 2.0 ** min(self._failures - 1, 10))
        await self._timing.sleep(max(error.retry_after_s or 0.0, ceiling * self._timing.rng.uniform(0.5, 1.0)))

    def _failed(self, error: errors.Error) -> None:
        now = self._timing.clock()
        self._failures += 1
        self._failing_since = now if self._failing_since is None else self._failing_since
        if not self.last_error:
            _LOG.warning("%s: cannot follow %s: %s", self._client.name, self._store.kind.resource.qualified_name, error)
        self.last_error = str(error)
        if isinstance(error, errors.Unreachable | errors.Timeout):
            self._on_lost()
        if not self._store.synced or now - self._failing_since >= GRACE_S:
            self._store.fail(self.last_error)
            self._position = None

    def _in_contact(self) -> None:
        """The server answers. Failures in a row are forgotten only when a watch brings something or lasts."""
        if self.last_error:
            _LOG.info("%s: following %s again", self._client.name, self._store.kind.resource.qualified_name)
        self._failing_since = None
        self.last_error = ""

    def _report_unreadable(self, key: object, why: str) -> None:
        self.unreadable_total += 1
        _LOG.error("%s: %s %s cannot be read and is passed over: %s", self._client.name,
                   self._store.kind.resource.qualified_name, key, why)


class Reflectors:
    """The reflectors of one cluster. A reflector that ends without being cancelled is reported and started again."""

    def __init__(
        self, client: Client, cache: Cache, *, timing: Timing = REAL_TIME, on_lost: Callable[[], None] = _ignore
    ) -> None:
        self._client = client
        self._cache = cache
        self._timing = timing
        self._on_lost = on_lost
        self._tasks: dict[Reflector[Any], asyncio.Task[None]] = {}
        self._crashes = 0

    def start(self) -> None:
        """Follow every kind of the cache, also those that are registered later."""
        self._cache.start(self._follow)

    async def stop(self, why: str) -> None:
        """Follow nothing any more; the cache answers no reads, because of `why`."""
        self._cache.stop(why)
        tasks = tuple(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def healthy(self) -> bool:
        """Whether every kind is being followed."""
        return all(reflector.healthy for reflector in self._tasks)

    @property
    def errors(self) -> dict[type[Object], str]:
        """What is wrong now, by kind."""
        return {reflector.kind: reflector.last_error for reflector in self._tasks if reflector.last_error}

    @property
    def crashes(self) -> int:
        """How often a reflector ended although nobody cancelled it."""
        return self._crashes

    def _follow(self, store: Store[Any]) -> None:
        reflector = Reflector(self._client, store, timing=self._timing, on_lost=self._on_lost)
        self._launch(reflector, reflector.run())

    def _launch(self, reflector: Reflector[Any], work: Any) -> None:  # noqa: ANN401 - a coroutine
        task: asyncio.Task[None] = asyncio.create_task(work, name=f"reflector {reflector.kind.resource.qualified_name}")
        self._tasks[reflector] = task
        task.add_done_callback(lambda done: self._ended(reflector, done))

    def _ended(self, reflector: Reflector[Any], task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._tasks.get(reflector) is not task:
            return
        error = task.exception()
        self._crashes += 1
        reflector.crashed(error)
        _LOG.critical("%s: the reflector of %s ended: %r; starting it again", self._client.name,
                      reflector.kind.resource.qualified_name, error, exc_info=error)
        self._launch(reflector, self._again(reflector))

    async def _again(self, reflector: Reflector[Any]) -> None:
        await self._timing.sleep(min(BACKOFF_CAP_S, FIRST_BACKOFF_S * 2.0 ** min(self._crashes - 1, 10)))
        await reflector.run()
