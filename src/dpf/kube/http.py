"""The client port over HTTP: one `HTTPClient` per API server, on aiohttp and msgspec.

Programs and `clusters.ClusterRegistry` build it from a `kubeconfig.Connection`. It caches nothing and retries only what
cannot do harm: once after a 401 with renewed credentials, and once when the server says `Retry-After` (it did not act
then). Everything else is the caller's decision, by error type.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from dpf.api.meta import Object
from dpf.kube import address, answers, codec, connections, credentials, errors
from dpf.kube.client import Endpoint, Event, Listing, PatchType, Unreadable
from dpf.kube.kubeconfig import Connection

T = TypeVar("T", bound=Object)

POOL: Final = 8
"""Unary requests in flight; more only lengthen the API server's own queue (design section 5, writes are scarce)."""
REQUEST_TIMEOUT_S: Final = 10.0
LIST_TIMEOUT_S: Final = 60.0
CONNECT_TIMEOUT_S: Final = 5.0
RETRY_AFTER_CAP_S: Final = 10.0
WATCHDOG_MARGIN_S: Final = 30.0
MAX_LINE_BYTES: Final = 32 << 20
"""A longer watch event is no Kubernetes object (etcd's limit is 1.5 MiB); reading on would fill our memory."""

_JSON: Final = "application/json"


class _Version(msgspec.Struct):
    gitVersion: str


