"""The kubelet's HTTPS endpoint: what `kubectl logs` reaches through the API server.

`nodes` starts one per node on the node's own address, port 10250. Who may ask: only a client whose certificate the
cluster's CA has signed *and* that is the API server or an administrator; another node or user is refused, because a log
may hold anything. Commands in containers (`kubectl exec`) are not served.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import structlog
from aiohttp import web

from dpf.emulation.kubelet import logfiles, sockets
from dpf.local.pki import services

_LOG: Final = structlog.get_logger(__name__)
PORT: Final = 10250
_API_SERVER_USER: Final = "kube-apiserver-kubelet-client"
_ADMINISTRATORS: Final = "system:masters"


class Logs(Protocol):
    """Where logs are found: the node's agent."""

    def container_log(self, namespace: str, pod: str, container: str, *, previous: bool) -> Path | None:
        """The file, or None."""

    def is_running(self, namespace: str, pod: str, container: str) -> bool:
        """Whether the container may still write."""


class LogServer:
    """The endpoint of one node. It answers 503 until `attach` gives it an agent."""

    def __init__(self, *, ca_pem: str, folder: Path, node: str, address: str) -> None:
        self._ca_pem = ca_pem
        self._folder = folder
        self._node = node
        self._address = address
        self._logs: Logs | None = None
        self._runner: web.AppRunner | None = None

    async def start(self, netns: str | None) -> int:
        """Listen inside `netns`; returns the port: 10250, or another when that is taken. Raises OSError."""
        listening = await asyncio.to_thread(_listen, self._address, netns)
        app = web.Application()
        app.add_routes([
            web.get("/healthz", _healthz),
            web.get("/containerLogs/{namespace}/{pod}/{container}", self._container_logs),
        ])
        # Without a handler for signals and without access logs: this server is one of many in the process.
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None)
        await self._runner.setup()
        context = await asyncio.to_thread(self._tls)
        await web.SockSite(self._runner, listening, ssl_context=context, shutdown_timeout=0.5).start()
        port: int = listening.getsockname()[1]
        return port

    def attach(self, logs: Logs) -> None:
        """Answer from `logs` from now on."""
        self._logs = logs

    async def close(self) -> None:
        """Stop listening and end what is being followed."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _tls(self) -> ssl.SSLContext:
        """A serving certificate of our own (API servers do not verify it by default); client certificates required."""
        serving = services.ensure_serving(self._folder, "kubelet", (self._address, self._node), datetime.now(UTC))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(serving.certificate, serving.key)
        context.load_verify_locations(cadata=self._ca_pem)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    async def _container_logs(self, request: web.Request) -> web.StreamResponse:
        if not is_permitted(request.transport.get_extra_info("peercert") if request.transport else None):
            raise web.HTTPForbidden(text="only the API server may read logs\n")
        if self._logs is None:
            raise web.HTTPServiceUnavailable(text="the node is starting\n")
        logs, where = self._logs, (request.match_info["namespace"], request.match_info["pod"])
        container, query = request.match_info["container"], request.query
        path = logs.container_log(*where, container, previous=query.get("previous") == "true")
        if path is None or not path.exists():
            pod = "/".join(where)
            raise web.HTTPNotFound(text=f"container {container!r} of pod {pod} has no log on node {self._node}\n")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        async for block in logfiles.read(
            path, tail_lines=_number(query.get("tailLines")), follow=query.get("follow") == "true",
            is_live=lambda: logs.is_running(*where, container),
        ):
            await response.write(block)
        await response.write_eof()
        return response


def is_permitted(certificate: Any) -> bool:  # noqa: ANN401 - what the ssl module hands out
    """Whether a verified peer certificate (`SSLSocket.getpeercert()`) is the API server's or an administrator's."""
    names: dict[str, list[str]] = {}
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            names.setdefault(key, []).append(value)
    return _API_SERVER_USER in names.get("commonName", ()) or _ADMINISTRATORS in names.get("organizationName", ())


async def _healthz(request: web.Request) -> web.Response:  # noqa: ARG001 - aiohttp's signature
    return web.Response(text="ok")


def _listen(address: str, netns: str | None) -> socket.socket:
    try:
        return sockets.listen_tcp(address, PORT, netns)
    except OSError as error:
        _LOG.warning("kubelet port is taken, using another", address=address, port=PORT, why=error.strerror)
        return sockets.listen_tcp(address, 0, netns)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
