"""One pod on this node: a loop that looks at everything, decides with `podplan`, acts, and reports.

`agent` makes one worker per pod (by uid). A worker may be cancelled, or its process killed, at any point: containers go
on running, the record on disk and the marks in their environment are what the next worker continues from. It keeps only
what can be found out again: probes, deadlines of stops, fetched sources.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import structlog

from dpf.api import core
from dpf.emulation.kubelet import podfolder, podplan, podstatus, processes, records, volumes
from dpf.emulation.kubelet.addresses import NoAddressLeft
from dpf.emulation.kubelet.containers import ContainerStarter
from dpf.emulation.kubelet.network import NetworkError, PodNetwork
from dpf.emulation.kubelet.podplan import Health, PodPlan, Waiting
from dpf.emulation.kubelet.podreport import PodGone, PodReporter
from dpf.emulation.kubelet.podsources import PodSources
from dpf.emulation.kubelet.probes import PodProbes, Probed
from dpf.emulation.kubelet.processes import Found, Processes, Watcher
from dpf.emulation.kubelet.records import Exit, PodRecord, ProcessRef
from dpf.emulation.kubelet.retry import Retry
from dpf.emulation.kubelet.sources import MissingReference
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.local import files
from dpf.local.supervisor.errors import StartFailed
from dpf.runtime.clock import Clock

_LOG: Final = structlog.get_logger(__name__)
_MIN_GRACE_S: Final = 1.0
_ORPHAN_GRACE_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What the workers of one node share."""

    name: str
    host_ip: str
    folder: Path
    client: Client
    network: PodNetwork
    processes: Processes
    watcher: Watcher
    clock: Clock
    starter: ContainerStarter


