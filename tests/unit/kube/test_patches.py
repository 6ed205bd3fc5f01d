"""Merge and JSON patches do what their RFCs say, and leave their input alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dpf.kube import patches


@pytest.mark.parametrize(("target", "patch", "result"), [
    # The examples of RFC 7386, appendix A.
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
])
def test_merge_patch(target: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy(target)
    assert patches.merge(target, patch) == result
    assert target == before


DOC = {"foo": ["bar", "baz"], "a/b": 1, "m~n": 8, "x": {"y": {"z": 1}}}


@pytest.mark.parametrize(("operations", "result"), [
    ([{"op": "add", "path": "/new", "value": 1}], {**DOC, "new": 1}),
    ([{"op": "add", "path": "/foo/1", "value": "q"}], {**DOC, "foo": ["bar", "q", "baz"]}),
    ([{"op": "add", "path": "/foo/-", "value": "q"}], {**DOC, "foo": ["bar", "baz", "q"]}),
    ([{"op": "add", "path": "/foo/2", "value": "q"}], {**DOC, "foo": ["bar", "baz", "q"]}),
    ([{"op": "remove", "path": "/foo/0"}], {**DOC, "foo": ["baz"]}),
    ([{"op": "replace", "path": "/foo/0", "value": None}], {**DOC, "foo": [None, "baz"]}),
    ([{"op": "replace", "path": "/a~1b", "value": 2}], {**DOC, "a/b": 2}),
    ([{"op": "remove", "path": "/m~0n"}], {k: v for k, v in DOC.items() if k != "m~n"}),
    ([{"op": "move", "from": "/x/y", "path": "/y"}], {**DOC, "x": {}, "y": {"z": 1}}),
    ([{"op": "copy", "from": "/x/y", "path": "/y"}], {**DOC, "y": {"z": 1}}),
    ([{"op": "test", "path": "/x/y/z", "value": 1}, {"op": "replace", "path": "/x/y/z", "value": 2}],
     {**DOC, "x": {"y": {"z": 2}}}),
    ([{"op": "replace", "path": "", "value": {"all": "new"}}], {"all": "new"}),
])
def test_json_patch(operations: list[dict[str, Any]], result: Any) -> None:
    before = copy.deepcopy(DOC)
    assert patches.json_patch(DOC, operations) == result
    assert before == DOC


@pytest.mark.parametrize(("operation", "words"), [
    ({"op": "remove", "path": "/none"}, "'none' does not exist"),
    ({"op": "replace", "path": "/x/none", "value": 1}, "does not exist"),
    ({"op": "add", "path": "/none/deep", "value": 1}, "does not exist"),
    ({"op": "add", "path": "/a~1b/deep", "value": 1}, "does not exist"),
    ({"op": "add", "path": "/foo/9", "value": 1}, "not an index"),
    ({"op": "remove", "path": "/foo/2"}, "not an index"),
    ({"op": "remove", "path": "/foo/-"}, "not an index"),
    ({"op": "test", "path": "/x/y/z", "value": 2}, "another one"),
    ({"op": "add", "path": "/new"}, "value is missing"),
    ({"op": "add", "path": "new", "value": 1}, "not a JSON pointer"),
    ({"op": "add", "value": 1}, "not a JSON pointer"),
    ({"op": "remove", "path": ""}, "cannot be removed"),
    ({"op": "jump", "path": "/x"}, "op is not one of"),
])
def test_an_impossible_operation_is_named(operation: dict[str, Any], words: str) -> None:
    with pytest.raises(patches.PatchError, match=words) as caught:
        patches.json_patch(DOC, [{"op": "test", "path": "/a~1b", "value": 1}, operation])
    assert str(caught.value).startswith("operation 1 ")
