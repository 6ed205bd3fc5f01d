"""Each cluster has a health of its own, and only a connected one is handed out."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.clock import FakeClock, turns

from dpf.api.core import ConfigMap, Pod
from dpf.api.meta import Key, ObjectMeta
from dpf.kube import clusters, errors
from dpf.kube.clusters import HOST, Cluster, ClusterRegistry, Connected, Connecting, Unreachable
from dpf.kube.kubeconfig import Connection
from dpf.kube.memory import MemoryCluster, Request
from dpf.kube.reflector import Timing

ONE, TWO = Key("dpf", "one"), Key("dpf", "two")


def a_kubeconfig(server: str, token: str = "t") -> bytes:
    return (
        f'{{"clusters": [{{"name": "c", "cluster": {{"server": "https://{server}"}}}}],'
        f' "users": [{{"name": "u", "user": {{"token": "{token}"}}}}]}}'
    ).encode()


def a_map(name: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"))


class Closing(MemoryCluster):
    """Notes that it was closed; a probe hangs for as long as `hangs` is set."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.closed = 0
        self.hangs = False

    async def server_version(self) -> str:
        if self.hangs:
            await asyncio.Event().wait()
        return await super().server_version()

    async def aclose(self) -> None:
        self.closed += 1


class World:
    """A registry whose clusters are in memory; `clients` by the server's name."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.host = MemoryCluster()
        self.clients: dict[str, Closing] = {}
        self.connections: list[str] = []
        self.health: list[tuple[Key, str, str]] = []
        timing = Timing(clock=self.clock.monotonic, sleep=self.clock.sleep, rng=random.Random(1))
        self.registry = ClusterRegistry(self.host, connect=self.connect, timing=timing, now=self.clock.now)
        self.registry.subscribe_health(
            lambda key, old, new: self.health.append((key, type(old).__name__, type(new).__name__))
        )

    def connect(self, connection: Connection, name: str) -> Closing:
        server = connection.server.removeprefix("https://")
        self.connections.append(server)
        return self.client(server)

    def client(self, server: str) -> Closing:
        return self.clients.setdefault(server, Closing(server))

    def cluster(self, key: Key) -> Cluster:
        found = self.registry.get(key)
        assert isinstance(found, Cluster)
        return found

    def why(self, key: Key) -> str:
        found = self.registry.get(key)
        assert isinstance(found, Unreachable)
        return found.why


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.registry.aclose()
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


def is_probe(request: Request) -> bool:
    return request.verb == "version"


async def test_an_unknown_cluster(world: World) -> None:
    assert world.registry.get(ONE) == Unreachable("no connection available", "2026-01-01T00:00:00Z")
    assert world.registry.health(ONE) is None


async def test_the_host_is_a_cluster_as_well(world: World) -> None:
    world.host.add(a_map("a"))
    world.registry.host.cache.register(ConfigMap)
    assert world.why(HOST) == "dpu cluster is not connected"
    world.registry.start()
    await turns()
    assert world.cluster(HOST) is world.registry.host
    assert len(world.registry.host.cache.list(ConfigMap)) == 1
    assert world.registry.host.client is world.host


async def test_a_cluster_is_connected_after_its_first_answer(world: World) -> None:
    world.registry.ensure(ONE, a_kubeconfig("one"))
    assert world.registry.get(ONE) == Unreachable("dpu cluster is not connected", "2026-01-01T00:00:00Z")
    await turns()
    cluster = world.cluster(ONE)
    assert cluster.health == Connected("v1.36.3", "2026-01-01T00:00:00Z")
    assert cluster.client is world.client("one")
    assert world.health == [(ONE, "Connecting", "Connected")]
    assert set(world.registry.clusters()) == {ONE}


async def test_objects_of_all_clusters_are_cached_and_announced(world: World) -> None:
    seen: list[tuple[Key, str]] = []
    world.registry.ensure(ONE, a_kubeconfig("one"))
    world.registry.register_everywhere(ConfigMap, indexes={"name": lambda obj: [obj.metadata.name]})
    world.registry.subscribe_everywhere(ConfigMap, lambda key, old, new: seen.append((key, (new or old).metadata.name)))
    world.registry.ensure(TWO, a_kubeconfig("two"))
    world.client("one").add(a_map("a"))
    world.client("two").add(a_map("b"))
    await turns()
    assert sorted(seen) == [(ONE, "a"), (TWO, "b")]
    assert len(world.cluster(TWO).cache.by_index(ConfigMap, "name", "b")) == 1
    assert world.cluster(ONE).cache.by_index(ConfigMap, "name", "b") == ()


async def test_the_same_kubeconfig_again_does_nothing(world: World) -> None:
    for _ in range(3):
        world.registry.ensure(ONE, a_kubeconfig("one"))
        await turns()
    assert world.connections == ["one"]


async def test_another_kubeconfig_reconnects_and_announces_the_difference(world: World) -> None:
    world.registry.register_everywhere(ConfigMap)
    changes: list[tuple[str | None, str | None]] = []
    world.registry.subscribe_everywhere(ConfigMap, lambda key, old, new: changes.append(
        (old and old.metadata.name, new and new.metadata.name)))
    world.client("one").add(a_map("same"), a_map("old"))
    world.client("new").add(a_map("same"), a_map("new"))
    world.registry.ensure(ONE, a_kubeconfig("one"))
    await turns()
    cluster = world.cluster(ONE)
    changes.clear()
    world.registry.ensure(ONE, a_kubeconfig("new"))
    assert world.why(ONE) == "dpu cluster is not connected"
    await turns()
    assert world.cluster(ONE) is cluster
    assert cluster.client is world.client("new")
    assert world.client("one").closed == 1
    assert (None, "new") in changes
    assert ("old", None) in changes


async def test_kubeconfigs_that_change_quickly_end_with_the_last(world: World) -> None:
    for server in ("one", "two", "one", "three"):
        world.registry.ensure(ONE, a_kubeconfig(server))
    await turns()
    assert world.cluster(ONE).client is world.client("three")
    assert world.connections == ["three"]


async def test_a_changed_token_reconnects(world: World) -> None:
    world.registry.ensure(ONE, a_kubeconfig("one", "first"))
    await turns()
    world.registry.ensure(ONE, a_kubeconfig("one", "second"))
    await turns()
    assert world.connections == ["one", "one"]


async def test_a_kubeconfig_that_cannot_be_used_is_a_value(world: World) -> None:
    world.registry.ensure(ONE, b"token: s3cr3t\n\t- x")
    await turns()
    assert world.why(ONE) == (
        "dpu cluster is not connected: kubeconfig of dpf/one: not a kubeconfig: not valid YAML (line 2)"
    )
    cluster = world.registry.clusters()[ONE]
    with pytest.raises(errors.Unreachable, match="dpf/one: no connection available"):
        _ = cluster.client
    world.registry.ensure(ONE, a_kubeconfig("one"))
    await turns()
    assert isinstance(world.cluster(ONE).health, Connected)


async def test_a_strangers_kubeconfig_runs_no_program(world: World) -> None:
    raw = b'{"clusters":[{"name":"c","cluster":{"server":"https://x"}}],"users":[{"name":"u","user":{"tokenFile":"/t"}}]}'
    world.registry.ensure(ONE, raw)
    await turns()
    assert "tokenFile cannot be used here" in world.why(ONE)
    assert world.connections == []


async def test_a_cluster_that_does_not_answer(world: World) -> None:
    world.client("one").fail_next(is_probe, errors.Unreachable("connection refused"), times=3)
    world.registry.ensure(ONE, a_kubeconfig("one"))
    await turns()
    assert world.why(ONE) == "dpu cluster is not connected: connection refused"
    await world.clock.run_for(10)
    assert isinstance(world.cluster(ONE).health, Connected)


async def test_one_lost_probe_is_no_outage_three_are(world: World) -> None:
    world.registry.register_everywhere(ConfigMap)
    world.client("one").add(a_map("a"))
    world.registry.ensure(ONE, a_kubeconfig("one"))
    await turns()
    cluster = world.cluster(ONE)
    world.client("one").fail_next(is_probe, errors.Timeout("no answer"))
    await world.clock.run_for(clusters.PROBE_EVERY_S + 5)
    assert world.cluster(ONE) is cluster
    assert world.health == [(ONE, "Connecting", "Connected")]
    world.client("one").fail_next(is_probe, errors.Timeout("no answer"), times=100)
    await world.clock.run_for(30)
    found = world.registry.get(ONE)
    assert isinstance(found, Unreachable)
    assert found.why == "dpu cluster is not connected: no answer"
    with pytest.raises(errors.NotSynced, match="no answer"):
        cluster.cache.list(ConfigMap)
    await world.clock.run_for(60)
    assert world.registry.get(ONE) == found
    assert world.health == [(ONE, "Connecting", "Connected"), (ONE, "Connected", "Unreachable")]


async def test_a_cluster_that_comes_back_is_followed_again(world: World) -> None:
    world.registry.register_everywhere(ConfigMap)
    client = world.client("one")
    client.add(a_map("a"))
    world.registry.ensure(ONE, a_kubeconfig("one"))
    await turns()
    client.fail_next(lambda r: True, errors.Unreachable("down"), times=10_000)
    await world.clock.run_for(60)
    client._faults.clear()
    client.add(a_map("b"))
    await world.clock.run_for(clusters.RETRY_CAP_S)
    names = sorted(obj.metadata.name for obj in world.cluster(ONE).cache.list(ConfigMap))
    assert names == ["a", "b"]


async def test_probes_of_a_dead_cluster_back_off(world: World) -> None:
    world.client("one").fail_next(is_probe, errors.Unreachable("down"), times=10_000)
    world.registry.ensure(ONE, a_kubeconfig("one"))
    await world.clock.run_for(600)
    probes = len(world.client("one").requests)
    assert 600 / clusters.RETRY_CAP_S - 5 <= probes <= 60


async def test_a_slow_cluster_delays_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "PROBE_TIMEOUT_S", 0.01)
    world.client("one").hangs = True
    world.registry.ensure(ONE, a_kubeconfig("one"))
    world.registry.ensure(TWO, a_kubeconfig("two"))
    await turns()
    assert isinstance(world.cluster(TWO).health, Connected)
    assert world.registry.health(ONE) == Connecting("2026-01-01T00:00:00Z")
    gone_wrong = asyncio.Event()
    world.registry.subscribe_health(lambda key, old, new: gone_wrong.set() if key == ONE else None)
    await asyncio.wait_for(gone_wrong.wait(), 5)
    assert "no answer within" in world.why(ONE)


async def test_a_new_version_of_the_server_is_noticed(world: World) -> None:
    world.registry.ensure(ONE, a_kubeconfig("one"))
    await turns()
    world.client("one")._git_version = "v1.37.0"
    await world.clock.run_for(clusters.PROBE_EVERY_S + 1)
    assert world.health[-1] == (ONE, "Connected", "Connected")
    assert world.cluster(ONE).health == Connected("v1.37.0", "2026-01-01T00:00:10Z")


async def test_a_removed_cluster_is_closed_and_forgotten(world: World) -> None:
    world.registry.register_everywhere(Pod)
    world.registry.ensure(ONE, a_kubeconfig("one"))
    await turns()
    cluster = world.cluster(ONE)
    world.registry.remove(ONE)
    world.registry.remove(ONE)
    assert world.why(ONE) == "no connection available"
    await turns()
    assert world.client("one").closed == 1
    assert world.health[-1] == (ONE, "Connected", "NoneType")
    with pytest.raises(errors.NotSynced, match="no connection available"):
        cluster.cache.list(Pod)
    requests = len(world.client("one").requests)
    await world.clock.run_for(120)
    assert len(world.client("one").requests) == requests


async def test_a_cluster_that_is_removed_and_made_again(world: World) -> None:
    world.registry.ensure(ONE, a_kubeconfig("one"))
    await turns()
    world.registry.remove(ONE)
    world.registry.ensure(ONE, a_kubeconfig("two"))
    await turns()
    assert world.cluster(ONE).client is world.client("two")
    assert set(world.registry.clusters()) == {ONE}


async def test_a_cluster_that_is_removed_while_it_connects(world: World) -> None:
    world.registry.ensure(ONE, a_kubeconfig("one"))
    world.registry.remove(ONE)
    await turns()
    assert world.why(ONE) == "no connection available"
    assert world.connections == []


async def test_refusing_a_cluster_ends_its_connection(world: World) -> None:
    world.registry.refuse(ONE, "dpuCluster is not ready")
    assert world.why(ONE) == "dpu cluster is not connected: dpuCluster is not ready"
    world.registry.ensure(ONE, a_kubeconfig("one"))
    await turns()
    assert isinstance(world.cluster(ONE).health, Connected)
    world.registry.refuse(ONE, "secret dpf/kubeconfig does not exist")
    await turns()
    assert world.why(ONE) == "dpu cluster is not connected: secret dpf/kubeconfig does not exist"
    assert world.client("one").closed == 1
    world.registry.ensure(ONE, a_kubeconfig("one"))
    await turns()
    assert isinstance(world.cluster(ONE).health, Connected)


async def test_refusing_again_with_the_same_words_is_no_news(world: World) -> None:
    world.registry.refuse(ONE, "not ready")
    await turns()
    news = len(world.health)
    first = world.registry.get(ONE)
    world.clock.advance(60)
    world.registry.refuse(ONE, "not ready")
    await turns()
    assert len(world.health) == news
    assert world.registry.get(ONE) == first


async def test_supervision_that_dies_is_loud_and_not_healthy(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.registry.ensure(ONE, a_kubeconfig("one"))
    await turns()
    explode = [True]

    def on_request(request: Request) -> None:
        if explode and is_probe(request):
            explode.clear()
            raise RuntimeError("a bug")

    world.client("one").on_request = on_request
    await world.clock.run_for(clusters.PROBE_EVERY_S + 1)
    assert "a bug" in world.why(ONE)
    assert "supervision ended" in caplog.text
    await world.clock.run_for(clusters.RETRY_CAP_S + 1)
    assert isinstance(world.cluster(ONE).health, Connected)


async def test_health_subscriptions_end(world: World) -> None:
    heard: list[Any] = []
    end = world.registry.subscribe_health(lambda *news: heard.append(news))
    end()
    world.registry.ensure(ONE, a_kubeconfig("one"))
    await turns()
    assert heard == []
    assert len(world.health) == 1
