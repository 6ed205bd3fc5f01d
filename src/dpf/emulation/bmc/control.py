"""Steering emulated cards while they run: what can be asked for, and doing it to cards with a BMC.

A request has a `card` (its name, or `*`) and any of `clear` (all faults off), `faults` (those to change, see `Faults`)
and `do` (see `Deed`). Called by `emulation.hardware.panel`, which also knows cards without a BMC. No secret is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

import msgspec

from dpf.emulation.bmc.card import Card
from dpf.emulation.bmc.emulator import Emulator
from dpf.emulation.bmc.faults import Faults

ALL: Final = "*"


class Deed(StrEnum):
    """What can happen to a card."""

    POWER_LOSS = "power-loss"
    """BMC and Arm cores go off, whatever they were doing."""
    POWER_RETURN = "power-return"
    """They come back."""
    POWER_CYCLE = "power-cycle"
    """The host goes off and on; the BMC goes on."""
    BMC_RESET = "bmc-reset"
    """The BMC restarts."""
    RESTART = "restart"
    """The Arm cores restart."""
    SHUT_DOWN = "shut-down"
    """The system of the card shuts itself down."""
    NIC_MODE = "nic-mode"
    """It is a plain network card, as somebody set it up earlier."""
    FACTORY_RESET = "factory-reset"
    """The BMC is as it left the factory."""


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """See the module. `faults` are fields of Faults."""

    card: str
    clear: bool = False
    faults: dict[str, Any] = {}
    do: Deed | None = None


class ControlError(Exception):
    """The request makes no sense, or nobody listens; the text is for people."""


def apply(emulator: Emulator, request: Request) -> dict[str, dict[str, Any]]:
    """Carry the request out. Raises ControlError; then nothing has changed."""
    cards = list(emulator.cards.values()) if request.card == ALL else [emulator.cards.get(request.card)]
    known = [card for card in cards if card is not None]
    if len(known) != len(cards):
        there = ", ".join(sorted(emulator.cards)) or "none"
        raise ControlError(f"there is no card {request.card!r}; there are: {there}")
    wanted = [_faults(Faults() if request.clear else card.record.faults, request.faults) for card in known]
    for card, faults in zip(known, wanted, strict=True):
        card.set_faults(faults)
        if request.do is not None:
            _DEEDS[request.do](card)
    return {card.settings.name: show(card) for card in known}


def check(card: Card, changes: dict[str, Any]) -> None:
    """Whether these faults can be set. Raises ControlError."""
    _faults(card.record.faults, changes)


def show(card: Card) -> dict[str, Any]:
    """A card for people and for tests that count."""
    record = card.record
    return {
        "address": f"{card.settings.host}:{record.port}", "serial": card.settings.serial, "mode": record.mode,
        "power": record.power, "boot": record.boot, "boots": record.boots, "firmware": record.firmware,
        "installs": msgspec.to_builtins(record.installs), "faults": msgspec.to_builtins(record.faults),
    }


def _faults(present: Faults, changes: dict[str, Any]) -> Faults:
    unknown = sorted(set(changes) - set(Faults.__struct_fields__))
    if unknown:
        raise ControlError(f"there is no fault {unknown[0]!r}; there are: {', '.join(Faults.__struct_fields__)}")
    try:
        return msgspec.convert({**msgspec.to_builtins(present), **changes}, Faults)
    except msgspec.ValidationError as error:
        raise ControlError(f"this fault cannot be: {error}") from None


_DEEDS: Final[dict[Deed, Callable[[Card], None]]] = {
    Deed.POWER_LOSS: Card.lose_power, Deed.POWER_RETURN: Card.restore_power, Deed.POWER_CYCLE: Card.power_cycle,
    Deed.BMC_RESET: Card.reset_bmc, Deed.RESTART: Card.restart, Deed.SHUT_DOWN: Card.shut_down,
    Deed.NIC_MODE: Card.become_network_card, Deed.FACTORY_RESET: lambda card: card.reset_bmc(to_factory=True),
}
