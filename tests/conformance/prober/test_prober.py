"""What the DPUCluster controller may rely on, whichever implementation of the Prober port answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
from aiohttp import web
from tests.support.dpuclusters import a_kubeconfig

from dpf.kube import kubeconfig
from dpf.kube.kubeconfig import Connection
from dpf.provisioning.dpucluster.httpprober import HTTPProber
from dpf.provisioning.dpucluster.memoryprober import REFUSED, MemoryProber
from dpf.provisioning.dpucluster.prober import Healthy, Prober, Unhealthy

VERSION = "v1.36.3"


class Rig(Protocol):
    """A prober and a server to probe."""

    prober: Prober
    connection: Connection

    async def serve(self) -> None:
        """The server answers with its version."""

    async def reject(self) -> None:
        """The server does not accept our credentials."""

    async def vanish(self) -> None:
        """The server refuses connections."""


def connection_to(server: str) -> Connection:
    return kubeconfig.from_secret(a_kubeconfig(server), source="test")


class InMemory:
    def __init__(self) -> None:
        self.prober = MemoryProber()
        self.connection = connection_to("https://192.0.2.1:6443")

    async def serve(self) -> None:
        self.prober.set(self.connection.server, Healthy(version=VERSION))

    async def reject(self) -> None:
        self.prober.set(self.connection.server, Unhealthy(why="401", advice="replace the credentials"))

    async def vanish(self) -> None:
        self.prober.set(self.connection.server, Unhealthy(why=REFUSED))


class OverHTTP:
    """The real prober, and an HTTP server that answers what `answer` says; None keeps the client waiting."""

    def __init__(self) -> None:
        self.prober = HTTPProber(timeout_s=0.2)
        self.answer: tuple[int, str] | None = (200, json.dumps({"gitVersion": VERSION}))
        self.released = asyncio.Event()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/version", self._handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await self._site.start()
        (address, *_) = self._runner.addresses
        self.connection = connection_to(f"http://{address[0]}:{address[1]}")

    async def serve(self) -> None:
        self.answer = (200, json.dumps({"gitVersion": VERSION}))

    async def reject(self) -> None:
        self.answer = (401, json.dumps({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized", "code": 401,
            "message": "Unauthorized",
        }))

    async def vanish(self) -> None:
        await self._site.stop()

    async def close(self) -> None:
        self.released.set()
        await self._runner.cleanup()

    async def _handle(self, _: web.Request) -> web.Response:
        if self.answer is None:
            await self.released.wait()
            return web.Response()
        status, text = self.answer
        return web.Response(status=status, text=text, content_type="application/json")


@pytest.fixture
async def over_http() -> AsyncIterator[OverHTTP]:
    rig = OverHTTP()
    await rig.start()
    try:
        yield rig
    finally:
        await rig.close()


@pytest.fixture(params=["memory", "http"])
async def rig(request: pytest.FixtureRequest, over_http: OverHTTP) -> Rig:
    return InMemory() if request.param == "memory" else over_http


async def test_a_server_that_answers_is_healthy(rig: Rig) -> None:
    await rig.serve()
    assert await rig.prober.probe(rig.connection) == Healthy(version=VERSION)


async def test_rejected_credentials_come_with_advice_and_are_not_shown(rig: Rig) -> None:
    await rig.reject()
    health = await rig.prober.probe(rig.connection)
    assert isinstance(health, Unhealthy)
    assert health.advice
    assert "not-for-eyes" not in f"{health}"


async def test_a_server_that_is_gone_is_a_value_and_the_same_words_each_time(rig: Rig) -> None:
    await rig.vanish()
    health = await rig.prober.probe(rig.connection)
    assert isinstance(health, Unhealthy)
    assert health.why
    assert await rig.prober.probe(rig.connection) == health


async def test_a_server_that_comes_back_is_healthy_again(rig: Rig) -> None:
    await rig.reject()
    await rig.prober.probe(rig.connection)
    await rig.serve()
    assert await rig.prober.probe(rig.connection) == Healthy(version=VERSION)


@pytest.mark.parametrize("answer", [
    pytest.param((200, "<html>welcome</html>"), id="some web server"),
    pytest.param((200, "{}"), id="no version"),
    pytest.param((503, "busy"), id="busy"),
    pytest.param((404, "not found"), id="a proxy's 404"),
    pytest.param(None, id="no answer in time"),
])
async def test_anything_else_is_unhealthy_over_http(over_http: OverHTTP, answer: tuple[int, str] | None) -> None:
    over_http.answer = answer
    health = await over_http.prober.probe(over_http.connection)
    assert isinstance(health, Unhealthy)
    assert health.why
