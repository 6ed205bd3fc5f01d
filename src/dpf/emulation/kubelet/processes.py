"""The local process behind a container: start it, find it again, ask it to end, learn how it ended.

Called by `podworker`. Built on the primitives of `local.supervisor`: a process is known by pid *and* start time, waited
for on a pidfd, and found again after our own death by marks in its environment. Where it differs from the supervisor:
a container may end at any time, its exit code matters, and it restarts by the rules of its pod.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dpf.emulation.kubelet.records import Exit, ProcessRef
from dpf.local.supervisor import launch, procfs, termination
from dpf.local.supervisor import spec as specs
from dpf.local.supervisor.errors import StartFailed
from dpf.local.supervisor.spec import ProcessSpec

NODE_MARK: Final = "DPF_NODE_STATE"
POD_MARK: Final = "DPF_POD_UID"
CONTAINER_MARK: Final = "DPF_CONTAINER"
START_ERROR_CODE: Final = 128
"""Exit code of a container whose program could not be executed, as container runtimes report it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One process to start. `env` is complete but for the marks; `netns` names a namespace under /run/netns."""

    pod_uid: str
    container: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    folder: Path
    log: Path
    netns: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A living process that an earlier kubelet of this node started."""

    pod_uid: str
    container: str
    process: ProcessRef


class Processes:
    """The processes of one node. `state` is the node's folder; `platform` marks everything of one platform."""

    def __init__(self, *, state: Path, platform: Path) -> None:
        self._state = state
        self._platform = platform

    def start(self, wanted: Launch) -> ProcessRef:
        """Start the program. Raises StartFailed with the reason in words."""
        program = _absolute(wanted.argv)
        marks = {
            NODE_MARK: str(self._state), POD_MARK: wanted.pod_uid, CONTAINER_MARK: wanted.container,
        }
        spec = ProcessSpec(
            name=f"pod.{wanted.pod_uid}.{wanted.container}", argv=(program, *wanted.argv[1:]), cwd=wanted.folder,
            log=wanted.log, env={**wanted.env, **marks}, netns=wanted.netns,
        )
        pid = launch.start(spec, self._platform)
        found = procfs.stat(pid)
        if found is None:
            raise StartFailed(f"{wanted.container}: the process was taken away as soon as it had started")
        return ProcessRef(pid=pid, start_ticks=found.start_ticks)

    def find_all(self) -> list[Found]:
        """Every living process of this node, whoever started it; for a kubelet that has just started.

        Only the leaders of sessions count: what a container's process started itself ends with its session.
        """
        found = []
        for stat in procfs.marked({NODE_MARK: str(self._state)}):
            marks = dict(entry.decode(errors="replace").partition("=")[::2] for entry in procfs.environment(stat.pid))
            if stat.session == stat.pid and POD_MARK in marks and CONTAINER_MARK in marks:
                process = ProcessRef(pid=stat.pid, start_ticks=stat.start_ticks)
                found.append(Found(pod_uid=marks[POD_MARK], container=marks[CONTAINER_MARK], process=process))
        return found

    def kill_strays(self, pod_uid: str | None = None) -> int:
        """SIGKILL what is left of one pod, or of the whole node; returns how many processes that were."""
        marks = {NODE_MARK: str(self._state)} | ({POD_MARK: pod_uid} if pod_uid else {})
        strays = list(procfs.marked(marks))
        for stat in strays:
            _signal(ProcessRef(pid=stat.pid, start_ticks=stat.start_ticks), signal.SIGKILL)
        return len(strays)


class Watcher:
    """Calls back when a process ends. Without a thread and without polling: the kernel marks its pidfd readable."""

    def __init__(self) -> None:
        self._watched: dict[ProcessRef, int] = {}

    def watch(self, process: ProcessRef, on_end: Callable[[ProcessRef], None]) -> None:
        """Have `on_end` called once from the event loop; also when the process has already ended."""
        if process in self._watched:
            return
        loop = asyncio.get_running_loop()
        try:
            fd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            loop.call_soon(on_end, process)
            return
        if not is_running(process):
            os.close(fd)
            loop.call_soon(on_end, process)
            return

        def ended() -> None:
            self._forget(process)
            on_end(process)

        self._watched[process] = fd
        loop.add_reader(fd, ended)

    def close(self) -> None:
        """Stop watching; the processes go on."""
        for process in list(self._watched):
            self._forget(process)

    def _forget(self, process: ProcessRef) -> None:
        fd = self._watched.pop(process)
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)


def is_running(process: ProcessRef) -> bool:
    """Whether it has not ended; a zombie has."""
    return procfs.alive(process.pid, process.start_ticks) is not None


def collect_exit(process: ProcessRef) -> Exit:
    """How it ended. The exit code of a process that an earlier kubelet started is not to be had."""
    now = datetime.now(UTC)
    code = termination.reap(process.pid, process.start_ticks)
    if code is None:
        message = "the container ended, but its exit code is unknown: it was started by an earlier run of this kubelet"
        return Exit(code=137, reason="ContainerStatusUnknown", at=now, message=message)
    if code < 0:
        return Exit(code=128 - code, reason="Error", at=now)
    return Exit(code=code, reason="Completed" if code == 0 else "Error", at=now)


def ask_to_end(process: ProcessRef) -> None:
    """SIGTERM to the container's first process; gone already is fine."""
    _signal(process, signal.SIGTERM)


def force_end(process: ProcessRef) -> None:
    """SIGKILL to it and to its whole process group."""
    if is_running(process):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def _signal(process: ProcessRef, number: signal.Signals) -> None:
    """Through a pidfd, so that a process which took the pid over is never hit."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if is_running(process):
            signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return
    finally:
        os.close(fd)


def _absolute(argv: tuple[str, ...]) -> str:
    if not argv:
        raise StartFailed("the image rule gives no program for this container")
    found = shutil.which(argv[0], path=specs.SEARCH_PATH)
    if found is None:
        raise StartFailed(f"exec: {argv[0]!r}: executable file not found in {specs.SEARCH_PATH}")
    return found
