"""Every cluster we talk to: the host and one `Cluster` per DPUCluster, each with its own client, cache and health.

A controller that follows DPUCluster objects calls `ensure` and `remove`; everybody else asks `get` and is handed either
a connected cluster or `Unreachable`, a value that a snapshot can hold. Each cluster is probed by its own task with its
own backoff, so a dead or slow one never delays another. Texts: behaviour-service.md section 8.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from dpf.api.meta import Key, Object
from dpf.kube import errors, http, kubeconfig
from dpf.kube.cache import Cache
from dpf.kube.client import Client
from dpf.kube.kubeconfig import Connection
from dpf.kube.reflector import REAL_TIME, Reflectors, Timing
from dpf.kube.store import IndexFunction

T = TypeVar("T", bound=Object)

_LOG: Final = logging.getLogger(__name__)

HOST: Final = Key("", "host")
"""The key of the host cluster; a DPUCluster always has a namespace."""
NO_CONNECTION: Final = "no connection available"
NOT_CONNECTED: Final = "dpu cluster is not connected"

PROBE_EVERY_S: Final = 10.0
PROBE_TIMEOUT_S: Final = 10.0
FIRST_RETRY_S: Final = 1.0
RETRY_CAP_S: Final = 30.0
FAILURES_TO_DISCONNECT: Final = 3
"""A single lost probe is no outage; three in a row (about 3 s when connections are refused) are."""


@dataclass(frozen=True, slots=True)
class Connecting:
    """No probe has been answered yet. `since` is RFC 3339 UTC."""

    since: str


@dataclass(frozen=True, slots=True)
class Connected:
    """The API server answers; `version` is its gitVersion."""

    version: str
    since: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No use asking this cluster now. `why` is for people, `since` RFC 3339 UTC."""

    why: str
    since: str


Health = Connecting | Connected | Unreachable
HealthCallback = Callable[[Key, Health, Health | None], None]
"""`callback(key, old, new)`; new is None when the cluster was removed. It must not raise."""
ObjectCallback = Callable[[Key, Any, Any], None]
"""`callback(cluster, old, new)` for one object of one cluster, as `store.Callback`."""


