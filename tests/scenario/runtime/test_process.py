"""A whole process over a host cluster in memory: start, probes, signals, a lost Lease, a bug."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import aiohttp
import pytest
from tests.scenario.runtime.toy import Toy, ToyController, a_toy
from tests.support.clock import FakeClock, turns

from dpf.api.core import Lease, Namespace
from dpf.api.meta import ObjectMeta
from dpf.kube import errors
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.memory import MemoryCluster
from dpf.kube.reflector import Timing
from dpf.runtime import conditions, process
from dpf.runtime.manager import Manager
from dpf.runtime.process import EXIT_AGAIN, EXIT_FAILED, EXIT_OK, Process, World

LEASE_NAMESPACE = "dpf-operator-system"


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


def toys(world: World) -> list[ToyController]:
    return [ToyController(world.clusters)]


class Bench:
    """One process and its host. `ended` is its exit code."""

    def __init__(self, *, elect: bool = True) -> None:
        self.clock = FakeClock()
        self.host = MemoryCluster(now=self.clock.now)
        self.host.add(Namespace(metadata=ObjectMeta(name=LEASE_NAMESPACE)), a_toy(parts={"a": "1"}))
        timing = Timing(clock=self.clock.monotonic, sleep=self.clock.sleep, rng=Random(1))
        self.process = Process(
            toys, self.host, ClusterRegistry(self.host, timing=timing, now=self.clock.now), namespace=LEASE_NAMESPACE,
            clock=self.clock,
        )
        if elect:
            self.process.elect(LEASE_NAMESPACE, "dpf")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[int]]:
        task = asyncio.create_task(self.process.run())
        try:
            await turns(200)
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.process.clusters.aclose()

    @property
    def ready(self) -> bool:
        return conditions.is_true(self.host.objects(Toy)[0].status.conditions, "Ready")

    @property
    def holder(self) -> str | None:
        return self.host.objects(Lease)[0].spec.holderIdentity


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order_and_frees_the_lease(number: signal.Signals) -> None:
    bench = Bench()
    async with bench.running() as task:
        assert bench.ready
        assert bench.holder
        os.kill(os.getpid(), number)
        assert await asyncio.wait_for(task, 5) == EXIT_OK
    assert bench.holder == ""


async def test_a_standby_reads_and_does_not_write() -> None:
    bench = Bench()
    await bench.host.create(Lease(metadata=ObjectMeta(name="dpf", namespace=LEASE_NAMESPACE)))
    patch = {"spec": {"holderIdentity": "another", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.0Z"}}
    await bench.host.patch(Lease, "dpf", LEASE_NAMESPACE, patch=patch)
    async with bench.running():
        assert not bench.ready
        assert bench.process.ready() is None
        assert b'dpf_leader{name="dpf"} 0.0' in bench.process.metrics.exposition()
        await bench.clock.run_for(20)
        await turns(200)
        assert bench.ready
        assert b'dpf_leader{name="dpf"} 1.0' in bench.process.metrics.exposition()


async def test_a_leader_that_loses_its_lease_leaves_with_1() -> None:
    bench = Bench()
    async with bench.running() as task:
        await bench.host.patch(Lease, "dpf", LEASE_NAMESPACE, patch={"spec": {"holderIdentity": "thief"}})
        await bench.clock.run_for(3)
        assert await asyncio.wait_for(task, 5) == EXIT_AGAIN
    assert bench.holder == "thief"


async def test_a_bug_outside_of_a_pass_ends_it_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: Manager) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Manager, "run", broken)
    bench = Bench(elect=False)
    async with bench.running() as task:
        assert await asyncio.wait_for(task, 5) == EXIT_AGAIN
        assert bench.process.alive() == "the controllers have stopped"


async def test_it_is_ready_when_its_caches_are_complete() -> None:
    bench = Bench(elect=False)
    bench.host.fail_next(
        lambda r: r.verb == "list" and r.kind == "Toy", errors.NotFound("the server could not find it"), times=2
    )
    async with bench.running():
        assert bench.process.ready() == "not synced: toys.test.dpu.nvidia.com"
        assert bench.process.alive() is None
        await bench.clock.run_for(10)
        await turns(200)
        assert bench.process.ready() is None
        assert bench.ready


async def test_probes_and_metrics_are_served_while_it_runs(unused_port: int) -> None:
    host = MemoryCluster()
    host.add(a_toy(parts={"a": "1"}))
    address = f"127.0.0.1:{unused_port}"
    serving = asyncio.create_task(process.serve(
        toys, host, metrics_address=address, leader_election=False, name="dpf", namespace=LEASE_NAMESPACE,
    ))
    await turns(400)
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as answer:
        assert 'dpf_writes_total{controller="toy",kind="ConfigMap",verb="apply"} 1.0' in await answer.text()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(serving, 5) == EXIT_OK


@pytest.mark.parametrize("address", ["nonsense", "256.0.0.1:1"])
async def test_an_address_that_cannot_be_served_is_said(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = await process.serve(
        toys, MemoryCluster(), metrics_address=address, leader_election=False, name="dpf", namespace=LEASE_NAMESPACE,
    )
    assert code == EXIT_FAILED
    assert f"address={address}" in capsys.readouterr().out


async def test_a_kubeconfig_that_cannot_be_used_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = await process.run(
        toys, kubeconfig=str(tmp_path / "absent"), metrics_address="", leader_election=False, name="dpf",
        namespace=LEASE_NAMESPACE,
    )
    assert code == EXIT_FAILED
    assert "cannot connect to the host cluster" in capsys.readouterr().out


def test_execute_returns_the_exit_code() -> None:
    async def main() -> int:
        return 7

    assert process.execute(main()) == 7


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
