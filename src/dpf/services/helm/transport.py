"""GET requests to chart repositories, within limits (design.md section 12, docs/adr/0010).

Called by `https` and `oci`. TLS is verified; a redirect leads from https to https only, at most five times, never
further inside the network than where we were sent from, and takes no credentials to another origin. Bodies are handed
on as they arrive and are cut at a limit, after decompression. It knows neither Helm nor OCI.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from dpf.kube import credentials as kubecredentials
from dpf.kube import errors
from dpf.runtime import addresses
from dpf.services.helm import inflate
from dpf.services.helm.port import Access, ChartError, Credentials

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PIECE: Final = 64 << 10

Sink = Callable[[bytes], bool]
"""Takes a piece of the body; True means that is enough."""
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to addresses. Raises OSError."""
Judge = Callable[[str], addresses.Reach]
"""Where an address lies. Raises ValueError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one conversation may take. `silence_s` bounds the time to the first byte, and from one to the next."""

    connect_s: float = 5.0
    silence_s: float = 15.0
    total_s: float = 60.0
    redirects: int = 5


DEFAULT: Final = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Status and demands of the last response; its body went to the sink if the status was 200."""

    status: int
    challenges: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Code and phrase, the standard's and not what the server made of it."""
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)


class Conversation:
    """All requests that one question to one repository takes. Use as a context, in one task.

    `start` is the repository's URL: what may be asked, and who sees the credentials, is judged from there.
    """

    def __init__(
        self, start: URL, access: Access, *, limits: Limits, executor: Executor, resolve: Resolve | None = None,
        reach: Judge = addresses.reach,
    ) -> None:
        self._start = start
        self._access = access
        self._limits = limits
        self._resolve = resolve or functools.partial(_resolve, executor)
        self._reach = reach
        self._floor: addresses.Reach | None = None
        self._pins = _Pins()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(sock_connect=self._limits.connect_s, sock_read=self._limits.silence_s)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=self._pins, use_dns_cache=False),
            cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False, timeout=timeout,
            headers={"User-Agent": "pydpf"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)  # aborted connections are closed in the next turn of the event loop

    async def get(
        self, url: URL, *, sink: Sink, limit: int, accept: str = "*/*", authorization: str | None = None
    ) -> Answer:
        """GET, following redirects. `limit` bounds the bytes of the body. Raises ChartError.

        `authorization` goes to the origin of `url` only, and no longer once a redirect has left it.
        """
        origin, at_home = url.origin(), True
        for _ in range(self._limits.redirects + 1):
            at_home = at_home and url.origin() == origin
            headers = {"Accept": accept, "Accept-Encoding": "gzip"}
            if authorization and at_home:
                headers["Authorization"] = authorization
            async with self._request(url, headers) as response:
                if response.status in _REDIRECTS:
                    url = _target(response)
                    continue
                if response.status == HTTPStatus.OK:
                    await _pour(response, sink, limit)
                return Answer(
                    status=response.status, challenges=tuple(response.headers.getall("WWW-Authenticate", ()))
                )
        raise ChartError(f"{place(origin)} redirects more than {self._limits.redirects} times")

    @asynccontextmanager
    async def _request(self, url: URL, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response to one request; it is cut off when the caller is done with it. Raises ChartError."""
        if self._session is None:
            raise RuntimeError("use the conversation as a context")
        await self._admit(url)
        try:
            async with self._session.get(
                url, headers=headers, allow_redirects=False, ssl=self._context(url)
            ) as response:
                try:
                    yield response
                finally:
                    response.close()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _lost(error, url) from None

    async def _admit(self, url: URL) -> None:
        """Find the addresses of a host, and whether we may go there. Raises ChartError."""
        host, port = url.raw_host or "", url.port or 443
        try:
            found = await self._resolve(host, port)
            reach = max(self._reach(address) for address in found)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no such host"
            raise ChartError(f"{place(url)} cannot be reached: {reason}") from None
        if self._floor is None:
            self._floor = reach
        elif reach > self._floor and host != self._start.raw_host:
            raise ChartError(
                f"{place(self._start)} sends us to {place(url)}, which is an address further inside this network; "
                "that is not followed. Name that repository itself, or a mirror of it"
            )
        self._pins.pin(host, found)

    def _context(self, url: URL) -> ssl.SSLContext:
        """Client certificates, and leave not to check the server's, are for the repository itself only."""
        host = url.raw_host or ""
        ours = self._access.credentials if url.origin() == self._start.origin() else None
        try:
            return _tls(self._access.authorities.get(host, ""), _without_password(ours))
        except (errors.CredentialsError, ValueError, ssl.SSLError) as error:
            what = str(error) if isinstance(error, errors.CredentialsError) else (
                "its entry in Argo CD's ConfigMap argocd-tls-certs-cm is not a PEM certificate; correct it"
            )
            raise ChartError(f"{place(url)}: {what}", retryable=False) from None


class _Pins(AbstractResolver):
    """Connects to the addresses that were judged, and to no others: a name may resolve differently the next time."""

    def __init__(self) -> None:
        self._addresses: dict[str, Sequence[str]] = {}

    def pin(self, host: str, found: Sequence[str]) -> None:
        """From now on `host` has these addresses."""
        self._addresses[host] = found

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - the contract
    ) -> list[ResolveResult]:
        """See AbstractResolver."""
        return [
            ResolveResult(
                hostname=host, host=address, port=port, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            )
            for address in self._addresses.get(host, ())
        ]

    async def close(self) -> None:
        """Nothing to release."""


