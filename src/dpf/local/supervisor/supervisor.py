"""Make processes run as specified, recognise them later from any other process of ours, and stop them.

Called by the platform, the local cluster manager and `dpfctl local`; asyncio code uses `asynchronous`. There is no
daemon and nothing in memory that matters: every call looks at the records and at the kernel. Calls about one process
exclude each other across threads and processes by a file lock.

A process is never lost: an intent is written before the fork, and the environment of everything started carries the
state folder and the process's name. A process of that name that no record knows is adopted (our parent died after the
fork) or, when it is not a session leader, is left over from one that ended, and is killed before the next start. A
program that starts lasting processes of its own gives them other marks. A program must leave its environment readable
(redis does with `--set-proc-title no`); one that does not is still found by its record, but not without it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from dpf.local import files
from dpf.local.supervisor import launch, procfs, records, termination
from dpf.local.supervisor import spec as specs
from dpf.local.supervisor.errors import StopFailed
from dpf.local.supervisor.records import Record
from dpf.local.supervisor.spec import ProcessSpec, StopStage
from dpf.local.supervisor.termination import Ended, Target

STOP_ALL_ROUNDS = 5
NO_LOG = Path(os.devnull)


class Outcome(StrEnum):
    """What `ensure` had to do."""

    RUNNING = "running"
    STARTED = "started"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A living process of ours. `started_at` is RFC 3339."""

    name: str
    pid: int
    start_ticks: int
    digest: str
    started_at: str
    log: Path
    stage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensured:
    """A process that runs as specified, and what it took."""

    outcome: Outcome
    process: Process


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """One line of a status report. A process that should run and does not has no pid; sizes are None where hidden."""

    name: str
    log: Path
    stage: int
    pid: int | None = None
    uptime_s: float | None = None
    cpu_s: float | None = None
    rss_bytes: int | None = None
    pss_bytes: int | None = None


