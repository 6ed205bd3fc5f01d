"""Connections to the servers of bundles, which another thread can cut off.

Called by `fetching`, in a thread of its own: it blocks. TLS is verified. It knows no HTTP beyond what a connection is.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dpf.provisioning.bfb import sources
from dpf.provisioning.bfb.sources import Source, SourceError
from dpf.runtime.addresses import Reach

TLS = Callable[[], ssl.SSLContext]
"""Makes the context for https."""
Address = tuple[socket.AddressFamily, Any]
"""Family, and the address as that family writes it."""


class FetchError(Exception):
    """The bundle did not come; the text is for people, stays the same while the cause does, and has no secret in it."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class Stopped(Exception):
    """Somebody called `Stop.set`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one download may take. `silence_s` bounds the time to the first byte and from one to the next."""

    connect_s: float = 10.0
    silence_s: float = 60.0
    total_s: float = 6 * 3600.0
    redirects: int = 5
    connects: int = 3
    connect_pause_s: float = 1.0
    bytes: int = 32 << 30


DEFAULT: Final = Limits()


class Stop:
    """Ends a fetch from another thread, wherever it stands."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._socket: socket.socket | None = None

    @property
    def is_set(self) -> bool:
        """Whether it was asked to end."""
        return self._event.is_set()

    def set(self) -> None:
        """Ask it to end; a read that waits is woken."""
        self._event.set()
        if self._socket is not None:
            _shut(self._socket)

    def pause(self, seconds: float) -> None:
        """Wait. Raises Stopped at once when asked to end."""
        if self._event.wait(seconds):
            raise Stopped

    def guard(self, connected: socket.socket) -> None:
        """From now on `set` cuts this connection off. Raises Stopped if it was called already."""
        self._socket = connected
        if self.is_set:
            _shut(connected)
            raise Stopped


def admit(source: Source, floor: Reach | None, home: Source) -> tuple[Sequence[Address], Reach]:
    """The addresses of a host: judged here, and then connected to, for a name may resolve differently the next time.

    Raises FetchError.
    """
    try:
        infos = socket.getaddrinfo(source.host, source.port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise FetchError(f"{source} cannot be reached: {getattr(error, 'strerror', None) or 'no such host'}") from None
    addresses = tuple(dict.fromkeys((family, address) for family, _, _, _, address in infos))
    try:
        return addresses, sources.admit(source, (str(where[0]) for _, where in addresses), floor, home=home)
    except SourceError as error:
        raise FetchError(str(error)) from None


def connect(
    source: Source, addresses: Sequence[Address], stop: Stop, limits: Limits, tls: TLS | None,
) -> http.client.HTTPConnection:
    """A connection to one of the addresses, tried a few times. Raises FetchError, Stopped."""
    for left in reversed(range(limits.connects)):
        try:
            plain = _dial(addresses, stop, limits.connect_s)
            break
        except OSError as error:
            if not left and not stop.is_set:
                raise FetchError(f"{source} cannot be reached: {reason(error)}") from None
            stop.pause(limits.connect_pause_s)
    try:
        return _wrap(source, plain, stop, limits, tls)
    except OSError as error:
        plain.close()
        if stop.is_set:
            raise Stopped from None
        raise _untrusted(source, error) from None


def _dial(addresses: Sequence[Address], stop: Stop, timeout_s: float) -> socket.socket:
    """A connection to the first address that accepts one. Raises OSError, Stopped."""
    trouble: OSError = OSError("no address")
    for family, address in addresses:
        plain = socket.socket(family, socket.SOCK_STREAM)
        plain.settimeout(timeout_s)
        try:
            stop.guard(plain)
            plain.connect(address)
        except OSError as error:
            plain.close()
            trouble = error
        except Stopped:
            plain.close()
            raise
        else:
            return plain
    raise trouble


def _wrap(
    source: Source, plain: socket.socket, stop: Stop, limits: Limits, tls: TLS | None,
) -> http.client.HTTPConnection:
    """HTTP over an open connection, inside TLS if the source says so. Raises OSError, Stopped."""
    connection = http.client.HTTPConnection(source.host, source.port)
    connection.default_port = sources.PORTS[source.scheme]
    if source.scheme == "https":
        context = tls() if tls is not None else ssl.create_default_context()
        plain = context.wrap_socket(plain, server_hostname=source.host)
        try:
            stop.guard(plain)
        except Stopped:
            plain.close()
            raise
    plain.settimeout(limits.silence_s)
    connection.sock = plain
    return connection


def _untrusted(source: Source, error: OSError) -> FetchError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return FetchError(f"{source} is not trusted: {error.verify_message}")
    return FetchError(f"{source}: TLS cannot be agreed on: {reason(error)}")


def reason(error: Exception) -> str:
    """What the system says about an error, without names and addresses."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or type(error).__name__


def _shut(connected: socket.socket) -> None:
    """Wake whoever reads from it. The plain method, because that of a TLS socket is not safe from another thread."""
    try:
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
    except OSError:
        return
