"""JSON of the API server to and from our Structs, one compiled codec per kind.

Called by `http.HTTPClient` and `memory.MemoryCluster`. It does no I/O. An object that does not fit our type is returned
as `Unreadable` beside the others: one bad object never hides the rest of a list or ends a watch.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec

from dpf.api.meta import Key, Object
from dpf.kube.client import Event, EventType, Unreadable

T = TypeVar("T", bound=Object)
_T = TypeVar("_T")

BAD_OBJECT: Final = (ValueError, RecursionError, OverflowError)
"""What encoding and decoding raise on data that does not fit: msgspec's errors and bad UTF-8 are ValueErrors."""

_ENCODER: Final = msgspec.json.Encoder()
_EVENT_TYPES: Final = {type_.value: type_ for type_ in (EventType.ADDED, EventType.MODIFIED, EventType.DELETED)}


_MAX_DEPTH: Final = 200
_CUT: Final = b'"... nested too deeply ..."'
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]')
_OPENING, _CLOSING = (b"[", b"{"), (b"]", b"}")


class _ListMeta(msgspec.Struct, frozen=True):
    resourceVersion: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct, Generic[_T]):
    items: list[_T] | None = None
    metadata: _ListMeta = _ListMeta()


class _Envelope(msgspec.Struct, Generic[_T]):
    type: str
    object: _T


