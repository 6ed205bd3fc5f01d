"""Opens a node's ports and carries bytes to its pods: what kube-proxy's rules do, in user space.

Called by `agent` with what `nodeports` computed. Connections that exist are left alone when the pods behind a port
change; new ones go to the pods in turn. Meant for trying services out, not for throughput.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Final, cast

import structlog

from dpf.emulation.kubelet import sockets
from dpf.emulation.kubelet.nodeports import Backend, NodePort

_LOG: Final = structlog.get_logger(__name__)
_BLOCK: Final = 64 * 1024
_CONNECT_TIMEOUT_S: Final = 5.0
_UDP_IDLE_S: Final = 60.0
_UDP_SESSIONS: Final = 1024

_Address = tuple[str, int]


class Relay:
    """The open ports of one node, on its `address` inside `netns`."""

    def __init__(self, address: str, netns: str | None) -> None:
        self._address = address
        self._netns = netns
        self._open: dict[NodePort, _TCPPort | _UDPPort] = {}

    async def update(self, wanted: Mapping[NodePort, tuple[Backend, ...]]) -> None:
        """Open, change and close ports until they are the wanted ones. One that is taken is logged and left out."""
        for port in self._open.keys() - wanted.keys():
            await self._open.pop(port).close()
        for port, backends in wanted.items():
            if port in self._open:
                self._open[port].backends.replace(backends)
                continue
            try:
                self._open[port] = await self._listen(port, _Turns(backends))
            except OSError as error:
                _LOG.warning("cannot open node port", port=port.number, protocol=port.protocol, why=error.strerror)

    async def close(self) -> None:
        """Close every port and every connection."""
        await self.update({})

    async def _listen(self, port: NodePort, backends: _Turns) -> _TCPPort | _UDPPort:
        loop = asyncio.get_running_loop()
        if port.protocol == "UDP":
            bound = await asyncio.to_thread(sockets.bind_udp, self._address, port.number, self._netns)
            _, udp = await loop.create_datagram_endpoint(lambda: _UDPPort(backends), sock=bound)
            return udp
        listening = await asyncio.to_thread(sockets.listen_tcp, self._address, port.number, self._netns)
        tcp = _TCPPort(backends)
        tcp.server = await asyncio.start_server(tcp.serve, sock=listening)
        return tcp


class _Turns:
    """Backends one after the other."""

    def __init__(self, backends: tuple[Backend, ...]) -> None:
        self._backends = backends
        self._turns: Iterator[Backend] = itertools.cycle(backends)

    def replace(self, backends: tuple[Backend, ...]) -> None:
        if backends != self._backends:
            self._backends = backends
            self._turns = itertools.cycle(backends)

    def next(self) -> Backend:
        return next(self._turns)


class _TCPPort:
    """One TCP port and its connections."""

    def __init__(self, backends: _Turns) -> None:
        self.backends = backends
        self.server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def close(self) -> None:
        if self.server is not None:
            self.server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        backend = self.backends.next()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                inner_reader, inner_writer = await asyncio.open_connection(backend.ip, backend.port)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        finally:
            inner_writer.close()
            writer.close()


class _UDPPort(asyncio.DatagramProtocol):
    """One UDP port; a client keeps its pod, and its own socket towards it, while it goes on talking."""

    def __init__(self, backends: _Turns) -> None:
        self.backends = backends
        self._transport: asyncio.DatagramTransport | None = None
        self._sessions: dict[_Address, _UDPSession] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.closed.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: _Address) -> None:
        session = self._sessions.get(addr)
        if session is not None:
            session.send(data)
        elif len(self._sessions) + len(self._opening) < _UDP_SESSIONS:
            task = asyncio.create_task(self._open(addr, data))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def close(self) -> None:
        for task in self._opening:
            task.cancel()
        sessions = list(self._sessions.values())
        for session in sessions:
            session.close()
        if self._transport is not None:
            self._transport.close()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for closed in (self.closed, *(session.closed for session in sessions)):
            await closed.wait()

    async def _open(self, client: _Address, data: bytes) -> None:
        """A session for `client`. One that was opened meanwhile, for the client's next datagram, is used instead."""
        backend = self.backends.next()
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            _, session = await loop.create_datagram_endpoint(
                lambda: _UDPSession(self, client), remote_addr=(backend.ip, backend.port)
            )
            first = self._sessions.setdefault(client, session)
            if first is not session:
                session.close()
            first.send(data)

    def answer(self, client: _Address, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, client)

    def forget(self, client: _Address, session: _UDPSession) -> None:
        if self._sessions.get(client) is session:
            del self._sessions[client]


class _UDPSession(asyncio.DatagramProtocol):
    """One client's socket towards its pod; closed when nothing was said for a minute."""

    def __init__(self, port: _UDPPort, client: _Address) -> None:
        self._port = port
        self._client = client
        self._transport: asyncio.DatagramTransport | None = None
        self._idle: asyncio.TimerHandle | None = None
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.closed.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self._touch()

    def datagram_received(self, data: bytes, addr: _Address) -> None:  # noqa: ARG002 - connected: it is the pod
        self._touch()
        self._port.answer(self._client, data)

    def error_received(self, exc: Exception) -> None:  # noqa: ARG002 - nobody listens in the pod: UDP does not tell
        return

    def send(self, data: bytes) -> None:
        self._touch()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data)

    def close(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._transport is not None:
            self._transport.close()
        self._port.forget(self._client, self)

    def _touch(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(_UDP_IDLE_S, self.close)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the sender is done; then the receiver is told, and may go on answering."""
    with contextlib.suppress(ConnectionError):
        while block := await reader.read(_BLOCK):
            writer.write(block)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
