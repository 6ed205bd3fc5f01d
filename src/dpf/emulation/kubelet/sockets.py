"""Sockets that belong to another network namespace than the process that uses them.

A socket stays in the namespace in which it was made. `inside` enters one for the length of a call, in a thread of its
own: the namespace of a thread does not touch the other threads, and a thread that could not find back is thrown away.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

R = TypeVar("R")

NETNS_FOLDER: Final = Path("/run/netns")
CLONE_NEWNET: Final = 0x40000000
_BACKLOG: Final = 128


def inside(netns: str | None, function: Callable[[], R]) -> R:
    """Call `function` with the current namespace being `netns` (None: the process's own). Raises what it raises."""
    if netns is None:
        return function()
    path = NETNS_FOLDER / netns

    def enter_and_call() -> R:
        _enter(path)
        return function()

    return in_thread(enter_and_call)


def in_thread(function: Callable[[], R]) -> R:
    """Call `function` in a new thread and wait for it: whatever it does to its thread ends with it."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="netns") as thread:
        return thread.submit(function).result()


def listen_tcp(address: str, port: int, netns: str | None) -> socket.socket:
    """A listening TCP socket on `address` inside `netns`. Raises OSError."""

    def make() -> socket.socket:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address, port))
            listening.listen(_BACKLOG)
            listening.setblocking(False)
        except OSError:
            listening.close()
            raise
        return listening

    return inside(netns, make)


def bind_udp(address: str, port: int, netns: str | None) -> socket.socket:
    """A UDP socket on `address` inside `netns`. Raises OSError."""

    def make() -> socket.socket:
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            bound.bind((address, port))
            bound.setblocking(False)
        except OSError:
            bound.close()
            raise
        return bound

    return inside(netns, make)


def unshare_network() -> None:
    """Give the calling thread a new, empty network namespace. Raises OSError."""
    _check(_libc().unshare(CLONE_NEWNET), "unshare")


def bind_mount(source: Path, target: Path) -> None:
    """Make `target` another name of `source`: what keeps a namespace alive without a process. Raises OSError."""
    ms_bind = 4096
    _check(_libc().mount(bytes(source), bytes(target), b"none", ms_bind, None), f"mount {target}")


def unmount(target: Path) -> None:
    """Undo `bind_mount`, lazily. Raises OSError."""
    mnt_detach = 2
    _check(_libc().umount2(bytes(target), mnt_detach), f"umount {target}")


def _enter(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc().setns(fd, CLONE_NEWNET), f"setns {path}")
    finally:
        os.close(fd)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(code: int, what: str) -> None:
    if code != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
