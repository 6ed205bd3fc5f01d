"""One pod on a node, with real processes: start, fail, restart, probe, end, be taken over."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.nodeapi import NodeAPI

from dpf.api import core
from dpf.api.meta import ObjectMeta
from dpf.emulation.kubelet import processes, records
from dpf.emulation.kubelet.containers import ContainerStarter
from dpf.emulation.kubelet.images import ImageRule
from dpf.emulation.kubelet.network import HostNetwork
from dpf.emulation.kubelet.podworker import Node, PodWorker
from dpf.emulation.kubelet.processes import Processes, Watcher
from dpf.kube import errors
from dpf.runtime.clock import SystemClock, rfc3339

RULES = (ImageRule(pattern="shell:*", argv=["/bin/sh", "-c", "{args}"], commands=True),)


class World:
    """A node's folder and its API; `worker` starts the pod's worker, as a kubelet would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.api = NodeAPI()
        self.api.add(core.Namespace(metadata=ObjectMeta(name="ns")))
        self.processes = Processes(state=folder, platform=folder)

    async def create(self, *scripts: str, **spec: Any) -> core.Pod:
        containers = [
            core.Container(name=f"c{n}", image="shell:1", args=[script]) for n, script in enumerate(scripts)
        ]
        pod = core.Pod(metadata=ObjectMeta(name="p", namespace="ns"), spec=core.PodSpec(
            **{"nodeName": "n", "containers": containers, **spec}
        ))
        return await self.api.create(pod)

    def _node(self, watcher: Watcher) -> Node:
        clock = SystemClock()
        starter = ContainerStarter(
            node="n", rules=RULES, processes=self.processes, host_ip="127.18.0.2", allocatable={}, clock=clock
        )
        return Node(
            name="n", host_ip="127.18.0.2", folder=self.folder, client=self.api, network=HostNetwork(),
            processes=self.processes, watcher=watcher, clock=clock, starter=starter,
        )

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[tuple[PodWorker, asyncio.Task[None]]]:
        pod, watcher = await self.api.get(core.Pod, "p", "ns"), Watcher()
        found = [item for item in self.processes.find_all() if item.pod_uid == pod.metadata.uid]
        worker = PodWorker(pod, self._node(watcher), allocate=lambda: "127.19.0.2", found=found)
        task = asyncio.create_task(worker.run())
        try:
            yield worker, task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            watcher.close()

    async def delete(self, worker: PodWorker, grace_s: float = 30.0) -> None:
        """What the API server does for `kubectl delete pod`: the object stays, with a time by which it must be gone."""
        pod, at = worker.pod, rfc3339(SystemClock().now() + timedelta(seconds=grace_s))
        worker.update(msgspec.structs.replace(
            pod, metadata=msgspec.structs.replace(pod.metadata, deletionTimestamp=at)
        ))

    def log(self, container: str = "c0", attempt: int = 0) -> str:
        (log,) = (self.folder / "pods").glob(f"*/{container}/{attempt}.log")
        return log.read_text()

    def pid(self, container: str = "c0") -> int:
        (folder,) = (self.folder / "pods").iterdir()
        record = records.load(folder)
        assert record is not None
        life = record.container(container).life
        assert life is not None
        assert life.process is not None
        return life.process.pid

    def program(self) -> str:
        """What the container's process executes."""
        return Path(f"/proc/{self.pid()}/exe").readlink().name


@pytest.fixture
def world(tmp_path: Path) -> Any:
    made = World(tmp_path / "n")
    yield made
    made.processes.kill_strays()


def _is_ready(pod: core.Pod | None) -> bool:
    return pod is not None and any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ())


def _container(pod: core.Pod, number: int = 0) -> core.ContainerStatus:
    return (pod.status.containerStatuses or [])[number]


async def test_a_pod_runs_and_a_settled_one_is_not_written_again(world: World) -> None:
    await world.create("echo hello; exec sleep 60")
    async with world.worker() as (worker, _):
        pod = await world.api.until(_is_ready)
        assert (pod.status.phase, pod.status.podIP) == ("Running", "127.19.0.2")
        await _until(lambda: world.program() in {"sleep", "coreutils", "busybox"})
        version = world.api.resource_version
        for _ in range(3):
            worker.update(pod)
            await asyncio.sleep(0)
        assert world.api.resource_version == version


