"""The parts of the memory cluster that a bare API server does not have: controllers' work, and hooks for tests.

(What both have in common is tests/conformance/kube.)
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from dpf.api.core import ConfigMap, Namespace, Node, Secret
from dpf.api.meta import Key, Object, ObjectMeta, OwnerReference
from dpf.kube import errors
from dpf.kube.client import PatchType
from dpf.kube.memory import MemoryCluster, Request, Write

NS = "default"


def a_map(name: str, *owners: Object, namespace: str = NS, **metadata: Any) -> ConfigMap:
    references = [
        OwnerReference(apiVersion="v1", kind=type(o).resource.kind, name=o.metadata.name, uid=o.metadata.uid or "")
        for o in owners
    ]
    return ConfigMap(
        metadata=ObjectMeta(name=name, namespace=namespace, ownerReferences=references or None, **metadata)
    )


def names(cluster: MemoryCluster, kind: type[Object] = ConfigMap) -> list[str]:
    return [obj.metadata.name for obj in cluster.objects(kind)]


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster(now=lambda: datetime(2026, 1, 1, tzinfo=UTC))


# Garbage collection.


async def test_dependents_go_with_their_owner(cluster: MemoryCluster) -> None:
    owner = await cluster.create(a_map("owner"))
    child = await cluster.create(a_map("child", owner))
    await cluster.create(a_map("grandchild", child))
    await cluster.create(a_map("other"))
    await cluster.delete(ConfigMap, "owner", NS)
    assert names(cluster) == ["other"]


async def test_a_dependent_stays_while_one_owner_is_left(cluster: MemoryCluster) -> None:
    first, second = [await cluster.create(a_map(name)) for name in ("first", "second")]
    await cluster.create(a_map("child", first, second))
    await cluster.delete(ConfigMap, "first", NS)
    assert names(cluster) == ["child", "second"]
    await cluster.delete(ConfigMap, "second", NS)
    assert names(cluster) == []


async def test_a_dependent_with_a_finalizer_waits(cluster: MemoryCluster) -> None:
    owner = await cluster.create(a_map("owner"))
    await cluster.create(a_map("child", owner, finalizers=["dpf.example/x"]))
    await cluster.delete(ConfigMap, "owner", NS)
    assert (await cluster.get(ConfigMap, "child", NS)).metadata.deletionTimestamp == "2026-01-01T00:00:00Z"
    await cluster.patch(ConfigMap, "child", NS, patch={"metadata": {"finalizers": None}})
    assert names(cluster) == []


async def test_an_owner_in_another_namespace_is_no_owner(cluster: MemoryCluster) -> None:
    """The classic mistake: a real cluster collects such an object a moment after it was made."""
    owner = await cluster.create(a_map("owner", namespace="kube-system"))
    await cluster.create(a_map("child", owner))
    assert names(cluster) == ["owner"]


async def test_a_cluster_scoped_owner_owns_everywhere(cluster: MemoryCluster) -> None:
    owner = await cluster.create(Node(metadata=ObjectMeta(name="n")))
    await cluster.create(a_map("child", owner))
    assert names(cluster) == ["child"]
    await cluster.delete(Node, "n")
    assert names(cluster) == []


async def test_an_owner_that_was_made_again_is_another_one(cluster: MemoryCluster) -> None:
    owner = await cluster.create(a_map("owner"))
    await cluster.delete(ConfigMap, "owner", NS)
    await cluster.create(a_map("owner"))
    await cluster.create(a_map("child", owner))
    assert names(cluster) == ["owner"]


async def test_orphans_forget_their_owner(cluster: MemoryCluster) -> None:
    owner = await cluster.create(a_map("owner"))
    await cluster.create(a_map("child", owner))
    await cluster.delete(ConfigMap, "owner", NS, propagation="Orphan")
    assert names(cluster) == ["child"]
    assert (await cluster.get(ConfigMap, "child", NS)).metadata.ownerReferences is None


async def test_foreground_deletion_waits_for_dependents(cluster: MemoryCluster) -> None:
    owner = await cluster.create(a_map("owner"))
    await cluster.create(a_map("child", owner, finalizers=["dpf.example/x"]))
    await cluster.delete(ConfigMap, "owner", NS, propagation="Foreground")
    assert names(cluster) == ["child", "owner"]
    await cluster.patch(ConfigMap, "child", NS, patch={"metadata": {"finalizers": None}})
    assert names(cluster) == []


async def test_without_controllers_nobody_collects() -> None:
    cluster = MemoryCluster(controllers=False)
    owner = await cluster.create(a_map("owner"))
    await cluster.create(a_map("child", owner))
    await cluster.delete(ConfigMap, "owner", NS, propagation="Foreground")
    assert names(cluster) == ["child"]


# Namespaces.


async def test_a_deleted_namespace_takes_its_content_along(cluster: MemoryCluster) -> None:
    await cluster.create(Namespace(metadata=ObjectMeta(name="tenant")))
    await cluster.create(a_map("a", namespace="tenant"))
    await cluster.create(a_map("b"))
    await cluster.delete(Namespace, "tenant")
    assert names(cluster) == ["b"]
    assert "tenant" not in names(cluster, Namespace)


async def test_a_namespace_stays_until_its_last_finalizer_is_gone(cluster: MemoryCluster) -> None:
    await cluster.create(Namespace(metadata=ObjectMeta(name="tenant")))
    await cluster.create(a_map("held", namespace="tenant", finalizers=["dpf.example/x"]))
    await cluster.delete(Namespace, "tenant")
    assert (await cluster.get(Namespace, "tenant")).status.phase == "Terminating"
    await cluster.patch(ConfigMap, "held", "tenant", patch={"metadata": {"finalizers": None}})
    assert "tenant" not in names(cluster, Namespace)


async def test_namespaces_may_have_finalizers_themselves(cluster: MemoryCluster) -> None:
    await cluster.create(Namespace(metadata=ObjectMeta(name="tenant", finalizers=["dpf.example/x"])))
    await cluster.delete(Namespace, "tenant")
    assert "tenant" in names(cluster, Namespace)
    await cluster.patch(Namespace, "tenant", patch={"metadata": {"finalizers": []}})
    assert "tenant" not in names(cluster, Namespace)


# Hooks.


def test_objects_are_put_in_place_as_they_are(cluster: MemoryCluster) -> None:
    cluster.add(
        a_map("a", namespace="new", deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["x"], uid="u"),
        Secret(metadata=ObjectMeta(name="s", namespace=NS), stringData={"a": "1"}),
    )
    (found,) = cluster.objects(ConfigMap)
    assert (found.metadata.uid, found.metadata.deletionTimestamp) == ("u", "2026-01-01T00:00:00Z")
    assert found.metadata.resourceVersion == str(int(cluster.resource_version) - 1)
    assert cluster.objects(Secret)[0].data == {"a": "MQ=="}
    assert "new" in names(cluster, Namespace)
    assert cluster.writes == []


async def test_writes_are_counted_with_verb_kind_and_key(cluster: MemoryCluster) -> None:
    await cluster.create(a_map("a"))
    await cluster.create(a_map("b"), dry_run=True)
    await cluster.apply(a_map("a"), field_owner="x")
    await cluster.patch(ConfigMap, "a", NS, patch={}, subresource="status")
    await cluster.get(ConfigMap, "a", NS)
    with pytest.raises(errors.AlreadyExists):
        await cluster.create(a_map("a"))
    await cluster.delete(ConfigMap, "a", NS)
    key = Key(NS, "a")
    assert cluster.writes == [
        Write("create", "ConfigMap", key), Write("apply", "ConfigMap", key), Write("patch/status", "ConfigMap", key),
        Write("create", "ConfigMap", key), Write("delete", "ConfigMap", key),
    ]
    assert [str(request) for request in cluster.requests[2:4]] == [
        "apply ConfigMap default/a", "patch/status ConfigMap default/a",
    ]


async def test_a_fault_happens_as_often_as_told_and_changes_nothing(cluster: MemoryCluster) -> None:
    cluster.fail_next(lambda r: r.verb == "create" and r.key.name == "a", errors.Unreachable("down"), times=2)
    await cluster.create(a_map("b"))
    for _ in range(2):
        with pytest.raises(errors.Unreachable, match="down"):
            await cluster.create(a_map("a"))
    assert names(cluster) == ["b"]
    await cluster.create(a_map("a"))
    assert names(cluster) == ["a", "b"]


class Crash(BaseException):
    """The process dies here."""


async def test_a_crash_can_come_before_or_after_a_write(cluster: MemoryCluster) -> None:
    def crash(request: Request) -> None:
        if request.is_write:
            raise Crash

    cluster.on_request = crash
    with pytest.raises(Crash):
        await cluster.create(a_map("before"))
    assert names(cluster) == []
    cluster.on_request, cluster.after_write = None, crash
    await cluster.list(ConfigMap)
    with pytest.raises(Crash):
        await cluster.create(a_map("after"))
    assert names(cluster) == ["after"]
    await cluster.create(a_map("dry"), dry_run=True)


async def test_what_is_read_and_what_is_kept_are_different_things(cluster: MemoryCluster) -> None:
    mine = ConfigMap(metadata=ObjectMeta(name="a", namespace=NS, labels={"a": "b"}))
    made = await cluster.create(mine)
    for obj in (mine, made, await cluster.get(ConfigMap, "a", NS), *cluster.objects(ConfigMap)):
        assert obj.metadata.labels is not None
        obj.metadata.labels["a"] = "spoiled"
    assert (await cluster.get(ConfigMap, "a", NS)).metadata.labels == {"a": "b"}


async def test_a_watch_may_start_only_where_history_is_left(cluster: MemoryCluster) -> None:
    before = cluster.resource_version
    await cluster.create(a_map("a"))
    cluster.compact()
    with pytest.raises(errors.Expired, match="too old resource version"):
        await anext(cluster.watch(ConfigMap, resource_version=before))
    watch = cluster.watch(ConfigMap, resource_version=cluster.resource_version)
    assert await anext(watch) == ()
    await watch.aclose()


async def test_an_open_watch_that_misses_history_expires(cluster: MemoryCluster) -> None:
    watch = cluster.watch(ConfigMap, resource_version=cluster.resource_version)
    assert await anext(watch) == ()
    await cluster.create(a_map("a"))
    cluster.compact()
    with pytest.raises(errors.Expired):
        await anext(watch)


async def test_history_is_bounded() -> None:
    cluster = MemoryCluster(history=10)
    before = cluster.resource_version
    cluster.add(*(a_map(f"m{number}") for number in range(20)))
    with pytest.raises(errors.Expired):
        await anext(cluster.watch(ConfigMap, resource_version=before))
    recent = str(int(cluster.resource_version) - 5)
    watch = cluster.watch(ConfigMap, resource_version=recent)
    await anext(watch)
    assert len(await anext(watch)) == 5
    await watch.aclose()


async def test_watches_end_and_fail_on_demand(cluster: MemoryCluster) -> None:
    for error in (None, errors.Timeout("silence")):
        watch = cluster.watch(ConfigMap, resource_version=cluster.resource_version)
        assert await anext(watch) == ()
        cluster.end_watches(error)
        await cluster.create(a_map(f"last-{error is None}".lower()))
        assert len(await anext(watch)) == 1
        with pytest.raises(StopAsyncIteration if error is None else errors.Timeout):
            await anext(watch)


async def test_a_watch_wakes_up_for_what_it_wants(cluster: MemoryCluster) -> None:
    watch = cluster.watch(ConfigMap, NS, resource_version=cluster.resource_version)
    assert await anext(watch) == ()
    waiting = asyncio.ensure_future(anext(watch))
    await cluster.create(a_map("elsewhere", namespace="kube-system"))
    await asyncio.sleep(0)
    assert not waiting.done()
    await cluster.create(a_map("here"))
    assert [event.object.metadata.name for event in await waiting if event.object] == ["here"]
    await watch.aclose()


async def test_a_position_that_is_no_number(cluster: MemoryCluster) -> None:
    with pytest.raises(errors.BadRequest, match="'x' is not a number"):
        await anext(cluster.watch(ConfigMap, resource_version="x"))


async def test_strategic_patches_are_refused_in_words(cluster: MemoryCluster) -> None:
    await cluster.create(a_map("a"))
    with pytest.raises(errors.BadRequest, match="use a merge patch, a JSON patch or apply"):
        await cluster.patch(ConfigMap, "a", NS, patch={}, type=PatchType.STRATEGIC)
    with pytest.raises(errors.BadRequest, match="does not fit application/json-patch"):
        await cluster.patch(ConfigMap, "a", NS, patch={}, type=PatchType.JSON)


async def test_it_stays_quick_with_many_objects(cluster: MemoryCluster) -> None:
    """What controllers do after a write costs what the write touched, not what exists."""
    owner = await cluster.create(a_map("owner"))
    cluster.add(*(a_map(f"m{number}") for number in range(3000)))
    visited = [0]
    of = cluster._objects.of

    def counting(family: Any) -> Any:
        visited[0] += 1
        return of(family)

    cluster._objects.of = counting  # type: ignore[method-assign]
    await cluster.patch(ConfigMap, "owner", NS, patch={"metadata": {"labels": {"a": "b"}}})
    assert visited[0] < 20
    assert owner.metadata.uid
