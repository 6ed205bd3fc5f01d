"""A server of bundles on loopback that behaves as a test tells it to, http or https.

    async with a_server(body=emulated.build()) as server:
        a_bfb(url=server.url())

Everything that was asked for is in `server.asked`. It runs in the test's event loop, the code under test in threads.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from dpf.local.pki import certificates

PATH = "/bundles/bf-bundle.bfb"
_RANGE = re.compile(r"bytes=([0-9]+)-")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    path: str
    range: str | None
    if_range: str | None
    authorization: str | None
    host: str | None


@dataclass(slots=True)
class BundleServer:
    """`etag` None: it cannot resume. `cut`: it closes the connection after so many bytes of a body.

    `hold_after`: it stops after so many bytes until `release` is set. `announced` is what it says the size is;
    `chunked`: it does not say. `redirect`: where it sends everybody. `raw`: what it says instead of HTTP.
    """

    scheme: str = "http"
    host: str = "127.0.0.1"
    port: int = 0
    body: bytes = b""
    etag: str | None = None
    modified: str | None = None
    status: int = 200
    cut: int | None = None
    hold_after: int | None = None
    announced: int | None = None
    chunked: bool = False
    encoding: str | None = None
    redirect: str | None = None
    redirects: int = 1000
    """So many times, and no longer."""
    wrong_range: bool = False
    raw: bytes | None = None
    release: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[Asked] = field(default_factory=list)

    def url(self, path: str = PATH, *, user: str = "") -> str:
        return f"{self.scheme}://{user + '@' if user else ''}{self.host}:{self.port}{path}"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = request.headers
        self.asked.append(Asked(
            request.path_qs, headers.get("Range"), headers.get("If-Range"), headers.get("Authorization"),
            headers.get("Host"),
        ))
        if self.raw is not None:
            assert request.transport is not None
            request.transport.write(self.raw)
            request.transport.close()
            await asyncio.sleep(0)
            raise asyncio.CancelledError
        if self.redirect is not None and len(self.asked) <= self.redirects:
            return web.Response(status=302, headers={"Location": self.redirect})
        if self.status != 200:
            return web.Response(status=self.status, text="a body not for eyes")
        return await self._send(request)

    async def _send(self, request: web.BaseRequest) -> web.StreamResponse:
        start = self._start(request)
        if start is not None and start > len(self.body):
            return web.Response(status=416)
        total = len(self.body) if self.announced is None else self.announced
        response = web.StreamResponse(status=200 if start is None else 206)
        begin = start or 0
        if start is not None:
            shown = begin + 1 if self.wrong_range else begin
            response.headers["Content-Range"] = f"bytes {shown}-{total - 1}/{total}"
        if self.etag is not None:
            response.headers["ETag"] = self.etag
        if self.modified is not None:
            response.headers["Last-Modified"] = self.modified
        if self.encoding is not None:
            response.headers["Content-Encoding"] = self.encoding
        if self.chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = total - begin
        await response.prepare(request)
        with suppress(ConnectionError):
            await self._body(request, response, begin)
        return response

    async def _body(self, request: web.BaseRequest, response: web.StreamResponse, begin: int) -> None:
        end = len(self.body) if self.cut is None else min(len(self.body), begin + self.cut)
        held = None if self.hold_after is None else min(end, self.hold_after)
        if held is not None and held > begin:
            await response.write(self.body[begin:held])
            begin = held
        if held is not None:
            self.reached.set()
            await self.release.wait()
        await response.write(self.body[begin:end])
        if self.cut is not None or len(self.body) < (self.announced or 0):
            assert request.transport is not None
            request.transport.close()

    def _start(self, request: web.BaseRequest) -> int | None:
        asked = _RANGE.fullmatch(request.headers.get("Range", ""))
        fits = self.etag is not None and request.headers.get("If-Range") == self.etag
        fits = fits or (self.modified is not None and request.headers.get("If-Range") == self.modified)
        return int(asked[1]) if asked is not None and fits else None


@asynccontextmanager
async def a_server(
    body: bytes = b"", *, tls: bool = False, host: str = "127.0.0.1", trusted: bool = True, etag: str | None = None,
) -> AsyncIterator[BundleServer]:
    """A running server. With `tls` its certificate names `host`; not `trusted`: by an authority that nobody knows."""
    server = BundleServer(scheme="https" if tls else "http", host=host, body=body, etag=etag)
    runner = web.ServerRunner(web.Server(server.answer, handler_cancellation=True), shutdown_timeout=0.01)
    await runner.setup()
    signer = authority() if trusted else certificates.new_authority("x", certificates.new_key(), datetime.now(UTC))
    site = web.TCPSite(runner, host, 0, ssl_context=serving(signer, host) if tls else None)
    try:
        await site.start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        server.release.set()
        await runner.cleanup()
        await asyncio.sleep(0)


@functools.cache
def authority() -> certificates.Authority:
    """The CA of every trusted server."""
    return certificates.new_authority("bundle servers", certificates.new_key(), datetime.now(UTC))


def trusting() -> ssl.SSLContext:
    """A client's context that trusts the servers' CA."""
    return ssl.create_default_context(cadata=authority().pem.decode())


def serving(signer: certificates.Authority, host: str) -> ssl.SSLContext:
    """A server's context with a certificate for `host`."""
    request = certificates.Request(common_name=host, sans=(host,), usage=certificates.Usage.SERVER)
    pair = certificates.issue(signer, request, datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    descriptor = os.memfd_create("serving-certificate")
    try:
        os.write(descriptor, pair.certificate + pair.key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context
