"""Chart repositories without a network, for tests: they answer what they were told, per chart."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from dpf.services.helm.port import Access, ChartError, Charts, Source


class MemoryCharts(Charts):
    """Charts that were not `set` are not found. `asked` lists every question with how it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Source, Access]] = []
        self._answers: dict[Source, Mapping[str, str] | ChartError | None] = {}

    def set(self, source: Source, answer: Mapping[str, str] | ChartError | None) -> None:
        """From now on `source` has these annotations, or fails so; None never answers."""
        self._answers[source] = answer

    async def annotations(self, source: Source, access: Access) -> Mapping[str, str]:
        """See `Charts.annotations`."""
        self.asked.append((source, access))
        answer = self._answers.get(source, ChartError(f"chart {source.chart} not found in index"))
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Mapping):
            return answer
        raise answer or AssertionError("nobody sets an event that nobody has")
