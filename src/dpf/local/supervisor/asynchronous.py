"""The supervisor for asyncio code: the same calls in a thread, and waiting for an end without polling.

Called by the platform and the local cluster manager. It adds no behaviour of its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from dpf.local.supervisor import procfs, termination
from dpf.local.supervisor.spec import ProcessSpec
from dpf.local.supervisor.supervisor import Ensured, Process, ProcessStatus, Supervisor
from dpf.local.supervisor.termination import Ended


class AsyncSupervisor:
    """The processes of one state folder; see `Supervisor` for what each call does and raises."""

    def __init__(self, state: Path) -> None:
        self._supervisor = Supervisor(state)

    async def ensure(self, spec: ProcessSpec) -> Ensured:
        """See `Supervisor.ensure`."""
        return await asyncio.to_thread(self._supervisor.ensure, spec)

    async def observe(self, name: str) -> Process | None:
        """See `Supervisor.observe`."""
        return await asyncio.to_thread(self._supervisor.observe, name)

    async def stop(self, names: Iterable[str]) -> tuple[Ended, ...]:
        """See `Supervisor.stop`."""
        return await asyncio.to_thread(self._supervisor.stop, names)

    async def stop_all(self) -> tuple[Ended, ...]:
        """See `Supervisor.stop_all`."""
        return await asyncio.to_thread(self._supervisor.stop_all)

    async def status(self) -> tuple[ProcessStatus, ...]:
        """See `Supervisor.status`."""
        return await asyncio.to_thread(self._supervisor.status)


async def ended(process: Process) -> int | None:
    """Return when `process` has ended: its exit code (minus the signal) if it was our child, else None."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    try:
        if procfs.present(process.pid, process.start_ticks) is not None:
            loop.add_reader(fd, over.set)
            await over.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)
    return termination.reap(process.pid, process.start_ticks)
