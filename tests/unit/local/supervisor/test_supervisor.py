"""Real processes are started once, recognised, replaced and stopped, whatever happened to those who started them."""

from __future__ import annotations

import dataclasses
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dpf.local.supervisor import asynchronous, launch, procfs, records, termination
from dpf.local.supervisor.errors import StartFailed
from dpf.local.supervisor.spec import ProcessSpec
from dpf.local.supervisor.supervisor import Outcome, Process, Supervisor

SLEEP = ("/bin/sleep", "300")


class World:
    """One state folder, what is expected to be in it, and ways of damaging it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.supervisor = Supervisor(folder)

    def spec(self, name: str = "a", argv: tuple[str, ...] = SLEEP, **changes: object) -> ProcessSpec:
        values: dict[str, object] = {"name": name, "argv": argv, "cwd": self.folder, "log": self.folder / f"{name}.log"}
        return ProcessSpec(**{**values, **changes})  # type: ignore[arg-type]

    def script(self, name: str, text: str, **changes: object) -> Process:
        """Start a shell script and return when it has said that it is ready, and its child is what it will be."""
        fifo = self.folder / f"{name}.fifo"
        os.mkfifo(fifo)
        program = ("/bin/sh", "-c", f"{text}; sleep 300 & echo ready > {fifo}; wait")
        started = self.supervisor.ensure(self.spec(name, program, **changes)).process
        assert fifo.read_text() == "ready\n"
        deadline = time.monotonic() + 10
        while not any(line.endswith(" sleep") for line in self.living()):  # forked, but not yet its program
            assert time.monotonic() < deadline, self.living()
            time.sleep(0.01)
        return started

    def living(self) -> list[str]:
        marks = {"DPF_PLATFORM": str(self.folder)}
        return [f"{seen.pid} {seen.command}" for seen in procfs.marked(marks)]

    def record(self, name: str = "a") -> records.Record:
        found = records.read(self.folder / "run", name)
        assert found is not None
        return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    one = World(tmp_path)
    yield one
    one.supervisor.stop_all()
    assert one.living() == []


def wait_for_end(pid: int) -> None:
    """Until a child of ours has ended; it stays a zombie."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def kill(process: Process) -> None:
    os.kill(process.pid, signal.SIGKILL)
    wait_for_end(process.pid)


def test_what_runs_as_specified_is_kept(world: World) -> None:
    first = world.supervisor.ensure(world.spec())
    again = Supervisor(world.folder).ensure(world.spec())
    assert (first.outcome, again.outcome) == (Outcome.STARTED, Outcome.RUNNING)
    assert first.process == again.process == world.supervisor.observe("a")
    assert len(world.living()) == 1


def test_keeping_it_writes_nothing(world: World) -> None:
    world.supervisor.ensure(world.spec())
    before = {path: path.stat().st_mtime_ns for path in (world.folder / "run").iterdir()}
    world.supervisor.ensure(world.spec())
    assert {path: path.stat().st_mtime_ns for path in (world.folder / "run").iterdir()} == before


def test_a_changed_spec_replaces_it(world: World) -> None:
    first = world.supervisor.ensure(world.spec()).process
    other = world.supervisor.ensure(world.spec(env={"A": "1"}))
    assert other.outcome is Outcome.REPLACED
    assert other.process.pid != first.pid
    assert len(world.living()) == 1


def test_another_way_of_stopping_takes_effect_without_a_restart(world: World) -> None:
    world.supervisor.ensure(world.spec())
    again = world.supervisor.ensure(world.spec(stop_timeout_s=3.0, stop_stage=2))
    assert again.outcome is Outcome.RUNNING
    assert (world.record().stop_timeout_s, world.record().stop_stage) == (3.0, 2)


def test_after_kill_9_it_is_started_again(world: World) -> None:
    first = world.supervisor.ensure(world.spec()).process
    kill(first)
    assert world.supervisor.observe("a") is None
    again = world.supervisor.ensure(world.spec())
    assert (again.outcome, again.process.pid != first.pid) == (Outcome.STARTED, True)


