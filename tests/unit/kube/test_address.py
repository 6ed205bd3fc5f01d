"""No name or namespace can make a request mean another object or a whole collection."""

from __future__ import annotations

import pytest

from dpf.api.core import ConfigMap, Namespace, Node
from dpf.api.meta import Key, ObjectMeta
from dpf.kube import address, errors


def test_paths() -> None:
    assert address.collection(ConfigMap, None) == "/api/v1/configmaps"
    assert address.collection(ConfigMap, "ns") == "/api/v1/namespaces/ns/configmaps"
    assert address.single(ConfigMap, "a", "ns") == "/api/v1/namespaces/ns/configmaps/a"
    assert address.single(Node, "a", None, "status") == "/api/v1/nodes/a/status"
    assert address.home(ConfigMap(metadata=ObjectMeta(namespace="ns", generateName="x-"))) == (
        "/api/v1/namespaces/ns/configmaps"
    )


def test_a_namespace_is_ignored_where_there_is_none() -> None:
    assert address.single(Node, "a", "ns") == "/api/v1/nodes/a"
    assert address.collection(Namespace, "ns") == "/api/v1/namespaces"
    assert address.key(Node, "a", "ns") == Key("", "a")


def test_legal_but_unusual_names_are_quoted() -> None:
    assert address.single(Node, "system:node", None) == "/api/v1/nodes/system%3Anode"
    assert address.single(Node, "a?b#c", None) == "/api/v1/nodes/a%3Fb%23c"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%2Fb", "../x"])
def test_names_that_cannot_name_one_object(name: str) -> None:
    with pytest.raises(errors.BadRequest, match="not an object name"):
        address.single(ConfigMap, name, "ns")


@pytest.mark.parametrize("namespace", ["", ".", "..", "a/b", "a%2Fb"])
def test_namespaces_that_cannot_be_one(namespace: str) -> None:
    with pytest.raises(errors.BadRequest):
        address.single(ConfigMap, "a", namespace)
    with pytest.raises(errors.BadRequest):
        address.collection(ConfigMap, namespace)


def test_a_namespaced_object_needs_its_namespace() -> None:
    with pytest.raises(errors.BadRequest, match="a namespace is needed"):
        address.single(ConfigMap, "a", None)
    with pytest.raises(errors.BadRequest, match="ConfigMap a: a namespace is needed"):
        address.home(ConfigMap(metadata=ObjectMeta(name="a")))
