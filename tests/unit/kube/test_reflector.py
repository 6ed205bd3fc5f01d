"""The rules of a reflector (design section 5), each as a test, on a memory cluster whose time stands still."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.clock import FakeClock, turns

from dpf.api.core import ConfigMap, Pod
from dpf.api.meta import Key, ObjectMeta
from dpf.kube import errors
from dpf.kube import reflector as reflectors
from dpf.kube.cache import Cache
from dpf.kube.client import Listing
from dpf.kube.memory import MemoryCluster, Request
from dpf.kube.reflector import Reflector, Reflectors, Timing
from dpf.kube.store import Scope, Store


def a_map(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data or None)


def is_list(request: Request) -> bool:
    return request.verb == "list"


def is_watch(request: Request) -> bool:
    return request.verb == "watch"


class Setting:
    """A memory cluster, a store that follows it, and everything that was announced."""

    def __init__(self, *, scope: Scope = Scope()) -> None:  # noqa: B008 - frozen
        self.cluster = MemoryCluster()
        self.clock = FakeClock()
        self.timing = Timing(clock=self.clock.monotonic, sleep=self.clock.sleep, rng=random.Random(1))
        self.store: Store[ConfigMap] = Store(ConfigMap, scope=scope)
        self.changes: list[tuple[str | None, str | None]] = []
        self.store.subscribe(lambda old, new: self.changes.append((_name(old), _name(new))))
        self.reflector = Reflector(self.cluster, self.store, timing=self.timing)
        self.task: asyncio.Task[None] | None = None

    def requests(self, verb: str) -> int:
        return sum(1 for request in self.cluster.requests if request.verb == verb)

    def names(self) -> list[str]:
        return sorted(obj.metadata.name for obj in self.store.list())

    def forget(self) -> None:
        self.changes.clear()
        self.cluster.requests.clear()


def _name(obj: ConfigMap | None) -> str | None:
    return obj.metadata.name if obj is not None else None


@asynccontextmanager
async def following(*objects: ConfigMap, scope: Scope = Scope()) -> AsyncIterator[Setting]:  # noqa: B008
    setting = Setting(scope=scope)
    setting.cluster.add(*objects)
    setting.task = asyncio.create_task(setting.reflector.run())
    await turns()
    try:
        yield setting
    finally:
        setting.task.cancel()
        await asyncio.gather(setting.task, return_exceptions=True)


async def test_a_list_and_then_a_watch() -> None:
    async with following(a_map("a")) as s:
        assert s.names() == ["a"]
        await s.cluster.create(a_map("b"))
        await s.cluster.delete(ConfigMap, "a", "default")
        await turns()
        assert s.names() == ["b"]
        assert s.changes == [(None, "a"), (None, "b"), ("a", None)]
        assert (s.requests("list"), s.requests("watch")) == (1, 1)
        assert s.reflector.healthy


async def test_a_scope_narrows_list_and_watch() -> None:
    inside = ConfigMap(metadata=ObjectMeta(name="in", namespace="default", labels={"app": "x"}))
    async with following(a_map("out"), inside, scope=Scope("default", "app=x")) as s:
        assert s.names() == ["in"]
        await s.cluster.create(a_map("also-out"))
        await s.cluster.patch(ConfigMap, "in", "default", patch={"metadata": {"labels": {"app": "y"}}})
        await turns()
        assert s.names() == []
        assert s.changes == [(None, "in"), ("in", None)]


async def test_a_scope_may_be_a_field_selector() -> None:
    async with following(a_map("out"), a_map("in"), scope=Scope(fields="metadata.name=in")) as s:
        assert s.names() == ["in"]
        await s.cluster.create(a_map("also-out"))
        await s.cluster.delete(ConfigMap, "in", "default")
        await turns()
        assert s.names() == []
        assert s.changes == [(None, "in"), ("in", None)]


async def test_the_end_of_a_watch_is_normal_and_nothing_is_missed() -> None:
    async with following(a_map("a")) as s:
        s.clock.advance(300)
        s.cluster.end_watches()
        s.cluster.add(a_map("b"))
        await turns()
        assert s.names() == ["a", "b"]
        assert (s.requests("list"), s.requests("watch")) == (1, 2)


async def test_410_as_a_status_lists_again_and_announces_the_difference() -> None:
    async with following(a_map("same"), a_map("changed"), a_map("gone")) as s:
        s.forget()
        s.cluster.fail_next(is_watch, errors.Unreachable("network is down"))
        s.cluster.end_watches(errors.Unreachable("network is down"))
        await turns()
        await s.cluster.delete(ConfigMap, "gone", "default")
        await s.cluster.patch(ConfigMap, "changed", "default", patch={"data": {"a": "b"}})
        await s.cluster.create(a_map("new"))
        s.cluster.compact()
        await s.clock.run_for(5)
        assert s.names() == ["changed", "new", "same"]
        assert sorted(s.changes, key=str) == sorted([("changed", "changed"), (None, "new"), ("gone", None)], key=str)
        assert s.requests("list") == 1


async def test_410_in_the_stream_lists_again_at_once() -> None:
    async with following(a_map("a")) as s:
        s.forget()
        s.cluster.end_watches(errors.Expired("too old"))
        await turns()
        assert (s.requests("list"), s.requests("watch")) == (1, 1)
        assert s.changes == []
        assert s.reflector.healthy


async def test_410_again_and_again_does_not_spin() -> None:
    async with following(a_map("a")) as s:
        s.cluster.fail_next(is_watch, errors.Expired("too old"), times=1000)
        s.forget()
        s.cluster.end_watches(errors.Expired("too old"))
        await s.clock.run_for(60)
        assert 3 <= s.requests("list") <= 15


class Paging:
    """A cluster whose list expires after its first page, as often as `expires` says."""

    name = "paging"

    def __init__(self, inner: MemoryCluster, expires: int) -> None:
        self.inner = inner
        self.expires = expires
        self.sizes: list[int] = []

    async def pages(self, kind: type[Any], namespace: str | None = None, **options: Any) -> AsyncIterator[Listing[Any]]:
        self.sizes.append(options["page_size"])
        whole = await self.inner.list(kind, namespace)
        yield Listing(whole.items[:1], whole.resource_version)
        if self.expires > 0:
            self.expires -= 1
            raise errors.Expired("the continue token is too old")
        yield Listing(whole.items[1:], whole.resource_version)

    def watch(self, *args: Any, **options: Any) -> Any:
        return self.inner.watch(*args, **options)


@pytest.mark.parametrize("expires", [1, 2])
async def test_410_on_continue_never_leaves_a_part(expires: int) -> None:
    s = Setting()
    s.cluster.add(a_map("a"), a_map("b"), a_map("c"))
    s.store.replace(Listing(s.cluster.objects(ConfigMap), s.cluster.resource_version))
    s.forget()
    paging: Any = Paging(s.cluster, expires)
    task = asyncio.create_task(Reflector(paging, s.store, timing=s.timing).run())
    await turns()
    assert s.names() == ["a", "b", "c"]
    await s.clock.run_for(2)
    assert paging.sizes[:2] == [reflectors.PAGE_SIZE, 0]
    assert s.changes == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_bookmarks_move_the_position() -> None:
    async with following(a_map("a")) as s:
        s.cluster.add(Pod(metadata=ObjectMeta(name="p", namespace="default")))
        s.cluster.bookmark()
        await turns()
        s.cluster.compact()
        s.clock.advance(300)
        s.cluster.end_watches()
        await turns()
        assert (s.requests("list"), s.requests("watch")) == (1, 2)


async def test_without_a_bookmark_the_same_needs_a_list() -> None:
    """Shows that the test above can fail."""
    async with following(a_map("a")) as s:
        s.cluster.add(Pod(metadata=ObjectMeta(name="p", namespace="default")))
        await turns()
        s.cluster.compact()
        s.clock.advance(300)
        s.cluster.end_watches()
        await turns()
        assert s.requests("list") == 2


async def test_history_that_runs_backwards_lists_again() -> None:
    """A restored or replaced etcd counts from an older number; going on would miss everything until it catches up."""
    async with following(a_map("a")) as s:
        s.reflector._position = str(10_000_000)
        await s.cluster.create(a_map("b"))
        await turns()
        assert s.requests("list") == 2
        assert s.names() == ["a", "b"]


class Asked:
    """A cluster that notes how long the watches are that it is asked for."""

    name = "asked"

    def __init__(self) -> None:
        self.timeouts: list[float] = []

    async def pages(self, kind: type[Any], namespace: str | None = None, **options: Any) -> AsyncIterator[Listing[Any]]:
        yield Listing((), "1")

    async def watch(self, kind: type[Any], namespace: str | None = None, *, timeout_s: float, **options: Any) -> Any:
        self.timeouts.append(timeout_s)
        if len(self.timeouts) == 20:
            await asyncio.Event().wait()
        yield ()


async def test_watches_end_at_random_times() -> None:
    asked: Any = Asked()
    clock = FakeClock()
    timing = Timing(clock=lambda: len(asked.timeouts) * 300.0, sleep=clock.sleep, rng=random.Random(1))
    task = asyncio.create_task(Reflector(asked, Store(ConfigMap), timing=timing).run())
    await turns(400)
    assert len(asked.timeouts) == 20
    assert min(asked.timeouts) >= 240
    assert max(asked.timeouts) <= 480
    assert len(set(asked.timeouts)) == 20
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("error", [errors.Timeout("silence"), errors.Unreachable("reset"), errors.ServerError("500")])
async def test_a_watch_that_breaks_goes_on_where_it_was(error: errors.Error) -> None:
    async with following(a_map("a")) as s:
        s.forget()
        s.cluster.end_watches(error)
        await turns()
        assert not s.reflector.healthy
        assert s.reflector.last_error == str(error)
        s.cluster.add(a_map("b"))
        await s.clock.run_for(1)
        assert s.reflector.healthy
        assert s.names() == ["a", "b"]
        assert s.requests("list") == 0


async def test_failures_are_repeated_ever_more_slowly_up_to_a_cap() -> None:
    s = Setting()
    s.cluster.fail_next(is_list, errors.Unreachable("down"), times=1000)
    task = asyncio.create_task(s.reflector.run())
    tries: list[float] = []
    s.cluster.on_request = lambda request: tries.append(s.clock.monotonic())
    await s.clock.run_for(600)
    waits = [after - before for before, after in itertools.pairwise(tries)]
    assert 0.25 <= waits[0] <= 0.5
    assert all(wait <= reflectors.BACKOFF_CAP_S for wait in waits)
    assert min(waits[-5:]) >= reflectors.BACKOFF_CAP_S / 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_server_that_says_when_is_believed() -> None:
    s = Setting()
    s.cluster.fail_next(is_list, errors.TooManyRequests("later", retry_after_s=77))
    task = asyncio.create_task(s.reflector.run())
    await s.clock.run_for(76)
    assert s.requests("list") == 1
    await s.clock.run_for(2)
    assert s.requests("list") == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_watch_that_ends_at_once_does_not_spin() -> None:
    s = Setting()
    task = asyncio.create_task(s.reflector.run())
    await turns()
    for _ in range(200):
        s.cluster.end_watches()
        await turns(5)
    assert s.requests("watch") <= 3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_store_answers_for_a_while_and_then_not() -> None:
    async with following(a_map("a")) as s:
        s.cluster.fail_next(lambda r: True, errors.Unreachable("no route to host"), times=1000)
        s.cluster.end_watches(errors.Unreachable("no route to host"))
        await s.clock.run_for(reflectors.GRACE_S / 2)
        assert s.names() == ["a"]
        await s.clock.run_for(reflectors.GRACE_S)
        with pytest.raises(errors.NotSynced, match="no route to host"):
            s.store.list()
        s.cluster._faults.clear()
        s.cluster.add(a_map("b"))
        await s.clock.run_for(reflectors.BACKOFF_CAP_S)
        assert s.names() == ["a", "b"]
        assert s.changes == [(None, "a"), (None, "b")]


async def test_a_store_that_was_never_listed_says_why() -> None:
    s = Setting()
    s.cluster.fail_next(is_list, errors.Forbidden('configmaps is forbidden: User "x" cannot list'), times=1000)
    task = asyncio.create_task(s.reflector.run())
    await s.clock.run_for(1)
    with pytest.raises(errors.NotSynced, match='User "x" cannot list'):
        s.store.get(Key("default", "a"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_kind_that_is_no_longer_served_is_not_a_kind_without_objects() -> None:
    async with following(a_map("a")) as s:
        s.forget()
        s.cluster.fail_next(lambda r: True, errors.NotFound("the server does not serve this path"), times=1000)
        s.cluster.end_watches(errors.Unreachable("reset"))
        await s.clock.run_for(2 * reflectors.GRACE_S)
        with pytest.raises(errors.NotSynced, match="does not serve"):
            s.store.list()
        assert s.changes == []


async def test_an_unreadable_object_is_reported_and_blinds_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with following(a_map("a")) as s:
        bad = {"metadata": {"name": "bad", "namespace": "default"}, "data": {"a": 1}}
        s.cluster.add_raw(ConfigMap, bad)
        s.cluster.add(a_map("b"))
        await turns()
        assert s.names() == ["a", "b"]
        assert s.reflector.unreadable_total == 1
        with pytest.raises(errors.NotSynced, match="cannot be read"):
            s.store.get(Key("default", "bad"))
        assert "configmaps default/bad cannot be read" in caplog.text
        s.cluster.end_watches(errors.Expired("too old"))
        await turns()
        assert s.names() == ["a", "b"]
        assert s.changes == [(None, "a"), (None, "b")]


async def test_one_outage_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with following(a_map("a")) as s:
        s.cluster.fail_next(is_watch, errors.Unreachable("down"), times=5)
        s.cluster.end_watches(errors.Unreachable("down"))
        await s.clock.run_for(60)
        assert [record.message for record in caplog.records] == [
            "host: cannot follow configmaps: down", "host: following configmaps again",
        ]


# A set of reflectors.


class Group:
    def __init__(self) -> None:
        self.cluster = MemoryCluster()
        self.clock = FakeClock()
        self.cache = Cache("host")
        self.timing = Timing(clock=self.clock.monotonic, sleep=self.clock.sleep, rng=random.Random(1))
        self.reflectors = Reflectors(self.cluster, self.cache, timing=self.timing)


@pytest.fixture
async def group() -> AsyncIterator[Group]:
    group = Group()
    yield group
    await group.reflectors.stop("test is over")


async def test_every_registered_kind_is_followed_also_a_late_one(group: Group) -> None:
    group.cluster.add(a_map("a"), Pod(metadata=ObjectMeta(name="p", namespace="default")))
    group.cache.register(ConfigMap)
    group.reflectors.start()
    await group.cache.wait_synced()
    group.cache.register(Pod)
    await group.cache.wait_synced()
    assert [len(group.cache.list(kind)) for kind in (ConfigMap, Pod)] == [1, 1]
    assert group.reflectors.healthy


async def test_one_kind_that_fails_is_named_and_does_not_hold_up_the_others(group: Group) -> None:
    group.cluster.fail_next(lambda r: r.kind == "Pod", errors.Forbidden("pods is forbidden"), times=1000)
    group.cache.register(Pod)
    group.cache.register(ConfigMap)
    group.reflectors.start()
    await turns()
    assert group.cache.is_synced(ConfigMap)
    assert not group.reflectors.healthy
    assert group.reflectors.errors == {Pod: "pods is forbidden"}


async def test_a_reflector_that_dies_is_loud_and_starts_again(group: Group, caplog: pytest.LogCaptureFixture) -> None:
    store = group.cache.register(ConfigMap)
    group.reflectors.start()
    await turns()
    blow_up = [True]

    def callback(_old: object, new: Any) -> None:
        if blow_up and new.metadata.name == "bomb":
            blow_up.clear()
            raise RuntimeError("a callback must not raise")

    store.subscribe(callback)
    group.cluster.add(a_map("bomb"))
    await turns()
    assert not group.reflectors.healthy
    assert "a callback must not raise" in group.reflectors.errors[ConfigMap]
    assert group.reflectors.crashes == 1
    assert "the reflector of configmaps ended" in caplog.text
    with pytest.raises(errors.NotSynced, match="stopped unexpectedly"):
        store.list()
    group.cluster.add(a_map("later"))
    await group.clock.run_for(5)
    assert group.reflectors.healthy
    assert sorted(obj.metadata.name for obj in store.list()) == ["bomb", "later"]


async def test_stopping_ends_everything_quietly(group: Group, caplog: pytest.LogCaptureFixture) -> None:
    group.cache.register(ConfigMap)
    group.reflectors.start()
    await turns()
    before = asyncio.all_tasks()
    await group.reflectors.stop("over")
    assert len(before - asyncio.all_tasks()) == 1
    assert caplog.text == ""
    assert group.reflectors.crashes == 0
    with pytest.raises(errors.NotSynced, match="over"):
        group.cache.list(ConfigMap)