class Supervisor:
    """The processes of one state folder."""

    def __init__(self, state: Path) -> None:
        self._platform = state.resolve()
        self._folder = self._platform / "run"

    def ensure(self, spec: ProcessSpec) -> Ensured:
        """Have exactly one process run as `spec` says: kept, started, or replaced when the spec changed.

        Returns as soon as the program is executed, not when it serves. Raises StartFailed, StopFailed, OSError.
        """
        with self._locked([spec.name]):
            current = self._observe(spec.name)
            if current is not None and current.digest == specs.digest(spec):
                records.write(self._folder, _record(spec, current.pid, current.start_ticks, current.started_at))
                return Ensured(outcome=Outcome.RUNNING, process=replace(current, stage=spec.stop_stage))
            self._end([spec.name])
            outcome = Outcome.STARTED if current is None else Outcome.REPLACED
            return Ensured(outcome=outcome, process=self._start(spec))

    def observe(self, name: str) -> Process | None:
        """The living process of that name; None when there is none. Writes nothing."""
        specs.check_name(name)
        return self._observe(name)

    def stop(self, names: Iterable[str]) -> tuple[Ended, ...]:
        """Stop these processes stage by stage, with everything they started; what does not run is fine.

        Raises StopFailed when something outlived SIGKILL; the rest is stopped nevertheless.
        """
        wanted = sorted(set(names))
        for name in wanted:
            specs.check_name(name)
        with self._locked(wanted):
            return self._end(wanted)

    def stop_all(self) -> tuple[Ended, ...]:
        """Stop everything of this state folder, recorded or not, also what is started meanwhile. Raises StopFailed."""
        ended: tuple[Ended, ...] = ()
        for _ in range(STOP_ALL_ROUNDS):
            names = self._known_names()
            if not names:
                return ended
            ended += self.stop(names)
        raise StopFailed(
            f"{', '.join(self._known_names())}: started again as often as stopped; something else still manages "
            f"{self._platform}: end it and repeat",
        )

    def status(self) -> tuple[ProcessStatus, ...]:
        """Every process that runs or should run, by stage and name."""
        found = [self._status(name) for name in self._known_names()]
        return tuple(sorted(found, key=lambda one: (one.stage, one.name)))

    def _status(self, name: str) -> ProcessStatus:
        process = self._observe(name)
        if process is None:
            record = records.read(self._folder, name)
            stage = record.stop_stage if record is not None else StopStage.CLIENTS
            return ProcessStatus(name=name, log=Path(record.log) if record is not None else NO_LOG, stage=stage)
        seen, memory = procfs.stat(process.pid), procfs.memory(process.pid)
        return ProcessStatus(
            name=name, log=process.log, stage=process.stage, pid=process.pid,
            uptime_s=seen.uptime_s if seen is not None else None,
            cpu_s=seen.cpu_s if seen is not None else None,
            rss_bytes=memory.rss_bytes if memory is not None else None,
            pss_bytes=memory.pss_bytes if memory is not None else None,
        )

    def _known_names(self) -> tuple[str, ...]:
        mark = f"{specs.PROCESS_VARIABLE}=".encode()
        running = {
            entry.removeprefix(mark).decode(errors="replace")
            for seen in procfs.marked({specs.PLATFORM_VARIABLE: str(self._platform)})
            for entry in procfs.environment(seen.pid)
            if entry.startswith(mark)
        }
        return tuple(sorted(filter(specs.is_name, running.union(records.names(self._folder)))))

    def _observe(self, name: str) -> Process | None:
        record = records.read(self._folder, name)
        if record is None or record.pid is None or record.start_ticks is None:
            return self._orphan(name, record)
        if record.boot_id != procfs.boot_id():
            return None
        if procfs.alive(record.pid, record.start_ticks) is None:
            termination.reap(record.pid, record.start_ticks)
            return None
        return _process(record, record.pid, record.start_ticks)

    def _orphan(self, name: str, intent: Record | None) -> Process | None:
        """A process that was started, but whose start was not recorded."""
        leader = next((seen for seen in self._marked(name) if seen.session == seen.pid), None)
        if leader is None:
            return None
        if intent is None:
            return _unrecorded(name, leader)
        return _process(intent, leader.pid, leader.start_ticks)

    def _start(self, spec: ProcessSpec) -> Process:
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        intent = _record(spec, None, None, started_at)
        records.write(self._folder, intent)
        pid = launch.start(spec, self._platform)
        seen = procfs.stat(pid)
        if seen is None:  # another thread of ours reaped it in this instant
            return _process(intent, pid, 0)
        records.write(self._folder, _record(spec, pid, seen.start_ticks, started_at))
        return _process(intent, pid, seen.start_ticks)

    def _end(self, names: Sequence[str]) -> tuple[Ended, ...]:
        """End these processes stage by stage, then what they left behind, and forget them."""
        targets = [target for name in names for target in self._targets(name)]
        ended: tuple[Ended, ...] = ()
        for stage in sorted({target.stage for target in targets}):
            ended += termination.end([target for target in targets if target.stage == stage])
        strays = [_kill(name, seen) for name in names for seen in self._marked(name)]
        ended += termination.end(strays)
        left = [one for one in ended if not one.gone]
        for name in set(names) - {one.name for one in left}:
            records.remove(self._folder, name)
        if left:
            who = ", ".join(f"{one.name} (pid {one.pid})" for one in left)
            raise StopFailed(f"{who}: still there after SIGKILL; look at its state in /proc/<pid>/stack, then repeat")
        return ended

    def _targets(self, name: str) -> list[Target]:
        """The process of that name, also one that is just dying: the next one needs what it holds."""
        record = records.read(self._folder, name)
        if record is None or record.pid is None or record.start_ticks is None:
            orphan = self._orphan(name, record)
            return [_target(orphan, record)] if orphan is not None else []
        if record.boot_id != procfs.boot_id():
            return []
        return [_target(_process(record, record.pid, record.start_ticks), record)]

    def _marked(self, name: str) -> list[procfs.Stat]:
        marks = {specs.PLATFORM_VARIABLE: str(self._platform), specs.PROCESS_VARIABLE: name}
        return list(procfs.marked(marks))

    def _locked(self, names: Sequence[str]) -> AbstractContextManager[None]:
        return files.locked(*(records.lock(self._folder, name) for name in names))


def _record(spec: ProcessSpec, pid: int | None, start_ticks: int | None, started_at: str) -> Record:
    return Record(
        name=spec.name, digest=specs.digest(spec), started_at=started_at, boot_id=procfs.boot_id(), log=str(spec.log),
        stop_signal=spec.stop_signal, stop_timeout_s=spec.stop_timeout_s, stop_stage=spec.stop_stage, pid=pid,
        start_ticks=start_ticks,
    )


def _process(record: Record, pid: int, start_ticks: int) -> Process:
    return Process(
        name=record.name, pid=pid, start_ticks=start_ticks, digest=record.digest, started_at=record.started_at,
        log=Path(record.log), stage=record.stop_stage,
    )


def _unrecorded(name: str, leader: procfs.Stat) -> Process:
    """A process without any record: an empty digest equals no spec's, so that `ensure` replaces it."""
    return Process(
        name=name, pid=leader.pid, start_ticks=leader.start_ticks, digest="", started_at="", log=NO_LOG,
        stage=StopStage.CLIENTS,
    )


def _target(process: Process, record: Record | None) -> Target:
    if record is None:
        return _kill(process.name, process)
    return Target(
        name=process.name, pid=process.pid, start_ticks=process.start_ticks, timeout_s=record.stop_timeout_s,
        stop_signal=signal.Signals(record.stop_signal), stage=record.stop_stage,
    )


def _kill(name: str, seen: procfs.Stat | Process) -> Target:
    return Target(
        name=name, pid=seen.pid, start_ticks=seen.start_ticks, stop_signal=signal.SIGKILL,
        timeout_s=termination.KILL_TIMEOUT_S,
    )