async def test_a_failing_container_restarts_once_and_then_waits(world: World) -> None:
    await world.create("echo again; exit 7")
    async with world.worker():
        pod = await world.api.until(lambda p: p is not None and bool(p.status.containerStatuses) and (
            (waiting := _container(p).state.waiting) is not None and waiting.reason == "CrashLoopBackOff"
        ))
    assert _container(pod).restartCount == 1
    assert _container(pod).lastState.terminated.exitCode == 7
    assert world.log(attempt=0) == world.log(attempt=1) == "again\n"


@pytest.mark.parametrize(("script", "phase", "code"), [
    ("exit 0", "Succeeded", 0), ("exit 3", "Failed", 3), ("kill -KILL $$$$", "Failed", 137),
])
async def test_a_pod_that_never_restarts_ends(world: World, script: str, phase: str, code: int) -> None:
    await world.create(script, restartPolicy="Never")
    async with world.worker():
        pod = await world.api.until(lambda p: p is not None and p.status.phase == phase)
    assert _container(pod).state.terminated.exitCode == code


async def test_init_containers_come_first(world: World) -> None:
    def init(name: str, script: str) -> core.Container:
        return core.Container(name=name, image="shell:1", args=[script])

    await world.create("exec sleep 60", initContainers=[
        init("one", "echo 1 > ../order"), init("two", "cat ../order; exit 0"),
        core.Container(name="three", image="unknown:1"),
    ])
    async with world.worker():
        pod = await world.api.until(_is_ready)
    assert [c.state.terminated.exitCode for c in pod.status.initContainerStatuses] == [0, 0, 0]
    assert world.log("two") == "1\n"


async def test_an_image_without_a_rule_is_paused(world: World) -> None:
    await world.create(containers=[core.Container(name="c0", image="unknown:1")])
    async with world.worker() as (worker, task):
        pod = await world.api.until(_is_ready)
        assert _container(pod).containerID.startswith("emulated://paused/")
        assert world.processes.find_all() == []
        await world.delete(worker)
        await task
    assert world.api.objects(core.Pod, "ns") == ()


async def test_what_is_missing_is_said_and_waited_for(world: World) -> None:
    variable = core.EnvVar(name="COLOR", valueFrom={"configMapKeyRef": {"name": "settings", "key": "color"}})
    await world.create(containers=[core.Container(
        name="c0", image="shell:1", args=["echo $COLOR; exec sleep 60"], env=[variable]
    )])
    async with world.worker():
        pod = await world.api.until(lambda p: p is not None and bool(p.status.containerStatuses))
        assert _container(pod).state.waiting == core.ContainerStateWaiting(
            reason="CreateContainerConfigError", message="configmap 'settings' not found"
        )
        await world.api.create(core.ConfigMap(
            metadata=ObjectMeta(name="settings", namespace="ns"), data={"color": "red"}
        ))
        await world.api.until(_is_ready)
        await _until(lambda: world.log() == "red\n")


async def test_volumes_and_token_are_found_below_the_root(world: World) -> None:
    world.api.add(core.ServiceAccount(metadata=ObjectMeta(name="default", namespace="ns")))
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}
    await world.create(
        containers=[core.Container(
            name="c0", image="shell:1", args=["cat $DPF_VOLUME_ROOT/var/run/token; exec sleep 60"],
            volumeMounts=[core.VolumeMount(name="access", mountPath="/var/run")],
        )],
        volumes=[{"name": "access", "projected": {"sources": [token]}}],
    )
    async with world.worker():
        await world.api.until(_is_ready)
        await _until(lambda: world.log() == world.api.tokens.issued[0].token)


async def test_a_program_that_is_not_there_is_a_start_error(world: World) -> None:
    await world.create("x", restartPolicy="Never")
    async with world.worker() as (worker, _):
        rules = (ImageRule(pattern="*", argv=["/no/such/program"]),)
        worker._node = replace(worker._node, starter=replace(worker._node.starter, rules=rules))
        pod = await world.api.until(lambda p: p is not None and p.status.phase == "Failed")
    terminated = _container(pod).state.terminated
    assert (terminated.exitCode, terminated.reason) == (128, "StartError")
    assert "/no/such/program" in terminated.message


