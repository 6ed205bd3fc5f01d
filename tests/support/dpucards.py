"""Cards in memory, and the DPU controller's driver with somebody who hears of what it does. Used by `dpus`."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dpf.api.bfb import BFBVersions
from dpf.api.meta import Key
from dpf.kube.memory import Request
from dpf.provisioning.dpu.apply import Driver
from dpf.provisioning.dpu.intents import Command, Intent
from dpf.provisioning.install.memory import MemoryCard, MemoryInstaller, unreachable
from dpf.provisioning.install.port import (
    EVERYTHING,
    Card,
    Component,
    InstallError,
    Order,
    Sight,
    Silence,
    Topic,
)

VERSIONS = BFBVersions(bsp="4.9.0", doca="2.9.1", uefi="4.9.0", atf="4.9.0")

AfterWrite = Callable[[Request], None]


def finish(card: MemoryCard, versions: BFBVersions = VERSIONS) -> None:
    """The card has installed the bundle, and runs it."""
    updated = {Component.UEFI: versions.uefi or "", Component.BSP: versions.bsp or ""}
    card.finish(firmware={**(card.sight.firmware or {}), **updated})


def _by_name(card: Card) -> Card:
    return dataclasses.replace(card, host=card.name, port=0)


class Cards(MemoryInstaller):
    """Cards by the name of their DPUDevice: one management service speaks for all cards of a host.

    `addresses` tells where each is reached, elsewhere nobody answers. `asked` counts looks by card. The answer to the
    next order of each kind in `loses` gets lost; what `refuses` has for a kind answers the next orders of this kind.
    `lies` makes something else of what a card says.
    """

    def __init__(self, cards: Mapping[str, MemoryCard], addresses: Mapping[str, str]) -> None:
        super().__init__({f"{name}:0": card for name, card in cards.items()})
        self.addresses = dict(addresses)
        self.asked: dict[str, int] = dict.fromkeys(cards, 0)
        self.loses: list[type[Order]] = []
        self.refuses: dict[type[Order], list[InstallError]] = {}
        self.lies: dict[str, Callable[[Sight], Sight | Awaitable[Sight]]] = {}

    async def look(self, card: Card, *, topics: Topic = EVERYTHING, task: str | None = None) -> Sight | Silence:
        """See `Installer.look`."""
        self.asked[card.name] = self.asked.get(card.name, 0) + 1
        if self.addresses.get(card.name) != card.address:
            return unreachable(card)
        seen = await super().look(_by_name(card), topics=topics, task=task)
        if card.name not in self.lies or isinstance(seen, Silence):
            return seen
        told = self.lies[card.name](seen)
        return told if isinstance(told, Sight) else await told

    async def order(self, card: Card, order: Order) -> str | None:
        """See `Installer.order`."""
        assert self.addresses.get(card.name) == card.address, "nobody has answered there"
        if self.refuses.get(type(order)):
            raise self.refuses[type(order)].pop(0)
        if type(order) in self.loses:
            self.loses.remove(type(order))
            self.cards[_by_name(card).address].loses_answer = True
        return await super().order(_by_name(card), order)


@dataclass(slots=True)
class Drives:
    """Where tests hear of everything that the driver has carried out, as of the writes of a cluster."""

    after_write: AfterWrite | None = None
    intents: list[Intent] = field(default_factory=list)

    def carried_out(self, intent: Intent) -> None:
        """The driver is done with it."""
        self.intents.append(intent)
        if self.after_write is not None:
            what = type(intent.order).__name__ if isinstance(intent, Command) else type(intent).__name__
            where = intent.card.name if isinstance(intent, Command) else intent.dpu.metadata.name
            self.after_write(Request(verb="drive", kind=what, key=Key("", where)))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardDriver(Driver):
    """The driver, and somebody who hears of what it has done; also of what ended badly."""

    drives: Drives

    async def carry_out(self, intent: Intent) -> Any:
        """See `Driver.carry_out`."""
        try:
            return await Driver.carry_out(self, intent)
        finally:
            self.drives.carried_out(intent)
