"""What every implementation of the client port promises about watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from dpf.api.core import ConfigMap, Namespace
from dpf.api.meta import Key, ObjectMeta
from dpf.kube.client import Client, Event, EventType

from .widget import StrictWidget, Widget, WidgetSpec


def a_config_map(namespace: str, name: str, **labels: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace, labels=labels or None))


async def take(stream: AsyncIterator[Sequence[Event[Any]]], count: int) -> list[Event[Any]]:
    """The next `count` events, bookmarks apart."""
    events: list[Event[Any]] = []
    async with asyncio.timeout(20):
        while len(events) < count:
            events += [event for event in await anext(stream) if event.type is not EventType.BOOKMARK]
    return events


def told(events: Sequence[Event[Any]]) -> list[tuple[str, str]]:
    return [(event.type.value, event.object.metadata.name) for event in events]


async def test_a_watch_continues_a_list(cluster: Client, namespace: str) -> None:
    await cluster.create(a_config_map(namespace, "before"))
    listing = await cluster.list(ConfigMap, namespace)
    stream = cluster.watch(ConfigMap, namespace, resource_version=listing.resource_version)
    assert await anext(stream) == ()
    made = await cluster.create(a_config_map(namespace, "a"))
    await cluster.patch(ConfigMap, "a", namespace, patch={"data": {"x": "y"}})
    await cluster.delete(ConfigMap, "a", namespace)
    events = await take(stream, 3)
    await stream.aclose()
    assert told(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert events[0].object == made
    assert events[1].object.data == {"x": "y"}
    versions = [int(event.resource_version) for event in events]
    assert versions == sorted(set(versions))
    assert all(event.object.metadata.resourceVersion == event.resource_version for event in events)


async def test_a_watch_replays_what_happened_since(cluster: Client, namespace: str) -> None:
    listing = await cluster.list(ConfigMap, namespace)
    await cluster.create(a_config_map(namespace, "a"))
    await cluster.create(a_config_map(namespace, "b"))
    stream = cluster.watch(ConfigMap, namespace, resource_version=listing.resource_version)
    first = await take(stream, 2)
    await stream.aclose()
    assert told(first) == [("ADDED", "a"), ("ADDED", "b")]
    stream = cluster.watch(ConfigMap, namespace, resource_version=first[0].resource_version)
    assert told(await take(stream, 1)) == [("ADDED", "b")]
    await stream.aclose()


async def test_a_change_without_effect_is_no_event(cluster: Client, namespace: str) -> None:
    await cluster.create(a_config_map(namespace, "a"))
    listing = await cluster.list(ConfigMap, namespace)
    await cluster.patch(ConfigMap, "a", namespace, patch={"metadata": {"labels": {}}})
    await cluster.create(a_config_map(namespace, "b"))
    stream = cluster.watch(ConfigMap, namespace, resource_version=listing.resource_version)
    assert told(await take(stream, 1)) == [("ADDED", "b")]
    await stream.aclose()


async def test_objects_enter_and_leave_a_selection(cluster: Client, namespace: str) -> None:
    listing = await cluster.list(ConfigMap, namespace, labels="app=x")
    stream = cluster.watch(ConfigMap, namespace, resource_version=listing.resource_version, labels="app=x")
    await cluster.create(a_config_map(namespace, "other", app="y"))
    await cluster.create(a_config_map(namespace, "a", app="x"))
    await cluster.patch(ConfigMap, "a", namespace, patch={"metadata": {"labels": {"app": "y"}}})
    await cluster.patch(ConfigMap, "a", namespace, patch={"metadata": {"labels": {"app": "x"}}})
    events = await take(stream, 3)
    await stream.aclose()
    assert told(events) == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "a")]
    assert events[1].object.metadata.labels == {"app": "x"}
    assert events[1].object.metadata.resourceVersion == events[1].resource_version


async def test_a_watch_on_one_name_and_over_all_namespaces(cluster: Client, namespace: str) -> None:
    other = f"{namespace}-other"
    listing = await cluster.list(ConfigMap)
    by_name = cluster.watch(
        ConfigMap, namespace, resource_version=listing.resource_version, fields="metadata.name=a"
    )
    everywhere = cluster.watch(ConfigMap, resource_version=listing.resource_version, labels=f"test={namespace}")
    await cluster.create(Namespace(metadata=ObjectMeta(name=other)))
    for where, name in ((namespace, "b"), (namespace, "a"), (other, "a")):
        await cluster.create(a_config_map(where, name, test=namespace))
    assert told(await take(by_name, 1)) == [("ADDED", "a")]
    found = [event.object.metadata.namespace for event in await take(everywhere, 3)]
    assert found == [namespace, namespace, other]
    await by_name.aclose()
    await everywhere.aclose()


async def test_finalizers_in_a_watch(cluster: Client, namespace: str) -> None:
    listing = await cluster.list(Widget, namespace)
    stream = cluster.watch(Widget, namespace, resource_version=listing.resource_version)
    await cluster.create(Widget(metadata=ObjectMeta(name="w", namespace=namespace, finalizers=["dpf.example/a"])))
    await cluster.delete(Widget, "w", namespace)
    await cluster.patch(Widget, "w", namespace, patch={"metadata": {"finalizers": None}})
    events = await take(stream, 3)
    await stream.aclose()
    assert told(events) == [("ADDED", "w"), ("MODIFIED", "w"), ("DELETED", "w")]
    assert events[1].object.metadata.deletionTimestamp


async def test_an_object_that_does_not_fit_ends_no_watch(cluster: Client, namespace: str) -> None:
    listing = await cluster.list(StrictWidget, namespace)
    stream = cluster.watch(StrictWidget, namespace, resource_version=listing.resource_version)
    await cluster.create(Widget(metadata=ObjectMeta(name="bad", namespace=namespace), spec=WidgetSpec(size=1)))
    await cluster.patch(StrictWidget, "bad", namespace, patch={"spec": {"size": "1"}})
    await cluster.patch(Widget, "bad", namespace, patch={"spec": {"size": 2}})
    await cluster.delete(Widget, "bad", namespace)
    events = await take(stream, 4)
    await stream.aclose()
    assert [event.type for event in events] == [
        EventType.UNREADABLE, EventType.MODIFIED, EventType.UNREADABLE, EventType.DELETED,
    ]
    assert events[0].unreadable is not None
    assert events[0].unreadable.key == Key(namespace, "bad")
    assert events[1].object.spec.size == "1"
    assert events[3].unreadable is not None
    assert events[3].unreadable.key == Key(namespace, "bad")


async def test_the_server_ends_a_watch_after_its_time(cluster: Client, namespace: str) -> None:
    listing = await cluster.list(ConfigMap, namespace)
    stream = cluster.watch(ConfigMap, namespace, resource_version=listing.resource_version, timeout_s=1)
    async with asyncio.timeout(20):
        events = [event async for batch in stream for event in batch]
    assert {event.type for event in events} <= {EventType.BOOKMARK}


async def test_without_a_resource_version_what_exists_comes_first(cluster: Client, namespace: str) -> None:
    await cluster.create(Widget(metadata=ObjectMeta(name="w", namespace=namespace)))
    stream = cluster.watch(Widget, namespace, resource_version="")
    assert told(await take(stream, 1)) == [("ADDED", "w")]
    await stream.aclose()
