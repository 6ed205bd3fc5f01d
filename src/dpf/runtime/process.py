"""A process that runs controllers: clusters, leader election, probes, signals and an orderly end.

`dpf run ...` calls `execute(run(...))`; which controllers there are is the caller's business. Order of a life: connect
to the host, serve probes, fill the caches, become the leader, work; on SIGTERM or SIGINT finish the running passes,
release the Lease, leave with 0. A leader that cannot renew its Lease leaves at once with 3, for another process may be
about to start.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import structlog

from dpf.api.meta import Object
from dpf.kube import client as port
from dpf.kube import errors, http
from dpf.kube import kubeconfig as kubeconfigs
from dpf.kube.clusters import ClusterRegistry
from dpf.runtime import faults, identity, writes
from dpf.runtime.clock import Clock, SystemClock
from dpf.runtime.clusterfollower import ClusterFollower
from dpf.runtime.election import Elector
from dpf.runtime.health import AddressError, HealthServer
from dpf.runtime.manager import Manager, Settings
from dpf.runtime.metrics import Metrics
from dpf.runtime.reconciler import Reconciler

_log = structlog.get_logger()

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_AGAIN: Final = 3
"""It worked and had to leave, because the Lease was lost or by a bug: whoever runs it should start it again."""
_GC_THRESHOLD: Final = (50_000, 20, 50)
"""Objects of a controller live long; collecting them again and again finds nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What controllers are made from: the host's client, all clusters, the clock, DPF's own namespace."""

    host: port.Client
    clusters: ClusterRegistry
    clock: Clock
    namespace: str


ControllersFactory = Callable[[World], Sequence[Reconciler[Any, Any]]]


def execute(main: Coroutine[Any, Any, int]) -> int:
    """Run `main` on uvloop where it is installed, else on the standard event loop; returns its exit code."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def run(
    controllers_factory: ControllersFactory, *, kubeconfig: str | None, metrics_address: str, leader_election: bool,
    name: str, namespace: str,
) -> int:
    """Run until a signal; returns the exit code.

    `kubeconfig` None means the usual places. `metrics_address` is host:port, "" for no server. `name` and `namespace`
    are those of the Lease; the namespace is DPF's own.
    """
    try:
        host = http.HTTPClient(kubeconfigs.load(kubeconfig), name="host")
    except errors.CredentialsError as error:
        _log.error("cannot connect to the host cluster", error=str(error))
        return EXIT_FAILED
    return await serve(
        controllers_factory, host, metrics_address=metrics_address, leader_election=leader_election, name=name,
        namespace=namespace,
    )


async def serve(
    controllers_factory: ControllersFactory, host: port.Client, *, metrics_address: str, leader_election: bool,
    name: str, namespace: str, clusters: ClusterRegistry | None = None,
) -> int:
    """`run` with a given client of the host, which is closed at the end."""
    process = Process(controllers_factory, host, clusters or ClusterRegistry(host), namespace=namespace)
    if leader_election:
        process.elect(namespace, name)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(host.aclose)
        stack.push_async_callback(process.clusters.aclose)
        if metrics_address:
            try:
                server = process.health_server(metrics_address)
                await server.start()
            except (AddressError, OSError) as error:
                _log.error("cannot serve probes", address=metrics_address, error=str(error))
                return EXIT_FAILED
            stack.push_async_callback(server.stop)
        return await process.run()


