"""Crash injection for whole processes: die right after the n-th write, to prove that the next start converges.

`DPF_CRASH_AFTER_WRITES=n` arms it; without the variable nothing happens. The writers of `runtime` (executor, finalizer,
status) call the hook after every write that the API server accepted. Tests inside one process use
`tests/support/crash.py` instead, which wraps the client.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final

VARIABLE: Final = "DPF_CRASH_AFTER_WRITES"
EXIT_CODE: Final = 137
"""What a shell shows for a process that was ended by SIGKILL."""

AfterWrite = Callable[[], None]


def nothing() -> None:
    """The hook of a process that is not under test."""


def after_write(environment: Mapping[str, str], *, leave: Callable[[int], object] = os._exit) -> AfterWrite:
    """The hook that `environment` asks for. Raises ValueError when the variable is no positive number.

    `leave` ends the process without cleaning up, as a kill would.
    """
    text = environment.get(VARIABLE, "")
    if not text:
        return nothing
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{VARIABLE} must be a positive number of writes, not {text!r}")
    remaining = int(text)

    def count() -> None:
        nonlocal remaining
        remaining -= 1
        if remaining == 0:
            leave(EXIT_CODE)

    return count
