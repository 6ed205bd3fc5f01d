"""Charts that are being read, beside the passes: a repository that hangs occupies no worker.

Called by `observe`. What is kept here is lost with the process and harmless to lose: the repository is asked once more.
So is what makes it ask seldom, the growing pause after failures.
"""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass
from typing import Final

from dpf.api.meta import Key
from dpf.runtime import digest as digests
from dpf.runtime.clock import Clock
from dpf.services.dpuservicetemplate import snapshot as values
from dpf.services.dpuservicetemplate.snapshot import Failed, Outcome, Read, Reading
from dpf.services.helm.port import Access, ChartError, Charts, Source

PATIENCE_S: Final = 0.05
"""How long the pass that asks waits itself: a repository nearby answers at once."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 300.0
_SOON_S: Final = 0.5


@dataclass(slots=True, kw_only=True)
class _Entry:
    """What became of one template's source. `access` is a digest; `begun` and `ended` are monotonic times."""

    digest: str
    access: str
    task: asyncio.Task[Read]
    begun: float
    failures: int = 0
    failure: ChartError | None = None
    ended: float | None = None


class Readings:
    """The readings of all templates of one process; use it in one event loop."""

    def __init__(self, charts: Charts, clock: Clock) -> None:
        self._charts = charts
        self._clock = clock
        self._entries: dict[Key, _Entry] = {}

    def look(self, key: Key, digest: str) -> Outcome | None:
        """What is known about the template's present source; None when it was not asked for yet.

        Raises whatever a bug in the port raised, once.
        """
        entry = self._entries.get(key)
        if entry is None or entry.digest != digest:
            return None
        self._conclude(key, entry)
        if not entry.task.done():
            waited = self._clock.monotonic() - entry.begun
            if entry.failure is None:
                return Reading(since_s=waited)
            return Failed(why=str(entry.failure), retry_in_s=max(_SOON_S, waited / 4), again=True)
        if entry.failure is not None:
            return Failed(why=str(entry.failure), retry_in_s=max(0.0, self._due(entry) - self._clock.monotonic()))
        return entry.task.result()

    async def ask(self, key: Key, digest: str, source: Source, access: Access) -> Outcome:
        """What is known, after asking the repository if it is time to: never asked like this, or the pause is over."""
        entry = self._entries.get(key)
        if entry is None or entry.digest != digest or entry.access != _digest(access):
            self.forget(key)
            self._entries[key] = entry = self._begin(digest, source, access)
        elif entry.task.done() and entry.failure is not None and self._due(entry) <= self._clock.monotonic():
            entry.begun, entry.ended = self._clock.monotonic(), None
            entry.task = self._start(source, access)
        await asyncio.wait((entry.task,), timeout=PATIENCE_S)
        return self.look(key, digest) or Reading(since_s=0.0)

    def forget(self, key: Key) -> None:
        """Nobody wants to know any more."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            entry.task.cancel()

    def _begin(self, digest: str, source: Source, access: Access) -> _Entry:
        return _Entry(
            digest=digest, access=_digest(access), begun=self._clock.monotonic(), task=self._start(source, access)
        )

    def _start(self, source: Source, access: Access) -> asyncio.Task[Read]:
        return asyncio.create_task(self._read(source, access), name=f"chart {source.chart}")

    async def _read(self, source: Source, access: Access) -> Read:
        return Read(versions=values.versions(await self._charts.annotations(source, access)))

    def _conclude(self, key: Key, entry: _Entry) -> None:
        """Take note of the end of a reading, once."""
        if not entry.task.done() or entry.ended is not None:
            return
        entry.ended = self._clock.monotonic()
        error = entry.task.exception()
        if error is None:
            entry.failure, entry.failures = None, 0
        elif isinstance(error, ChartError):
            entry.failure, entry.failures = error, entry.failures + 1
        else:
            del self._entries[key]
            raise error

    @staticmethod
    def _due(entry: _Entry) -> float:
        """When to ask again after a failure. What a retry alone hardly helps is retried rarely."""
        ended = entry.ended if entry.ended is not None else entry.begun
        if entry.failure is not None and not entry.failure.retryable:
            return ended + LONGEST_PAUSE_S
        return ended + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(entry.failures - 1, 16))


def _digest(access: Access) -> str:
    """To notice that credentials or certificates have changed, without keeping a copy of them for each template."""
    return digests.short(dataclasses.asdict(access))