def test_a_child_that_ended_is_collected(world: World) -> None:
    first = world.supervisor.ensure(world.spec()).process
    kill(first)
    assert procfs.stat(first.pid) is not None
    world.supervisor.observe("a")
    assert procfs.stat(first.pid) is None


def test_a_recycled_pid_is_not_ours(world: World) -> None:
    bystander = subprocess.Popen(SLEEP)
    process = world.supervisor.ensure(world.spec()).process
    kill(process)
    now = procfs.stat(bystander.pid)
    assert now is not None
    records.write(world.folder / "run", _with(world.record(), pid=bystander.pid, start_ticks=now.start_ticks - 1))
    assert world.supervisor.observe("a") is None
    world.supervisor.stop(["a"])
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


DYING = """
import ctypes, os, sys, threading
go_on = os.open(sys.argv[1], os.O_RDONLY)
threading.Thread(target=os.read, args=(go_on, 1)).start()
print("ready", flush=True)
ctypes.CDLL(None).syscall(60 if os.uname().machine == "x86_64" else 93, 0)  # only this, the first, thread exits
"""


def test_a_process_that_is_dying_is_waited_for_before_the_next_start(world: World) -> None:
    fifo = world.folder / "fifo"
    os.mkfifo(fifo)
    program = (sys.executable, "-S", "-c", DYING, str(fifo))
    process = world.supervisor.ensure(world.spec(argv=program, stop_timeout_s=0.05)).process
    with fifo.open("wb"):
        while (seen := procfs.stat(process.pid)) is not None and seen.alive:
            os.sched_yield()
        assert seen is not None
        assert seen.dying
        assert world.supervisor.observe("a") is None
        again = world.supervisor.ensure(world.spec())
        assert again.outcome is Outcome.STARTED
        assert procfs.present(process.pid, process.start_ticks) is None


def test_another_child_with_that_pid_keeps_its_exit_status(world: World) -> None:
    process = world.supervisor.ensure(world.spec()).process
    kill(process)
    assert termination.reap(process.pid, process.start_ticks + 1) is None
    assert termination.reap(process.pid, process.start_ticks) == -signal.SIGKILL


def test_a_record_from_before_a_reboot_means_nothing(world: World) -> None:
    world.supervisor.ensure(world.spec())
    real = world.record()
    records.write(world.folder / "run", _with(real, boot_id="another"))
    assert world.supervisor.observe("a") is None
    records.write(world.folder / "run", real)


class Crash(BaseException):
    """Stands for kill -9 of us."""


def _with(record: records.Record, **changes: object) -> records.Record:
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    return records.Record(**{**fields, **changes})  # type: ignore[arg-type]


def test_dying_after_the_fork_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    write = records.write

    def crash_with_pid(folder: Path, record: records.Record) -> None:
        if record.pid is not None:
            raise Crash
        write(folder, record)

    with monkeypatch.context() as patched:
        patched.setattr(records, "write", crash_with_pid)
        with pytest.raises(Crash):
            world.supervisor.ensure(world.spec())
    assert world.record().pid is None
    orphan = world.supervisor.observe("a")
    assert orphan is not None
    again = world.supervisor.ensure(world.spec())
    assert (again.outcome, again.process.pid) == (Outcome.RUNNING, orphan.pid)
    assert world.record().pid == orphan.pid


def test_dying_before_the_fork_leaves_nothing_that_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> int:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(launch, "start", crash)
        with pytest.raises(Crash):
            world.supervisor.ensure(world.spec())
    assert world.supervisor.observe("a") is None
    assert world.supervisor.ensure(world.spec()).outcome is Outcome.STARTED


