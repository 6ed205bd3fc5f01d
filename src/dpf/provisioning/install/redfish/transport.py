"""The only HTTP to BMCs: one request, one answer, within limits.

Called through `bmc.BMC`. Redirects are not followed, nothing is decompressed, bodies are cut at a limit, and nothing is
sent a second time. Connections belong to one BMC each and are given up soon after use (a TLS connection costs a quarter
of a megabyte), so that a BMC that hangs holds nothing that another one needs.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from dpf.kube import credentials
from dpf.kube import errors as kube_errors
from dpf.provisioning.install.redfish import errors, messages, tls
from dpf.provisioning.install.redfish.messages import Complaint

IdentitySource = Callable[[], tls.Identity | None]
"""Our certificates as they are now; None while there are none."""

_LONGEST_SEGMENT: Final = 256
_SUCCESS: Final = range(200, 300)
_NO_CERTIFICATES: Final = "there is no CA or client certificate for BMCs yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may take. `silence_s` bounds the time to the first byte and from one to the next."""

    connect_s: float = 5.0
    silence_s: float = 15.0
    total_s: float = 30.0
    body_bytes: int = 1 << 20
    idle_s: float = 1.0
    connections: int = 2


DEFAULT: Final = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user of the BMC."""

    user: str
    password: str = field(repr=False)

    @property
    def authorization(self) -> str:
        """The header's value."""
        return credentials.basic(self.user, self.password)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A BMC as one caller sees it. `address` is host and port. `proven` False asks it for no proof of who it is."""

    address: str
    login: Login | None = None
    proven: bool = True

    def __str__(self) -> str:
        return f"the BMC at {self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Status and JSON of an answer; `document` is {} when there was no body."""

    status: int
    document: Any


class Transport:
    """Connections to any number of BMCs. Use in one event loop; `aclose` at the end."""

    def __init__(self, identity: IdentitySource, *, limits: Limits = DEFAULT) -> None:
        self._identity = identity
        self._limits = limits
        self._known: tls.Identity | None = None
        self._proven: ssl.SSLContext | None = None
        self._anyone: ssl.SSLContext | None = None
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None
            await asyncio.sleep(0)  # aborted connections are closed in the next turn of the event loop

    async def send(
        self, target: Target, method: str, path: str, body: object = None, *, secrets: tuple[str, ...] = ()
    ) -> Answer:
        """One request; `path` is escaped already, `secrets` are those in the body. Raises RedfishError.

        `body` is sent as JSON, or as it is when it is bytes.
        """
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        data = body if isinstance(body, bytes) else msgspec.json.encode(body) if body is not None else None
        if data is not None:
            headers["Content-Type"] = "application/octet-stream" if data is body else "application/json"
        if target.login is not None:
            headers["Authorization"] = target.login.authorization
            secrets = (target.login.authorization.removeprefix("Basic "), target.login.password, *secrets)
        context = self._context(target)
        try:
            async with self._open().request(
                method, URL(f"https://{target.address}{path}", encoded=True), data=data, headers=headers, ssl=context,
                allow_redirects=False,
            ) as response:
                raw = await _read(response, self._limits.body_bytes)
                status = response.status
        except _TooLarge:
            raise errors.Unreadable(f"{target} answers more than {self._limits.body_bytes} bytes", sent=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure(error, target, self._limits) from None
        if status not in _SUCCESS:
            raise _refusal(status, messages.complaint(raw, secrets), target, f"{method} {path}")
        return Answer(status=status, document=_document(raw, target))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            limits = self._limits
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, limit_per_host=limits.connections, keepalive_timeout=limits.idle_s, use_dns_cache=False
                ),
                cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False,
                headers={"User-Agent": "pydpf"}, timeout=aiohttp.ClientTimeout(
                    total=limits.total_s, sock_connect=limits.connect_s, sock_read=limits.silence_s
                ),
            )
        return self._session

    def _context(self, target: Target) -> ssl.SSLContext:
        """Made anew when our certificates have changed. Raises Untrusted when there are none."""
        if not target.proven:
            if self._anyone is None:
                self._anyone = tls.anyone()
            return self._anyone
        identity = self._identity()
        if identity is None:
            raise errors.Untrusted(f"{target} cannot be asked: {_NO_CERTIFICATES}")
        if self._proven is None or identity != self._known:
            try:
                self._proven, self._known = tls.proven(identity), identity
            except kube_errors.CredentialsError as error:
                raise errors.Untrusted(f"{target} cannot be asked: {error}") from None
        return self._proven


