"""What counts as already there, and the patch for what is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.api.core import ConfigMap, Namespace, Secret, Service, ServicePort, ServiceSpec
from dpf.api.meta import ObjectMeta
from dpf.runtime import diff


def a_map(data: dict[str, str] | None = None, **meta: Any) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name="a", **meta), data=data)


def ports(*numbers: int) -> Service:
    return Service(metadata=ObjectMeta(name="a"), spec=ServiceSpec(ports=[ServicePort(port=n) for n in numbers]))


@pytest.mark.parametrize(("actual", "desired", "expected"), [
    pytest.param(a_map({"k": "v"}), a_map({"k": "v"}), True, id="equal"),
    pytest.param(a_map({"k": "v"}, uid="1", resourceVersion="5"), a_map({"k": "v"}), True, id="server's metadata"),
    pytest.param(a_map({"k": "v", "x": "y"}), a_map({"k": "v"}), True, id="a key of another writer"),
    pytest.param(a_map({"k": "w"}), a_map({"k": "v"}), False, id="another value"),
    pytest.param(a_map(), a_map({"k": "v"}), False, id="missing map"),
    pytest.param(a_map(), a_map({}), True, id="an empty map asks for nothing"),
    pytest.param(a_map(labels={"a": "1", "b": "2"}), a_map(labels={"a": "1"}), True, id="labels of others"),
    pytest.param(a_map(labels={"a": "1"}), a_map(labels={"a": "2"}), False, id="our label differs"),
    pytest.param(a_map(), a_map(finalizers=["f"]), False, id="missing list"),
    pytest.param(ports(80), ports(80), True, id="equal list"),
    pytest.param(
        Service(metadata=ObjectMeta(name="a")), ports(), True, id="an empty list asks for nothing",
    ),
    pytest.param(ports(80), ports(), False, id="an empty list where there is one"),
    pytest.param(ports(80, 443), ports(80), False, id="lists are whole"),
    pytest.param(ports(443, 80), ports(80, 443), False, id="lists are ordered"),
    pytest.param(
        Secret(metadata=ObjectMeta(name="a"), data={"k": "dg=="}),
        Secret(metadata=ObjectMeta(name="a"), stringData={"k": "v"}), False, id="stringData is never covered",
    ),
    pytest.param(
        ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name="a")),
        ConfigMap(metadata=ObjectMeta(name="a")), True, id="type fields",
    ),
    pytest.param(
        Namespace(metadata=ObjectMeta(name="a", labels=None)), Namespace(metadata=ObjectMeta(name="a", labels={})),
        True, id="no labels wanted",
    ),
])
def test_covers(actual: Any, desired: Any, expected: bool) -> None:
    assert diff.covers(actual, desired) is expected


def test_an_exact_map_may_have_no_other_key() -> None:
    actual, desired = a_map({"k": "v", "old": "x"}), a_map({"k": "v"})
    assert diff.covers(actual, desired)
    assert not diff.covers(actual, desired, exact=("data",))
    assert diff.covers(desired, desired, exact=("data",))


TEXT = st.text("abé", max_size=3)  # all of Unicode would be a slow table to build in a fresh checkout
JSON = st.recursive(
    st.integers() | TEXT | st.booleans(),
    lambda inner: st.dictionaries(TEXT, inner, max_size=3) | st.lists(inner, max_size=2), max_leaves=8,
)
TREE = st.dictionaries(TEXT, JSON, max_size=4)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, as the API server does it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@given(TREE, TREE)
def test_a_merge_patch_leads_from_one_to_the_other(actual: dict[str, Any], desired: dict[str, Any]) -> None:
    assert merged(actual, diff.merge_patch(actual, desired)) == desired


@given(TREE)
def test_nothing_to_patch_between_equals(tree: dict[str, Any]) -> None:
    assert diff.merge_patch(tree, tree) == {}