class HTTPClient:
    """`client.Client` for a real API server. Create it anywhere, use it in one event loop, close it."""

    def __init__(
        self, connection: Connection, *, name: str = "host", timeout_s: float = REQUEST_TIMEOUT_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, watchdog_margin_s: float = WATCHDOG_MARGIN_S,
    ) -> None:
        self._connection = connection
        self._credentials = connection.credentials
        self._name = name
        self._sleep = sleep
        self._watchdog_margin_s = watchdog_margin_s
        self._slots = asyncio.Semaphore(POOL)
        self._unary: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None
        self._closed = False
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        self._list_timeout = aiohttp.ClientTimeout(total=max(timeout_s, LIST_TIMEOUT_S), sock_connect=CONNECT_TIMEOUT_S)

    @property
    def name(self) -> str:
        """See `client.Client`."""
        return self._name

    @property
    def endpoint(self) -> Endpoint:
        """See `client.Client`."""
        return self._connection.endpoint

    async def get(self, kind: type[T], name: str, namespace: str | None = None) -> T:
        """See `client.Client`."""
        path = address.single(kind, name, namespace)
        return self._decode(kind, await self._request("GET", path), f"GET {path}")

    async def list(
        self, kind: type[T], namespace: str | None = None, *, labels: str | None = None, fields: str | None = None,
        page_size: int = 500,
    ) -> Listing[T]:
        """See `client.Client`. When the pages expire half way, the whole list is read again, unpaged and once."""
        try:
            return await _complete(self.pages(kind, namespace, labels=labels, fields=fields, page_size=page_size))
        except errors.Expired:
            return await _complete(self.pages(kind, namespace, labels=labels, fields=fields, page_size=0))

    async def pages(
        self, kind: type[T], namespace: str | None = None, *, labels: str | None = None, fields: str | None = None,
        page_size: int = 500,
    ) -> AsyncIterator[Listing[T]]:
        """See `client.Client`. The pages of one list share a resourceVersion, so together they are a snapshot."""
        path = address.collection(kind, namespace)
        query = {**_selectors(labels, fields), **({"limit": str(page_size)} if page_size else {})}
        decoder = codec.codec_of(kind)
        while True:
            raw = await self._request("GET", path, query=query, timeout=self._list_timeout)
            try:
                page = decoder.page(raw)
            except codec.BAD_OBJECT as error:
                raise answers.not_kubernetes(f"GET {path}", str(error)) from None
            if not page.resource_version:
                # Some JSON of something in between; as a list it would be empty, and everything would look deleted.
                raise answers.not_kubernetes(f"GET {path}", "a list without a resourceVersion")
            del raw
            yield Listing(tuple(page.items), page.resource_version, tuple(page.unreadable))
            if not page.proceed:
                return
            query = {**query, "continue": page.proceed}

    async def watch(
        self, kind: type[T], namespace: str | None = None, *, resource_version: str, labels: str | None = None,
        fields: str | None = None, timeout_s: float = 300.0,
    ) -> AsyncIterator[Sequence[Event[T]]]:
        """See `client.Client`."""
        path = address.collection(kind, namespace)
        request = f"WATCH {path}"
        query = {
            **_selectors(labels, fields), "watch": "true", "allowWatchBookmarks": "true",
            "resourceVersion": resource_version, "timeoutSeconds": str(max(1, round(timeout_s))),
        }
        response = await self._open_stream(path, query, timeout_s)
        decoder = codec.codec_of(kind)
        rest = b""
        try:
            yield ()
            while chunk := await self._read(response, request):
                lines, rest = _split(rest, chunk)
                if len(rest) > MAX_LINE_BYTES:
                    raise answers.not_kubernetes(request, f"an event of more than {MAX_LINE_BYTES} bytes")
                if not lines:
                    continue
                batch = _events(decoder, lines, request)
                if batch.events:
                    yield batch.events
                if batch.failure is not None:
                    raise answers.error_in_stream(batch.failure, request=request)
        finally:
            connections.hang_up(response)

    async def create(self, obj: T, *, dry_run: bool = False) -> T:
        """See `client.Client`."""
        path = address.home(obj)
        raw = await self._request("POST", path, query=_dry_run(dry_run), body=_encode(obj), content_type=_JSON)
        return self._decode(type(obj), raw, f"POST {path}")

    async def create_subresource(
        self, kind: type[Object], name: str, namespace: str | None = None, *, subresource: str, body: T,
        dry_run: bool = False,
    ) -> T:
        """See `client.Client`."""
        path = address.single(kind, name, namespace, subresource)
        raw = await self._request("POST", path, query=_dry_run(dry_run), body=_encode(body), content_type=_JSON)
        try:
            return codec.codec_of(type(body)).decode(raw)
        except codec.BAD_OBJECT:
            # Without the reason: it may quote the answer, and the answer may hold a token.
            what = f"it does not fit {type(body).resource.kind}"
            raise answers.not_kubernetes(f"POST {path}", what) from None

    async def apply(
        self, obj: T, *, field_owner: str, force: bool = True, dry_run: bool = False, subresource: str | None = None,
    ) -> T:
        """See `client.Client`."""
        path = address.single(type(obj), obj.metadata.name, obj.metadata.namespace, subresource)
        query = {"fieldManager": field_owner, "force": "true" if force else "false", **_dry_run(dry_run)}
        raw = await self._request("PATCH", path, query=query, body=_encode(obj), content_type=PatchType.APPLY.value)
        return self._decode(type(obj), raw, f"PATCH {path}")

    async def patch(
        self, kind: type[T], name: str, namespace: str | None = None, *,
        patch: Mapping[str, Any] | Sequence[Mapping[str, Any]], type: PatchType = PatchType.MERGE,
        subresource: str | None = None, field_owner: str | None = None, dry_run: bool = False,
    ) -> T:
        """See `client.Client`."""
        path = address.single(kind, name, namespace, subresource)
        query = _dry_run(dry_run)
        if field_owner:
            query["fieldManager"] = field_owner
        raw = await self._request("PATCH", path, query=query, body=_encode_plain(patch), content_type=type.value)
        return self._decode(kind, raw, f"PATCH {path}")

    async def delete(
        self, kind: type[T], name: str, namespace: str | None = None, *, uid: str | None = None,
        resource_version: str | None = None, propagation: str = "Background", grace_period_s: int | None = None,
        dry_run: bool = False,
    ) -> None:
        """See `client.Client`."""
        path = address.single(kind, name, namespace)
        # With options in the body, the API server ignores them in the query.
        options: dict[str, Any] = {"propagationPolicy": propagation, **({"dryRun": ["All"]} if dry_run else {})}
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if grace_period_s is not None:
            options["gracePeriodSeconds"] = grace_period_s
        if uid or resource_version:
            options["preconditions"] = {field: value for field, value in preconditions.items() if value}
        await self._request("DELETE", path, body=_encode_plain(options), content_type=_JSON)

    async def server_version(self) -> str:
        """See `client.Client`."""
        raw = await self._request("GET", "/version")
        try:
            return msgspec.json.decode(raw, type=_Version).gitVersion
        except codec.BAD_OBJECT:
            raise answers.not_kubernetes("GET /version", "no version") from None

    async def aclose(self) -> None:
        """See `client.Client`."""
        self._closed = True
        for session in (self._unary, self._streams):
            if session is not None:
                await session.close()
        # Aborted connections are closed in the next turn of the event loop.
        await asyncio.sleep(0)

    async def _request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: bytes | None = None,
        content_type: str | None = None, timeout: aiohttp.ClientTimeout | None = None,
    ) -> bytes:
        """The body of a 2xx answer. Raises `errors.Error` for everything else."""
        request = f"{method} {path}"
        url = self._url(path, query)
        renewed = waited = False
        while True:
            credential = self._credentials.current() or await self._credentials.renew()
            async with self._slots:
                code, retry_after, raw = await self._exchange(
                    method, url, request, credential, body=body, content_type=content_type,
                    timeout=timeout or self._timeout,
                )
            if 200 <= code < 300:
                return raw
            error = answers.error_of(code, raw, request=request, retry_after=retry_after)
            if code == 401 and not renewed and await self._credentials.renew() is not credential:
                renewed = True
            elif error.retry_after_s is not None and not waited and error.retry_after_s <= RETRY_AFTER_CAP_S:
                waited = True
                await self._sleep(error.retry_after_s)
            else:
                raise error

    async def _exchange(
        self, method: str, url: URL, request: str, credential: credentials.Credential, *, body: bytes | None,
        content_type: str | None, timeout: aiohttp.ClientTimeout,
    ) -> tuple[int, str | None, bytes]:
        """One request and its whole answer: status, Retry-After, body."""
        try:
            async with self._session().request(
                method, url, data=body, headers=_headers(credential, content_type), allow_redirects=False,
                ssl=credential.tls or True, server_hostname=self._connection.tls_server_name, timeout=timeout,
            ) as response:
                return response.status, response.headers.get("Retry-After"), await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise self._lost(error, request) from None

    async def _open_stream(self, path: str, query: Mapping[str, str], timeout_s: float) -> aiohttp.ClientResponse:
        request = f"WATCH {path}"
        url = self._url(path, query)
        silence = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=timeout_s + self._watchdog_margin_s
        )
        renewed = False
        while True:
            credential = self._credentials.current() or await self._credentials.renew()
            try:
                async with asyncio.timeout(self._timeout.total):
                    response = await self._session(streaming=True).request(
                        "GET", url, headers=_headers(credential, None), allow_redirects=False,
                        ssl=credential.tls or True, server_hostname=self._connection.tls_server_name, timeout=silence,
                    )
                    if response.status == 200:
                        return response
                    async with response:
                        raw = await response.read()
            except (aiohttp.ClientError, OSError) as error:
                raise self._lost(error, request) from None
            if response.status != 401 or renewed or await self._credentials.renew() is credential:
                retry_after = response.headers.get("Retry-After")
                raise answers.error_of(response.status, raw, request=request, retry_after=retry_after)
            renewed = True

    async def _read(self, response: aiohttp.ClientResponse, request: str) -> bytes:
        """What has arrived; empty at the end of the stream. Raises Timeout after too long a silence."""
        try:
            return await response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise self._lost(error, request) from None

    def _lost(self, error: Exception, request: str) -> errors.Error:
        """The error for an exchange that did not come to an end. `TimeoutError` is an OSError since Python 3.10."""
        where = f"{self._connection.server} ({request})"
        if isinstance(error, TimeoutError):
            return errors.Timeout(f"no answer in time from {where}", request=request)
        if isinstance(error, aiohttp.ClientResponseError):
            return answers.not_kubernetes(request, error.message)
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            reason = getattr(error.certificate_error, "verify_message", "") or "certificate not accepted"
            return errors.Unreachable(f"TLS refused by us: {reason}: {where}", request=request)
        cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        return errors.Unreachable(f"no connection to {where}: {reason}", request=request)

    def _session(self, *, streaming: bool = False) -> aiohttp.ClientSession:
        """Watches have connections of their own: they would occupy the pool for minutes."""
        if self._closed:
            raise errors.Unreachable(f"the client of {self._name} is closed")
        if streaming:
            self._streams = self._streams or connections.new_session(limit=0)
            return self._streams
        self._unary = self._unary or connections.new_session(limit=POOL)
        return self._unary

    def _url(self, path: str, query: Mapping[str, str] | None) -> URL:
        text = f"{path}?{_query_text(tuple(query.items()))}" if query else path
        return URL(self._connection.server + text, encoded=True)

    def _decode(self, kind: type[T], raw: bytes, request: str) -> T:
        try:
            obj = codec.codec_of(kind).decode(raw)
        except codec.BAD_OBJECT as error:
            raise answers.unreadable(raw, error, request=request) from None
        if not obj.metadata.name:
            raise answers.not_kubernetes(request, "an object without a name")
        return obj