async def test_deletion_asks_first_and_then_removes_everything(world: World) -> None:
    await world.create("trap 'echo bye > ../../last; exit 0' TERM; echo up; while :; do sleep 0.01; done")
    async with world.worker() as (worker, task):
        await world.api.until(_is_ready)
        await _until(lambda: world.log() == "up\n")
        await world.delete(worker)
        await task
    assert (world.folder / "last").read_text() == "bye\n"
    assert world.api.objects(core.Pod, "ns") == ()
    assert list((world.folder / "pods").iterdir()) == []
    assert world.processes.find_all() == []


async def test_who_does_not_listen_is_killed_with_all_its_children(world: World) -> None:
    await world.create("trap '' TERM; sleep 60 & echo up; wait; wait; sleep 60")
    async with world.worker() as (worker, task):
        await world.api.until(_is_ready)
        await _until(lambda: world.log() == "up\n")
        await world.delete(worker, grace_s=0)
        await task
    assert list(processes.procfs.marked({processes.NODE_MARK: str(world.folder)})) == []


async def test_a_pod_deleted_by_force_is_ended_without_a_word(world: World) -> None:
    await world.create("exec sleep 60")
    async with world.worker() as (worker, task):
        pod = await world.api.until(_is_ready)
        await world.api.delete(core.Pod, "p", "ns", grace_period_s=0)
        worker.orphan()
        await task
    assert pod is not None
    assert world.processes.find_all() == []


async def test_the_next_kubelet_takes_over_what_runs(world: World) -> None:
    await world.create("exec sleep 60")
    async with world.worker():
        await world.api.until(_is_ready)
    pid, version = world.pid(), world.api.resource_version
    async with world.worker() as (worker, _):
        await _until(lambda: worker.is_running("c0"))
        assert world.pid() == pid
        assert world.api.resource_version == version
        os.kill(pid, signal.SIGKILL)
        pod = await world.api.until(lambda p: p is not None and _container(p).restartCount == 1 and _is_ready(p))
        assert world.pid() != pid
    assert _container(pod).lastState.terminated is not None


async def test_a_process_started_just_before_the_kubelet_died_is_not_started_twice(world: World) -> None:
    await world.create("exec sleep 60")
    async with world.worker():
        await world.api.until(_is_ready)
    (folder,) = (world.folder / "pods").iterdir()
    record, pid = records.load(folder), world.pid()
    assert record is not None
    records.store(folder, msgspec.structs.replace(record, containers={}))
    async with world.worker():
        await _until(lambda: (found := records.load(folder)) is not None and "c0" in found.containers)
        assert world.pid() == pid
    assert len(world.processes.find_all()) == 1


async def test_an_api_server_that_is_away_stops_no_container(world: World) -> None:
    await world.create("exec sleep 60")
    world.api.refuse_status = errors.Unreachable("no connection")
    async with world.worker():
        await _until(lambda: len(world.processes.find_all()) == 1)
        world.api.refuse_status = None
        pod = await world.api.until(_is_ready)
    assert _container(pod).restartCount == 0


async def test_a_liveness_probe_restarts_and_a_readiness_probe_holds_back(world: World) -> None:
    await world.create(containers=[core.Container(
        name="c0", image="shell:1", args=["trap 'rm -f sick; exit 143' TERM; while :; do sleep 0.01; done"],
        readinessProbe={"exec": {"command": ["test", "-e", "ready"]}},
        livenessProbe={"exec": {"command": ["test", "!", "-e", "sick"]}, "periodSeconds": 1, "failureThreshold": 1},
    )])
    async with world.worker():
        pod = await world.api.until(lambda p: p is not None and p.status.phase == "Running")
        assert not _is_ready(pod)
        (folder,) = (world.folder / "pods").iterdir()
        (folder / "ready").touch()
        await world.api.until(_is_ready)
        (folder / "sick").touch()
        pod = await world.api.until(lambda p: p is not None and _container(p).restartCount == 1 and _is_ready(p))
    assert _container(pod).lastState.terminated.exitCode == 143


async def test_nothing_of_our_own_environment_is_inherited(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", "hunter2")
    await world.create("env; exec sleep 60")
    async with world.worker():
        await world.api.until(_is_ready)
        await _until(lambda: "HOSTNAME=p" in world.log())
    assert "hunter2" not in world.log()
    assert str(Path(sys.prefix)) not in world.log().replace(str(world.folder), "")


async def _until(accept: Any) -> None:
    """For facts that nobody announces: a process's file, the kernel's process table."""
    async with asyncio.timeout(10):
        while not accept():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
