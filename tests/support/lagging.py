"""A memory cluster whose watches of some kinds can be held up, as if each had its own slow connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

from tests.support.clock import turns

from dpf.api.meta import Object
from dpf.kube.client import Event
from dpf.kube.memory import MemoryCluster

T = TypeVar("T", bound=Object)


class LaggingCluster(MemoryCluster):
    """Writes and reads are answered at once; events of the kinds that are held up wait."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._open: dict[type[Object], asyncio.Event] = {}
        self.before_apply: Callable[[], Awaitable[None]] | None = None
        """What happens while the next apply is on its way."""

    def hold_up(self, *kinds: type[Object]) -> None:
        """From now on nobody hears of changes of these kinds."""
        for kind in kinds:
            self._open.setdefault(kind, asyncio.Event())

    async def let_through(self, *kinds: type[Object]) -> None:
        """What was held up arrives, in its order."""
        for kind in kinds:
            self._open.pop(kind, asyncio.Event()).set()
        await turns()

    async def apply(self, obj: T, **options: Any) -> T:
        """See `MemoryCluster`."""
        if self.before_apply is not None:
            await self.before_apply()
        return await super().apply(obj, **options)

    async def watch(self, kind: type[T], *args: Any, **options: Any) -> AsyncIterator[Sequence[Event[T]]]:
        """See `MemoryCluster`."""
        async for events in super().watch(kind, *args, **options):
            while events and kind in self._open:
                await self._open[kind].wait()
            yield events