class _TooLarge(Exception):
    """The body is beyond the limit."""


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            response.close()
            raise _TooLarge
    return b"".join(pieces)


def _document(raw: bytes, target: Target) -> Any:  # noqa: ANN401 - whatever JSON the BMC sends
    if not raw.strip():
        return {}
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise errors.Unreadable(f"{target} answers something that is not JSON", sent=True) from None


def _refusal(status: int, complaint: Complaint, target: Target, request: str) -> errors.RedfishError:
    said = f": {complaint.text}" if complaint.text else ""
    if status == HTTPStatus.FORBIDDEN and complaint.has("PasswordChangeRequired"):
        return errors.PasswordMustChange(f"{target} wants its password changed first")
    if status == HTTPStatus.UNAUTHORIZED:
        who = f"the password of user {target.login.user}" if target.login else "our client certificate"
        return errors.Rejected(f"{target} does not accept {who}")
    if status == HTTPStatus.FORBIDDEN:
        return errors.Rejected(f"{target} forbids {request}{said}"[:errors.LONGEST])
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return errors.Unreachable(f"{target} is not ready (503 Service Unavailable)", sent=False)
    kind = errors.Missing if status == HTTPStatus.NOT_FOUND else errors.Refused
    text = f"{target} answers {_phrase(status)} to {request}{said}"
    return kind(text[:errors.LONGEST], status=status, ids=complaint.ids, complaint=complaint.text)


def _failure(error: Exception, target: Target, limits: Limits) -> errors.RedfishError:
    """What an exception of the library means. None of its text is repeated but what the system says."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", "") or "its certificate cannot be verified"
        return errors.Untrusted(f"{target} is not trusted: {why}")
    alert = _tls_reason(error)
    if "ALERT" in alert:
        return errors.Rejected(f"{target} does not accept our client certificate ({alert})")
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return errors.Unreadable(f"{target}: TLS cannot be agreed on ({alert or 'no reason given'})")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return errors.Unreachable(f"{target} cannot be reached: no answer within {limits.connect_s:g} s", sent=False)
    if isinstance(error, aiohttp.ClientConnectorError):
        return errors.Unreachable(f"{target} cannot be reached: {_system(error.os_error)}", sent=False)
    if isinstance(error, TimeoutError):
        return errors.Unreachable(f"{target} does not answer", sent=True)
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return errors.Unreachable(f"{target} broke the connection off", sent=True)
    return errors.Unreadable(f"{target} does not speak HTTP as it should", sent=True)


def _system(error: OSError) -> str:
    """What the system calls an error: the event loop writes the address into it."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else "no such host"


def _tls_reason(error: BaseException | None) -> str:
    """Why TLS failed, from wherever in the chain of causes it stands: e.g. TLSV13_ALERT_CERTIFICATE_REQUIRED."""
    while error is not None:
        for candidate in (error, *error.args, getattr(error, "os_error", None)):
            if isinstance(candidate, ssl.SSLError):
                return candidate.reason or ""
        error = error.__cause__ or error.__context__
    return ""


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def segment(text: str) -> str | None:
    """`text` as one part of a path, escaped; None when it cannot be one."""
    return quote(text, safe="") if 0 < len(text) <= _LONGEST_SEGMENT and text not in {".", ".."} else None