class Cluster:
    """One cluster: `client` to write, `cache` to read, `health` to know whether either makes sense.

    The cache outlives reconnections: after one, the difference is announced, deletions included.
    """

    def __init__(
        self, key: Key, *, timing: Timing, now: Callable[[], datetime],
        on_health: Callable[[Key, Health, Health], None],
    ) -> None:
        self.key = key
        self.cache = Cache(str(key))
        self.health: Health = Connecting(_stamp(now()))
        self._timing = timing
        self._now = now
        self._on_health = on_health
        self._client: Client | None = None
        self._reflectors: Reflectors | None = None
        self._task: asyncio.Task[None] | None = None
        self._doubted = asyncio.Event()
        self.changing = asyncio.Lock()
        """Held while the connection is exchanged, so that two exchanges do not overlap."""

    @property
    def client(self) -> Client:
        """For reads and writes at the server. Raises Unreachable (the error) when there is no usable kubeconfig."""
        if self._client is None:
            raise errors.Unreachable(f"{self.key}: {NO_CONNECTION}")
        return self._client

    @property
    def reflectors(self) -> Reflectors | None:
        """What fills the cache; None while not connected."""
        return self._reflectors

    def connect(self, client: Client) -> None:
        """Talk to the cluster through `client` from now on."""
        self._client = client
        self._task = asyncio.create_task(self._supervise(client), name=f"cluster {self.key}")
        self._task.add_done_callback(self._ended)

    def expect(self) -> None:
        """Another kubeconfig has come: what was known about health no longer counts."""
        self._move(Connecting(_stamp(self._now())))

    def refuse(self, why: str) -> None:
        """There is no way to connect, because of `why`, until `connect` is called."""
        self._move(Unreachable(why, _stamp(self._now())))

    async def disconnect(self, why: str) -> None:
        """Stop probing and following, and close the client; the cache answers no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._stop_following(why)
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _supervise(self, client: Client) -> None:
        """Probe for ever. Following the cluster's objects starts and stops with its health."""
        failures = 0
        while True:
            error = await self._probe(client)
            if error is None:
                failures = 0
                self._follow(client)
                await self._rest()
                continue
            failures += 1
            if failures >= FAILURES_TO_DISCONNECT or not isinstance(self.health, Connected):
                self._move(Unreachable(str(error), _stamp(self._now())))
                await self._stop_following(str(error))
            delay = min(RETRY_CAP_S, FIRST_RETRY_S * 2.0 ** min(failures - 1, 10))
            await self._timing.sleep(delay * self._timing.rng.uniform(0.5, 1.0))

    async def _rest(self) -> None:
        """Until the next probe is due, or a watch has lost contact: then it is asked at once what that means."""
        self._doubted.clear()
        waits = [asyncio.ensure_future(wait) for wait in (self._timing.sleep(PROBE_EVERY_S), self._doubted.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _probe(self, client: Client) -> errors.Error | None:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                version = await client.server_version()
        except errors.Error as error:
            return error
        except TimeoutError:
            return errors.Timeout(f"no answer within {PROBE_TIMEOUT_S:g} s")
        self._move(Connected(version, _stamp(self._now())))
        return None

    def _follow(self, client: Client) -> None:
        if self._reflectors is None:
            self._reflectors = Reflectors(client, self.cache, timing=self._timing, on_lost=self._doubted.set)
            self._reflectors.start()

    async def _stop_following(self, why: str) -> None:
        reflectors, self._reflectors = self._reflectors, None
        if reflectors is not None:
            await reflectors.stop(why)

    def _move(self, new: Health) -> None:
        """Announce a change. The same state with the same words keeps its `since`."""
        old = self.health
        if isinstance(old, Connecting) and isinstance(new, Connecting):
            return
        if isinstance(old, Connected) and isinstance(new, Connected) and old.version == new.version:
            return
        if isinstance(old, Unreachable) and isinstance(new, Unreachable):
            if old.why == new.why:
                return
            new = Unreachable(new.why, old.since)
        self.health = new
        self._on_health(self.key, old, new)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Supervision ends only by cancellation; anything else is a fault of ours and must not look healthy."""
        if task.cancelled() or task is not self._task:
            return
        error = task.exception()
        _LOG.critical("cluster %s: supervision ended: %r; starting it again", self.key, error, exc_info=error)
        self._move(Unreachable(f"supervision ended: {error!r}", _stamp(self._now())))
        if self._client is not None:
            self._task = asyncio.create_task(self._resume(self._client), name=f"cluster {self.key}")
            self._task.add_done_callback(self._ended)

    async def _resume(self, client: Client) -> None:
        await self._timing.sleep(RETRY_CAP_S)
        await self._supervise(client)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Registration:
    """A kind that every DPU cluster caches."""

    kind: type[Object]
    labels: str | None
    indexes: Mapping[str, IndexFunction]


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Stands where a kubeconfig should be: why there is none."""

    why: str


_Source = bytes | Connection | _Refusal


class ClusterRegistry:
    """The host cluster, and DPU clusters by key. Use it in one event loop.

    `connect` makes a client for a DPU cluster and is replaced in tests.
    """

    def __init__(
        self, host: Client, *, connect: Callable[[Connection, str], Client] | None = None, timing: Timing = REAL_TIME,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._connect = connect or (lambda connection, name: http.HTTPClient(connection, name=name))
        self._timing = timing
        self._now = now
        self._clusters: dict[Key, Cluster] = {}
        self._sources: dict[Key, _Source] = {}
        self._registrations: list[_Registration] = []
        self._object_callbacks: list[tuple[type[Object], ObjectCallback]] = []
        self._health_callbacks: list[HealthCallback] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._host_client = host
        self.host = Cluster(HOST, timing=timing, now=now, on_health=self._announce)

    def start(self) -> None:
        """Begin to probe and to follow the host cluster."""
        self.host.connect(self._host_client)

    async def aclose(self) -> None:
        """Leave every cluster, the host last."""
        for key in tuple(self._clusters):
            self.remove(key)
        await asyncio.gather(*self._closing)
        await self.host.disconnect("closed")

    def register_everywhere(
        self, kind: type[T], *, labels: str | None = None, indexes: Mapping[str, IndexFunction] | None = None
    ) -> None:
        """Have `kind` cached for every DPU cluster, present and future. See `Cache.register`."""
        registration = _Registration(kind=kind, labels=labels, indexes=indexes or {})
        self._registrations.append(registration)
        for cluster in self._clusters.values():
            cluster.cache.register(kind, labels=labels, indexes=registration.indexes)

    def subscribe_everywhere(self, kind: type[T], callback: ObjectCallback) -> None:
        """Call `callback(cluster, old, new)` for every change of `kind` in any DPU cluster, present and future."""
        self._object_callbacks.append((kind, callback))
        for cluster in self._clusters.values():
            self._subscribe(cluster, kind, callback)

    def subscribe_health(self, callback: HealthCallback) -> Callable[[], None]:
        """Call `callback(key, old, new)` when the health of any cluster changes; the returned function ends that."""
        self._health_callbacks.append(callback)
        return lambda: self._health_callbacks.remove(callback)

    def ensure(self, key: Key, source: bytes | Connection) -> None:
        """Be connected to `key` with this kubeconfig. The same one again does nothing, another one reconnects.

        Bytes come from a Secret and are not trusted. One that cannot be used makes the cluster `Unreachable`.
        """
        self._change_source(key, source)

    def refuse(self, key: Key, why: str) -> None:
        """There is nothing to connect to `key` with, because of `why`: it is `Unreachable` until `ensure` is called."""
        self._change_source(key, _Refusal(why))

    def remove(self, key: Key) -> None:
        """Leave a cluster. Unknown keys are ignored."""
        cluster = self._clusters.pop(key, None)
        self._sources.pop(key, None)
        if cluster is None:
            return
        self._keep(asyncio.create_task(self._disconnect(cluster), name=f"disconnect {key}"))
        for callback in tuple(self._health_callbacks):
            callback(key, cluster.health, None)

    def get(self, key: Key) -> Cluster | Unreachable:
        """The cluster when it is connected, else why not and since when. Never waits."""
        cluster = self.host if key == HOST else self._clusters.get(key)
        if cluster is None:
            return Unreachable(NO_CONNECTION, _stamp(self._now()))
        match cluster.health:
            case Connected():
                return cluster
            case Connecting(since):
                return Unreachable(NOT_CONNECTED, since)
            case Unreachable(why, since):
                return Unreachable(f"{NOT_CONNECTED}: {why}", since)

    def health(self, key: Key) -> Health | None:
        """The health of a cluster; None for an unknown one."""
        cluster = self.host if key == HOST else self._clusters.get(key)
        return cluster.health if cluster is not None else None

    def clusters(self) -> Mapping[Key, Cluster]:
        """All DPU clusters, whatever their health, without the host."""
        return dict(self._clusters)

    def _new_cluster(self, key: Key) -> Cluster:
        cluster = Cluster(key, timing=self._timing, now=self._now, on_health=self._announce)
        for registration in self._registrations:
            cluster.cache.register(registration.kind, labels=registration.labels, indexes=registration.indexes)
        for kind, callback in self._object_callbacks:
            self._subscribe(cluster, kind, callback)
        return cluster

    def _change_source(self, key: Key, source: _Source) -> None:
        if self._sources.get(key) == source:
            return
        self._sources[key] = source
        cluster = self._clusters.get(key)
        if cluster is None:
            cluster = self._clusters[key] = self._new_cluster(key)
        _announce_source(cluster, source)
        self._keep(asyncio.create_task(self._reconnect(cluster, source), name=f"connect {key}"))

    async def _reconnect(self, cluster: Cluster, source: _Source) -> None:
        """Change over to `source`, unless yet another kubeconfig has come, or the cluster has gone, meanwhile."""
        async with cluster.changing:
            await cluster.disconnect(NOT_CONNECTED)
            if self._sources.get(cluster.key) != source or self._clusters.get(cluster.key) is not cluster:
                return
            # Once more: a probe may have been answered while the old connection was being closed.
            _announce_source(cluster, source)
            if isinstance(source, _Refusal):
                return
            try:
                connection = _connection(cluster.key, source)
            except errors.CredentialsError as error:
                cluster.refuse(str(error))
                return
            cluster.connect(self._connect(connection, str(cluster.key)))

    async def _disconnect(self, cluster: Cluster) -> None:
        async with cluster.changing:
            await cluster.disconnect(NO_CONNECTION)

    def _subscribe(self, cluster: Cluster, kind: type[Object], callback: ObjectCallback) -> None:
        cluster.cache.subscribe(kind, lambda old, new: callback(cluster.key, old, new))

    def _announce(self, key: Key, old: Health, new: Health) -> None:
        for callback in tuple(self._health_callbacks):
            callback(key, old, new)

    def _keep(self, task: asyncio.Task[None]) -> None:
        """The event loop holds tasks only weakly."""
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _announce_source(cluster: Cluster, source: _Source) -> None:
    """What was known about health no longer counts."""
    if isinstance(source, _Refusal):
        cluster.refuse(source.why)
    else:
        cluster.expect()


def _connection(key: Key, source: bytes | Connection) -> Connection:
    if isinstance(source, Connection):
        return source
    return kubeconfig.from_secret(source, source=f"kubeconfig of {key}")


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
