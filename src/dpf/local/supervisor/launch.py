"""Start one process: its log, its environment, a session of its own. Effects only; `supervisor` decides.

No file descriptor, proxy variable or secret of ours is inherited, and no signal of our terminal reaches the process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from dpf.local import files
from dpf.local.supervisor import procfs
from dpf.local.supervisor import spec as specs
from dpf.local.supervisor.errors import StartFailed
from dpf.local.supervisor.spec import ProcessSpec

MARKS_TIMEOUT_S = 0.5
ROTATE_BYTES = 10 * 1024 * 1024


def start(spec: ProcessSpec, platform: Path) -> int:
    """Start the process; returns its pid. Raises StartFailed when the program cannot be executed."""
    command = _command(spec)
    try:
        log = _open_log(spec.log)
        try:
            child = subprocess.Popen(
                command, cwd=spec.cwd, env=specs.environment(spec, platform), stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True, umask=0o077,
            )
        finally:
            os.close(log)
    except OSError as error:
        raise StartFailed(f"{spec.name} could not be started ({spec.argv[0]}): {error.strerror}") from error
    # The process is observed through /proc from here on and outlives us on purpose; without an exit code in it the
    # object would complain about that when it is collected.
    child.returncode = 0
    _wait_for_marks(child.pid)
    return child.pid


def log_tail(log: Path, lines: int = 20) -> tuple[str, ...]:
    """The last lines of a log; empty when there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 64 * 1024))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ()
    return tuple(text.splitlines()[-lines:])


def _command(spec: ProcessSpec) -> tuple[str, ...]:
    """The command with every program found. Checked here: behind a wrapper a missing program shows only in the log."""
    if not os.access(spec.argv[0], os.X_OK):
        raise StartFailed(f"{spec.name} could not be started: {spec.argv[0]} is not there or not executable")
    if spec.netns is not None and not Path("/run/netns", spec.netns).exists():
        raise StartFailed(f"{spec.name} could not be started: there is no network namespace {spec.netns}")
    first, *rest = specs.command_line(spec)
    found = shutil.which(first, path=specs.SEARCH_PATH)
    if found is None:
        raise StartFailed(f"{spec.name} could not be started: {first} was not found in {specs.SEARCH_PATH}")
    return (found, *rest)


def _wait_for_marks(pid: int) -> None:
    """Return when others can find the process by its environment.

    The kernel lets the parent go on an instant before it shows the new environment; under load that instant is long.
    """
    deadline = time.monotonic() + MARKS_TIMEOUT_S
    while not any(procfs.environment(pid)) and time.monotonic() < deadline:
        seen = procfs.stat(pid)
        if seen is None or not seen.alive:
            return
        time.sleep(0.001)


def _open_log(path: Path) -> int:
    path.parent.mkdir(mode=files.PRIVATE_FOLDER, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > ROTATE_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, files.PRIVATE_FILE)