def place(url: URL) -> str:
    """Scheme, host and port, for messages: the rest of a URL may hold secrets."""
    return str(url.origin())


async def _resolve(executor: Executor, host: str, port: int) -> Sequence[str]:
    """In threads of our own: a silent name server must not occupy those that everybody else resolves with."""
    look_up = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    infos = await asyncio.get_running_loop().run_in_executor(executor, look_up)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in infos))


def _without_password(credentials: Credentials | None) -> Credentials:
    return dataclasses.replace(credentials or Credentials(), username="", password="")


@functools.lru_cache(maxsize=64)
def _tls(authority_pem: str, ours: Credentials) -> ssl.SSLContext:
    """System trust, the host's own certificates beside it, and our client certificate.

    An entry of Argo CD may be the server's certificate itself, hence partial chains. Reading the system's certificates
    takes milliseconds, hence the cache. Raises CredentialsError, ValueError and SSLError.
    """
    certificate = None
    if ours.certificate_pem and ours.key_pem:
        certificate = kubecredentials.ClientCertificate(
            certificate_pem=ours.certificate_pem.encode(), key_pem=ours.key_pem.encode()
        )
    context = kubecredentials.tls_context(kubecredentials.Trust(insecure=ours.insecure), certificate)
    if context is None:
        raise ValueError("no TLS")
    if authority_pem.strip():
        context.load_verify_locations(cadata=authority_pem.encode("ascii").decode())
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _target(response: aiohttp.ClientResponse) -> URL:
    """Where a redirect leads. Raises ChartError for anywhere but a https URL without credentials."""
    try:
        url = response.url.join(URL(response.headers["Location"])).with_fragment(None)
        scheme, usable = url.scheme, bool(url.raw_host) and url.user is None and url.password is None
    except (KeyError, ValueError):
        scheme, usable = "", False
    if scheme != "https" and scheme.isascii() and scheme.isalnum():
        raise ChartError(f"{place(response.url)} redirects to {scheme[:16]}:, only https: is followed")
    if not usable:
        raise ChartError(f"{place(response.url)} redirects to something that is no plain https URL")
    return url


async def _pour(response: aiohttp.ClientResponse, sink: Sink, limit: int) -> None:
    """The body into `sink`. Raises ChartError beyond `limit` bytes, before or after decompression."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise ChartError(f"{place(response.url)} answers in an encoding that was not asked for", retryable=False)
    inflater = inflate.Inflater() if "gzip" in encoding else None
    raw = size = 0
    async for chunk in response.content.iter_chunked(_PIECE):
        raw += len(chunk)
        for piece in inflater.feed(chunk) if inflater is not None else (chunk,):
            size += len(piece)
            if max(size, raw) > limit:
                raise ChartError(f"{place(response.url)} answers with more than {limit >> 20} MiB", retryable=False)
            if sink(piece):
                return
    if inflater is not None and not inflater.complete:
        raise ChartError(f"the answer of {place(response.url)} ends early")


def _lost(error: Exception, url: URL) -> ChartError:
    """The error for a request that did not come to an end. `TimeoutError` is an OSError since Python 3.10."""
    where = place(url)
    match error:
        case TimeoutError():
            return ChartError(f"{where} does not answer in time")
        case aiohttp.ClientConnectorCertificateError(certificate_error=reason):
            why = getattr(reason, "verify_message", "") or "certificate not accepted"
            return ChartError(
                f"{where} is not trusted: {why}. If it is right, add its CA to Argo CD's ConfigMap argocd-tls-certs-cm"
            )
        case aiohttp.ClientConnectorSSLError():
            return ChartError(f"{where}: TLS cannot be agreed on")
        case aiohttp.ClientConnectorError(os_error=cause):
            told = os.strerror(cause.errno) if cause.errno and cause.errno > 0 else "none of its addresses answers"
            return ChartError(f"{where} cannot be reached: {told}")
        case aiohttp.ClientPayloadError():
            return ChartError(f"the answer of {where} ends early")
        case aiohttp.ClientResponseError():
            return ChartError(f"{where} answers with something that is not HTTP")
        case _:
            return ChartError(f"the connection to {where} was lost")