class Process:
    """The parts of one process. Runs once."""

    def __init__(
        self, factory: ControllersFactory, host: port.Client, clusters: ClusterRegistry, *, namespace: str,
        clock: Clock | None = None,
    ) -> None:
        self.clusters = clusters
        self.metrics = Metrics()
        self._clock: Clock = clock or SystemClock()
        self._random = Random()  # noqa: S311 - spreads load and names processes, guards nothing
        self._host = host
        self._elector: Elector | None = None
        self._running: asyncio.Task[None] | None = None
        self._follower = ClusterFollower(clusters)
        self._manager = Manager(
            clusters, host, factory(World(host=host, clusters=clusters, clock=self._clock, namespace=namespace)),
            Settings(
                clock=self._clock, random=self._random, metrics=self.metrics, may_write=self._may_write,
                after_write=faults.after_write(os.environ),
            ),
        )

    def elect(self, namespace: str, name: str) -> None:
        """Work only while holding the Lease `namespace`/`name`."""
        self._elector = Elector(
            self._host, namespace=namespace, name=name, identity=identity.new_identity(self._random.random),
            clock=self._clock, random=self._random.random, is_gone=identity.is_gone,
        )

    def health_server(self, address: str) -> HealthServer:
        """The server of probes and metrics. Raises AddressError."""
        return HealthServer(address=address, metrics=self.metrics, alive=self.alive, ready=self.ready)

    def alive(self) -> str | None:
        """What ended that cannot come back by itself, if anything."""
        running = self._running
        return "the controllers have stopped" if running is not None and running.done() else None

    def ready(self) -> str | None:
        """Which caches are not complete yet, if any. A standby is ready too."""
        cache, needed = self.clusters.host.cache, self._manager.kinds
        missing = [store.kind for store in cache.stores if store.kind in needed and not store.synced]
        return f"not synced: {', '.join(map(_describe, missing))}" if missing else self.alive()

    async def run(self) -> int:
        """Work until a signal, a lost Lease or a bug; returns the exit code."""
        gc.set_threshold(*_GC_THRESHOLD)
        with _signals() as stop:
            self.clusters.start()
            life = asyncio.create_task(self._live(), name="life")
            stopping = asyncio.create_task(stop.wait(), name="signal")
            await asyncio.wait((life, stopping), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            return await (self._fail(life) if life.done() else self._shut_down(life))

    async def _live(self) -> None:
        """Everything from the first list on. Ends only by a bug, or by losing the Lease."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follower.run(), name="cluster follower")
            group.create_task(self._freeze(), name="first sync")
            if self._elector is not None:
                leader = self.metrics.leader.labels(self._elector.name)
                leader.set(0)
                await self._elector.acquire()
                leader.set(1)
                group.create_task(self._keep_leading(self._elector), name="leader election")
            self._running = group.create_task(self._manager.run(), name="manager")

    async def _freeze(self) -> None:
        """What the first lists made stays; the collector need not look at it again."""
        await self.clusters.host.cache.wait_synced(*self._manager.kinds)
        gc.freeze()
        _log.info("caches are complete")

    async def _keep_leading(self, elector: Elector) -> None:
        why = await elector.keep()
        self.metrics.leader.labels(elector.name).set(0)
        raise writes.LeadershipLost(why)

    async def _fail(self, life: asyncio.Task[None]) -> int:
        """Stop at once: what ended is either a bug, or leadership, and then nothing may be finished."""
        error = life.exception()
        _log.critical("leaving", error=_reason(error), exc_info=error)
        if self._running is not None:
            await self._manager.stop(self._running, grace_s=0.0)
        return EXIT_AGAIN

    async def _shut_down(self, life: asyncio.Task[None]) -> int:
        """End of a healthy process: no new passes, the running ones finish, then the Lease goes."""
        _log.info("stopping")
        if self._running is not None:
            await self._manager.stop(self._running)
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        if self._elector is not None:
            await self._elector.release()
        return EXIT_OK

    def _may_write(self) -> bool:
        return self._elector is None or self._elector.may_write()


@contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set. A second one ends the process the hard way."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def caught() -> None:
        if stop.is_set():
            os._exit(EXIT_FAILED)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, caught)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _describe(kind: type[Object]) -> str:
    return kind.resource.qualified_name


def _reason(error: BaseException | None) -> str:
    """The first real cause inside nested groups of tasks."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) if isinstance(error, writes.LeadershipLost) else repr(error)
