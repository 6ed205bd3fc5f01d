"""A unix socket that answers one line of JSON with one line of JSON. Only who runs the machine room can open it.

Served for `control` and `bootsocket`; `ask` is for their clients.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from dpf.local import files

LINE_LIMIT: Final = 1 << 20
ANSWER_LIMIT: Final = 64 << 20
Answer = Callable[[bytes], Awaitable[dict[str, Any]]]


class NoAnswer(Exception):
    """Nobody answered, or what makes no sense; the text is for people."""


@asynccontextmanager
async def serving(path: Path, answer: Answer) -> AsyncIterator[None]:
    """Answer at the socket `path`, in place of one that was left there. Raises OSError."""
    listening = _listen(path)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            reply = await answer(await reader.readline())
            writer.write(msgspec.json.encode(reply) + b"\n")
            await writer.drain()
        except (OSError, ValueError):
            return
        finally:
            writer.close()

    server = await asyncio.start_unix_server(converse, sock=listening, limit=LINE_LIMIT)
    try:
        yield
    finally:
        server.close()
        _remove(path)


async def ask(path: Path, request: Any) -> dict[str, Any]:  # noqa: ANN401 - what msgspec can encode
    """The answer. Raises NoAnswer."""
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_LIMIT)
        try:
            writer.write(msgspec.json.encode(request) + b"\n")
            answer = msgspec.json.decode(await reader.readline(), type=dict[str, Any])
        finally:
            writer.close()
            await writer.wait_closed()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it does not answer"
        raise NoAnswer(f"the emulated hardware cannot be asked ({path}): {why}; is it running?") from None
    return answer


def _listen(path: Path) -> socket.socket:
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
