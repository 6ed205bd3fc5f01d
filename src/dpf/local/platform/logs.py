"""Logs of the platform's processes: which there are, and the last lines of one (by the system's `tail`)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from dpf.local import errors


def names(state: Path) -> tuple[str, ...]:
    """Names of the processes that have a log, sorted."""
    return tuple(sorted(path.stem for path in (state / "logs").glob("*.log")))


def show(state: Path, name: str | None, *, lines: int, follow: bool, write: Callable[[str], None]) -> None:
    """Become `tail` on the log of `name`; without a name write the names.

    Raises LocalError for an unknown name.
    """
    known = names(state)
    if name is None:
        for known_name in known:
            write(known_name)
        return
    if name not in known:
        raise errors.LocalError(f"no process is called {name!r}; there are: {', '.join(known) or 'none'}")
    path = state / "logs" / f"{name}.log"
    options = ["-F"] if follow else []
    os.execvp("tail", ["tail", "-n", str(lines), *options, str(path)])
