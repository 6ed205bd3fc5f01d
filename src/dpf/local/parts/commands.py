"""Run a program that takes long (go, apt-get), tell how far it is, and end it with everything it started.

Called by `gobuild` and `debian`. Output goes to files rather than pipes: a service that a package's installation starts
may keep what it inherited open for ever, and nobody here waits for that.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LOOK_EVERY_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How it ended: exit code, standard output, standard error."""

    code: int
    output: str
    said: str


async def run(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None,
    on_look: Callable[[str], None] = lambda _: None,
) -> Result:
    """Run `argv` to its end. Every LOOK_EVERY_S `on_look` gets what it has said on standard error until then.

    Cancelling kills the whole process group and waits for its leader. Raises OSError when the program cannot be
    executed.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: ASYNC220 - starting takes a millisecond; the end is awaited in a thread
            argv, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=said, start_new_session=True,
        )
        over = asyncio.ensure_future(asyncio.to_thread(process.wait))
        try:
            while not (await asyncio.wait({over}, timeout=LOOK_EVERY_S))[0]:
                on_look(_content(said))
        except asyncio.CancelledError:
            _end_group(process.pid)
            await over
            raise
        return Result(code=over.result(), output=_content(output), said=_content(said))


def _content(file: IO[bytes]) -> str:
    """Everything in the file; the position of the process that writes it is not moved."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
