"""The install interface `redfish`: implements `install.port.Installer` with the client certificate, without passwords.

Made once per process by the wiring; `aclose` at its end. What it remembers are the ids of each BMC's parts, to ask less
often; they are looked up again when one of them is not found. The BMC must have been set up (`setup`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import datetime
from typing import Final

from dpf.provisioning.install.port import EVERYTHING, Card, Install, InstallError, Order, Sight, Silence, Topic
from dpf.provisioning.install.redfish import errors, looking, orders, reading
from dpf.provisioning.install.redfish.bmc import BMC, Names
from dpf.provisioning.install.redfish.transport import Answer, Target, Transport
from dpf.runtime.clock import Clock, SystemClock

LOOK_S: Final = 60.0
"""A whole look of a slow BMC; each of its requests has limits of its own."""
_REMEMBERED: Final = 4096


class RedfishInstaller:
    """See `Installer`."""

    def __init__(self, transport: Transport, *, clock: Clock | None = None, look_s: float = LOOK_S) -> None:
        self._transport = transport
        self._clock = clock or SystemClock()
        self._look_s = look_s
        self._names: OrderedDict[str, Names] = OrderedDict()

    async def look(self, card: Card, *, topics: Topic = EVERYTHING, task: str | None = None) -> Sight | Silence:
        """See `Installer.look`; installed versions and activation are not told."""
        bmc = self._bmc(card)
        try:
            async with asyncio.timeout(self._look_s):
                names = await self._names_of(card, bmc)
                sight = await looking.look(bmc, topics, looking.Question(names=names, task=task, now=self._now))
        except TimeoutError:
            self._forget(card)
            return errors.Unreachable(f"{bmc} does not answer in time", sent=False).silence
        except errors.RedfishError as error:
            self._forget(card)
            return error.silence
        if sight.troubles:
            self._forget(card)
        return sight

    async def order(self, card: Card, order: Order) -> str | None:
        """See `Installer.order`. A card with another serial number than expected gets no order, nor one without."""
        bmc, what = self._bmc(card), orders.describe(order)
        try:
            names = await self._names_of(card, bmc)
            wanted = orders.calls(order, names)
            if not wanted:
                raise InstallError(f"{what} is not possible through Redfish", retryable=False)
            await self._check_serial(card, bmc, names)
        except errors.RedfishError as error:
            self._forget(card)
            raise errors.install_error(error, what, asked_only=True) from None
        try:
            for call in wanted:
                answer = await bmc.send(call.method, call.path, call.body)
        except errors.Refused as error:
            self._forget(card)
            raise InstallError(f"{what}: {error}"[:errors.LONGEST], busy=is_busy(error)) from None
        except errors.RedfishError as error:
            raise errors.install_error(error, what) from None
        return _task_id(bmc, answer) if isinstance(order, Install) else None

    def _bmc(self, card: Card) -> BMC:
        return BMC(self._transport, Target(address=card.address))

    def _now(self) -> datetime:
        return self._clock.now()

    async def _names_of(self, card: Card, bmc: BMC) -> Names:
        names = self._names.get(card.address)
        if names is None:
            names = await bmc.names()
            self._names[card.address] = names
            if len(self._names) > _REMEMBERED:
                self._names.popitem(last=False)
        return names

    def _forget(self, card: Card) -> None:
        self._names.pop(card.address, None)

    async def _check_serial(self, card: Card, bmc: BMC, names: Names) -> None:
        if card.serial is None:
            return
        actual = reading.text(await bmc.get(names.chassis), "SerialNumber")
        if actual is None:
            raise errors.Unreadable(f"{bmc} does not tell its serial number")
        if actual.lower() != card.serial.lower():
            raise InstallError(mismatch(card.serial, actual), retryable=False)


def mismatch(expected: str, actual: str) -> str:
    """The text about a card that is another one (behaviour-provisioning.md 4.5)."""
    return f"serial number mismatch, expected: {expected}, actual: {actual}"


def is_busy(error: errors.Refused) -> bool:
    """Whether the BMC is at work on another update, and took nothing (behaviour-provisioning.md 5.8)."""
    return orders.BUSY in error.complaint.lower()


def _task_id(bmc: BMC, answer: Answer) -> str:
    task = reading.text(answer.document, "Id")
    if task is None:
        raise InstallError(f"{bmc} took the installation and names no task for it", doubtful=True)
    return task
