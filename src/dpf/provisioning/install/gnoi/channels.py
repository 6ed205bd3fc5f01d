"""Connections to any number of DMSs: mutual TLS, one channel for each address, given up when it is not used.

Called by `dms`. A channel that has failed is replaced by the next call, because gRPC waits longer and longer before it
tries again, and a DMS that has just started is to be seen at once. Nothing is sent a second time, and no proxy of the
environment is used: a DMS is inside the network.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from dpf.kube import errors as kube_errors
from dpf.provisioning.install.gnoi import errors
from dpf.provisioning.install.gnoi.messages import TARGET, Method
from dpf.provisioning.install.port import Card
from dpf.provisioning.install.redfish import tls
from dpf.provisioning.install.redfish.tls import Identity

IdentitySource = Callable[[], Identity | None]
"""The CA of the DMSs and our client certificate as they are now; None while there are none."""

_OPTIONS: Final = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.max_receive_message_length", 1 << 20),
)
_Unary = grpc.aio.UnaryUnaryMultiCallable[Any, Any]
_Streams = grpc.aio.StreamStreamMultiCallable[Any, Any]
_READY: Final = grpc.ChannelConnectivity.READY
_NO_CALL: Final = "/gnoi.system.System/None"
_NO_CERTIFICATES: Final = "there is no CA or client certificate for it yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the parts of a conversation may take, in seconds.

    `ask_s` is for a question, `order_s` for an order: a DMS runs programs before it answers. `stall_s` bounds the time
    in which a transfer makes no progress, `transfer_s` all of it (behaviour-provisioning.md section 8).
    """

    connect_s: float = 5.0
    ask_s: float = 10.0
    order_s: float = 120.0
    stall_s: float = 120.0
    transfer_s: float = 1800.0
    look_s: float = 30.0
    idle_s: float = 30.0


DEFAULT: Final = Limits()


class Line:
    """A connection to a DMS. Made by `Channels`."""

    def __init__(self, address: str, identity: Identity, limits: Limits) -> None:
        self.identity = identity
        self.users = 0
        self.is_broken = False
        self.expiry: asyncio.TimerHandle | None = None
        self._name = f"the DMS at {address}"
        self._limits = limits
        credentials = _credentials(identity, self._name)
        self._channel = grpc.aio.secure_channel(f"dns:///{address}", credentials, options=_OPTIONS)

    def __str__(self) -> str:
        return self._name

    async def ask(self, card: Card, method: Method, request: Any, *, timeout_s: float) -> Any:  # noqa: ANN401 - messages
        """One call that is answered once. Raises GNOIError."""
        metadata = _metadata(card)
        await self._connect()
        call: _Unary = self._channel.unary_unary(method.path, request_serializer=method.request.SerializeToString)
        try:
            raw = await call(request, metadata=metadata, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise self.failure(error) from None
        return self.decode(method, raw)

    async def stream(self, card: Card, method: Method, *, timeout_s: float) -> Any:  # noqa: ANN401 - grpc has no type
        """A call that streams both ways, of gRPC's own kind; it reads bytes. Raises GNOIError."""
        metadata = _metadata(card)
        await self._connect()
        call: _Streams = self._channel.stream_stream(
            method.path, request_serializer=method.request.SerializeToString
        )
        return call(metadata=metadata, timeout=timeout_s)

    def decode(self, method: Method, raw: object) -> Any:  # noqa: ANN401 - a protobuf message
        """The answer. Raises Unreadable."""
        try:
            return method.response.FromString(raw)
        except (DecodeError, TypeError):
            raise errors.Unreadable(f"{self} answers {method.name} with something else", sent=True) from None

    def failure(self, error: grpc.aio.AioRpcError, *, connected: bool = True) -> errors.GNOIError:
        """What it means; a line that has broken is not used again."""
        meaning = errors.of_call(error, str(self), connected=connected)
        if not isinstance(meaning, errors.Refused):
            self.is_broken = True
        return meaning

    async def aclose(self) -> None:
        """End it, and whatever goes on over it."""
        if self.expiry is not None:
            self.expiry.cancel()
        await self._channel.close()

    async def _connect(self) -> None:
        """Have a connection. What fails here was never sent. Raises GNOIError."""
        try:
            async with asyncio.timeout(self._limits.connect_s):
                while (state := self._channel.get_state(try_to_connect=True)) is not _READY:
                    if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                        await self._explain()
                    await self._channel.wait_for_state_change(state)
        except TimeoutError:
            self.is_broken = True
            why = f"no answer within {self._limits.connect_s:g} s"
            raise errors.Unreachable(f"{self} cannot be reached: {why}; is its host up?") from None

    async def _explain(self) -> None:
        """Raises the GNOIError that has kept us from connecting: only a call tells it."""
        try:
            call: _Unary = self._channel.unary_unary(_NO_CALL)
            await call(b"", timeout=self._limits.connect_s)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise self.failure(error, connected=False) from None


class Channels:
    """All of them. Use in one event loop; `aclose` at the end."""

    def __init__(self, identity: IdentitySource, *, limits: Limits = DEFAULT) -> None:
        self._identity = identity
        self._limits = limits
        self._lines: dict[str, Line] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def line(self, address: str) -> AsyncIterator[Line]:
        """The connection to `address`, which stays while anybody uses it. Raises Untrusted without certificates."""
        line = self._take(address)
        line.users += 1
        try:
            yield line
        finally:
            line.users -= 1
            await self._release(address, line)

    async def aclose(self) -> None:
        """Close every connection."""
        lines = list(self._lines.values())
        self._lines.clear()
        for line in lines:
            await line.aclose()
        await asyncio.gather(*self._closing)

    def _take(self, address: str) -> Line:
        identity = self._identity()
        if identity is None:
            raise errors.Untrusted(f"the DMS at {address} cannot be asked: {_NO_CERTIFICATES}")
        line = self._lines.get(address)
        if line is not None and (line.is_broken or line.identity != identity):
            self._drop(address, line)
            line = None
        if line is None:
            line = self._lines[address] = Line(address, identity, self._limits)
        if line.expiry is not None:
            line.expiry.cancel()
            line.expiry = None
        return line

    async def _release(self, address: str, line: Line) -> None:
        if line.users:
            return
        if line.is_broken or self._lines.get(address) is not line:
            if self._lines.get(address) is line:
                del self._lines[address]
            await line.aclose()
        else:
            line.expiry = asyncio.get_running_loop().call_later(self._limits.idle_s, self._drop, address, line)

    def _drop(self, address: str, line: Line) -> None:
        """Whoever uses it goes on; the last one closes it."""
        if self._lines.get(address) is line:
            del self._lines[address]
        if not line.users:
            closing = asyncio.get_running_loop().create_task(line.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


def _credentials(identity: Identity, name: str) -> grpc.ChannelCredentials:
    """Looked through first: gRPC says nothing of use about what it cannot read. Raises Untrusted."""
    try:
        tls.proven(identity)
    except kube_errors.CredentialsError as error:
        raise errors.Untrusted(f"{name} cannot be asked: {error}") from None
    return grpc.ssl_channel_credentials(
        root_certificates=identity.ca_pem, private_key=identity.key_pem or None,
        certificate_chain=identity.certificate_pem or None,
    )


def _metadata(card: Card) -> tuple[tuple[str, str], ...]:
    if card.target is None:
        return ()
    if not (card.target.isascii() and card.target.isprintable()):
        raise errors.Refused(f"the PCI address of {card.name} is none: correct it", retryable=False)
    return ((TARGET, card.target),)
