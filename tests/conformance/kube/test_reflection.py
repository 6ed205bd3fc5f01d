"""A cache that follows a cluster through a reflector ends up equal to it, whatever happened in between."""

from __future__ import annotations

import asyncio
import random

from dpf.api.meta import Key, ObjectMeta
from dpf.kube.cache import Cache
from dpf.kube.client import Client
from dpf.kube.reflector import Reflectors

from .widget import Widget, WidgetSpec


async def test_a_cache_equals_its_cluster_after_random_changes(cluster: Client, namespace: str) -> None:
    cache = Cache("test")
    store = cache.register(Widget, namespace=namespace, indexes={"color": lambda w: [w.spec.color or "none"]})
    reflectors = Reflectors(cluster, cache)
    rng = random.Random(7)
    names = [f"w{number}" for number in range(6)]
    seen: dict[str, str] = {}
    caught_up = asyncio.Event()

    def note(old: Widget | None, new: Widget | None) -> None:
        if new is None:
            assert old is not None
            seen.pop(old.metadata.name)
        else:
            seen[new.metadata.name] = new.metadata.resourceVersion or ""
            if new.metadata.name == "last":
                caught_up.set()

    store.subscribe(note)
    reflectors.start()
    await cache.wait_synced()
    for _ in range(40):
        name, color = rng.choice(names), rng.choice(["red", "green"])
        exists = any(item.metadata.name == name for item in (await cluster.list(Widget, namespace)).items)
        if exists and rng.random() < 0.4:
            await cluster.delete(Widget, name, namespace)
        else:
            widget = Widget(metadata=ObjectMeta(name=name, namespace=namespace), spec=WidgetSpec(color=color))
            await cluster.apply(widget, field_owner="test")
    await cluster.create(Widget(metadata=ObjectMeta(name="last", namespace=namespace)))
    async with asyncio.timeout(20):
        await caught_up.wait()
    there = {item.metadata.name: item for item in (await cluster.list(Widget, namespace)).items}
    assert {widget.metadata.name: widget for widget in cache.list(Widget)} == there
    assert seen == {name: item.metadata.resourceVersion for name, item in there.items()}
    for color in ("red", "green", "none"):
        found = {widget.metadata.name for widget in cache.by_index(Widget, "color", color)}
        assert found == {name for name, item in there.items() if (item.spec.color or "none") == color}
    assert cache.get(Widget, Key(namespace, "last")) == there["last"]
    await reflectors.stop("over")
