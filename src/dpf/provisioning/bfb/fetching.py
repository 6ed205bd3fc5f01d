"""GET of one bundle over http or https, within limits; everything that a stranger's server may do is answered here.

Called by `download` in a thread of its own: it blocks on the network, and on the disk through the sink. The standard
library's client is used because it hands on every byte that arrived before a connection broke, which both resuming and
an honest "got n bytes" need. TLS is verified; a redirect is followed five times, never from https to http, and never
further inside the network than where we were sent from (docs/adr/0012). It knows neither files nor BFBs.
"""

from __future__ import annotations

import base64
import email.utils
import http.client
import re
import ssl
from contextlib import closing
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import quote, unquote, urljoin

from dpf.provisioning.bfb import connecting, sources
from dpf.provisioning.bfb.connecting import DEFAULT, TLS, FetchError, Limits, Stop, Stopped
from dpf.provisioning.bfb.sources import Source, SourceError
from dpf.runtime.addresses import Reach

_PIECE: Final = 1 << 20
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_RANGE: Final = re.compile(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)")
_STRONG_AFTER_S: Final = 60.0
_UNRESERVED: Final = "/%:@!$&'()*+,;=~?"


class Sink(Protocol):
    """Takes the bytes. `offset` of them are there already, `validator` tells the server which they are."""

    offset: int
    validator: str
    total: int | None

    def restart(self, *, total: int | None, validator: str) -> None:
        """The content comes anew, from its beginning."""

    def write(self, piece: bytes) -> None:
        """The next bytes."""

    def room(self) -> int:
        """How many more can be taken."""


def fetch(
    url: str, sink: Sink, stop: Stop, *, limits: Limits = DEFAULT, tls: TLS | None = None,
) -> None:
    """All bytes of `url` into `sink`, resuming where it stands. Raises FetchError, Stopped, and what the sink raises.

    `tls` makes the context for https; None means the system's authorities.
    """
    home = source = _parse(url)
    floor: Reach | None = None
    for _ in range(limits.redirects + 1):
        addresses, floor = connecting.admit(source, floor, home)
        with closing(connecting.connect(source, addresses, stop, limits, tls)) as connection:
            following = _converse(connection, source, sink, stop, limits)
        if following is None:
            return
        source = following
    raise FetchError(f"{home} redirects more than {limits.redirects} times")


def _converse(
    connection: http.client.HTTPConnection, source: Source, sink: Sink, stop: Stop, limits: Limits,
) -> Source | None:
    """One question and its answer: where to go on, or None when the bundle is there. Raises as `fetch` does."""
    try:
        with closing(_ask(connection, source, sink)) as response:
            if response.status in _REDIRECTS:
                return _follow(response, source)
            _receive(response, source, sink, stop, limits)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if stop.is_set:
            raise Stopped from None
        raise _lost(error, source, sink) from None
    return None


def _parse(url: str) -> Source:
    try:
        return sources.parse(url)
    except SourceError as error:
        raise FetchError(str(error), retryable=False) from None


