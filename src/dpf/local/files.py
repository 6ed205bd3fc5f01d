"""Files that appear whole or not at all, and locks between processes.

Used by everything under `local` that keeps state in a folder. It knows nothing about what the files mean, and it never
puts a file's content into an error.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def ensure_private_folder(path: Path) -> Path:
    """Make `path` (and its parents) and close it to other users; returns it. Raises OSError."""
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    if stat.S_IMODE(path.stat().st_mode) != PRIVATE_FOLDER:
        path.chmod(PRIVATE_FOLDER)
    return path


def write_atomic(path: Path, data: bytes, *, mode: int = PRIVATE_FILE, durable: bool = False) -> bool:
    """Put `data` at `path` in one step; returns whether anything had to be written.

    A reader sees the old content or the new one. `durable` also survives a power cut, for what cannot be made again.
    """
    if _holds(path, data, mode):
        return False
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)
    return True


def read_if_exists(path: Path) -> bytes | None:
    """The content, or None when there is no such file. Any other failure is raised: it does not mean absence."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def digest(*contents: bytes) -> str:
    """SHA-256 over the contents; their boundaries count."""
    total = hashlib.sha256()
    for content in contents:
        total.update(len(content).to_bytes(8, "big"))
        total.update(content)
    return total.hexdigest()


@contextmanager
def locked(*paths: Path) -> Iterator[None]:
    """Hold an exclusive lock on every path (made if absent) against other processes and threads.

    Locks are taken in the order of their names, so that two callers with overlapping sets cannot wait for each other.
    The kernel drops them when their holder dies.
    """
    with ExitStack() as stack:
        for path in sorted(set(paths)):
            file = stack.enter_context(path.open("ab"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _holds(path: Path, data: bytes, mode: int) -> bool:
    try:
        return stat.S_IMODE(path.stat().st_mode) == mode and path.read_bytes() == data
    except FileNotFoundError:
        return False


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
