"""Merging and comparing Helm values (behaviour-service.md 1.3)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.services import values

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abé", max_size=3)
TREES = st.dictionaries(st.text("abc", max_size=2), st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=2)
))


@pytest.mark.parametrize(("dst", "src", "merged"), [
    ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
    ({"a": 1}, {"a": 2}, {"a": 1}),
    ({"m": {"a": 1}}, {"m": {"a": 2, "b": 3}}, {"m": {"a": 1, "b": 3}}),
    ({"l": [1]}, {"l": [2, 3]}, {"l": [1]}),
    ({"a": {"b": 1}}, {"a": 2}, {"a": {"b": 1}}),
    ({"a": 2}, {"a": {"b": 1}}, {"a": 2}),
    ({"a": None}, {"a": 1}, {"a": None}),
    ({"a": 1}, {"a": None}, {"a": 1}),
    (None, {"a": 1}, {"a": 1}),
    ({"a": 1}, None, {"a": 1}),
    (None, None, {}),
], ids=["union", "dst-wins", "maps-recurse", "lists-do-not", "map-over-scalar", "scalar-over-map", "null-stays",
        "null-does-not-win", "no-dst", "no-src", "nothing"])
def test_merge(dst: dict[str, Any] | None, src: dict[str, Any] | None, merged: dict[str, Any]) -> None:
    assert values.merge(dst, src) == merged


def test_merge_leaves_its_arguments_alone() -> None:
    dst, src = {"m": {"a": 1}}, {"m": {"b": 2}}
    values.merge(dst, src)["m"]["c"] = 3
    assert (dst, src) == ({"m": {"a": 1}}, {"m": {"b": 2}})


@given(TREES, TREES)
def test_merge_keeps_all_keys_and_repeats_to_nothing(dst: dict[str, Any], src: dict[str, Any]) -> None:
    merged = values.merge(dst, src)
    assert merged.keys() == dst.keys() | src.keys()
    assert values.same(values.merge(merged, src), merged)


@pytest.mark.parametrize(("left", "right", "same"), [
    (1, 1.0, True),
    (1, True, False),
    (0, False, False),
    ("1", 1, False),
    (None, False, False),
    ({"a": None}, {}, False),
    ([1, 2], [2, 1], False),
    ([1], [1, 1], False),
    ({"a": [{"b": True}]}, {"a": [{"b": 1}]}, False),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
    ({}, [], False),
    ({}, None, False),
])
def test_same(left: Any, right: Any, same: bool) -> None:
    assert values.same(left, right) is same
    assert values.same(right, left) is same


@pytest.mark.parametrize(("value", "settled"), [
    ({"a": None, "b": "", "c": {}, "d": {"e": None}}, {}),
    ({"a": False, "b": 0, "c": [], "d": "x"}, {"a": False, "b": 0, "c": [], "d": "x"}),
    ([None, "", {"a": None}], [None, "", {}]),
    (None, None),
])
def test_settled(value: Any, settled: Any) -> None:
    assert values.same(values.settled(value), settled)


@given(TREES)
def test_everything_is_the_same_as_itself(tree: dict[str, Any]) -> None:
    assert values.same(tree, tree)