@dataclass(slots=True)
class _Live:
    """What a worker holds in memory only."""

    netns: str | None = None
    attached: bool = False
    stops: dict[str, datetime] = field(default_factory=dict)
    unprepared: dict[str, Waiting] = field(default_factory=dict)
    unconfigured: dict[str, Waiting] = field(default_factory=dict)
    prepare: Retry = field(default_factory=Retry)
    configure: Retry = field(default_factory=Retry)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What follows a look: the end of the worker, or another look at `wake_at` (None: only when something changes)."""

    finished: bool = False
    wake_at: datetime | None = None


class PodWorker:
    """The loop of one pod. `allocate` gives an address that no other pod of the node has."""

    def __init__(self, pod: core.Pod, node: Node, *, allocate: Callable[[], str], found: Iterable[Found] = ()) -> None:
        self._pod = pod
        self._node = node
        self._allocate = allocate
        self._folder = podfolder.of_pod(node.folder, pod)
        self._record = records.load(self._folder)
        self._found = {item.container: item.process for item in found}
        self._is_known = False
        self._sources = PodSources(node.client)
        self._reporter = PodReporter(node.client, node.clock)
        self._probes = PodProbes(node.clock, self._wake)
        self._live = _Live()
        self._gone_since: datetime | None = None
        self._changed = asyncio.Event()
        self._changed.set()

    @property
    def pod(self) -> core.Pod:
        """The pod as it was last seen or reported."""
        return self._pod

    @property
    def ip(self) -> str | None:
        """The pod's own address, once it has one."""
        return self._record.ip if self._record and not self._pod.spec.hostNetwork else None

    def log_file(self, container: str, *, previous: bool) -> Path | None:
        """The log of the container's current life, or of the one before; None when there is none."""
        history = self._record.container(container) if self._record else records.ContainerRecord()
        life = history.previous if previous else history.life
        return podfolder.log(self._folder, container, life.attempt) if life and life.process else None

    def is_running(self, container: str) -> bool:
        """Whether the container runs."""
        return self._record is not None and self._record.container(container).is_running

    def update(self, pod: core.Pod) -> None:
        """The API server has a newer version of the pod."""
        self._pod = pod
        self._changed.set()

    def orphan(self) -> None:
        """The API server has no such pod any more: end what runs, report to nobody."""
        self._gone_since = self._gone_since or self._node.clock.now()
        self._changed.set()

    async def run(self) -> None:
        """Until the pod is gone from this node. Cancellation leaves its containers running."""
        try:
            while True:
                self._changed.clear()
                look = await self._look()
                if look.finished:
                    return
                await self._wait(look.wake_at)
        finally:
            await self._probes.close()

    async def _look(self) -> _Look:
        """One look at the pod: observe, plan, act, report."""
        if self._ensure_record() is None:
            return _Look(wake_at=self._live.prepare.at)
        self._observe_exits()
        await self._prepare()
        await self._act(self._plan())
        plan = self._plan()
        reported = await self._report(plan)
        finished = plan.finished and (reported or self._gone_since is not None) and await self._finish()
        return _Look(finished=finished, wake_at=self._next_wake(plan))

    def _ensure_record(self) -> PodRecord | None:
        """The record, with everything that an earlier kubelet started taken over; None without an address."""
        if self._is_known:
            return self._record
        if self._record is None and (ip := self._choose_ip()) is not None:
            meta = self._pod.metadata
            files.ensure_private_folder(self._folder)
            self._save(PodRecord(
                uid=meta.uid or "", namespace=meta.namespace or "", name=meta.name,
                started_at=self._node.clock.now(), ip=ip,
            ))
        if self._record is None:
            return None
        if self._found:
            self._save(records.adopt(self._record, self._found, self._node.clock.now()))
        self._watch_running()
        self._is_known = True
        return self._record

    def _choose_ip(self) -> str | None:
        """The pod's address; None when the node has none left (asked again later)."""
        if self._pod.spec.hostNetwork:
            return self._node.host_ip
        try:
            return self._allocate()
        except NoAddressLeft as error:
            _LOG.warning("pod has to wait", object=self._name, why=str(error))
            self._live.prepare.failed(self._node.clock.now())
            return None

    def _watch_running(self) -> None:
        for history in self._current.containers.values():
            process = history.life.process if history.life and history.is_running else None
            if process is not None:
                self._node.watcher.watch(process, self._on_end)

    def _on_end(self, process: ProcessRef) -> None:  # noqa: ARG002 - the next look finds out which
        self._wake()

    def _wake(self) -> None:
        self._changed.set()

    def _observe_exits(self) -> None:
        for name, history in self._current.containers.items():
            process = history.life.process if history.life and history.is_running else None
            if process is not None and not processes.is_running(process):
                self._ended(name, processes.collect_exit(process))

    async def _prepare(self) -> None:
        """Network, sources and volumes, as far as something has still to be started, or they have become old."""
        now, live = self._node.clock.now(), self._live
        if self._is_ending or self._is_over or not live.prepare.is_due(now):
            return
        if live.unconfigured and live.configure.is_due(now):
            live.unconfigured = {}
            self._sources.expire()
        if live.attached and not self._sources.is_due(now):
            return
        try:
            if not live.attached:
                live.netns = await self._attach()
                live.attached = True
                self._report_unsupported()
            await self._sources.refresh(self._pod, now)
            self._node.starter.write_volumes(self._pod, self._current, self._sources.value, self._folder)
        except (MissingReference, NetworkError, errors.Error, OSError) as error:
            live.prepare.failed(now)
            why = Waiting(reason="ContainerCreating", message=_words(error))
            live.unprepared = dict.fromkeys(self._containers(), why)
        else:
            live.prepare.succeeded()
            live.unprepared = {}

    def _report_unsupported(self) -> None:
        for line in volumes.find_unsupported(self._pod):
            _LOG.warning(line, object=self._name)

    async def _attach(self) -> str | None:
        """The pod's namespace; a hostNetwork pod has its node's."""
        if self._pod.spec.hostNetwork:
            return self._node.network.node_netns
        return await self._node.network.ensure_pod(self._current.uid, self._current.ip)

    def _plan(self) -> PodPlan:
        pod = self._pod
        if self._gone_since is not None:
            deadline = self._gone_since + timedelta(seconds=_ORPHAN_GRACE_S)
            pod = msgspec.structs.replace(
                pod, metadata=msgspec.structs.replace(pod.metadata, deletionTimestamp=deadline.isoformat())
            )
        trouble = {**self._live.unconfigured, **self._live.unprepared}
        return podplan.plan(pod, self._current, self._health(), trouble, self._node.clock.now())

    async def _act(self, plan: PodPlan) -> None:
        for stop in plan.stop:
            self._stop(stop)
        for name in plan.start:
            self._start(name)
        await self._probes.align(self._probed())

    def _stop(self, stop: podplan.Stop) -> None:
        """Ask once; force when the time is over."""
        now = self._node.clock.now()
        life = self._current.container(stop.container).life
        if life is None or life.process is None:
            self._ended(stop.container, Exit(code=0, reason="Completed", at=now))
        elif stop.container not in self._live.stops:
            _LOG.info("stopping container", object=self._name, container=stop.container, why=stop.because)
            self._live.stops[stop.container] = max(stop.deadline, now + timedelta(seconds=_MIN_GRACE_S))
            processes.ask_to_end(life.process)
        elif self._live.stops[stop.container] <= now:
            self._live.stops[stop.container] = now + timedelta(seconds=_MIN_GRACE_S)
            processes.force_end(life.process)

    def _start(self, name: str) -> None:
        """Begin the container's next life; what cannot be started has ended at once."""
        now = self._node.clock.now()
        history = self._current.container(name)
        log = podfolder.log(self._folder, name, history.life.attempt + 1 if history.life else 0)
        try:
            started = self._node.starter.start(
                self._pod, self._current, self._containers()[name], self._sources.value, folder=self._folder, log=log,
                netns=self._live.netns,
            )
        except MissingReference as error:
            self._live.unconfigured[name] = Waiting(reason="CreateContainerConfigError", message=str(error))
            self._live.configure.failed(now)
            return
        except StartFailed as error:
            failure = Exit(code=processes.START_ERROR_CODE, reason="StartError", at=now, message=str(error))
            self._save_container(name, records.ended(records.began(history, None, now), failure))
            return
        record = records.began(history, started.process, now)
        self._save_container(name, records.ended(record, started.exit) if started.exit else record)
        if started.process is not None:
            self._node.watcher.watch(started.process, self._on_end)

    def _probed(self) -> Iterator[Probed]:
        """The lives that are to be probed: those of main containers that are processes."""
        for container in self._pod.spec.containers:
            life = self._current.container(container.name).life
            if life is None or not life.is_running or life.process is None or self._is_ending:
                continue
            target = self._node.starter.probe_target(
                self._pod, self._current, container, self._sources.value, folder=self._folder, netns=self._live.netns
            )
            yield Probed(container=container, attempt=life.attempt, target=target)

    def _health(self) -> Mapping[str, Health]:
        lives = {name: history.life for name, history in self._current.containers.items()}
        return self._probes.health({name: life.attempt for name, life in lives.items() if life})

    async def _report(self, plan: PodPlan) -> bool:
        """Tell the API server what has become of the pod; whether it knows."""
        if self._gone_since is not None:
            return False
        wanted = podstatus.build(
            self._pod, self._current, self._health(), plan, host_ip=self._node.host_ip, attached=self._live.attached,
            now=self._node.clock.now(),
        )
        try:
            reported = await self._reporter.report(self._pod, wanted)
        except PodGone:
            self.orphan()
            return False
        if reported is not None and _is_newer(reported, self._pod):
            self._pod = reported
        return reported is not None

    async def _finish(self) -> bool:
        """Nothing runs: take away what the pod had here, and at last the object. False: try again later."""
        self._node.processes.kill_strays(self._current.uid)
        try:
            await self._node.network.remove_pod(self._current.uid)
        except NetworkError as error:
            self._reporter.retry.failed(self._node.clock.now())
            _LOG.warning("cannot remove the pod's network", object=self._name, why=str(error))
            return False
        if self._gone_since is None and not await self._reporter.delete(self._pod):
            return False
        await asyncio.to_thread(podfolder.remove, self._folder)
        return True

    def _next_wake(self, plan: PodPlan) -> datetime | None:
        """The earliest moment at which something may have to be done without anything having changed."""
        live = self._live
        if plan.start:  # Something ended as soon as it was started: what follows it is due now.
            return self._node.clock.now()
        moments = [plan.wake_at, self._reporter.retry.at, *live.stops.values()]
        if not self._is_ending and not self._is_over:
            moments.append(live.prepare.at or self._sources.refresh_at)
            moments.append(live.configure.at if live.unconfigured else None)
        return min((moment for moment in moments if moment is not None), default=None)

    async def _wait(self, until: datetime | None) -> None:
        if until is None:
            await self._changed.wait()
            return
        delay_s = (until - self._node.clock.now()).total_seconds()
        try:
            async with asyncio.timeout(max(delay_s, 0.0)):
                await self._changed.wait()
        except TimeoutError:
            return

    def _ended(self, name: str, exit: Exit) -> None:
        self._live.stops.pop(name, None)
        _LOG.info("container ended", object=self._name, container=name, code=exit.code, why=exit.reason)
        self._save_container(name, records.ended(self._current.container(name), exit))

    def _save_container(self, name: str, record: records.ContainerRecord) -> None:
        self._save(self._current.with_container(name, record))

    def _save(self, record: PodRecord) -> None:
        records.store(self._folder, record)
        self._record = record

    def _containers(self) -> dict[str, core.Container]:
        return {c.name: c for c in (*(self._pod.spec.initContainers or ()), *self._pod.spec.containers)}

    @property
    def _current(self) -> PodRecord:
        if self._record is None:
            raise RuntimeError("the pod has no record yet")
        return self._record

    @property
    def _is_ending(self) -> bool:
        return self._gone_since is not None or self._pod.metadata.deletionTimestamp is not None

    @property
    def _is_over(self) -> bool:
        return podplan.compute_phase(self._pod, self._current) in {podplan.Phase.SUCCEEDED, podplan.Phase.FAILED}

    @property
    def _name(self) -> str:
        return f"{self._pod.metadata.namespace}/{self._pod.metadata.name}"


def _is_newer(one: core.Pod, other: core.Pod) -> bool:
    """Whether `one` is not older: the watch may have been faster than the answer to our own write."""
    return int(one.metadata.resourceVersion or 0) >= int(other.metadata.resourceVersion or 0)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error.strerror}" if isinstance(error, OSError) else str(error)
