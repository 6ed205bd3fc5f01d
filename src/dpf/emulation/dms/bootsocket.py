"""Tells the process that runs the systems of the cards that one of them starts.

Called by `__main__` as the hook of the cards. One line goes there, `{"card", "count", "install", "bfcfg"}`, and one
comes back, `{"ok": true}`. It is repeated until it is answered, so whoever listens knows a start by its numbers.
"""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Final

import msgspec
import structlog

from dpf.emulation.dms.settings import Boot, Hooks

_LOG: Final = structlog.get_logger(__name__)
_ANSWER_S: Final = 10.0
_LONGEST_WAIT_S: Final = 5.0


class BootLine(msgspec.Struct, frozen=True, kw_only=True):
    """One start. `bfcfg` is base64."""

    card: str
    count: int
    install: str
    bfcfg: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`error` says why it is not ok."""

    ok: bool = False
    error: str = ""


def hooks(path: Path, *, again_s: float = 0.2) -> Hooks:
    """Tell the socket at `path`; `again_s` is the first pause, each is twice as long as the one before."""

    async def on_boot(boot: Boot, bfcfg: bytes) -> None:
        pause_s = again_s
        while why := await _tell(path, boot, bfcfg):
            _LOG.warning("nobody takes the start of a system", card=boot.card, socket=str(path), why=why)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_WAIT_S)

    return Hooks(on_boot=on_boot)


async def _tell(path: Path, boot: Boot, bfcfg: bytes) -> str:
    """Why it was not taken, empty when it was."""
    line = BootLine(
        card=boot.card, count=boot.count, install=str(boot.activation), bfcfg=base64.b64encode(bfcfg).decode(),
    )
    try:
        async with asyncio.timeout(_ANSWER_S):
            answer = msgspec.json.decode(await _exchange(path, msgspec.json.encode(line)), type=Answer)
    except TimeoutError:
        return "no answer in time"
    except OSError as error:
        return error.strerror or "no connection"
    except (msgspec.MsgspecError, ValueError):
        return "an answer that is none"
    return "" if answer.ok else answer.error or "refused"


async def _exchange(path: Path, line: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(line + b"\n")
        await writer.drain()
        return await reader.readline()
    finally:
        writer.close()
