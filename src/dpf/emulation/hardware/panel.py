"""What a person can do to cards and hosts from outside: faults, power, restarts; and a look at them.

Called by `control` (and so by `dpfctl local fault` and `dpfctl local status`), by `attendant` and by systems that
restart themselves. Cards with a BMC are steered through their emulator.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from dpf.emulation.bmc import control as bmc_control
from dpf.emulation.bmc.control import ControlError, Deed, Request
from dpf.emulation.bmc.emulator import Emulator
from dpf.emulation.hardware.dmscards import DMSCards
from dpf.emulation.hardware.hosts import Hosts
from dpf.emulation.hardware.settings import Card, Settings
from dpf.emulation.hardware.systems import Systems

ALL: Final = bmc_control.ALL
_WITHOUT_BMC: Final = frozenset({
    Deed.POWER_LOSS, Deed.POWER_RETURN, Deed.POWER_CYCLE, Deed.RESTART, Deed.SHUT_DOWN,
})


class Panel:
    """All cards and hosts of the room. `systems` is set once they are there: they restart themselves through us."""

    systems: Systems

    def __init__(self, settings: Settings, emulator: Emulator, hosts: Hosts, dms: DMSCards) -> None:
        self._cards = {card.name: card for card in settings.cards}
        self._emulator = emulator
        self._hosts = hosts
        self._dms = dms

    async def carry_out(self, request: Request) -> dict[str, dict[str, Any]]:
        """The cards that it was about, as they are then. Raises ControlError; then nothing has changed."""
        names = sorted(self._cards) if request.card == ALL else [request.card]
        unknown = [name for name in names if name not in self._cards]
        if unknown:
            there = ", ".join(sorted(self._cards)) or "none"
            raise ControlError(f"there is no card {unknown[0]!r}; there are: {there}")
        self._check(names, request)
        for name in names:
            await self._change(self._cards[name], request)
        for host in sorted({self._cards[name].host for name in names if self._cards[name].bmc is None}):
            await self._power(host, request.do)
        return {name: self.show(name) for name in names}

    def show(self, name: str) -> dict[str, Any]:
        """A card for people, and for tests that count. Holds no secret."""
        card, record = self._cards[name], self.systems.record(name)
        shown = (
            bmc_control.show(self._emulator.card(name)) if card.bmc is not None
            else {**self._dms.show(card), "boot": "OsIsRunning" if record.running else "", "boots": record.boots}
        )
        node = record.node.name if record.node is not None else ""
        return {**shown, "host": card.host, "node": node, "problem": self.systems.problem(name)}

    async def power_cycle(self, host: str, serials: tuple[str, ...]) -> None:
        """A host goes off and on, and with it the cards in it: those of `host`, and those with these serial numbers."""
        wanted = {serial.lower() for serial in serials}
        cards = [c for c in self._cards.values() if c.host == host or c.serial.lower() in wanted]
        for card in cards:
            await self.restart_card(card.name, by_power=True)
        if host in self._hosts.names():
            await asyncio.to_thread(self._hosts.reboot, host)

    async def restart_card(self, name: str, *, by_power: bool = False) -> None:
        """The Arm cores of a card start anew."""
        card = self._cards[name]
        if card.bmc is None:
            await self.systems.restart(name)
        elif by_power:
            self._emulator.card(name).power_cycle()
        else:
            self._emulator.card(name).restart()

    async def restart(self, card: str) -> None:
        """See systems.Machines."""
        await self.restart_card(card)

    async def shut_down(self, card: str) -> None:
        """See systems.Machines."""
        if self._cards[card].bmc is None:
            await self.systems.halt(card)
        else:
            self._emulator.card(card).shut_down()

    def _check(self, names: list[str], request: Request) -> None:
        for card in (self._cards[name] for name in names):
            if card.bmc is None:
                if request.do is not None and request.do not in _WITHOUT_BMC:
                    possible = ", ".join(sorted(_WITHOUT_BMC))
                    raise ControlError(f"card {card.name} has no BMC, so that {request.do} cannot be done to it; "
                                       f"possible are: {possible}")
                self._dms.check(card, request.faults)
            else:
                bmc_control.check(self._emulator.card(card.name), request.faults)

    async def _change(self, card: Card, request: Request) -> None:
        if card.bmc is not None:
            bmc_control.apply(self._emulator, Request(
                card=card.name, clear=request.clear, faults=request.faults, do=request.do,
            ))
            return
        self._dms.change(card, clear=request.clear, changes=request.faults)
        match request.do:
            case Deed.SHUT_DOWN:
                await self.systems.halt(card.name)
            case Deed.RESTART:
                await self.systems.restart(card.name)
            case _:
                return

    async def _power(self, host: str, deed: Deed | None) -> None:
        """The power of a card without a BMC is that of its host."""
        match deed:
            case Deed.POWER_LOSS:
                for card in (card for card in self._cards.values() if card.host == host):
                    await self.systems.halt(card.name)
                await asyncio.to_thread(self._hosts.switch_off, host)
            case Deed.POWER_CYCLE | Deed.POWER_RETURN:
                await self.power_cycle(host, ())
            case _:
                return
