"""A loopback HTTP server whose answers a test writes itself, byte by byte where that matters."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dpf.kube import credentials
from dpf.kube.http import HTTPClient
from dpf.kube.kubeconfig import Connection

JSON = "application/json"


@dataclass(frozen=True)
class Seen:
    """A request as it came over the wire."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Handler = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Stub:
    """`handlers` answer one request each, in order; the last one answers all that follow."""

    handlers: list[Handler]
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, target, _ = head[0].split(" ")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                url = urlsplit(target)
                query = {k: v[0] for k, v in parse_qs(url.query).items()}
                self.seen.append(Seen(method, url.path, query, headers, body))
                handler = self.handlers.pop(0) if len(self.handlers) > 1 else self.handlers[0]
                await handler(self.seen[-1], writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def answer(body: Any, status: int = 200, **headers: str) -> Handler:
    """One whole answer; a body that is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())

    async def send(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(raw)}\r\n{lines}\r\n".encode() + raw)

    return send


def failure(status: int, reason: str, message: str = "it went wrong", **headers: str) -> Handler:
    """A Kubernetes Status."""
    body = {"kind": "Status", "apiVersion": "v1", "message": message, "reason": reason, "code": status}
    return answer(body, status, **headers)


def stream(*pieces: bytes | asyncio.Event, end: str = "clean") -> Handler:
    """A chunked answer, one chunk for each piece; an Event among them is waited for. `end`: clean, cut or open."""

    async def send(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            if isinstance(piece, asyncio.Event):
                await piece.wait()
                continue
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        if end == "clean":
            writer.write(b"0\r\n\r\n")
        elif end == "cut":
            writer.transport.abort()
        else:
            await asyncio.Event().wait()

    return send


async def hang(_seen: Seen, _writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def drop(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Cut the connection instead of answering."""
    writer.transport.abort()


def event(type_: str, obj: dict[str, Any]) -> bytes:
    return json.dumps({"type": type_, "object": obj}).encode() + b"\n"


def config_map(name: str, version: int = 1, **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": name, "namespace": "ns", "uid": f"uid-{name}", "resourceVersion": str(version)},
    }


def fixed(authorization: str | None = None, tls: ssl.SSLContext | None = None) -> credentials.Fixed:
    return credentials.Fixed(credentials.Credential(tls=tls, authorization=authorization))


@asynccontextmanager
async def serving(
    *handlers: Handler, provider: credentials.Credentials | None = None, tls: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[tuple[HTTPClient, Stub]]:
    """A stub server, and a client of it."""
    stub = Stub(list(handlers))
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0, ssl=tls)
    stub.port = server.sockets[0].getsockname()[1]
    scheme = "https" if tls else "http"
    connection = Connection(server=f"{scheme}://127.0.0.1:{stub.port}", credentials=provider or fixed())
    client = HTTPClient(connection, **options)
    before = asyncio.all_tasks()
    try:
        yield client, stub
    finally:
        await client.aclose()
        server.close()
        left = [task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
