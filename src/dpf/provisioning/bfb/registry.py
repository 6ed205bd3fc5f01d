"""Serves a bundle followed by the bf.cfg of one DPU as one stream, over https or http (behaviour-provisioning.md 2).

Started by the process that has the volume. A BMC has no credentials to show: whoever knows the name of a configuration
gets it, and the name has the DPU's uid in it, which is told to its BMC only (docs/adr/0012). There is nothing to list,
and only files of the two forms that `imageuri` knows can be named. Files are read in pieces, in threads.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import hashlib
import os
import re
import ssl
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from aiohttp import web

from dpf.provisioning.bfb import imageuri

R = TypeVar("R")

PORT: Final = 8443
PATIENCE_S: Final = 60.0
"""A client that takes nothing for so long is cut off."""

_PIECE: Final = 256 << 10
_THREADS: Final = 8
_ONE_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One open file of a stream."""

    descriptor: int
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Bytes `begin` up to, not including, `end` of a stream."""

    begin: int
    end: int


class Registry:
    """One listening server over one folder. `tls` None serves plain http."""

    def __init__(self, folder: Path, *, host: str, port: int = PORT, tls: ssl.SSLContext | None = None) -> None:
        self._folder = folder
        self._host = host
        self._port = port
        self._tls = tls
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="bfb-registry")
        self._runner = web.ServerRunner(
            web.Server(self._answer, handler_cancellation=True, access_log=None), shutdown_timeout=1.0
        )

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls).start()

    @property
    def port(self) -> int:
        """Where it listens, also when it was told to choose (0)."""
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """End, with everything that is being sent."""
        await self._runner.cleanup()
        self._threads.shutdown(wait=False)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD"})
        names = imageuri.parse(request.raw_path)
        if names is None:
            return _absent()
        with ExitStack() as files:
            try:
                parts = await self._in_thread(open_parts, self._folder, names, files)
            except OSError as error:
                _log.warning("bundle not served", files=names[0], error=error.strerror or type(error).__name__)
                return _absent()
            return await self._send(request, parts)

    async def _send(self, request: web.BaseRequest, parts: tuple[Part, ...]) -> web.StreamResponse:
        total, tag = sum(part.size for part in parts), etag(parts)
        asked = request.headers.get("Range")
        if request.headers.get("If-Range") not in (None, tag):
            asked = None
        try:
            span = parse_range(asked, total)
        except ValueError:
            headers = {"Content-Range": f"bytes */{total}"}
            return web.Response(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
        response = web.StreamResponse(status=HTTPStatus.OK if span is None else HTTPStatus.PARTIAL_CONTENT, headers={
            "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "ETag": tag,
        })
        if span is not None:
            response.headers["Content-Range"] = f"bytes {span.begin}-{span.end - 1}/{total}"
        span = span or Span(begin=0, end=total)
        response.content_length = span.end - span.begin
        await response.prepare(request)
        if request.method == "GET":
            await self._pour(request, response, parts, span)
        return response

    async def _pour(
        self, request: web.BaseRequest, response: web.StreamResponse, parts: tuple[Part, ...], span: Span,
    ) -> None:
        """The bytes of the span. A file that shrinks meanwhile, or a client that stops taking, cuts the connection."""
        try:
            for part, begin, end in pieces(parts, span):
                piece = await self._in_thread(os.pread, part.descriptor, end - begin, begin)
                if len(piece) < end - begin:
                    raise OSError("the file became shorter while it was sent")
                await asyncio.wait_for(response.write(piece), PATIENCE_S)
        except (OSError, TimeoutError) as error:
            _log.warning("bundle not sent to its end", error=str(error) or type(error).__name__)
            if request.transport is not None:
                request.transport.abort()

    async def _in_thread(self, call: Callable[..., R], *arguments: Any) -> R:  # noqa: ANN401 - handed on
        """The result of a call that blocks. Who is cancelled waits for it: it uses a descriptor that is closed next."""
        future = asyncio.get_running_loop().run_in_executor(self._threads, functools.partial(call, *arguments))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.gather(future, return_exceptions=True)
            raise


def serving_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS with a certificate (PEM) that is read again when its file has changed. Raises OSError, ssl.SSLError."""
    current, stamp = _load(certificate, key), _stamp(certificate, key)

    def renew(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        nonlocal current, stamp
        try:
            found = _stamp(certificate, key)
            if found != stamp:
                current, stamp = _load(certificate, key), found
        except OSError as error:  # an SSLError is one: half of the pair was replaced so far
            _log.warning("new certificate not used", file=str(certificate), error=str(error))
        connection.context = current

    context = _load(certificate, key)
    context.sni_callback = renew
    return context


def open_parts(folder: Path, names: Sequence[str], files: ExitStack) -> tuple[Part, ...]:
    """Open regular files of the folder; `files` closes them. Raises OSError."""
    parts = []
    for name in names:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        files.callback(os.close, descriptor)
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        parts.append(Part(descriptor=descriptor, size=facts.st_size, modified_ns=facts.st_mtime_ns))
    return tuple(parts)


def parse_range(header: str | None, total: int) -> Span | None:
    """The part that is asked for; None for the whole, also where more than one part is asked for (RFC 9110 14.2).

    Raises ValueError for a part that is not there.
    """
    match = _ONE_RANGE.fullmatch(header or "")
    if match is None or match[0] == "bytes=-":
        return None
    if not match[1]:
        begin, end = max(0, total - int(match[2])), total
    else:
        begin, end = int(match[1]), min(total, int(match[2]) + 1) if match[2] else total
        if match[2] and int(match[2]) < begin:
            return None
    if begin >= total:
        raise ValueError(f"there are {total} bytes")
    return Span(begin=begin, end=end)


def pieces(parts: Sequence[Part], span: Span) -> Iterator[tuple[Part, int, int]]:
    """What to read for a span, in order: a file, and from where to where in it."""
    offset = 0
    for part in parts:
        begin, end = max(0, span.begin - offset), min(part.size, span.end - offset)
        for at in range(begin, end, _PIECE):
            yield part, at, min(at + _PIECE, end)
        offset += part.size


def etag(parts: Sequence[Part]) -> str:
    """Names this very content, so that a BMC can go on where it stopped."""
    facts = ",".join(f"{part.size}:{part.modified_ns}" for part in parts)
    return f'"{hashlib.sha256(facts.encode()).hexdigest()[:32]}"'


def _absent() -> web.Response:
    """The same for every name that is not served: nothing is told about what there is."""
    return web.Response(status=HTTPStatus.NOT_FOUND, text="there is no such bundle\n")


def _load(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def _stamp(*files: Path) -> tuple[int, ...]:
    return tuple(path.stat().st_mtime_ns for path in files)
