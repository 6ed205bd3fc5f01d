"""Steering emulated BMCs while they run: one line of JSON in, one line of JSON out, over a unix socket.

Served beside the emulator; asked by `dpfctl local fault` and by tests. A request has a `card` (its name, or `*`) and
any of `clear` (all faults off), `faults` (those to change, see `Faults`) and `do` (see `Deed`); the answer shows the
cards as they are then. Only the user who runs the emulator can open the socket, and no secret is shown.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from dpf.emulation.bmc.card import Card
from dpf.emulation.bmc.emulator import Emulator
from dpf.emulation.bmc.faults import Faults
from dpf.local import files

ALL: Final = "*"
_LINE_LIMIT: Final = 1 << 16
_ANSWER_LIMIT: Final = 64 << 20


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


@asynccontextmanager
async def serving(emulator: Emulator, path: Path) -> AsyncIterator[None]:
    """Answer at the socket `path`. Raises OSError."""
    listening = _listen(path)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(_answer(emulator, await reader.readline()) + b"\n")
            await writer.drain()
        except (OSError, ValueError):
            return
        finally:
            writer.close()

    server = await asyncio.start_unix_server(converse, sock=listening, limit=_LINE_LIMIT)
    try:
        yield
    finally:
        server.close()
        _remove(path)


async def ask(path: Path, request: Request) -> dict[str, dict[str, Any]]:
    """The cards that the request was about, as they are now. Raises ControlError."""
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=_ANSWER_LIMIT)
        writer.write(msgspec.json.encode(request) + b"\n")
        answer = msgspec.json.decode(await reader.readline())
        writer.close()
        await writer.wait_closed()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it does not answer"
        raise ControlError(f"the emulated BMCs cannot be asked ({path}): {why}; are they running?") from None
    if "error" in answer:
        raise ControlError(answer["error"])
    cards: dict[str, dict[str, Any]] = answer["cards"]
    return cards


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


def show(card: Card) -> dict[str, Any]:
    """A card for people and for tests that count."""
    record = card.record
    return {
        "address": f"{card.settings.host}:{record.port}", "serial": card.settings.serial, "mode": record.mode,
        "power": record.power, "boot": record.boot, "boots": record.boots, "firmware": record.firmware,
        "installs": msgspec.to_builtins(record.installs), "faults": msgspec.to_builtins(record.faults),
    }


def _listen(path: Path) -> socket.socket:
    """A socket that nobody else may open, in place of one that an earlier emulator has left."""
    files.ensure_private_folder(path.parent)
    _remove(path)
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(str(path))
        path.chmod(files.PRIVATE_FILE)
    except OSError:
        listening.close()
        raise
    return listening


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _answer(emulator: Emulator, line: bytes) -> bytes:
    try:
        return msgspec.json.encode({"cards": apply(emulator, msgspec.json.decode(line, type=Request))})
    except (msgspec.MsgspecError, ControlError) as error:
        return msgspec.json.encode({"error": str(error)})


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
