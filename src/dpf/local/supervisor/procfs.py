"""Read /proc: who is alive, since when, with which marks, using how much. Reads only.

Called by `supervisor`, `termination` and `ports`. A process may end between any two reads: that is an answer (None),
not an error. Other users' processes hide their environment; they are not ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROC = Path("/proc")
_GONE = (FileNotFoundError, ProcessLookupError)
_UNREADABLE = (*_GONE, PermissionError)
_DEAD_STATES = ("Z", "X", "x")
_KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """One process as the kernel counts it. `start_ticks` since boot tells it from a later process with its pid."""

    pid: int
    command: str
    state: str
    parent: int
    session: int
    cpu_ticks: int
    threads: int
    start_ticks: int

    @property
    def alive(self) -> bool:
        """A zombie has ended; only its parent has not asked yet."""
        return self.state not in _DEAD_STATES

    @property
    def dying(self) -> bool:
        """Its first thread has ended, others have not: it will be gone soon, but may still hold a port or a lock."""
        return not self.alive and self.threads > 1

    @property
    def cpu_s(self) -> float:
        """CPU time used, user and system."""
        return self.cpu_ticks / _ticks_per_second()

    @property
    def uptime_s(self) -> float:
        """Seconds since it started."""
        return max(0.0, _seconds_since_boot() - self.start_ticks / _ticks_per_second())


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Resident bytes, and the proportional share (text that processes share is counted once over all of them)."""

    rss_bytes: int
    pss_bytes: int


def stat(pid: int) -> Stat | None:
    """The process with this pid, zombies included; None when there is none."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except _GONE:
        return None
    before, _, after = text.rpartition(")")
    fields = after.split()
    return Stat(
        pid=pid, command=before.partition("(")[2], state=fields[0], parent=int(fields[1]), session=int(fields[3]),
        cpu_ticks=int(fields[11]) + int(fields[12]), threads=int(fields[17]), start_ticks=int(fields[19]),
    )


def alive(pid: int, start_ticks: int) -> Stat | None:
    """The process with this pid if it is the one that started then and has not ended."""
    found = stat(pid)
    return found if found is not None and found.alive and found.start_ticks == start_ticks else None


def present(pid: int, start_ticks: int) -> Stat | None:
    """As `alive`, but a dying process counts: what it holds is not free yet."""
    found = stat(pid)
    return found if found is not None and (found.alive or found.dying) and found.start_ticks == start_ticks else None


def pids() -> Iterator[int]:
    """Every process that there is now."""
    for entry in os.listdir(PROC):  # noqa: PTH208 - scandir of /proc would stat every entry
        if entry.isdecimal():
            yield int(entry)


def marked(marks: dict[str, str]) -> Iterator[Stat]:
    """Living processes other than ourselves whose environment holds all `marks`, oldest first."""
    wanted = [f"{name}={value}".encode() for name, value in marks.items()]
    found = [seen for pid in pids() if _has_marks(pid, wanted) and (seen := stat(pid)) is not None and seen.alive]
    yield from sorted(found, key=lambda seen: (seen.start_ticks, seen.pid))


def environment(pid: int) -> tuple[bytes, ...]:
    """`NAME=value` entries of the process, as it was started; empty when it is gone or not ours to read."""
    try:
        return tuple((PROC / str(pid) / "environ").read_bytes().split(b"\0"))
    except _UNREADABLE:
        return ()


def memory(pid: int) -> Memory | None:
    """Memory of the process; None when it is gone or not ours to read."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except _UNREADABLE:
        return None
    sizes = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
    return Memory(rss_bytes=sizes.get("Rss:", 0) * _KIB, pss_bytes=sizes.get("Pss:", 0) * _KIB)


def command_line(pid: int) -> str | None:
    """The command as typed, for messages; the bare name where arguments cannot be read; None when it is gone."""
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except _UNREADABLE:
        words = []
    line = b" ".join(words).decode(errors="replace").strip()
    found = stat(pid)
    return line or (found.command if found is not None else None)


@cache
def boot_id() -> str:
    """Tells this boot from every other: pids and start ticks repeat after a reboot."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def _has_marks(pid: int, wanted: list[bytes]) -> bool:
    if pid == os.getpid():
        return False
    entries = environment(pid)
    return all(entry in entries for entry in wanted)


def _seconds_since_boot() -> float:
    return float((PROC / "uptime").read_text().split()[0])


@cache
def _ticks_per_second() -> int:
    return os.sysconf("SC_CLK_TCK")
