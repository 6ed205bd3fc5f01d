"""The cache answers truthfully or not at all, hands out private copies, and announces every change once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from dpf.api.core import ConfigMap, Pod, PodSpec, Secret
from dpf.api.meta import Key, LabelSelector, LabelSelectorRequirement, ObjectMeta
from dpf.kube import errors, selectors
from dpf.kube.cache import Cache
from dpf.kube.client import Event, EventType, Listing, Unreadable
from dpf.kube.store import Scope, Store


def a_pod(name: str, version: int = 1, *, namespace: str = "ns", node: str | None = None, **labels: str) -> Pod:
    return Pod(
        metadata=ObjectMeta(name=name, namespace=namespace, resourceVersion=str(version), labels=labels or None),
        spec=PodSpec(nodeName=node),
    )


def listing(*pods: Pod, version: int = 100, unreadable: Sequence[Unreadable] = ()) -> Listing[Pod]:
    return Listing(pods, str(version), tuple(unreadable))


def added(pod: Pod) -> Event[Pod]:
    return Event(EventType.ADDED, pod, pod.metadata.resourceVersion or "")


def deleted(pod: Pod) -> Event[Pod]:
    return Event(EventType.DELETED, pod, pod.metadata.resourceVersion or "")


def unreadable(name: str) -> Event[Pod]:
    return Event(EventType.UNREADABLE, None, "9", Unreadable(Key("ns", name), "size is odd"))


class Heard:
    """A subscriber that notes (old version, new version) by name."""

    def __init__(self, store: Store[Pod]) -> None:
        self.changes: list[tuple[str, str | None, str | None]] = []
        store.subscribe(self)

    def __call__(self, old: Any, new: Any) -> None:
        version = [obj.metadata.resourceVersion if obj is not None else None for obj in (old, new)]
        self.changes.append(((new or old).metadata.name, version[0], version[1]))

    def take(self) -> list[tuple[str, str | None, str | None]]:
        taken, self.changes = self.changes, []
        return taken


@pytest.fixture
def store() -> Store[Pod]:
    store = Store(Pod, cluster="host")
    store.add_index("node", lambda pod: [pod.spec.nodeName] if pod.spec.nodeName else [])
    store.add_index("label", lambda pod: (pod.metadata.labels or {}).values())
    return store


def filled(store: Store[Pod], *pods: Pod) -> Store[Pod]:
    store.replace(listing(*pods))
    return store


def names(pods: Sequence[Pod]) -> list[str]:
    return [pod.metadata.name for pod in pods]


def test_nothing_is_absent_before_a_list_has_arrived(store: Store[Pod]) -> None:
    for read in (
        lambda: store.get(Key("ns", "a")), store.list, lambda: store.by_index("node", "n1"), store.keys,
    ):
        with pytest.raises(errors.NotSynced, match="pods of cluster host: it has not been listed yet"):
            read()


def test_an_empty_list_is_an_answer(store: Store[Pod]) -> None:
    filled(store)
    assert store.get(Key("ns", "a")) is None
    assert store.list() == ()


def test_a_store_that_lost_contact_answers_nothing_until_the_next_list(store: Store[Pod]) -> None:
    filled(store, a_pod("a"))
    store.fail("connection refused")
    with pytest.raises(errors.NotSynced, match="connection refused"):
        store.get(Key("ns", "a"))
    filled(store, a_pod("a"))
    assert store.get(Key("ns", "a")) == a_pod("a")


def test_every_read_is_a_private_copy(store: Store[Pod]) -> None:
    filled(store, a_pod("a", app="x"))
    for pod in (store.get(Key("ns", "a")), *store.list(), *store.by_index("label", "x")):
        assert pod is not None
        assert pod.metadata.labels is not None
        pod.metadata.labels["app"] = "spoiled"
    assert store.get(Key("ns", "a")) == a_pod("a", app="x")


def test_the_callers_object_is_not_kept_either(store: Store[Pod]) -> None:
    mine = a_pod("a", app="x")
    filled(store, mine)
    assert mine.metadata.labels is not None
    mine.metadata.labels["app"] = "spoiled"
    assert store.get(Key("ns", "a")) == a_pod("a", app="x")


def test_lists_by_namespace_and_selector(store: Store[Pod]) -> None:
    filled(store, a_pod("a", app="x"), a_pod("b", app="y"), a_pod("c", namespace="other", app="x"), a_pod("d"))
    assert names(store.list()) == ["a", "b", "c", "d"]
    assert names(store.list("ns")) == ["a", "b", "d"]
    assert store.list("none") == ()
    assert names(store.list("ns", LabelSelector(matchLabels={"app": "x"}))) == ["a"]
    assert names(store.list(selector=LabelSelector(matchLabels={"app": "x"}))) == ["a", "c"]
    lacks = LabelSelectorRequirement(key="app", operator="DoesNotExist")
    assert names(store.list(selector=LabelSelector(matchExpressions=[lacks]))) == ["d"]


def test_an_illegal_selector_is_an_error_of_its_own(store: Store[Pod]) -> None:
    filled(store, a_pod("a"))
    wrong = LabelSelector(matchExpressions=[LabelSelectorRequirement(key="a", operator="Like", values=["x"])])
    with pytest.raises(selectors.SelectorError, match="Like"):
        store.list(selector=wrong)


def test_indexes_follow_every_change(store: Store[Pod]) -> None:
    filled(store, a_pod("a", node="n1", app="x"), a_pod("b", node="n1"))
    assert names(store.by_index("node", "n1")) == ["a", "b"]
    store.absorb([added(a_pod("a", 2, node="n2", app="x", tier="y"))])
    assert names(store.by_index("node", "n1")) == ["b"]
    assert names(store.by_index("node", "n2")) == ["a"]
    assert names(store.by_index("label", "y")) == ["a"]
    store.absorb([deleted(a_pod("a", 3))])
    assert store.by_index("node", "n2") == ()
    assert store.by_index("label", "x") == ()


def test_an_index_does_not_remember_what_is_gone(store: Store[Pod]) -> None:
    filled(store)
    for number in range(50):
        store.absorb([added(a_pod("a", number, node=f"n{number}"))])
    store.absorb([deleted(a_pod("a"))])
    assert sum(len(index) for index in store._indexes.values()) == 0


def test_an_index_value_given_twice_counts_once() -> None:
    store = Store(Pod)
    store.add_index("twice", lambda pod: ["v", "v"])
    filled(store, a_pod("a"))
    assert names(store.by_index("twice", "v")) == ["a"]
    store.absorb([deleted(a_pod("a"))])
    assert store.by_index("twice", "v") == ()


def test_an_index_may_come_late(store: Store[Pod]) -> None:
    filled(store, a_pod("a", node="n1"))
    store.add_index("name", lambda pod: [pod.metadata.name])
    assert names(store.by_index("name", "a")) == ["a"]
    store.absorb([added(a_pod("b"))])
    assert names(store.by_index("name", "b")) == ["b"]


def test_an_index_may_come_between_two_pages(store: Store[Pod]) -> None:
    replacement = store.replacement()
    replacement.add(listing(a_pod("a")))
    store.add_index("name", lambda pod: [pod.metadata.name])
    replacement.add(listing(a_pod("b")))
    replacement.commit()
    assert names(store.by_index("name", "a")) == ["a"]
    assert names(store.by_index("name", "b")) == ["b"]


def test_an_index_name_means_one_function(store: Store[Pod]) -> None:
    with pytest.raises(ValueError, match="'node' exists with another function"):
        store.add_index("node", lambda pod: [])


def test_an_undeclared_index_is_a_programming_error(store: Store[Pod]) -> None:
    with pytest.raises(KeyError):
        filled(store).by_index("none", "x")


def test_subscribers_hear_creation_change_and_deletion(store: Store[Pod]) -> None:
    heard = Heard(store)
    filled(store, a_pod("a", 1))
    store.absorb([added(a_pod("b", 2)), added(a_pod("a", 3)), deleted(a_pod("b", 4)), deleted(a_pod("never", 5))])
    assert heard.take() == [("a", None, "1"), ("b", None, "2"), ("a", "1", "3"), ("b", "2", None)]


def test_a_relist_announces_only_the_difference(store: Store[Pod]) -> None:
    filled(store, a_pod("same", 1), a_pod("changed", 2), a_pod("gone", 3))
    heard = Heard(store)
    filled(store, a_pod("same", 1), a_pod("changed", 7), a_pod("new", 8))
    assert sorted(heard.take()) == [("changed", "2", "7"), ("gone", "3", None), ("new", None, "8")]
    assert sorted(names(store.list())) == ["changed", "new", "same"]


def test_an_old_resource_version_may_come_back_with_something_else(store: Store[Pod]) -> None:
    """After etcd was replaced, the same number can mean another state."""
    filled(store, a_pod("a", 1, app="x"))
    heard = Heard(store)
    filled(store, a_pod("a", 1, app="y"))
    assert heard.take() == [("a", "1", "1")]
    assert names(store.by_index("label", "y")) == ["a"]


def test_callbacks_see_the_complete_store(store: Store[Pod]) -> None:
    seen: list[list[str]] = []
    store.subscribe(lambda old, new: seen.append(sorted(names(store.list()))))
    filled(store, a_pod("a"), a_pod("b"))
    assert seen == [["a", "b"], ["a", "b"]]


def test_nothing_of_a_list_is_seen_before_it_is_complete(store: Store[Pod]) -> None:
    filled(store, a_pod("old"))
    replacement = store.replacement()
    replacement.add(listing(a_pod("new")))
    assert names(store.list()) == ["old"]
    replacement.commit()
    assert names(store.list()) == ["new"]


def test_a_subscription_ends(store: Store[Pod]) -> None:
    calls: list[object] = []
    end = store.subscribe(lambda old, new: calls.append(new))
    filled(store, a_pod("a"))
    end()
    store.absorb([added(a_pod("b"))])
    assert len(calls) == 1


def test_an_unreadable_object_is_not_absent(store: Store[Pod]) -> None:
    filled(store, a_pod("a", 1), a_pod("b", 1))
    heard = Heard(store)
    store.absorb([unreadable("a"), unreadable("new")])
    for name in ("a", "new"):
        with pytest.raises(errors.NotSynced, match=f"ns/{name} cannot be read: size is odd; correct the object"):
            store.get(Key("ns", name))
    assert names(store.list()) == ["b"]
    assert set(store.unreadable) == {Key("ns", "a"), Key("ns", "new")}
    assert heard.take() == []


def test_an_unreadable_object_in_a_list_is_not_deleted(store: Store[Pod]) -> None:
    filled(store, a_pod("a", 1))
    heard = Heard(store)
    store.replace(listing(unreadable=[Unreadable(Key("ns", "a"), "odd")]))
    assert heard.take() == []
    with pytest.raises(errors.NotSynced):
        store.get(Key("ns", "a"))
    store.replace(listing())
    assert heard.take() == [("a", "1", None)]
    assert store.get(Key("ns", "a")) is None


def test_an_object_that_becomes_readable_again_is_announced(store: Store[Pod]) -> None:
    filled(store, a_pod("a", 1))
    store.absorb([unreadable("a")])
    heard = Heard(store)
    store.absorb([added(a_pod("a", 10))])
    assert heard.take() == [("a", "1", "10")]
    store.absorb([unreadable("a")])
    filled(store, a_pod("a", 10))
    assert heard.take() == [("a", "10", "10")]
    assert store.get(Key("ns", "a")) == a_pod("a", 10)


def test_a_deleted_object_that_was_unreadable_is_gone(store: Store[Pod]) -> None:
    filled(store, a_pod("a", 1))
    heard = Heard(store)
    gone: Event[Pod] = Event(EventType.DELETED, None, "9", Unreadable(Key("ns", "a"), "odd"))
    store.absorb([unreadable("a"), gone])
    assert heard.take() == [("a", "1", None)]
    assert store.get(Key("ns", "a")) is None


def test_a_number_too_large_to_keep_is_unreadable_not_a_crash() -> None:
    store = Store(Pod)
    huge = Pod(metadata=ObjectMeta(name="a", namespace="ns"), spec=PodSpec(volumes=[{"n": 1 << 80}]))
    store.replace(listing(huge, a_pod("b")))
    store.absorb([added(huge), added(a_pod("c"))])
    assert names(store.list()) == ["b", "c"]
    with pytest.raises(errors.NotSynced, match="cannot be kept"):
        store.get(Key("ns", "a"))


def test_bookmarks_are_no_objects(store: Store[Pod]) -> None:
    filled(store).absorb([Event(EventType.BOOKMARK, None, "5")])
    assert len(store) == 0


# Cache.


def test_a_kind_has_to_be_registered() -> None:
    with pytest.raises(LookupError, match="Pod is not cached for host; register it first"):
        Cache("host").get(Pod, Key("ns", "a"))


def test_registrations_of_one_kind_add_up() -> None:
    cache = Cache("host")
    first = cache.register(Pod, labels="app=x", indexes={"name": lambda pod: [pod.metadata.name]})
    assert cache.register(Pod, labels="app=x", indexes={"node": lambda pod: [pod.spec.nodeName or ""]}) is first
    assert first.scope == Scope(None, "app=x")
    cache.register(Pod, namespace="ns", labels="app=y")
    assert first.scope == Scope(None, None)
    nodes = Cache("host").register(Pod, fields="spec.nodeName=n1")
    assert nodes.scope == Scope(None, None, "spec.nodeName=n1")
    assert nodes.scope.widened(Scope(None, None, "spec.nodeName=n2")) == Scope()
    first.replace(listing(a_pod("a", node="n1")))
    assert names(cache.by_index(Pod, "name", "a")) == names(cache.by_index(Pod, "node", "n1")) == ["a"]
    assert names(cache.list(Pod, "ns")) == ["a"]


def test_a_scope_is_not_widened_behind_a_running_reflector() -> None:
    cache = Cache("host")
    cache.register(Pod, labels="app=x")
    cache.start(lambda store: None)
    cache.register(Pod, labels="app=x")
    with pytest.raises(ValueError, match="register before starting"):
        cache.register(Pod)


def test_kinds_registered_later_are_followed_at_once() -> None:
    cache, followed = Cache("host"), []
    cache.register(Pod)
    cache.start(lambda store: followed.append(store.kind))
    cache.register(Secret)
    cache.register(Secret)
    assert followed == [Pod, Secret]
    cache.stop("over")
    cache.register(ConfigMap)
    assert followed == [Pod, Secret]
    with pytest.raises(errors.NotSynced, match="over"):
        cache.list(Pod)


async def test_waiting_for_all_registered_kinds() -> None:
    cache = Cache("host")
    pods, secrets = cache.register(Pod), cache.register(Secret)
    waiting = asyncio.create_task(cache.wait_synced())
    pods.replace(listing())
    await asyncio.sleep(0)
    assert cache.is_synced(Pod)
    assert not cache.is_synced()
    assert not waiting.done()
    secrets.replace(Listing((), "1"))
    await waiting
    assert cache.is_synced()
