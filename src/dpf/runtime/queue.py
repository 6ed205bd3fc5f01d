"""The work queue of one controller: which keys need a look, and when.

Level-based: a key says "look at this object", never why, so any number of events for one key is one entry. A key that
is being worked on is not handed out a second time; it comes back afterwards. Failing keys come back later and later.
`manager` is the only caller. The queue runs nothing itself and is not thread-safe (one event loop).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Final, Generic, TypeVar

from dpf.runtime.clock import Clock

H = TypeVar("H", bound=Hashable)

BACKOFF_BASE_S: Final = 0.2
BACKOFF_CAP_S: Final = 300.0
_MAX_DOUBLINGS: Final = 16
_SLACK: Final = 64


_Delayed = tuple[float, int, H]
"""When it is due, a sequence number that decides between equals, the key."""


class ShutDown(Exception):
    """The queue hands out nothing any more."""


def backoff_s(failures: int, jitter: float) -> float:
    """How long to wait after that many failures in a row (at least 1); `jitter` in [0, 1) takes off up to a quarter."""
    whole = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** min(failures - 1, _MAX_DOUBLINGS))
    return whole * (1 - jitter / 4)


class Queue(Generic[H]):
    """Keys that are due, keys that are due later (one heap), keys that are being worked on.

    `random` yields floats in [0, 1) for the jitter of retries.
    """

    def __init__(self, *, clock: Clock, random: Callable[[], float]) -> None:
        self._clock = clock
        self._random = random
        self._ready: deque[H] = deque()
        self._dirty: set[H] = set()
        self._working: set[H] = set()
        self._heap: list[_Delayed[H]] = []
        self._delayed: dict[H, _Delayed[H]] = {}
        self._sequence = itertools.count()
        self._failures: dict[H, int] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        """How many keys are due now (not the delayed ones, not those being worked on)."""
        return len(self._ready)

    @property
    def working(self) -> int:
        """How many keys are being worked on."""
        return len(self._working)

    def add(self, key: H) -> None:
        """Look at `key` as soon as possible; supersedes a delay."""
        if self._closed or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._working:
            self._enqueue(key)

    def add_after(self, key: H, delay_s: float) -> None:
        """Look at `key` in `delay_s` seconds at the latest; the nearest of several delays counts."""
        if delay_s <= 0:
            self.add(key)
            return
        entry = (self._clock.monotonic() + delay_s, next(self._sequence), key)
        nearest = self._delayed.get(key)
        if self._closed or key in self._dirty or (nearest is not None and nearest[0] <= entry[0]):
            return
        self._delayed[key] = entry
        heapq.heappush(self._heap, entry)
        self._compact()
        if self._heap[0] is entry and (self._waiters or self._timer is not None):
            self._restart_timer()

    def retry(self, key: H) -> float:
        """Look at `key` after its backoff; returns the seconds. Grows until `forget`."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = backoff_s(failures, self._random())
        self.add_after(key, delay)
        return delay

    def forget(self, key: H) -> None:
        """`key` did not fail: its next failure starts at the shortest delay."""
        self._failures.pop(key, None)

    def take(self) -> H | None:
        """A key to work on, or None when nothing is due. The caller must call `done` for it."""
        self._promote()
        if self._closed or not self._ready:
            return None
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._delayed.pop(key, None)
        self._working.add(key)
        return key

    async def get(self) -> H:
        """Wait for a key to work on. Raises ShutDown. The caller must call `done` for it."""
        while (key := self.take()) is None:
            if self._closed:
                raise ShutDown
            await self._wait()
        return key

    def done(self, key: H) -> None:
        """The work on `key` ended; if it was added meanwhile it is due again."""
        self._working.discard(key)
        if key in self._dirty:
            self._enqueue(key)

    def next_due_s(self) -> float | None:
        """Seconds until something is due (0 when it is), or None when nothing is planned."""
        self._promote()
        if self._ready:
            return 0.0
        return self._heap[0][0] - self._clock.monotonic() if self._heap else None

    def shut_down(self) -> None:
        """Hand out nothing more; whoever waits in `get` is told."""
        self._closed = True
        self._ready.clear()
        self._stop_timer()
        while self._waiters:
            self._wake_one()

    def _enqueue(self, key: H) -> None:
        self._ready.append(key)
        self._wake_one()

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        if self._timer is None or self._timer.done():
            self._restart_timer()
        try:
            await waiter
        except asyncio.CancelledError:
            # A wake-up that this consumer can no longer use belongs to the next one.
            if waiter.done() and not waiter.cancelled() and self._ready:
                self._wake_one()
            raise
        finally:
            with suppress(ValueError):
                self._waiters.remove(waiter)

    def _promote(self) -> None:
        """Move delayed keys whose time has come; entries that a nearer delay or a hand-out superseded are dropped."""
        now = self._clock.monotonic()
        while self._heap:
            entry = self._heap[0]
            due, _, key = entry
            superseded = self._delayed.get(key) is not entry
            if not superseded and due > now:
                return
            heapq.heappop(self._heap)
            if not superseded:
                del self._delayed[key]
                self.add(key)

    def _compact(self) -> None:
        """Drop superseded entries once they are the majority, so that the heap does not grow with the passes."""
        if len(self._heap) > 2 * len(self._delayed) + _SLACK:
            self._heap = list(self._delayed.values())
            heapq.heapify(self._heap)

    def _restart_timer(self) -> None:
        self._stop_timer()
        if not self._closed and self._heap:
            self._timer = asyncio.get_running_loop().create_task(self._run_timer(), name="queue-timer")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _run_timer(self) -> None:
        while self._heap:
            await self._clock.sleep(max(0.0, self._heap[0][0] - self._clock.monotonic()))
            self._promote()
