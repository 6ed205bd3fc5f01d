"""Reading a container's log: the last lines, and what is added later.

Called by `server`. A log is what the process wrote, without the time stamps that container runtimes add.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO, Final

_BLOCK: Final = 64 * 1024
_FOLLOW_EVERY_S: Final = 0.25


async def read(
    path: Path, *, tail_lines: int | None, follow: bool, is_live: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """Blocks of the log, from `tail_lines` before its end (None: from its beginning).

    With `follow`, goes on while `is_live` says that the container may still write.
    """
    with path.open("rb") as file:
        file.seek(find_tail(file, tail_lines))
        while True:
            live = is_live()  # Asked before reading: what a container writes last is read after it has ended.
            while block := file.read(_BLOCK):
                yield block
            if not follow or not live:
                return
            await asyncio.sleep(_FOLLOW_EVERY_S)


def find_tail(file: BinaryIO, lines: int | None) -> int:
    """Where the last `lines` lines begin; reads backwards, so that a long log costs nothing."""
    if lines is None:
        return 0
    end = file.seek(0, os.SEEK_END)
    if lines <= 0:
        return end
    position, missing = end, lines
    while position > 0:
        begin = max(0, position - _BLOCK)
        file.seek(begin)
        block = file.read(position - begin)
        if position == end and block.endswith(b"\n"):
            block = block[:-1]
        while (newline := block.rfind(b"\n")) >= 0:
            missing -= 1
            if missing == 0:
                return begin + newline + 1
            block = block[:newline]
        position = begin
    return 0
