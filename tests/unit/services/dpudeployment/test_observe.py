"""What is asked of the server because the cache may be late, and what is never asked (design.md section 4)."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest
from tests.support import dpudeployments as some

from dpf.api import names
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuservice import DPUService
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, Object, ObjectMeta
from dpf.kube import errors
from dpf.kube.cache import Cache
from dpf.kube.memory import MemoryCluster
from dpf.services.dpudeployment import naming, observe, watches
from dpf.services.dpudeployment.snapshot import Snapshot

DD = Key(some.TENANT, "dd")
PLAIN = {"dd-producer", "dd-producer-eth0", "dd-workers"}


async def a_cache(host: MemoryCluster, *, without: tuple[str, ...] = ()) -> Cache:
    """A cache that holds what the host holds, but has not heard of the objects named `without`."""
    cache = Cache("host")
    for watch in watches.build(tuple, lambda _kind, _index, _value: ()):
        cache.register(watch.kind, indexes=watch.indexes)
    for store in cache.stores:
        listing = await host.list(store.kind)
        known = tuple(obj for obj in listing.items if obj.metadata.name not in without)
        store.replace(dataclasses.replace(listing, items=known))
    host.requests.clear()
    return cache


def a_host(*objects: Object) -> MemoryCluster:
    host = MemoryCluster()
    host.add(some.a_deployment(), *some.dependencies_of(some.a_deployment()), *objects)
    return host


def a_child(kind: type[Any], name: str, *, owned: bool = True, service: str | None = None) -> Any:
    labels = {names.OWNED_BY_DPUDEPLOYMENT_LABEL: naming.owner_value(DD)} if owned else {"mine": "yes"}
    if service is not None:
        labels[names.DPUDEPLOYMENT_SERVICE_LABEL] = service
    return kind(metadata=ObjectMeta(name=name, namespace=some.TENANT, labels=labels))


async def look(host: MemoryCluster, cache: Cache) -> Snapshot:
    (deployment,) = host.objects(DPUDeployment)
    return await observe.snapshot(cache, host, deployment)


async def test_names_are_asked_for_before_they_are_taken() -> None:
    host = a_host()
    found = await look(host, await a_cache(host))
    assert {request.key.name for request in host.requests} == PLAIN
    assert {request.verb for request in host.requests} == {"get"}
    assert found.foreign == frozenset()


async def test_somebody_elses_object_that_the_cache_has_not_heard_of_is_found() -> None:
    host = a_host(a_child(DPUService, "dd-producer", owned=False))
    found = await look(host, await a_cache(host, without=("dd-producer",)))
    assert found.foreign == {(DPUService, Key(some.TENANT, "dd-producer"))}
    assert found.children.services == ()


async def test_an_own_child_that_the_cache_has_not_heard_of_is_found() -> None:
    host = a_host(a_child(DPUSet, "dd-workers"))
    found = await look(host, await a_cache(host, without=("dd-workers",)))
    assert [child.metadata.name for child in found.children.dpusets] == ["dd-workers"]
    assert found.foreign == frozenset()


async def test_what_cannot_be_read_holds_its_name() -> None:
    host = a_host()
    host.add_raw(DPUSet, {"metadata": {"name": "dd-workers", "namespace": some.TENANT}, "spec": {"dpuTemplate": 5}})
    cache = await a_cache(host)
    cache.store(DPUSet).replace(await MemoryCluster().list(DPUSet))  # it was made a moment ago
    found = await look(host, cache)
    assert found.foreign == {(DPUSet, Key(some.TENANT, "dd-workers"))}


async def test_a_failed_question_is_no_answer() -> None:
    host = a_host()
    cache = await a_cache(host)
    host.fail_next(lambda request: request.verb == "get", errors.ServerError("out of order", status=500))
    with pytest.raises(errors.ServerError):
        await look(host, cache)


async def test_nothing_is_asked_while_dependencies_are_missing() -> None:
    host = a_host()
    cache = await a_cache(host, without=("bfb",))
    found = await look(host, cache)
    assert (host.requests, found.bfb) == ([], None)


async def test_nothing_is_asked_about_children_that_are_there_by_other_names() -> None:
    """After a disruptive update the current revision has a suffix; the plain name does not matter any more."""
    bare = a_child(DPUServiceInterface, "dd-producer-eth0-2444q", service="producer")
    interface = msgspec.convert({
        "metadata": msgspec.to_builtins(bare.metadata),
        "spec": {"template": {"spec": {"template": {
            "metadata": {"labels": {names.INTERFACE_LABEL: "eth0"}}, "spec": {"interfaceType": "service"},
        }}}},
    }, DPUServiceInterface)
    service = a_child(DPUService, "dd-producer-2444q", service="producer")
    host = a_host(service, interface, a_child(DPUSet, "dd-workers"))
    await look(host, await a_cache(host))
    assert host.requests == []


async def test_a_deletion_asks_the_server_about_everything() -> None:
    host = a_host()
    await host.patch(DPUDeployment, "dd", some.TENANT, patch={"metadata": {"finalizers": ["x"]}})
    await host.delete(DPUDeployment, "dd", some.TENANT)
    host.add(a_child(DPUService, "dd-producer"))
    found = await look(host, await a_cache(host, without=("dd-producer",)))
    assert [child.metadata.name for child in found.children.services] == ["dd-producer"]
    assert [request.kind for request in host.requests] == [kind.__name__ for kind in some.CHILDREN]


async def test_a_deletion_asks_for_marked_dependencies_when_no_child_is_left() -> None:
    host = a_host()
    await host.patch(DPUDeployment, "dd", some.TENANT, patch={"metadata": {"finalizers": ["x"]}})
    await host.delete(DPUDeployment, "dd", some.TENANT)
    label = naming.consumer_label(DD)
    host.add(some.a_template("unknown"))
    await host.patch(type(some.a_template()), "unknown", some.TENANT, patch={"metadata": {"labels": {label: ""}}})
    found = await look(host, await a_cache(host, without=("unknown",)))
    assert [dependency.metadata.name for dependency in found.marked] == ["unknown"]


async def test_an_unreadable_child_keeps_a_deployment_from_going() -> None:
    host = a_host()
    await host.patch(DPUDeployment, "dd", some.TENANT, patch={"metadata": {"finalizers": ["x"]}})
    await host.delete(DPUDeployment, "dd", some.TENANT)
    tree = msgspec.to_builtins(a_child(DPUSet, "dd-workers"))
    host.add_raw(DPUSet, {**tree, "spec": {"dpuTemplate": 5}})
    with pytest.raises(errors.NotSynced, match="DPUSet tenant/dd-workers cannot be read"):
        await look(host, await a_cache(host))
