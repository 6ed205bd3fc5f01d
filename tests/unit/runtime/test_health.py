"""Probes and metrics over real HTTP on the loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from dpf.runtime.health import AddressError, HealthServer, parse_address
from dpf.runtime.metrics import Metrics

Get = Callable[[str], Awaitable[tuple[int, str]]]


class Trouble:
    alive: str | None = None
    ready: str | None = None


@pytest.fixture
def trouble() -> Trouble:
    return Trouble()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def get(trouble: Trouble, metrics: Metrics) -> AsyncIterator[Get]:
    server = HealthServer(
        address="127.0.0.1:0", metrics=metrics, alive=lambda: trouble.alive, ready=lambda: trouble.ready
    )
    await server.start()
    async with aiohttp.ClientSession() as session:
        async def request(path: str) -> tuple[int, str]:
            async with session.get(f"http://127.0.0.1:{server.port}{path}") as answer:
                return answer.status, await answer.text()

        yield request
    await server.stop()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_all_is_well(get: Get, path: str) -> None:
    assert await get(path) == (200, "ok\n")


async def test_readiness_says_what_is_missing_and_is_not_liveness(get: Get, trouble: Trouble) -> None:
    trouble.ready = "not synced: dpuservices.svc.dpu.nvidia.com"
    assert await get("/readyz") == (503, "not synced: dpuservices.svc.dpu.nvidia.com\n")
    assert await get("/healthz") == (200, "ok\n")


async def test_liveness_says_what_ended(get: Get, trouble: Trouble) -> None:
    trouble.alive = "the controllers have stopped"
    assert await get("/healthz") == (503, "the controllers have stopped\n")


async def test_metrics_carry_the_documented_names(get: Get, metrics: Metrics) -> None:
    metrics.reconciled("toy", "done", 0.01)
    metrics.wrote("toy", "apply", "ConfigMap")
    metrics.depth.labels("toy").set(3)
    metrics.connected.labels("ns/dpu").set(1)
    _, text = await get("/metrics")
    for line in (
        'dpf_reconcile_total{controller="toy",result="done"} 1.0', 'dpf_reconcile_seconds_count{controller="toy"} 1.0',
        'dpf_queue_depth{controller="toy"} 3.0', 'dpf_writes_total{controller="toy",kind="ConfigMap",verb="apply"} 1.0',
        'dpf_cluster_connected{cluster="ns/dpu"} 1.0',
    ):
        assert line in text


def test_a_cluster_that_is_gone_has_no_series(metrics: Metrics) -> None:
    metrics.connected.labels("ns/dpu").set(0)
    metrics.forget_cluster("ns/dpu")
    metrics.forget_cluster("ns/never-seen")
    assert b"ns/dpu" not in metrics.exposition()


@pytest.mark.parametrize(("text", "expected"), [
    ("127.0.0.1:8080", ("127.0.0.1", 8080)), (":8080", ("0.0.0.0", 8080)), ("[::1]:9", ("::1", 9)),
])
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["", "8080", "host:", "host:port", "host:70000"])
def test_bad_addresses_are_explained(text: str) -> None:
    with pytest.raises(AddressError, match="is not of the form host:port"):
        parse_address(text)


async def test_a_taken_port_is_an_error_and_leaves_nothing_open(metrics: Metrics) -> None:
    first = HealthServer(address="127.0.0.1:0", metrics=metrics, alive=lambda: None, ready=lambda: None)
    await first.start()
    second = HealthServer(
        address=f"127.0.0.1:{first.port}", metrics=metrics, alive=lambda: None, ready=lambda: None
    )
    with pytest.raises(OSError, match="address already in use"):
        await second.start()
    await second.stop()
    await first.stop()
