"""TCP and TLS connections to an API server: how sessions and sockets are set up and how a stream is cut.

Called by `http`. It knows nothing of Kubernetes.
"""

from __future__ import annotations

import socket
from typing import Any, Final

import aiohttp

_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "pydpf"}
_READ_BUFFER: Final = 1 << 16
"""Small enough that a batch of objects stays in the processor's cache."""
_KEEPALIVE_S: Final = 60.0
_IDLE_BEFORE_PROBE_S, _PROBE_INTERVAL_S, _PROBES = 15, 5, 3


def new_session(limit: int) -> aiohttp.ClientSession:
    """Without what an API server's client never needs: cookies, proxies from the environment, decompression."""
    connector = aiohttp.TCPConnector(limit=limit, keepalive_timeout=_KEEPALIVE_S, socket_factory=_new_socket)
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False,
        headers=_HEADERS, read_bufsize=_READ_BUFFER,
    )


def hang_up(response: aiohttp.ClientResponse) -> None:
    """End a stream. One still open is cut: a polite TLS goodbye would wait for an answer with nobody to own it."""
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    response.close()


def _new_socket(info: tuple[Any, Any, Any, Any, Any]) -> socket.socket:
    """A socket that notices a peer which vanished without a word within half a minute, also on an idle watch."""
    family, kind, protocol, _, _ = info
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_BEFORE_PROBE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_INTERVAL_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
    return sock
