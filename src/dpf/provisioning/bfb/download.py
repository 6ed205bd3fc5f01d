"""Downloads beside the passes: a server that hangs, or a volume that does, occupies no worker of the controller.

`observe` asks what goes on and what is on the volume; the controller hands on the planner's intents. Each download is
a thread, for it blocks on network and disk. What is kept in memory here is lost with the process and harmless to lose:
the next process sees an unfinished file and its record, and goes on (docs/adr/0012).
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, assert_never

import msgspec

from dpf.provisioning.bfb import connecting, fetching, record
from dpf.provisioning.bfb.connecting import FetchError, Limits, Stop, Stopped
from dpf.provisioning.bfb.files import Found, Volume, VolumeError
from dpf.provisioning.bfb.partial import CHECKPOINT_BYTES, Owner, Partial
from dpf.provisioning.bfb.plan import End, Fetch, Inspect, Intent, Job, Publish, Remove
from dpf.provisioning.bfb.record import Failure
from dpf.provisioning.bfb.snapshot import Activity, Unreadable, Work
from dpf.runtime.clock import Clock
from dpf.runtime.mirrors import NONE, Mirrors
from dpf.runtime.reconciler import DriverError

R = TypeVar("R")

AT_ONCE: Final = 8
"""Downloads at the same time; further ones wait for their turn."""
STEP_PERCENT: Final = 10
STEP_S: Final = 5.0
"""Progress is told in such steps, and not more often."""
VOLUME_PATIENCE_S: Final = 10.0
_END_PATIENCE_S: Final = 10.0
_THREADS: Final = 4


@dataclass(slots=True, kw_only=True, eq=False)
class _Running:
    """One thing that goes on. `partial` appears when the file is open; `late`: it took longer than it may."""

    work: Work
    job: Job
    begun: float
    stop: Stop = field(default_factory=Stop)
    partial: Partial | None = None
    late: bool = False
    told_percent: int | None = None
    told_at: float = float("-inf")
    task: asyncio.Task[None] | None = None


class Downloads:
    """The downloads of one process onto one volume; use it in one event loop.

    `tls` makes the context for https; None means the system's authorities. `mirrors` stand for servers that BFBs name.
    """

    def __init__(
        self, volume: Volume, clock: Clock, *, limits: Limits = connecting.DEFAULT,
        tls: Callable[[], ssl.SSLContext] | None = None, checkpoint_bytes: int = CHECKPOINT_BYTES,
        mirrors: Mirrors = NONE,
    ) -> None:
        self._volume = volume
        self._clock = clock
        self._limits = limits
        self._tls = tls
        self._checkpoint_bytes = checkpoint_bytes
        self._mirrors = mirrors
        self._running: dict[str, _Running] = {}
        self._unsaved: dict[str, Failure] = {}
        self._long = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bfb-download")
        self._short = ThreadPoolExecutor(_THREADS, thread_name_prefix="bfb-volume")

    @property
    def tasks(self) -> tuple[asyncio.Task[None], ...]:
        """What goes on now."""
        return tuple(r.task for r in self._running.values() if r.task is not None and not r.task.done())

    def activity(self, uid: str) -> Activity | None:
        """What goes on for this BFB. Raises whatever a bug raised in it, once."""
        running = self._running.get(uid)
        if running is None:
            return None
        if running.task is not None and running.task.done():
            del self._running[uid]
            if not running.task.cancelled():
                running.task.result()
            return None
        return Activity(
            work=running.work, running_s=self._clock.monotonic() - running.begun, percent=self._percent(running),
            total=running.partial.total if running.partial is not None else None,
        )

    async def look(self, uid: str, file_name: str) -> Found | Unreadable:
        """What is on the volume. A volume that does not answer in time is unreadable."""
        try:
            found = await asyncio.wait_for(self._briefly(self._volume.look, uid, file_name), VOLUME_PATIENCE_S)
        except VolumeError as error:
            return Unreadable(why=str(error), retryable=error.retryable)
        except TimeoutError:
            return Unreadable(why=f"the BFB volume {self._volume.folder} does not answer", retryable=True)
        unsaved = self._unsaved.get(uid)
        if unsaved is None:
            return found
        remembered = msgspec.structs.replace(found.record, failure=unsaved)
        return Found(
            record=remembered, target=found.target, unfinished=found.unfinished, left_behind=found.left_behind
        )

    async def carry_out(self, intent: Intent) -> None:
        """What the planner wants. Repeating it is harmless. Raises DriverError."""
        try:
            match intent:
                case Fetch(job=job):
                    await self._start(Work.FETCHING, job, self._fetch)
                case Inspect(job=job):
                    await self._start(Work.INSPECTING, job, self._inspect)
                case Publish(job=job):
                    await self._briefly(self._volume.publish, job.uid, job.file_name)
                case End(job=job):
                    await self._end(job.uid)
                case Remove(job=job, with_target=with_target):
                    await self._end(job.uid)
                    await self._briefly(self._volume.remove, job.uid, job.file_name if with_target else None)
                    self._unsaved.pop(job.uid, None)
                case _:
                    assert_never(intent)
        except VolumeError as error:
            raise DriverError(str(error), retryable=error.retryable) from None

    async def aclose(self) -> None:
        """End everything, as a crash would, but wait for it."""
        for uid in list(self._running):
            with suppress(DriverError):
                await self._end(uid)
        self._long.shutdown(wait=False)
        self._short.shutdown(wait=False)

    async def _start(self, work: Work, job: Job, run: Callable[[_Running], None]) -> None:
        if self.activity(job.uid) is not None:
            return
        # An earlier object of this name may have gone without its finalizer: nobody else would end its download.
        for uid in [r.job.uid for r in self._running.values() if r.job.key == job.key]:
            await self._end(uid)
            await self._briefly(self._volume.remove, uid, None)
        running = self._running[job.uid] = _Running(work=work, job=job, begun=self._clock.monotonic())
        running.task = asyncio.create_task(self._accompany(running, run), name=f"{work} BFB {job.key}")

    async def _accompany(self, running: _Running, run: Callable[[_Running], None]) -> None:
        """Until the thread has ended. Whoever cancels this ends it."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._limits.total_s, self._expire, running)
        try:
            await asyncio.shield(loop.run_in_executor(self._long, run, running))
        finally:
            running.stop.set()
            timer.cancel()

    async def _end(self, uid: str) -> None:
        """Wait until nothing is written any more. Raises DriverError when that takes long."""
        running = self._running.get(uid)
        if running is None or running.task is None:
            return
        running.stop.set()
        done, _ = await asyncio.wait({running.task}, timeout=_END_PATIENCE_S)
        if not done:
            raise DriverError(f"the download of BFB {running.job.key} has not ended yet; it is asked again")
        self.activity(uid)

    def _expire(self, running: _Running) -> None:
        running.late = True
        running.stop.set()

    def _fetch(self, running: _Running) -> None:
        """In a thread: the whole attempt, and how it ended."""
        job = running.job
        if running.stop.is_set:
            return
        try:
            self._volume.clear(job.file_name)
            owner = Owner(uid=job.uid, file_name=job.file_name, source=record.source_of(job.url))
            running.partial = partial = Partial(self._volume, owner, checkpoint_bytes=self._checkpoint_bytes)
            try:
                self._fill(running, partial)
            finally:
                partial.close()
            self._unsaved.pop(job.uid, None)
        except (FetchError, VolumeError) as error:
            self._note(job, str(error), retryable=error.retryable)
        except Stopped:
            if running.late:
                hours = self._limits.total_s / 3600
                self._note(job, f"the download was not complete after {hours:.1f} hours", retryable=True)

    def _fill(self, running: _Running, partial: Partial) -> None:
        """Keep what a later attempt can use, and leave nothing else behind."""
        try:
            url = self._mirrors.apply(running.job.url)
            fetching.fetch(url, partial, running.stop, limits=self._limits, tls=self._tls)
            partial.finish(self._clock.now())
        except FetchError:
            if partial.validator:
                partial.checkpoint()
            else:
                partial.discard()
            raise
        except VolumeError:
            with suppress(VolumeError):
                partial.discard()
            raise

    def _inspect(self, running: _Running) -> None:
        """In a thread: read a file that was found."""
        job = running.job
        try:
            self._volume.inspect(job.uid, job.file_name, lambda: running.stop.is_set)
            self._unsaved.pop(job.uid, None)
        except VolumeError as error:
            self._note(job, str(error), retryable=error.retryable)

    def _note(self, job: Job, why: str, *, retryable: bool) -> None:
        """One more failure. On a volume that cannot be written to it is remembered in this process only."""
        now = self._clock.now()
        try:
            remembered = self._volume.load(job.uid)
        except OSError:
            remembered = record.Record()
        before = self._unsaved.get(job.uid) or remembered.failure
        if before is None:
            failure = record.first_failure(why, now, retryable=retryable)
        else:
            failure = before.again(why, now, retryable=retryable)
        self._unsaved[job.uid] = failure
        with suppress(VolumeError):
            self._volume.save(job.uid, msgspec.structs.replace(remembered, failure=failure))
            del self._unsaved[job.uid]

    def _percent(self, running: _Running) -> int | None:
        """Rises in steps, and not often: each one that is told costs a write."""
        partial = running.partial
        if partial is None or not partial.total:
            return None
        percent = partial.offset * 100 // partial.total // STEP_PERCENT * STEP_PERCENT
        if percent != running.told_percent and self._clock.monotonic() - running.told_at >= STEP_S:
            running.told_percent, running.told_at = percent, self._clock.monotonic()
        return running.told_percent

    async def _briefly(self, call: Callable[..., R], *arguments: Any) -> R:  # noqa: ANN401 - handed on
        """In a thread for what should take no time."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._short, functools.partial(call, *arguments))
