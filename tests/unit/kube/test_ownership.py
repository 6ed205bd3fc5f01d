"""Server-side apply on plain data. (What a real API server agrees with is in tests/conformance/kube.)"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.kube.memory import ownership
from dpf.kube.memory.ownership import Manager

ME, OTHER = Manager("me", "Apply"), Manager("other", "Apply")


def meta(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x", **fields}}


def test_an_object_has_the_fields_that_were_applied() -> None:
    live, owners = ownership.apply({}, {}, ME, {"spec": {"a": 1, "list": [1]}}, force=False)
    assert live == {"spec": {"a": 1, "list": [1]}}
    assert owners == {ME: frozenset({("spec", "a"), ("spec", "list")})}


def test_applying_nothing_any_more_removes_and_disowns() -> None:
    live, owners = ownership.apply({}, {}, ME, {"spec": {"a": 1}, "data": {"x": "y"}}, force=False)
    live, owners = ownership.apply(live, owners, ME, {"data": {"x": "y"}}, force=False)
    assert live == {"data": {"x": "y"}}
    assert owners == {ME: frozenset({("data", "x")})}


def test_system_fields_belong_to_nobody() -> None:
    tree = {"apiVersion": "v1", "kind": "X", **meta(uid="1", labels={"a": "b"})}
    _, owners = ownership.apply({}, {}, ME, tree, force=False)
    assert owners == {ME: frozenset({("metadata", "labels", "a")})}


def test_a_scalar_that_becomes_a_map_is_contested() -> None:
    live, owners = ownership.apply({}, {}, OTHER, {"spec": {"a": 1}}, force=False)
    with pytest.raises(ownership.OwnershipConflict) as caught:
        ownership.apply(live, owners, ME, {"spec": {"a": {"b": 2}}}, force=False)
    assert caught.value.fields == {"spec.a.b": "other"}
    live, owners = ownership.apply(live, owners, ME, {"spec": {"a": {"b": 2}}}, force=True)
    assert live == {"spec": {"a": {"b": 2}}}
    assert owners == {ME: frozenset({("spec", "a", "b")})}


def test_an_empty_map_takes_nothing_from_others() -> None:
    live, owners = ownership.apply({}, {}, OTHER, meta(labels={"a": "b"}), force=False)
    live, owners = ownership.apply(live, owners, ME, meta(labels={}), force=False)
    assert live["metadata"]["labels"] == {"a": "b"}
    assert owners[OTHER] == frozenset({("metadata", "labels", "a")})


def test_apply_and_update_of_one_name_are_two_managers() -> None:
    update = Manager("me", "Update")
    owners = ownership.record({}, {"spec": {"a": 1}}, {}, update)
    with pytest.raises(ownership.OwnershipConflict, match=r"spec\.a \(owned by me\)"):
        ownership.apply({"spec": {"a": 1}}, owners, ME, {"spec": {"a": 2}}, force=False)


def test_a_patch_owns_what_it_changed_and_frees_what_it_removed() -> None:
    before, owners = ownership.apply({}, {}, OTHER, {"spec": {"a": 1, "b": 2, "c": 3}}, force=False)
    owners = ownership.record(before, {"spec": {"a": 1, "b": 9}}, owners, ME)
    assert owners == {OTHER: frozenset({("spec", "a")}), ME: frozenset({("spec", "b")})}


def test_a_patch_without_effect_changes_no_owner() -> None:
    tree, owners = ownership.apply({}, {}, OTHER, {"spec": {"a": 1}}, force=False)
    assert ownership.record(tree, tree, owners, ME) is owners


def test_finalizers_and_owner_references_are_owned_by_entry() -> None:
    theirs = meta(finalizers=["a"], ownerReferences=[{"uid": "1", "name": "n"}])
    live, owners = ownership.apply({}, {}, OTHER, theirs, force=False)
    mine = meta(finalizers=["b"], ownerReferences=[{"uid": "2"}])
    live, owners = ownership.apply(live, owners, ME, mine, force=False)
    assert live["metadata"]["finalizers"] == ["a", "b"]
    assert [ref["uid"] for ref in live["metadata"]["ownerReferences"]] == ["1", "2"]
    live, owners = ownership.apply(live, owners, OTHER, meta(), force=False)
    assert live["metadata"] == {"finalizers": ["b"], "ownerReferences": [{"uid": "2"}]}


LEAVES = st.one_of(st.integers(0, 2), st.lists(st.integers(0, 1), max_size=2))
TREES = st.dictionaries(
    st.sampled_from("abc"), st.dictionaries(st.sampled_from("xyz"), LEAVES, min_size=1, max_size=3), max_size=3
)


@given(TREES, TREES, TREES)
def test_repeating_an_apply_changes_nothing(
    first: dict[str, Any], second: dict[str, Any], mine: dict[str, Any]
) -> None:
    live, owners = ownership.apply({}, {}, OTHER, first, force=True)
    live, owners = ownership.apply(live, owners, ME, second, force=True)
    once = ownership.apply(live, owners, ME, mine, force=True)
    assert ownership.apply(*once, ME, mine, force=False) == once


@given(TREES, TREES)
def test_letting_go_leaves_exactly_what_others_applied(theirs: dict[str, Any], mine: dict[str, Any]) -> None:
    live, owners = ownership.apply({}, {}, OTHER, theirs, force=True)
    try:
        live, owners = ownership.apply(live, owners, ME, mine, force=False)
    except ownership.OwnershipConflict:
        return
    live, owners = ownership.apply(live, owners, ME, {}, force=False)
    assert {k: v for k, v in live.items() if v != {}} == theirs
    assert ME not in owners
