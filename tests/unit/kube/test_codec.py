"""Objects to and from the wire; what does not fit is named and passed over."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from dpf.api.core import ConfigMap, Pod, PodSpec
from dpf.api.meta import Key, ObjectMeta
from dpf.kube import codec
from dpf.kube.client import EventType

GOOD = {"metadata": {"name": "good", "namespace": "n", "resourceVersion": "7"}, "data": {"a": "1"}}
BAD = {"metadata": {"name": "bad", "namespace": "n", "resourceVersion": "8"}, "data": {"a": 1}}


def lines(*events: tuple[str, dict[str, Any]]) -> bytes:
    return b"".join(json.dumps({"type": t, "object": o}).encode() + b"\n" for t, o in events)


def test_what_is_sent_says_what_it_is_and_no_more() -> None:
    sent = json.loads(codec.encode(ConfigMap(metadata=ObjectMeta(name="a"), data={"x": "y"})))
    assert sent == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "y"}}


def test_encoding_does_not_change_the_object() -> None:
    obj = ConfigMap(metadata=ObjectMeta(name="a"))
    codec.encode(obj)
    assert (obj.apiVersion, obj.kind) == ("", "")


def test_an_explicitly_empty_part_is_sent() -> None:
    assert json.loads(codec.encode(Pod(metadata=ObjectMeta(name="a"), spec=PodSpec())))["spec"] == {}


def test_managed_fields_are_never_kept() -> None:
    noisy = {**GOOD, "metadata": {**GOOD["metadata"], "managedFields": [{"manager": "m"}]}}
    obj = codec.codec_of(ConfigMap).decode(json.dumps(noisy).encode())
    assert b"managedFields" not in msgspec.msgpack.encode(obj)


def test_codecs_are_compiled_once() -> None:
    assert codec.codec_of(ConfigMap) is codec.codec_of(ConfigMap)


def test_a_page() -> None:
    raw = json.dumps({"metadata": {"resourceVersion": "9", "continue": "c"}, "items": [GOOD]}).encode()
    page = codec.codec_of(ConfigMap).page(raw)
    assert (page.resource_version, page.proceed, page.unreadable) == ("9", "c", [])
    assert (page.items[0].kind, page.items[0].apiVersion) == ("ConfigMap", "v1")


@pytest.mark.parametrize("items", ["null", "[]"])
def test_an_empty_page(items: str) -> None:
    assert codec.codec_of(ConfigMap).page(b'{"metadata":{},"items":%s}' % items.encode()).items == []


def test_a_bad_item_does_not_hide_the_others() -> None:
    raw = json.dumps({"metadata": {"resourceVersion": "9"}, "items": [GOOD, BAD, GOOD]}).encode()
    page = codec.codec_of(ConfigMap).page(raw)
    assert [item.metadata.name for item in page.items] == ["good", "good"]
    (unreadable,) = page.unreadable
    assert unreadable.key == Key("n", "bad")
    assert "$.data" in unreadable.why


@pytest.mark.parametrize("raw", [b"", b"[]", b"<html>", b'{"items":[1]}', b'{"items":{}}'])
def test_what_is_no_list(raw: bytes) -> None:
    with pytest.raises(codec.BAD_OBJECT):
        codec.codec_of(ConfigMap).page(raw)


def test_events() -> None:
    batch = codec.codec_of(ConfigMap).events(lines(("ADDED", GOOD), ("MODIFIED", GOOD), ("DELETED", GOOD)))
    assert [(e.type, e.resource_version) for e in batch.events] == [
        (EventType.ADDED, "7"), (EventType.MODIFIED, "7"), (EventType.DELETED, "7"),
    ]
    assert batch.failure is None


def test_a_bookmark_among_events_is_not_an_object() -> None:
    mark = {"kind": "ConfigMap", "metadata": {"resourceVersion": "99", "creationTimestamp": None}}
    batch = codec.codec_of(ConfigMap).events(lines(("ADDED", GOOD), ("BOOKMARK", mark)))
    assert [(e.type, e.object is None, e.resource_version) for e in batch.events] == [
        (EventType.ADDED, False, "7"), (EventType.BOOKMARK, True, "99"),
    ]


def test_a_bad_object_does_not_hide_the_events_around_it() -> None:
    batch = codec.codec_of(ConfigMap).events(
        lines(("ADDED", GOOD), ("MODIFIED", BAD), ("DELETED", BAD), ("DELETED", GOOD))
    )
    assert [e.type for e in batch.events] == [
        EventType.ADDED, EventType.UNREADABLE, EventType.DELETED, EventType.DELETED,
    ]
    assert [e.unreadable.key.name if e.unreadable else None for e in batch.events] == [None, "bad", "bad", None]
    assert batch.events[1].resource_version == "8"


def test_an_error_ends_a_batch_after_what_came_before() -> None:
    failure = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    batch = codec.codec_of(ConfigMap).events(lines(("ADDED", GOOD), ("ERROR", failure), ("ADDED", GOOD)))
    assert len(batch.events) == 1
    assert batch.failure is not None
    assert batch.failure.code == 410


def test_an_error_that_is_no_status_is_still_an_error() -> None:
    batch = codec.codec_of(ConfigMap).events(lines(("ERROR", {"what": "ever"})))
    assert batch.failure is not None


def test_an_event_type_of_the_future_is_ignored() -> None:
    batch = codec.codec_of(ConfigMap).events(lines(("RENAMED", GOOD), ("ADDED", GOOD)))
    assert [e.type for e in batch.events] == [EventType.ADDED]


def test_deep_nesting_is_an_unreadable_object_not_a_crash() -> None:
    deep = b'{"type":"ADDED","object":{"metadata":{"name":"d"},"spec":{"volumes":[%s]}}}\n' % (
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000
    )
    tricky = {"metadata": {"name": "t", "annotations": {"a": '[{"]} \\" {['}}}
    batch = codec.codec_of(Pod).events(lines(("ADDED", GOOD)) + deep + lines(("ADDED", tricky)))
    assert [e.type for e in batch.events] == [EventType.ADDED, EventType.UNREADABLE, EventType.ADDED]
    assert batch.events[1].unreadable is not None
    assert batch.events[1].unreadable.key == Key("", "d")
    assert batch.events[2].object is not None
    assert batch.events[2].object.metadata.annotations == tricky["metadata"]["annotations"]


def test_deep_nesting_in_a_list_and_in_one_object() -> None:
    deep = b'{"metadata":{"name":"d"},"data":%s}' % (b"[" * 9_000 + b"]" * 9_000)
    page = codec.codec_of(ConfigMap).page(b'{"metadata":{},"items":[%s,%s]}' % (deep, json.dumps(GOOD).encode()))
    assert [item.metadata.name for item in page.items] == ["good"]
    assert [item.key.name for item in page.unreadable] == ["d"]
    assert codec.identity_of(deep) == Key("", "d")


@pytest.mark.parametrize("raw", [b"nonsense\n", b'{"type":"ADDED"}\n', b'{"type":"ADDED","object":7}\n', b"\xff\n"])
def test_what_is_no_event(raw: bytes) -> None:
    with pytest.raises(codec.BAD_OBJECT):
        codec.codec_of(ConfigMap).events(raw)


@pytest.mark.parametrize("raw", [b"", b"x", b"{}", b'{"kind":"Pod"}', b'{"kind":"Status","code":"x"}', b"[" * 9999])
def test_what_is_no_status(raw: bytes) -> None:
    assert codec.status_of(raw) is None
