"""Local processes: found again by their marks, ended for certain, never mistaken for others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpf.emulation.kubelet import processes
from dpf.emulation.kubelet.processes import Launch, Processes, Watcher
from dpf.emulation.kubelet.records import ProcessRef
from dpf.local.supervisor.errors import StartFailed


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(state=tmp_path, platform=tmp_path)
    yield made
    made.kill_strays()


def _launch(folder: Path, *argv: str, uid: str = "uid-1", container: str = "main") -> Launch:
    return Launch(pod_uid=uid, container=container, argv=argv, env={"A": "1"}, folder=folder, log=folder / "log")


async def _end(process: ProcessRef) -> None:
    watcher, ended = Watcher(), asyncio.Event()
    watcher.watch(process, lambda _: ended.set())
    async with asyncio.timeout(10):
        await ended.wait()
    watcher.close()


def test_found_again_by_marks_and_only_by_its_own_node(tmp_path: Path, node: Processes) -> None:
    process = node.start(_launch(tmp_path, "/bin/sh", "-c", "sleep 60 & wait"))
    (found,) = node.find_all()
    assert (found.pod_uid, found.container, found.process) == ("uid-1", "main", process)
    assert Processes(state=tmp_path / "other", platform=tmp_path).find_all() == []


@pytest.mark.parametrize(("script", "code", "reason"), [
    ("exit 0", 0, "Completed"), ("exit 9", 9, "Error"), ("kill -9 $$", 137, "Error"), ("kill $$", 143, "Error"),
])
async def test_exit_codes_are_those_of_a_container_runtime(
    tmp_path: Path, node: Processes, script: str, code: int, reason: str
) -> None:
    process = node.start(_launch(tmp_path, "/bin/sh", "-c", script))
    await _end(process)
    over = processes.collect_exit(process)
    assert (over.code, over.reason) == (code, reason)


async def test_the_exit_code_of_somebody_elses_child_is_unknown() -> None:
    over = processes.collect_exit(ProcessRef(pid=1, start_ticks=0))
    assert (over.code, over.reason) == (137, "ContainerStatusUnknown")


async def test_force_ends_the_whole_group(tmp_path: Path, node: Processes) -> None:
    process = node.start(_launch(tmp_path, "/bin/sh", "-c", "trap '' TERM; sleep 60 & echo deaf; sleep 60"))
    async with asyncio.timeout(10):
        while await asyncio.to_thread((tmp_path / "log").read_text) != "deaf\n":  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    processes.ask_to_end(process)
    assert processes.is_running(process)
    processes.force_end(process)
    await _end(process)
    assert node.find_all() == []


def test_a_pid_that_was_taken_over_is_not_touched(tmp_path: Path, node: Processes) -> None:
    process = node.start(_launch(tmp_path, "/bin/sleep", "60"))
    impostor = ProcessRef(pid=process.pid, start_ticks=process.start_ticks - 1)
    processes.ask_to_end(impostor)
    processes.force_end(impostor)
    assert not processes.is_running(impostor)
    assert processes.is_running(process)


def test_strays_of_one_pod_are_killed_and_others_live(tmp_path: Path, node: Processes) -> None:
    node.start(_launch(tmp_path, "/bin/sleep", "60"))
    other = node.start(_launch(tmp_path, "/bin/sleep", "60", uid="uid-2"))
    assert node.kill_strays("uid-1") == 1
    assert processes.is_running(other)


async def test_a_process_that_has_ended_before_is_reported_too(tmp_path: Path, node: Processes) -> None:
    process = node.start(_launch(tmp_path, "/bin/sh", "-c", "exit 0"))
    await _end(process)
    processes.collect_exit(process)
    await _end(process)


@pytest.mark.parametrize("argv", [("/no/such/program",), ("no-such-program",), ()])
def test_a_program_that_cannot_start_is_named(tmp_path: Path, node: Processes, argv: tuple[str, ...]) -> None:
    with pytest.raises(StartFailed) as caught:
        node.start(_launch(tmp_path, *argv))
    assert (argv[0] if argv else "no program") in str(caught.value)