async def _complete(pages: AsyncIterator[Listing[T]]) -> Listing[T]:
    items: list[T] = []
    unreadable: list[Unreadable] = []
    resource_version = ""
    async for page in pages:
        items += page.items
        unreadable += page.unreadable
        resource_version = page.resource_version
    return Listing(tuple(items), resource_version, tuple(unreadable))


def _headers(credential: credentials.Credential, content_type: str | None) -> dict[str, str]:
    headers = {}
    if credential.authorization:
        headers["Authorization"] = credential.authorization
    if content_type:
        headers["Content-Type"] = content_type
    return headers


@functools.lru_cache(maxsize=256)
def _query_text(query: tuple[tuple[str, str], ...]) -> str:
    """The same few queries are sent over and over."""
    return urlencode(query)


def _selectors(labels: str | None, fields: str | None) -> dict[str, str]:
    query = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in query.items() if value}


def _dry_run(wanted: bool) -> dict[str, str]:
    return {"dryRun": "All"} if wanted else {}


def _encode(obj: Object) -> bytes:
    try:
        return codec.encode(obj)
    except codec.BAD_OBJECT as error:
        raise errors.BadRequest(f"{type(obj).resource.kind} {obj.metadata.name}: cannot be sent: {error}") from None


def _encode_plain(value: Any) -> bytes:  # noqa: ANN401 - a patch is any JSON value
    try:
        return codec.encode_plain(value)
    except (*codec.BAD_OBJECT, TypeError) as error:
        raise errors.BadRequest(f"the patch cannot be sent: {error}") from None


def _split(rest: bytes, chunk: bytes) -> tuple[bytes, bytes]:
    """Complete lines, and the beginning of the next one."""
    end = chunk.rfind(b"\n") + 1
    if not end:
        return b"", rest + chunk
    return (rest + chunk[:end] if rest else chunk[:end]), chunk[end:]


def _events(decoder: codec.Codec[T], lines: bytes, request: str) -> codec.EventBatch[T]:
    try:
        return decoder.events(lines)
    except codec.BAD_OBJECT as error:
        raise answers.not_kubernetes(request, str(error)) from None