class _Identity(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    resourceVersion: str = ""


class _Identified(msgspec.Struct):
    metadata: _Identity


class StatusCause(msgspec.Struct):
    """metav1.StatusDetails, the part that tells when to come back."""

    retryAfterSeconds: int | None = None


class Status(msgspec.Struct):
    """metav1.Status: how an API server words a failure."""

    kind: str = ""
    message: str = ""
    reason: str = ""
    code: int = 0
    details: StatusCause | None = None


_STATUS: Final = msgspec.json.Decoder(Status)
_IDENTIFIED: Final = msgspec.json.Decoder(_Identified)
_RAW_EVENT: Final = msgspec.json.Decoder(_Envelope[msgspec.Raw])
_RAW_PAGE: Final = msgspec.json.Decoder(_Page[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `proceed` is the continue token, empty on the last page."""

    items: list[T]
    unreadable: list[Unreadable]
    resource_version: str
    proceed: str


@dataclass(frozen=True, slots=True)
class EventBatch(Generic[T]):
    """Events in order; `failure` is the Status of an ERROR event that ended them."""

    events: Sequence[Event[T]]
    failure: Status | None = None


def encode(obj: Object) -> bytes:
    """The wire form of `obj`, which always says its apiVersion and kind. Raises ValueError."""
    resource = type(obj).resource
    if not obj.apiVersion or not obj.kind:
        obj = msgspec.structs.replace(obj, apiVersion=resource.api_version, kind=resource.kind)
    return _ENCODER.encode(obj)


def encode_plain(value: Any) -> bytes:  # noqa: ANN401 - a patch is any JSON value
    """The wire form of plain data, such as a patch. Raises ValueError or TypeError."""
    return _ENCODER.encode(value)


def status_of(raw: bytes) -> Status | None:
    """The Status in an answer, or None when the answer is something else."""
    try:
        status = _STATUS.decode(raw)
    except BAD_OBJECT:
        return None
    return status if status.kind == "Status" else None


def identity_of(raw: bytes) -> Key | None:
    """Which object it is, even when it does not fit its type; None when it is no Kubernetes object."""
    try:
        metadata = _IDENTIFIED.decode(_shallow(raw)).metadata
    except BAD_OBJECT:
        return None
    return Key(metadata.namespace, metadata.name) if metadata.name else None


class Codec(Generic[T]):
    """Compiled decoders of one kind. Get it from `codec_of`."""

    __slots__ = ("_api_version", "_event", "_kind", "_object", "_page")

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind.resource.kind
        self._api_version = kind.resource.api_version
        self._object: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)
        self._page: msgspec.json.Decoder[_Page[T]] = msgspec.json.Decoder(_Page[kind])  # type: ignore[valid-type]
        self._event: msgspec.json.Decoder[_Envelope[T]] = msgspec.json.Decoder(
            _Envelope[kind]  # type: ignore[valid-type]
        )

    def decode(self, raw: bytes | msgspec.Raw) -> T:
        """One object. Raises one of `BAD_OBJECT`."""
        return self._identify(self._object.decode(raw))

    def page(self, raw: bytes) -> Page[T]:
        """One page of a list. Raises one of `BAD_OBJECT` when it is not a list at all."""
        try:
            page = self._page.decode(raw)
        except BAD_OBJECT:
            return self._page_one_by_one(raw)
        items = page.items or []
        for item in items:
            self._identify(item)
        return Page(items, [], page.metadata.resourceVersion, page.metadata.continue_)

    def events(self, lines: bytes) -> EventBatch[T]:
        """The watch events in complete lines. Raises one of `BAD_OBJECT` when a line is not an event."""
        try:
            envelopes = self._event.decode_lines(lines)
        except BAD_OBJECT:
            return self._events_one_by_one(lines)
        events: list[Event[T]] = []
        for envelope in envelopes:
            type_ = _EVENT_TYPES.get(envelope.type)
            if type_ is None:
                return self._events_one_by_one(lines)
            obj = envelope.object
            events.append(Event(type_, obj, obj.metadata.resourceVersion or ""))
        return EventBatch(events)

    def _page_one_by_one(self, raw: bytes) -> Page[T]:
        page = _RAW_PAGE.decode(_shallow(raw))
        items: list[T] = []
        unreadable: list[Unreadable] = []
        for item in page.items or ():
            try:
                items.append(self._decode_whole(item))
            except BAD_OBJECT as error:
                unreadable.append(_unreadable(item, error)[0])
        return Page(items, unreadable, page.metadata.resourceVersion, page.metadata.continue_)

    def _events_one_by_one(self, lines: bytes) -> EventBatch[T]:
        events: list[Event[T]] = []
        for line in lines.splitlines():
            if not line:
                continue
            envelope = _RAW_EVENT.decode(_shallow(line))
            if envelope.type == "ERROR":
                return EventBatch(events, status_of(bytes(envelope.object)) or Status(message="the watch failed"))
            event = self._raw_event(envelope)
            if event is not None:
                events.append(event)
        return EventBatch(events)

    def _raw_event(self, envelope: _Envelope[msgspec.Raw]) -> Event[T] | None:
        """None for an event type that did not exist when this was written."""
        if envelope.type == "BOOKMARK":
            position = _IDENTIFIED.decode(envelope.object).metadata.resourceVersion
            return Event(EventType.BOOKMARK, None, position)
        type_ = _EVENT_TYPES.get(envelope.type)
        if type_ is None:
            return None
        try:
            obj = self._decode_whole(envelope.object)
        except BAD_OBJECT as error:
            unreadable, position = _unreadable(envelope.object, error)
            if type_ is EventType.DELETED:
                return Event(type_, None, position, unreadable)
            return Event(EventType.UNREADABLE, None, position, unreadable)
        return Event(type_, obj, obj.metadata.resourceVersion or "")

    def _decode_whole(self, raw: msgspec.Raw) -> T:
        """As `decode`, for what has gone through `_shallow`."""
        if _CUT in bytes(raw):
            raise ValueError(f"nested more than {_MAX_DEPTH} levels deep")
        return self.decode(raw)

    def _identify(self, obj: T) -> T:
        """Items of a list of built-in kinds come without apiVersion and kind; the same object then equals itself."""
        if not obj.kind:
            msgspec.structs.force_setattr(obj, "apiVersion", self._api_version)
            msgspec.structs.force_setattr(obj, "kind", self._kind)
        return obj


@functools.cache
def _codec_of(kind: type[Any]) -> Codec[Any]:
    return Codec(kind)


def codec_of(kind: type[T]) -> Codec[T]:
    """The codec of `kind`, compiled at first use."""
    return _codec_of(kind)


def _shallow(raw: bytes) -> bytes:
    """Without what is nested too deeply for a decoder, so that the rest, and which object it was, can be read.

    An API server takes 10,000 levels; a decoder recurses and gives up much sooner, even where it only skips.
    """
    kept: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(raw):
        if token[0] in _OPENING:
            depth += 1
            if depth == _MAX_DEPTH:
                kept += (raw[start:token.start()], _CUT)
        elif token[0] in _CLOSING:
            if depth == _MAX_DEPTH:
                start = token.end()
            depth -= 1
    return b"".join((*kept, raw[start:])) if kept else raw


def _unreadable(raw: msgspec.Raw, error: Exception) -> tuple[Unreadable, str]:
    """Which object it was, as far as it can be told, and its resourceVersion."""
    metadata = _IDENTIFIED.decode(raw).metadata
    return Unreadable(Key(metadata.namespace, metadata.name), str(error)), metadata.resourceVersion
