"""Watches on the wire: lines cut anywhere, errors in the stream, silence, and connections that break."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from dpf.api.core import ConfigMap
from dpf.kube import errors, http
from dpf.kube.client import Event, EventType
from dpf.kube.http import HTTPClient

from .stubserver import answer, config_map, event, failure, hang, serving, stream


async def all_of(client: HTTPClient, **options: float) -> list[Event[ConfigMap]]:
    watch = client.watch(ConfigMap, "ns", resource_version="5", **options)
    return [event async for batch in watch for event in batch]


def names(events: Sequence[Event[ConfigMap]]) -> list[str]:
    return [event.object.metadata.name for event in events if event.object is not None]


ADDED = event("ADDED", config_map("a", 6)) + event("MODIFIED", config_map("b", 7, text="ä\\n\"x\""))


async def test_a_watch_on_the_wire() -> None:
    async with serving(stream(ADDED)) as (client, stub):
        watch = client.watch(
            ConfigMap, "ns", resource_version="5", labels="a=b", fields="metadata.name=x", timeout_s=77
        )
        batches = [batch async for batch in watch]
        assert batches[0] == ()
        assert [(e.type, e.resource_version) for e in batches[1]] == [(EventType.ADDED, "6"), (EventType.MODIFIED, "7")]
        (seen,) = stub.seen
        assert (seen.method, seen.path) == ("GET", "/api/v1/namespaces/ns/configmaps")
        assert seen.query == {
            "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": "5", "timeoutSeconds": "77",
            "labelSelector": "a=b", "fieldSelector": "metadata.name=x",
        }


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10_000])
async def test_lines_may_be_cut_anywhere(size: int) -> None:
    pieces = [ADDED[start:start + size] for start in range(0, len(ADDED), size)]
    async with serving(stream(*pieces)) as (client, _):
        events = await all_of(client)
        assert names(events) == ["a", "b"]
        assert events[1].object is not None
        assert events[1].object.data == {"text": "ä\\n\"x\""}


async def test_a_line_that_never_ended_is_not_an_event() -> None:
    async with serving(stream(ADDED + ADDED[:40])) as (client, _):
        assert names(await all_of(client)) == ["a", "b"]


async def test_an_object_of_a_megabyte() -> None:
    big = config_map("big", 8, text="x" * (1 << 20))
    async with serving(stream(event("ADDED", big), ADDED)) as (client, _):
        assert names(await all_of(client)) == ["big", "a", "b"]


async def test_a_line_without_end_does_not_fill_our_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_LINE_BYTES", 10_000)
    async with serving(stream(ADDED, b"x" * 20_000, end="open")) as (client, _):
        with pytest.raises(errors.ServerError, match="an event of more than"):
            await all_of(client)


async def test_a_bookmark() -> None:
    mark = event("BOOKMARK", {"kind": "ConfigMap", "metadata": {"resourceVersion": "99"}})
    async with serving(stream(ADDED, mark)) as (client, _):
        last = (await all_of(client))[-1]
        assert (last.type, last.object, last.resource_version) == (EventType.BOOKMARK, None, "99")


async def test_410_as_a_status() -> None:
    async with serving(failure(410, "Expired")) as (client, _):
        with pytest.raises(errors.Expired):
            await all_of(client)


async def test_410_in_the_stream_comes_after_the_events_before_it() -> None:
    gone = event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})
    async with serving(stream(ADDED + gone)) as (client, _):
        seen: list[Event[ConfigMap]] = []
        with pytest.raises(errors.Expired, match="too old"):
            async for batch in client.watch(ConfigMap, "ns", resource_version="5"):
                seen += batch
        assert names(seen) == ["a", "b"]


async def test_another_error_in_the_stream() -> None:
    oops = event("ERROR", {"kind": "Status", "code": 500, "reason": "InternalError", "message": "etcd is away"})
    async with serving(stream(oops)) as (client, _):
        with pytest.raises(errors.ServerError, match="etcd is away"):
            await all_of(client)


async def test_nonsense_in_the_stream() -> None:
    async with serving(stream(b"<html>\n")) as (client, _):
        with pytest.raises(errors.ServerError, match="not what a Kubernetes API server sends"):
            await all_of(client)


async def test_one_bad_object_ends_nothing() -> None:
    bad = config_map("bad", 6)
    bad["data"] = {"a": 1}
    async with serving(stream(event("ADDED", bad), ADDED)) as (client, _):
        events = await all_of(client)
        assert [e.type for e in events] == [EventType.UNREADABLE, EventType.ADDED, EventType.MODIFIED]


async def test_a_cut_stream_is_unreachable() -> None:
    async with serving(stream(ADDED, end="cut")) as (client, _):
        with pytest.raises(errors.Unreachable):
            await all_of(client)


async def test_silence_is_a_timeout() -> None:
    async with serving(stream(ADDED, end="open"), watchdog_margin_s=0.05) as (client, _):
        seen: list[Event[ConfigMap]] = []
        with pytest.raises(errors.Timeout, match="no answer in time"):
            async for batch in client.watch(ConfigMap, "ns", resource_version="5", timeout_s=0.05):
                seen += batch
        assert names(seen) == ["a", "b"]


async def test_a_server_that_takes_the_watch_and_never_opens_it() -> None:
    async with serving(hang, timeout_s=0.05) as (client, _):
        with pytest.raises(errors.Timeout):
            await all_of(client)


async def test_leaving_a_watch_ends_its_connection() -> None:
    gate = asyncio.Event()
    async with serving(stream(ADDED, gate)) as (client, stub):
        watch = client.watch(ConfigMap, "ns", resource_version="5")
        assert await anext(watch) == ()
        assert names(await anext(watch)) == ["a", "b"]
        await watch.aclose()
        gate.set()
        assert stub.connections == 1


async def test_watches_do_not_use_up_the_pool() -> None:
    opened = [stream(end="open")] * (http.POOL + 2)
    async with serving(*opened, answer(config_map("a"))) as (client, _):
        watches = [client.watch(ConfigMap, "ns", resource_version="5") for _ in opened]
        for watch in watches:
            assert await anext(watch) == ()
        assert (await client.get(ConfigMap, "a", "ns")).metadata.name == "a"
        for watch in watches:
            await watch.aclose()


async def test_refused_credentials_in_a_watch() -> None:
    async with serving(answer(json.dumps({"kind": "Status", "message": "no"}).encode(), 401)) as (client, _):
        with pytest.raises(errors.Unauthorized):
            await all_of(client)
