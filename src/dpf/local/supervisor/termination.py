"""End processes, surely and without busy waiting: signal, wait on pidfds, SIGKILL what outlives its time.

Called by `supervisor`. A pidfd refers to one process for ever, so a recycled pid is never signalled.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from dpf.local.supervisor import procfs

KILL_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One process to be ended: how it is asked, and how long it may take before SIGKILL."""

    name: str
    pid: int
    start_ticks: int
    stop_signal: signal.Signals
    timeout_s: float
    stage: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of a target. `killed` tells that it had to be SIGKILL, `gone` that it has really ended."""

    name: str
    pid: int
    seconds: float
    killed: bool
    gone: bool


def end(targets: Sequence[Target]) -> tuple[Ended, ...]:
    """End all targets at the same time; returns when the last has ended, or outlived SIGKILL by KILL_TIMEOUT_S."""
    with ExitStack() as stack:
        running = [(target, stack.enter_context(_opened(target))) for target in targets]
        waiting = {fd: target for target, fd in running if fd is not None and _send(fd, target.stop_signal)}
        began = time.monotonic()
        deadlines = {fd: began + target.timeout_s for fd, target in waiting.items()}
        ended = _wait(waiting, deadlines, began)
        late = {fd: target for fd, target in waiting.items() if fd not in ended}
        for fd in late:
            _send(fd, signal.SIGKILL)
        again = time.monotonic() + KILL_TIMEOUT_S
        killed = _wait(late, dict.fromkeys(late, again), began)
    now = time.monotonic() - began
    return tuple(
        Ended(name=target.name, pid=target.pid, seconds=ended.get(fd, killed.get(fd, now)), killed=fd in late,
              gone=fd in ended or fd in killed)
        for fd, target in waiting.items()
    )


def reap(pid: int, start_ticks: int) -> int | None:
    """Collect the exit status if this process is a child of ours that has ended: the exit code, or minus the signal.

    Another child that has its pid by now is somebody else's to collect.
    """
    seen = procfs.stat(pid)
    if seen is None or seen.start_ticks != start_ticks:
        return None
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if found else None


@contextmanager
def _opened(target: Target) -> Iterator[int | None]:
    """A pidfd of the target, or None when it is not there any more."""
    try:
        fd = os.pidfd_open(target.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        # Only after opening is it certain that what was checked is what the descriptor refers to.
        there = procfs.present(target.pid, target.start_ticks) is not None
        if not there:
            reap(target.pid, target.start_ticks)
        yield fd if there else None
    finally:
        os.close(fd)


def _send(fd: int, number: signal.Signals) -> bool:
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    return True


def _wait(waiting: dict[int, Target], deadlines: dict[int, float], began: float) -> dict[int, float]:
    """Wait until each process has ended or its deadline has passed; seconds since `began` by pidfd of what ended."""
    ended: dict[int, float] = {}
    poll = select.poll()
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    pending = set(waiting)
    while pending:
        left = min(deadlines[fd] for fd in pending) - time.monotonic()
        ready = {fd for fd, _ in poll.poll(max(0.0, left) * 1000)}
        now = time.monotonic()
        for fd in ready:
            ended[fd] = now - began
            reap(waiting[fd].pid, waiting[fd].start_ticks)
        late = {fd for fd in pending - ready if deadlines[fd] <= now}
        for fd in ready | late:
            poll.unregister(fd)
        pending -= ready | late
    return ended
