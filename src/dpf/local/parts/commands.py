"""Run a program that takes long (go, apt-get), line by line, and end it with everything it started.

Called by `gobuild` and `debian`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAST_LINES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How it ended: exit code, standard output, and the last lines of what it said on standard error."""

    code: int
    output: str
    last_lines: tuple[str, ...]


async def run(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Result:
    """Run `argv` to its end; `on_line` hears standard error. Cancelling ends the whole process group.

    Raises OSError when the program cannot be executed.
    """
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=cwd, env=dict(env), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, start_new_session=True, limit=1024 * 1024,
    )
    last: deque[str] = deque(maxlen=LAST_LINES)
    try:
        output, _ = await asyncio.gather(_read(process.stdout), _follow(process.stderr, last, on_line))
        code = await process.wait()
    except asyncio.CancelledError:
        _end_group(process.pid)
        await process.wait()
        raise
    return Result(code=code, output=output, last_lines=tuple(last))


async def _read(stream: asyncio.StreamReader | None) -> str:
    content = await stream.read() if stream is not None else b""
    return content.decode(errors="replace")


async def _follow(
    stream: asyncio.StreamReader | None, last: deque[str], on_line: Callable[[str], None] | None,
) -> None:
    if stream is None:
        return
    async for raw in stream:
        line = raw.decode(errors="replace").rstrip()
        last.append(line)
        if on_line is not None:
            on_line(line)


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
