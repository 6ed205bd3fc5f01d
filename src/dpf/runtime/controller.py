"""One running controller: a queue of keys, the pass over each, and what its result means for the queue.

`manager` makes one per reconciler and lends it workers. The only place where an unexpected exception of a pass is
caught: it is logged with its traceback and counted, the key backs off, and the process lives on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog

from dpf.api.meta import Key, Object, object_key
from dpf.kube import errors
from dpf.kube.cache import Cache
from dpf.runtime import result as results
from dpf.runtime.clock import Clock
from dpf.runtime.freshness import Freshness
from dpf.runtime.metrics import Metrics
from dpf.runtime.pipeline import Pipeline
from dpf.runtime.queue import Queue, ShutDown
from dpf.runtime.reconciler import Reconciler
from dpf.runtime.writes import LeadershipLost

AnyReconciler = Reconciler[Any, Any]

ALL: Final = Key("*", "*")
"""Stands in the queue for every root there is; no object can have this name."""
_BUG: Final = "error"


class Controller:
    """Runs the passes of one reconciler. `random` yields floats in [0, 1)."""

    def __init__(
        self, reconciler: AnyReconciler, pipeline: Pipeline, *, cache: Cache, freshness: Freshness, metrics: Metrics,
        clock: Clock, random: Callable[[], float],
    ) -> None:
        self.reconciler = reconciler
        self.queue: Queue[Key] = Queue(clock=clock, random=random)
        self._pipeline = pipeline
        self._cache = cache
        self._freshness = freshness
        self._metrics = metrics
        self._clock = clock
        self._random = random
        self._log = structlog.get_logger().bind(controller=reconciler.name)
        metrics.depth.labels(reconciler.name).set_function(lambda: len(self.queue))

    @property
    def kinds(self) -> tuple[type[Object], ...]:
        """The kinds of the host cluster that must be cached before the first pass."""
        return (
            self.reconciler.kind,
            *(w.kind for w in self.reconciler.watches if not w.everywhere and not w.optional),
        )

    def enqueue(self, keys: Iterable[Key]) -> None:
        """Look at these roots."""
        for key in keys:
            self.queue.add(key)

    def enqueue_all(self) -> None:
        """Look at every root."""
        self.queue.add(ALL)

    def root_changed(self, old: Object | None, new: Object | None) -> None:
        """Cache callback of the reconciled kind: every change needs a look, except the echo of our own status."""
        root = new if new is not None else old
        if root is None:
            return
        key = object_key(root)
        if new is None or not self._freshness.is_echo(key, new.metadata.resourceVersion or ""):
            self.queue.add(key)

    async def run_worker(self) -> None:
        """Work until the queue is shut down."""
        while True:
            try:
                key = await self.queue.get()
            except ShutDown:
                return
            await self.work(key)

    async def work(self, key: Key) -> None:
        """One pass over a key that the queue handed out."""
        started = self._clock.monotonic()
        label = _BUG
        try:
            result = await self._result(key)
            label = result.label
            self._plan_next(key, result)
        except LeadershipLost as error:
            self._log.warning("pass abandoned", object=str(key), error=str(error))
            self.queue.retry(key)
        except Exception:  # noqa: BLE001 - one broken pass must not end the process
            self._log.exception("pass failed because of a bug", object=str(key))
            self.queue.retry(key)
        finally:
            self.queue.done(key)
            self._metrics.reconciled(self.reconciler.name, label, self._clock.monotonic() - started)

    async def _result(self, key: Key) -> results.Result:
        try:
            if key == ALL:
                self.enqueue(self._cache.store(self.reconciler.kind).keys())
                return results.Absent()
            return await self._pipeline.run(key)
        except errors.Error as error:
            return results.Retry(str(error))

    def _plan_next(self, key: Key, result: results.Result) -> None:
        match result:
            case results.Retry(error):
                delay_s = self.queue.retry(key)
                self._log.warning("pass failed", object=str(key), error=error, retry_after_s=round(delay_s, 1))
            case results.Outdated(why):
                delay_s = self.queue.retry(key)
                self._log.info("looking again", object=str(key), why=why, retry_after_s=round(delay_s, 1))
            case results.Held(for_s):
                self.queue.add_after(key, for_s)
            case results.Absent():
                self.queue.forget(key)
            case results.Wait(after_s, _) if after_s is not None:
                self.queue.forget(key)
                self.queue.add_after(key, min(after_s, self._resync_s()))
            case results.Done() | results.Wait() | results.Stuck():
                self.queue.forget(key)
                self.queue.add_after(key, self._resync_s())

    def _resync_s(self) -> float:
        """Spread, so that objects made together do not come back together."""
        return self.reconciler.resync_s * (0.9 + 0.2 * self._random())