@pytest.mark.parametrize("damage", [b"", b"{", b'{"name": 1}', None])
def test_a_damaged_or_lost_record_replaces_what_it_was_about(world: World, damage: bytes | None) -> None:
    first = world.supervisor.ensure(world.spec()).process
    path = world.folder / "run" / "a.json"
    path.unlink() if damage is None else path.write_bytes(damage)
    again = world.supervisor.ensure(world.spec())
    assert again.outcome is Outcome.REPLACED
    assert first.pid != again.process.pid
    assert len(world.living()) == 1


def test_what_a_dead_process_left_behind_is_ended_before_the_next_start(world: World) -> None:
    first = world.script("a", "true")
    kill(first)
    assert len(world.living()) == 1  # the shell's sleep
    again = world.supervisor.ensure(world.spec("a"))
    assert again.outcome is Outcome.STARTED
    assert world.living() == [f"{again.process.pid} sleep"]


def test_two_at_once_start_one(world: World) -> None:
    barrier = threading.Barrier(4)

    def one() -> Outcome:
        barrier.wait()
        return Supervisor(world.folder).ensure(world.spec()).outcome

    with ThreadPoolExecutor(4) as threads:
        outcomes = sorted(future.result() for future in [threads.submit(one) for _ in range(4)])
    assert outcomes == [Outcome.RUNNING] * 3 + [Outcome.STARTED]
    assert len(world.living()) == 1


def test_stages_end_one_after_the_other(world: World) -> None:
    order = world.folder / "order"
    for name, stage in (("store", 2), ("client-1", 0), ("server", 1), ("client-2", 0)):
        world.script(name, f"trap 'echo {name} >> {order}; exit 0' TERM", stop_stage=stage)
    ended = world.supervisor.stop_all()
    lines = order.read_text().split()
    assert (sorted(lines[:2]), lines[2:]) == (["client-1", "client-2"], ["server", "store"])
    assert [one.name for one in ended if one.gone and not one.killed][-2:] != []
    assert world.living() == []
    assert records.names(world.folder / "run") == ()


def test_what_does_not_listen_is_killed_in_its_time(world: World) -> None:
    deaf = world.script("deaf", "trap '' TERM", stop_timeout_s=0.05)
    first = world.supervisor.stop(["deaf"])[0]
    assert (first.pid, first.killed, first.gone) == (deaf.pid, True, True)
    assert first.seconds < 4


def test_the_signal_of_the_spec_is_used(world: World) -> None:
    said = world.folder / "said"
    world.script("a", f"trap 'echo INT > {said}; exit 0' INT", stop_signal=signal.SIGINT)
    world.supervisor.stop(["a"])
    assert said.read_text() == "INT\n"


def test_a_stopped_process_can_be_ended(world: World) -> None:
    process = world.supervisor.ensure(world.spec(stop_timeout_s=0.05)).process
    os.kill(process.pid, signal.SIGSTOP)
    world.supervisor.stop(["a"])
    assert world.living() == []


def test_stopping_what_does_not_run_is_fine(world: World) -> None:
    assert world.supervisor.stop(["a", "b"]) == ()
    assert world.supervisor.stop_all() == ()


def test_everything_is_found_without_any_record(world: World) -> None:
    for name in ("a", "b"):
        world.supervisor.ensure(world.spec(name))
    for path in (world.folder / "run").iterdir():
        path.unlink()
    assert {status.name for status in world.supervisor.status()} == {"a", "b"}
    world.supervisor.stop_all()
    assert world.living() == []


def test_platforms_do_not_touch_each_other(world: World, tmp_path: Path) -> None:
    other = World(tmp_path / "other")
    other.folder.mkdir()
    mine, theirs = world.supervisor.ensure(world.spec()), other.supervisor.ensure(other.spec())
    world.supervisor.stop_all()
    assert other.supervisor.observe("a") == theirs.process
    assert mine.process.pid != theirs.process.pid
    other.supervisor.stop_all()


