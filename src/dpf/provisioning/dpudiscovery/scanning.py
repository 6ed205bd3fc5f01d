"""Scans of ranges of addresses beside the passes: an address that hangs occupies no worker of the controller.

The controller starts them, and asks how they stand. What is kept in memory is lost with the process and harmless to
lose: the range is scanned again, and what is known already is passed over. No password is in any result.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from dpf.provisioning.dpudiscovery.snapshot import Card, Job, Scan
from dpf.provisioning.install.port import Cause, Silence
from dpf.provisioning.install.redfish import discovery
from dpf.provisioning.install.redfish.discovery import Foreign, Found, Probed
from dpf.provisioning.install.redfish.transport import DEFAULT, Limits, Transport
from dpf.runtime.clock import Clock

ABANDONED_S: Final = 120.0
"""A scan that nobody asks about is of an object that has gone."""
PACE_S: Final = 0.002
"""Between two addresses: where nothing is, the answer may be there at once; a scan leaves time for others."""
REFUSED_S: Final = 3000.0
"""So long a password is not tried again where it was refused: BMCs lock accounts that are guessed at."""
_KEPT_S: Final = 7200.0
_NAMED: Final = 8
"""Addresses of one kind that are told."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Running:
    """One scan. `asked_at` is when somebody wanted to know about it last."""

    job: Job
    asked_at: float
    next_at: float = 0.0
    asked: int = 0
    cards: list[Card] = field(default_factory=list)
    foreign: int = 0
    silent: int = 0
    rejected: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    ended: datetime | None = None
    task: asyncio.Task[None] | None = None


class Scans:
    """The scans of one process; use it in one event loop, `aclose` at the end."""

    def __init__(self, clock: Clock, *, limits: Limits = DEFAULT, probe_s: float = discovery.PROBE_S) -> None:
        self._clock = clock
        self._transport = Transport(lambda: None, limits=limits)
        self._probe_s = probe_s
        self._running: dict[str, _Running] = {}
        self._refused: dict[str, tuple[str, float]] = {}
        """Digest of the password, and until when it is not tried, by address."""

    @property
    def tasks(self) -> tuple[asyncio.Task[None], ...]:
        """What goes on now."""
        return tuple(one.task for one in self._running.values() if one.task is not None and not one.task.done())

    def scan(self, uid: str) -> Scan | None:
        """How the last scan of this object stands. Raises whatever a bug raised in it, once."""
        found = self._running.get(uid)
        if found is None:
            return None
        found.asked_at = self._clock.monotonic()
        if found.task is not None and found.task.done() and found.ended is None:
            del self._running[uid]
            if not found.task.cancelled():
                found.task.result()
            return None
        return Scan(
            generation=found.job.generation, total=found.job.last - found.job.first + 1, asked=found.asked,
            cards=tuple(found.cards), foreign=found.foreign, silent=found.silent, rejected=tuple(found.rejected),
            unreadable=tuple(found.unreadable), ended=found.ended,
        )

    async def start(self, job: Job) -> None:
        """Begin a scan, unless this one is under way. One of an earlier generation ends."""
        self._clear()
        before = self._running.get(job.uid)
        if before is not None and before.ended is None and before.job.generation == job.generation:
            return
        if before is not None and before.task is not None:
            before.task.cancel()
        running = _Running(job=job, asked_at=self._clock.monotonic())
        running.task = asyncio.create_task(self._scan(running), name=f"scan of DPUDiscovery {job.key}")
        self._running[job.uid] = running

    async def aclose(self) -> None:
        """End everything."""
        tasks = self.tasks
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._transport.aclose()

    async def _scan(self, running: _Running) -> None:
        """So many workers share one stream of addresses."""
        addresses = _addresses(running.job)
        async with asyncio.TaskGroup() as group:
            for _ in range(running.job.workers):
                group.create_task(self._work(running, addresses))
        if not self._is_abandoned(running):
            running.ended = self._clock.now()

    async def _work(self, running: _Running, addresses: Iterator[str]) -> None:
        for address in addresses:
            await _pace(running)
            _note(running, address, await self._probe(running.job, address))
            running.asked += 1
            if self._is_abandoned(running):
                return

    async def _probe(self, job: Job, address: str) -> Probed:
        where = f"{address}:{job.port}"
        digest, until = self._refused.get(where, ("", 0.0))
        if digest == _digest(job.password) and self._clock.monotonic() < until:
            return Silence(cause=Cause.REJECTED, why=f"the BMC at {where} did not accept the password a while ago")
        probed = await discovery.probe(self._transport, where, job.password, limit_s=self._probe_s)
        if isinstance(probed, Silence) and probed.cause is Cause.REJECTED:
            self._refused[where] = (_digest(job.password), self._clock.monotonic() + REFUSED_S)
        return probed

    def _is_abandoned(self, running: _Running) -> bool:
        return self._clock.monotonic() - running.asked_at > ABANDONED_S

    def _clear(self) -> None:
        """Forget scans of objects that have gone."""
        now = self._clock.monotonic()
        for uid, one in list(self._running.items()):
            if one.task is not None and one.task.done() and now - one.asked_at > _KEPT_S:
                del self._running[uid]
        for where, (_, until) in list(self._refused.items()):
            if until <= now:
                del self._refused[where]


def _digest(password: str) -> str:
    """Tells passwords apart; kept in memory only."""
    return hashlib.sha256(password.encode()).hexdigest()


def _addresses(job: Job) -> Iterator[str]:
    for number in range(job.first, job.last + 1):
        address = str(ipaddress.IPv4Address(number))
        if address not in job.known:
            yield address


async def _pace(running: _Running) -> None:
    """The workers of a scan begin one after the other."""
    now = asyncio.get_running_loop().time()
    running.next_at = max(running.next_at + PACE_S, now)
    await asyncio.sleep(running.next_at - now)


def _note(running: _Running, address: str, probed: Probed) -> None:
    if isinstance(probed, Found):
        running.cards.append(Card(address=address, serial=probed.serial))
    elif isinstance(probed, Foreign):
        running.foreign += 1
    elif probed.cause is Cause.UNREACHABLE:
        running.silent += 1
    else:
        named = running.rejected if probed.cause is Cause.REJECTED else running.unreadable
        if len(named) < _NAMED:
            named.append(address)
