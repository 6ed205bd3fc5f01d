"""What is set for an emulated DMS, and who is told when the system of one of its cards starts. Values only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec


class Timings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds that the parts of an activation take at least; 0 everywhere for benchmarks and tests."""

    flash_s: float = 0.0
    boot_s: float = 0.0


NO_LATENCY: Final = Timings()
VISIBLE: Final = Timings(flash_s=4.0, boot_s=4.0)
"""For people who watch: every stage is seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """One start of a card's system. `count` grows with each start, `activation` with each installation."""

    card: str
    count: int
    activation: int


async def _nothing_boots(boot: Boot, bfcfg: bytes) -> None:
    """No system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """The systems of the cards. `on_boot` gets the configuration that was activated last, at every start of the system.

    It returns when the system's keeper knows of the start. When the DMS ends before that, it is called again, with the
    same count, by the next one.
    """

    on_boot: Callable[[Boot, bytes], Awaitable[None]] = _nothing_boots