def _ask(connection: http.client.HTTPConnection, source: Source, sink: Sink) -> http.client.HTTPResponse:
    """The head of the answer. Raises OSError, HTTPException."""
    headers = {"User-Agent": "pydpf", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
    if source.user is not None:
        credentials = f"{unquote(source.user)}:{unquote(source.password)}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(credentials).decode()}"
    if sink.offset and sink.validator:
        headers |= {"Range": f"bytes={sink.offset}-", "If-Range": sink.validator}
    connection.request("GET", quote(source.target, safe=_UNRESERVED), headers=headers)
    return connection.getresponse()


def _receive(
    response: http.client.HTTPResponse, source: Source, sink: Sink, stop: Stop, limits: Limits,
) -> None:
    """The body into the sink. Raises FetchError, Stopped, OSError, HTTPException and what the sink raises."""
    if response.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise _refusal(response, source, sink)
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("identity", ""):
        raise FetchError(f"{source} answers in an encoding that was not asked for")
    if response.status == HTTPStatus.OK:
        sink.restart(total=response.length, validator=_validator(response.headers))
    elif not _continues(response, sink):
        sink.restart(total=None, validator="")
        raise FetchError(f"{source} answers with another part of the file than was asked for")
    _check_room(source, sink, limits)
    while piece := response.read1(_PIECE):
        if stop.is_set:
            raise Stopped
        sink.write(piece)
        if sink.offset > limits.bytes:
            raise FetchError(_too_large(source, limits), retryable=False)
    if stop.is_set:
        raise Stopped
    if sink.total is not None and sink.offset != sink.total:
        raise _mismatch(sink.total, sink.offset)


def _continues(response: http.client.HTTPResponse, sink: Sink) -> bool:
    """Whether a partial answer is the rest of what the sink has."""
    match = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return match is not None and int(match[1]) == sink.offset and match[2] == str(sink.total)


def _check_room(source: Source, sink: Sink, limits: Limits) -> None:
    """Do not begin what cannot end. Raises FetchError."""
    if sink.total is None:
        return
    if sink.total > limits.bytes:
        raise FetchError(_too_large(source, limits), retryable=False)
    room, needed = sink.room(), sink.total - sink.offset
    if needed > room:
        raise FetchError(
            f"the BFB volume is full: {needed} bytes are needed and {room} are free; free space on it or enlarge it"
        )


def _refusal(response: http.client.HTTPResponse, source: Source, sink: Sink) -> FetchError:
    if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        sink.restart(total=None, validator="")
    try:
        phrase = f" {HTTPStatus(response.status).phrase}"
    except ValueError:
        phrase = ""
    return FetchError(f"{source} answers with status {response.status}{phrase}")


def _follow(response: http.client.HTTPResponse, source: Source) -> Source:
    """Where a redirect leads. Raises FetchError."""
    try:
        following = sources.parse(urljoin(source.url, response.headers.get("Location", "")))
    except (SourceError, ValueError):
        raise FetchError(f"{source} redirects to something that is no http or https URL") from None
    if source.scheme == "https" and following.scheme != "https":
        raise FetchError(f"{source} redirects to {following}: from https only https is followed")
    if following.user is not None:
        raise FetchError(f"{source} redirects to a URL with credentials; that is not followed")
    return following


def _validator(headers: http.client.HTTPMessage) -> str:
    """What names this very content when a download is resumed; "" when nothing does for certain (RFC 9110 8.8)."""
    etag = headers.get("ETag", "").strip()
    if etag and not etag.startswith("W/"):
        return etag
    modified, date = headers.get("Last-Modified", "").strip(), headers.get("Date", "").strip()
    try:
        age = email.utils.parsedate_to_datetime(date) - email.utils.parsedate_to_datetime(modified)
    except (TypeError, ValueError):
        return ""
    return modified if age.total_seconds() >= _STRONG_AFTER_S else ""


def _lost(error: Exception, source: Source, sink: Sink) -> FetchError:
    """The error for an answer that did not come to its end."""
    match error:
        case TimeoutError():
            return FetchError(f"{source} does not answer in time")
        case http.client.RemoteDisconnected():
            return FetchError(f"{source} closes the connection without an answer")
        case http.client.IncompleteRead() | ConnectionError() | ssl.SSLError():
            if sink.total is not None and sink.offset != sink.total:
                return _mismatch(sink.total, sink.offset)
            return FetchError(f"the answer of {source} ends early")
        case http.client.HTTPException() | ValueError():
            return FetchError(f"{source} answers with something that is not HTTP")
        case _:
            return FetchError(f"the connection to {source} was lost: {connecting.reason(error)}")


def _mismatch(expected: int, got: int) -> FetchError:
    return FetchError(f"downloaded file size mismatch: expected {expected} bytes, got {got} bytes")


def _too_large(source: Source, limits: Limits) -> str:
    return f"{source} answers with more than {limits.bytes >> 20} MiB"
