"""Crash injection inside one process: the n-th write kills the pass that made it, after the server carried it out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from dpf.kube.memory import MemoryCluster, Request


class Crash(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


class Countdown:
    """Counts the writes of several clusters together; Events are no part of a pass and do not count."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.crashed = False

    def after_write(self, request: Request) -> None:
        if request.kind == "Event":
            return
        self._left -= 1
        if self._left == 0:
            self.crashed = True
            raise Crash(f"after {request}")


def crash_at(n: int, *clusters: MemoryCluster) -> Countdown:
    """Arm `clusters`: their n-th write in all raises Crash, once."""
    countdown = Countdown(n)
    for cluster in clusters:
        cluster.after_write = countdown.after_write
    return countdown


async def crash_everywhere(
    make: Callable[[], Any], live: Callable[[Any], Awaitable[None]], end_state: Callable[[Any], object],
    *, limit: int = 200,
) -> int:
    """Assert that a crash after any single write, and a restart, ends in the state of an undisturbed life.

    `make` builds a world with an attribute `clusters` (MemoryClusters); `live` starts controllers on it and lets them
    settle; `end_state` tells what must be equal. Returns how many crashes were tried.
    """
    undisturbed = make()
    await live(undisturbed)
    expected = end_state(undisturbed)
    for n in range(1, limit):
        world = make()
        countdown = crash_at(n, *world.clusters)
        try:
            await live(world)
        except Crash:
            await live(world)
        if not countdown.crashed:
            return n - 1
        assert end_state(world) == expected, f"a crash after write {n} ends differently"
    raise AssertionError(f"still writing after {limit} writes")
