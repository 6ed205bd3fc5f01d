"""Which TCP ports are free, and who holds one that is not. Reads the kernel's tables; starts and stops nothing.

Called where the platform chooses ports and where "port in use" has to be explained.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from dpf.local.supervisor import procfs
from dpf.local.supervisor.errors import Error

FIRST_PORT, LAST_PORT = 20000, 29999
"""Below the range that the kernel hands to outgoing connections (32768 and up): a chosen port stays free."""
_LISTEN = "0A"


class NoFreePort(Error):
    """Every port that we would use is taken."""


@dataclass(frozen=True, slots=True)
class PortOwner:
    """Who listens on a port; without a pid when it belongs to another user."""

    port: int
    pid: int | None
    command: str | None

    def __str__(self) -> str:
        if self.pid is None:
            return f"port {self.port} is in use by a process of another user"
        return f"port {self.port} is in use by pid {self.pid} ({self.command})"


def find_free_port(*, preferred: int | None = None, avoid: Collection[int] = (), address: str = "127.0.0.1") -> int:
    """A port nobody listens on: `preferred` if it is free, else any in FIRST_PORT..LAST_PORT except `avoid`.

    Raises NoFreePort.
    """
    if preferred is not None and preferred not in avoid and is_free(preferred, address):
        return preferred
    count = LAST_PORT - FIRST_PORT + 1
    # Two platforms that come up at the same time should not choose the same port.
    start = secrets.randbelow(count)
    for offset in range(count):
        port = FIRST_PORT + (start + offset) % count
        if port not in avoid and is_free(port, address):
            return port
    raise NoFreePort(f"all ports from {FIRST_PORT} to {LAST_PORT} are in use: stop what is not needed")


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now. Connections that are only winding down do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def port_owner(port: int) -> PortOwner | None:
    """Who listens on `port` in our network namespace, on any address; None when nobody does."""
    inodes = set(_listening_inodes(port))
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid in procfs.pids():
        if wanted.intersection(_open_files(pid)):
            return PortOwner(port, pid, procfs.command_line(pid))
    return PortOwner(port, None, None)


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        # `self`: the tables are those of a process's own network namespace.
        content = _read_table(procfs.PROC / "self/net" / table)
        for line in content.splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _read_table(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:  # a kernel without IPv6
        return ""


def _open_files(pid: int) -> Iterator[str]:
    folder = procfs.PROC / str(pid) / "fd"
    try:
        entries = os.listdir(folder)  # noqa: PTH208 - names only
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return
    for entry in entries:
        try:
            yield os.readlink(folder / entry)  # noqa: PTH115 - a socket's target is no path
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
