"""Runs the controllers of a process: declares what they watch, lends workers, stops them in order.

`process` makes one and calls `run` once this process may write; scenario tests call `settle` instead, which works
through everything that is due, one pass at a time, in a fixed order. What a pass is, `pipeline` knows; when to look
again, `controller`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import structlog

from dpf.api.meta import Key, Object
from dpf.kube import client as port
from dpf.kube.clusters import HOST, Cluster, ClusterRegistry, Connected, Health, Unreachable
from dpf.runtime import faults, triggers, writes
from dpf.runtime.clock import Clock, SystemClock
from dpf.runtime.controller import Controller
from dpf.runtime.events import Recorder
from dpf.runtime.executor import Executor
from dpf.runtime.freshness import Freshness
from dpf.runtime.metrics import Metrics
from dpf.runtime.pipeline import Pipeline, Ports
from dpf.runtime.reconciler import Reconciler

_log = structlog.get_logger()

WORKERS: Final = 8
"""Passes of one controller at the same time."""
GRACE_S: Final = 5.0
"""How long passes may go on after a stop."""
_HOPS: Final = 40
"""Turns of the event loop in which a write to an in-process cluster has reached every cache and queue."""
_MAX_PASSES: Final = 10_000

Choose = Callable[[Sequence[Controller]], Controller]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a manager is made of besides its reconcilers; tests replace the clock, the randomness and the hooks."""

    clock: Clock = field(default_factory=SystemClock)
    random: Random = field(default_factory=Random)
    metrics: Metrics = field(default_factory=Metrics)
    workers: int = WORKERS
    may_write: Callable[[], bool] = writes.always
    after_write: faults.AfterWrite = faults.nothing


class NotSettling(Exception):
    """Passes went on and on: something is written in every one of them."""


class Manager:
    """All controllers of one process. Make it before the caches are started."""

    def __init__(
        self, clusters: ClusterRegistry, host: port.Client, reconcilers: Sequence[Reconciler[Any, Any]],
        settings: Settings | None = None,
    ) -> None:
        self._clusters = clusters
        self._host = host
        self._settings = settings or Settings()
        self._recorders: list[Recorder] = []
        self._stopping = asyncio.Event()
        self.controllers = tuple(self._build(reconciler) for reconciler in reconcilers)
        for controller in self.controllers:
            triggers.declare(clusters, controller)
        clusters.subscribe_health(self._measure_health)

    async def run(self) -> None:
        """Work until `stop`. Raises what ended a worker: that is a bug, and the process has to say so."""
        async with asyncio.TaskGroup() as group:
            recording = [group.create_task(recorder.run()) for recorder in self._recorders]
            async with asyncio.TaskGroup() as working:
                for controller in self.controllers:
                    working.create_task(self._run(controller), name=f"controller {controller.reconciler.name}")
            for task in recording:
                task.cancel()
            await self._drain()

    async def stop(self, running: asyncio.Task[None], grace_s: float = GRACE_S) -> None:
        """Start no more passes, let those that run end within `grace_s`, then cancel.

        `running` is the task of `run`.
        """
        self._stopping.set()
        for controller in self.controllers:
            controller.queue.shut_down()
        await asyncio.wait((running,), timeout=grace_s)
        if not running.done():
            _log.warning("passes did not end in time and are cancelled", seconds=grace_s)
            running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def settle(self, choose: Choose = lambda due: due[0]) -> int:
        """Work through all that is due, one pass at a time, until nothing is; returns the number of passes.

        For in-process clusters only, and never beside `run`: it relies on writes reaching the caches without real time.
        `choose` picks among the controllers that have something due. Raises NotSettling.
        """
        for passes in range(_MAX_PASSES):
            await self._quiesce()
            due = [c for c in self.controllers if c.queue.next_due_s() == 0 and self.is_synced(c)]
            if not due:
                await self._drain()
                return passes
            controller = choose(due)
            key = controller.queue.take()
            if key is not None:
                await controller.work(key)
        names = ", ".join(c.reconciler.name for c in due)
        raise NotSettling(f"still due after {_MAX_PASSES} passes: {names}; last {key}")

    @property
    def kinds(self) -> frozenset[type[Object]]:
        """The kinds of the host cluster without which some controller does not work."""
        return frozenset(kind for controller in self.controllers for kind in controller.kinds)

    def is_synced(self, controller: Controller) -> bool:
        """Whether everything that `controller` reads in the host cluster is cached."""
        return self._clusters.host.cache.is_synced(*controller.kinds)

    def _build(self, reconciler: Reconciler[Any, Any]) -> Controller:
        settings, cache = self._settings, self._clusters.host.cache
        gate = writes.Writes(
            reconciler.name, metrics=settings.metrics, may_write=settings.may_write, after_write=settings.after_write
        )
        recorder = Recorder(self._host, component=reconciler.name, clock=settings.clock, metrics=settings.metrics)
        self._recorders.append(recorder)
        freshness = Freshness(settings.clock)
        executor = Executor(
            connect=self._connect, drive=reconciler.drive, field_owner=reconciler.field_owner, writes=gate
        )
        pipeline = Pipeline(reconciler, Ports(
            client=self._host, cache=cache, executor=executor, writes=gate, recorder=recorder, freshness=freshness,
            clock=settings.clock,
        ))
        return Controller(
            reconciler, pipeline, cache=cache, freshness=freshness, metrics=settings.metrics, clock=settings.clock,
            random=settings.random.random,
        )

    async def _run(self, controller: Controller) -> None:
        await self._synced_or_stopping(controller)
        name = controller.reconciler.name
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(controller.reconciler.workers or self._settings.workers):
                    group.create_task(controller.run_worker(), name=f"{name} worker {number}")
        finally:
            await controller.reconciler.aclose()

    async def _synced_or_stopping(self, controller: Controller) -> None:
        """A cache that never becomes complete (a CRD is missing) must not hold up the end of the process."""
        synced = asyncio.ensure_future(self._clusters.host.cache.wait_synced(*controller.kinds))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((synced, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            synced.cancel()
            stopping.cancel()

    def _connect(self, key: Key) -> port.Client | str:
        if key == HOST:
            return self._host
        found = self._clusters.get(key)
        return found.client if isinstance(found, Cluster) else _why(found)

    def _measure_health(self, key: Key, _old: Health, new: Health | None) -> None:
        if new is None:
            self._settings.metrics.forget_cluster(str(key))
        else:
            self._settings.metrics.connected.labels(str(key)).set(isinstance(new, Connected))

    async def _drain(self) -> None:
        for recorder in self._recorders:
            await recorder.drain()

    @staticmethod
    async def _quiesce() -> None:
        for _ in range(_HOPS):
            await asyncio.sleep(0)


def _why(unreachable: Unreachable) -> str:
    return unreachable.why
