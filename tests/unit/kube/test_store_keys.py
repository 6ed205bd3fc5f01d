"""Keys of an index without reading the objects: what intersects several indexes needs no more."""

from __future__ import annotations

import pytest

from dpf.api.core import Pod, PodSpec
from dpf.api.meta import Key, ObjectMeta
from dpf.kube import errors
from dpf.kube.client import Event, EventType, Listing, Unreadable
from dpf.kube.store import Store


def a_store(*pods: Pod) -> Store[Pod]:
    store = Store(Pod)
    store.add_index("node", lambda pod: (pod.spec.nodeName,))
    store.replace(Listing(pods, "1"))
    return store


def a_pod(name: str, node: str) -> Pod:
    return Pod(metadata=ObjectMeta(name=name, namespace="ns", resourceVersion="1"), spec=PodSpec(nodeName=node))


def test_keys_are_those_that_are_filed() -> None:
    store = a_store(a_pod("a", "n1"), a_pod("b", "n2"), a_pod("c", "n1"))
    assert set(store.keys_by_index("node", "n1")) == {Key("ns", "a"), Key("ns", "c")}
    assert len(store.keys_by_index("node", "n1")) == 2
    assert set(store.keys_by_index("node", "n3")) == set()


def test_unreadable_ones_are_among_them() -> None:
    store = a_store(a_pod("a", "n1"))
    store.absorb([Event(EventType.UNREADABLE, None, "9", Unreadable(Key("ns", "a"), "size is odd"))])
    assert set(store.keys_by_index("node", "n1")) == {Key("ns", "a")}
    assert store.by_index("node", "n1") == ()


def test_silence_and_an_unknown_index_are_errors() -> None:
    store = a_store()
    with pytest.raises(KeyError):
        store.keys_by_index("zone", "n1")
    store.fail("it is away")
    with pytest.raises(errors.NotSynced):
        store.keys_by_index("node", "n1")
