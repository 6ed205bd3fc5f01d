"""A clock that moves only when a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """`runtime.clock.Clock`. `now` and `monotonic` advance together; `skew_s` sets the wall clock wrong."""

    def __init__(self, start: datetime = START, *, skew_s: float = 0.0) -> None:
        self._start = start + timedelta(seconds=skew_s)
        self._elapsed_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._sequence = itertools.count()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_s + seconds, next(self._sequence), wake))
        await wake

    def advance(self, seconds: float) -> None:
        """Jump ahead, as after a machine was suspended; everybody whose time has come wakes on the next turn."""
        self._elapsed_s += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed_s:
            _, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)

    async def run_for(self, seconds: float) -> None:
        """Let time pass: everybody who sleeps wakes in order, at the right time, and goes as far as it can."""
        end = self._elapsed_s + seconds
        await turns()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.advance(self._sleepers[0][0] - self._elapsed_s)
            await turns()
        self.advance(end - self._elapsed_s)
        await turns()


async def turns(count: int = 40) -> None:
    """Let every task that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)
