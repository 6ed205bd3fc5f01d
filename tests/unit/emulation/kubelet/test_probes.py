"""Probes: what counts as success, and how answers in a row become health."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.clock import FakeClock, turns

from dpf.api.core import Container, ContainerPort
from dpf.emulation.kubelet import probes
from dpf.emulation.kubelet.podplan import Health
from dpf.emulation.kubelet.probes import ProbeSet, Target


class FakeProcess:
    """A command that has ended."""

    def __init__(self, code: int) -> None:
        self.returncode = code

    async def wait(self) -> int:
        return self.returncode


class Answers:
    """Probe commands answer from a list; the last answer stays."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.asked = 0

    def execute(self, command: list[str]) -> Awaitable[Any]:
        self.asked += 1
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]

        async def run() -> FakeProcess:
            return FakeProcess(code)

        return run()


def _container(**kinds: dict[str, Any]) -> Container:
    return Container(name="c", **{
        f"{kind}Probe": {"exec": {"command": ["x"]}, **timing} for kind, timing in kinds.items()
    })  # type: ignore[arg-type]


@asynccontextmanager
async def _running(container: Container, answers: Answers) -> AsyncIterator[tuple[ProbeSet, FakeClock, list[Health]]]:
    clock, seen = FakeClock(), []
    probe_set = ProbeSet(
        container, Target(ip="127.0.0.1", execute=answers.execute), clock, lambda: seen.append(probe_set.health)
    )
    probe_set.start()
    await turns()
    try:
        yield probe_set, clock, seen
    finally:
        await probe_set.close()


async def test_without_probes_a_container_is_ready_and_nobody_asks() -> None:
    async with _running(Container(name="c"), Answers(1)) as (probe_set, clock, _):
        await clock.run_for(60)
        assert probe_set.health == Health()


async def test_liveness_fails_after_three_failures_in_a_row() -> None:
    answers = Answers(0, 1, 1, 0, 1, 1, 1)
    async with _running(_container(liveness={"periodSeconds": 10}), answers) as (probe_set, clock, seen):
        await clock.run_for(59)
        assert seen == []
        await clock.run_for(1)
        assert probe_set.health.unhealthy == "liveness probe failed: the command ended with exit code 1"


async def test_readiness_comes_goes_and_comes_back() -> None:
    answers = Answers(0, 1, 1, 1, 0)
    async with _running(_container(readiness={"periodSeconds": 5}), answers) as (_, clock, seen):
        await clock.run_for(30)
    assert [health.ready for health in seen] == [True, False, True]


async def test_readiness_is_asked_more_often_until_it_succeeds() -> None:
    answers = Answers(1, 1, 1, 0)
    async with _running(_container(readiness={"periodSeconds": 10}), answers) as (probe_set, clock, _):
        await clock.run_for(1)
        assert probe_set.health.ready
        asked = answers.asked
        await clock.run_for(9)
        assert answers.asked == asked


async def test_a_startup_probe_holds_the_others_back() -> None:
    answers = Answers(1, 1, 0, 1)
    container = _container(startup={"periodSeconds": 1, "failureThreshold": 5}, liveness={"failureThreshold": 1})
    async with _running(container, answers) as (probe_set, clock, seen):
        await clock.run_for(1)
        assert (probe_set.health.started, probe_set.health.unhealthy) == (False, None)
        await clock.run_for(1)
        assert seen[0].started
        assert probe_set.health.unhealthy is not None


async def test_a_startup_probe_that_never_succeeds_ends_the_container() -> None:
    container = _container(startup={"periodSeconds": 1, "failureThreshold": 3})
    async with _running(container, Answers(1)) as (probe_set, clock, _):
        await clock.run_for(2)
        assert (probe_set.health.unhealthy or "").startswith("startup probe failed")


async def test_the_initial_delay_is_waited_for() -> None:
    answers = Answers(0)
    async with _running(_container(liveness={"initialDelaySeconds": 30}), answers) as (_, clock, _):
        await clock.run_for(29)
        assert answers.asked == 0
        await clock.run_for(1)
        assert answers.asked == 1


@asynccontextmanager
async def _http_server(status: str) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        answer = status if b" /healthz " in line else "404 Not Found"
        writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def _ask(probe: dict[str, Any], port: int = 0) -> str | None:
    container = Container(name="c", ports=[ContainerPort(containerPort=port, name="web")])
    return await probes.ask(probe, container, Target(ip="127.0.0.1", execute=Answers(0).execute), 5.0)


@pytest.mark.parametrize(("status", "failure"), [
    ("200 OK", None), ("302 Found", None), ("404 Not Found", "HTTP status 404"), ("500 Oops", "HTTP status 500"),
])
async def test_http_succeeds_from_200_to_399(status: str, failure: str | None) -> None:
    async with _http_server(status) as port:
        assert await _ask({"httpGet": {"path": "/healthz", "port": "web"}}, port) == failure


async def test_tcp_succeeds_when_somebody_listens() -> None:
    async with _http_server("200 OK") as port:
        assert await _ask({"tcpSocket": {"port": port}}) is None
    assert "onnect" in (await _ask({"tcpSocket": {"port": port}}) or "")


async def test_an_unknown_port_name_is_said() -> None:
    assert await _ask({"httpGet": {"port": "nonsense"}}) == "the container has no port named 'nonsense'"