def test_status_measures_what_runs_and_names_what_should(world: World) -> None:
    world.script("store", "true", stop_stage=2)
    kill(world.supervisor.ensure(world.spec("gone")).process)
    gone, store = world.supervisor.status()
    assert (gone.name, gone.pid, gone.log, gone.rss_bytes) == ("gone", None, world.folder / "gone.log", None)
    assert store.pid is not None
    assert 0 < (store.pss_bytes or 0) <= (store.rss_bytes or 0)
    assert store.uptime_s is not None
    assert store.cpu_s is not None
    assert 0 <= store.cpu_s <= store.uptime_s + 0.02 < 60  # the kernel counts both in ticks


def test_nothing_is_inherited(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:password@proxy")
    inherited = os.dup(0)
    os.set_inheritable(inherited, True)
    process = world.supervisor.ensure(world.spec(argv=("/bin/sh", "-c", "env; ls /proc/self/fd; umask"))).process
    os.close(inherited)
    wait_for_end(process.pid)
    lines = (world.folder / "a.log").read_text().split()
    names = {line.partition("=")[0] for line in lines if "=" in line}
    assert names == {"PATH", "HOME", "LANG", "PWD", "DPF_PLATFORM", "DPF_PROCESS"}
    assert [line for line in lines if "=" not in line] == ["0", "1", "2", "3", "0077"]  # 3 is ls reading the folder


def test_it_leads_a_session_of_its_own(world: World) -> None:
    process = world.supervisor.ensure(world.spec()).process
    seen = procfs.stat(process.pid)
    assert seen is not None
    assert seen.session == process.pid != os.getsid(0)


def test_niceness_is_added(world: World) -> None:
    process = world.script("a", "true", nice=3)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 3


def test_a_log_is_private_kept_over_restarts_and_rotated_when_long(world: World) -> None:
    spec = world.spec(argv=("/bin/echo", "hello"))
    for _ in range(2):
        wait_for_end(world.supervisor.ensure(spec).process.pid)
    assert spec.log.read_text() == "hello\nhello\n"
    assert stat.S_IMODE(spec.log.stat().st_mode) == 0o600
    os.truncate(spec.log, launch.ROTATE_BYTES + 1)
    wait_for_end(world.supervisor.ensure(spec).process.pid)
    assert spec.log.read_text() == "hello\n"
    assert spec.log.with_name("a.log.1").stat().st_size == launch.ROTATE_BYTES + 1


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert launch.log_tail(log) == ()
    log.write_bytes(b"\n".join(b"%d" % n for n in range(100_000)) + b"\n\xff\n")
    assert launch.log_tail(log, 3) == ("99998", "99999", "\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"argv": ("/nonexistent/etcd",)}, "a could not be started: /nonexistent/etcd is not there or not executable"),
        ({"argv": ("/proc/version",)}, "a could not be started: /proc/version is not there or not executable"),
        ({"netns": "no-such"}, "a could not be started: there is no network namespace no-such"),
        ({"cwd": Path("/nonexistent")}, r"a could not be started \(/bin/sleep\): No such file or directory"),
    ],
    ids=["absent", "not-executable", "namespace", "folder"],
)
def test_what_cannot_be_started_says_why(world: World, changes: dict[str, object], message: str) -> None:
    with pytest.raises(StartFailed, match=message):
        world.supervisor.ensure(dataclasses.replace(world.spec(), **changes))  # type: ignore[arg-type]
    assert world.supervisor.observe("a") is None


async def test_waiting_for_an_end_tells_the_exit_code(world: World) -> None:
    supervisor = asynchronous.AsyncSupervisor(world.folder)
    result = await supervisor.ensure(world.spec(argv=("/bin/sh", "-c", "exit 3")))
    assert await asynchronous.ended(result.process) == 3
    assert await supervisor.observe("a") is None


async def test_waiting_for_what_has_long_ended_returns(world: World) -> None:
    process = (await asynchronous.AsyncSupervisor(world.folder).ensure(world.spec())).process
    kill(process)
    assert await asynchronous.ended(process) == -signal.SIGKILL
    assert await asynchronous.ended(process) is None
