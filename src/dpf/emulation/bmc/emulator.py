"""Any number of emulated BMCs in one process, each on its own address or port.

Made by the local platform, by tests and by benchmarks:

    async with Emulator(folder, cards, hooks=hooks) as emulator:
        emulator.card("dpu-0").set_faults(Faults(busy=2))

Everything that a card remembers is in `folder`, so that the emulator may be killed and started again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from dpf.emulation.bmc.card import Card
from dpf.emulation.bmc.records import Store
from dpf.emulation.bmc.server import Listener
from dpf.emulation.bmc.settings import NO_LATENCY, CardSettings, Hooks, Timings


class Emulator:
    """Use as a context, or `start` and `close`, in one event loop."""

    def __init__(
        self, folder: Path, cards: Iterable[CardSettings], *, timings: Timings = NO_LATENCY, hooks: Hooks | None = None
    ) -> None:
        hooks = hooks or Hooks()
        self._cards = {
            one.name: Card(one, Store(folder, one.name), timings=timings, hooks=hooks) for one in cards
        }
        self._listeners = [Listener(card) for card in self._cards.values()]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen, and take up what was going on. Raises OSError."""
        for listener in self._listeners:
            await listener.start()
        for card in self._cards.values():
            card.start()

    async def close(self) -> None:
        """Stop; the cards stay as they are."""
        for card in self._cards.values():
            await card.close()
        for listener in self._listeners:
            await listener.close()

    @property
    def cards(self) -> Mapping[str, Card]:
        """By name."""
        return self._cards

    def card(self, name: str) -> Card:
        """Raises KeyError."""
        return self._cards[name]
