"""Who we are to an API server: TLS settings and the Authorization header, kept fresh.

`kubeconfig` builds these providers and `http.HTTPClient` asks them before each request. Key material goes from memory
to the TLS library through an anonymous file (memfd) that no other user can open and that dies with the call.
No message or `repr` here contains a credential.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

import msgspec

from dpf.kube import errors

CHECK_FILES_EVERY_S: Final = 5.0
EXEC_TIMEOUT_S: Final = 30.0
EXPIRY_MARGIN: Final = timedelta(seconds=30)
"""A credential that ends this soon is renewed before it is used."""
EXEC_API_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What one request carries. `tls` is None for plain http."""

    tls: ssl.SSLContext | None
    authorization: str | None = field(default=None, repr=False)


class Credentials(Protocol):
    """A source of credentials. Both methods are called from one event loop."""

    def current(self) -> Credential | None:
        """The credential to use now, or None when `renew` has to be awaited first."""

    async def renew(self) -> Credential:
        """A credential as fresh as can be had; the same object when there is nothing newer. Raises CredentialsError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How a server proves itself. `ca_pem` None means the certificate authorities of the system."""

    ca_pem: bytes | None = None
    insecure: bool = False
    plain_http: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A certificate chain and its key, PEM."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecPlugin:
    """The `exec` section of a kubeconfig user. `env` is added to our environment."""

    command: str
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    api_version: str = EXEC_API_VERSIONS[0]
    install_hint: str = ""
    cluster: Mapping[str, object] | None = None


def tls_context(trust: Trust, certificate: ClientCertificate | None = None) -> ssl.SSLContext | None:
    """The TLS settings for one server; None for plain http. Raises CredentialsError."""
    if trust.plain_http:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if trust.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trust.ca_pem is None:
        context.load_default_certs()
    else:
        _load_ca(context, trust.ca_pem)
    if certificate is not None:
        _load_certificate(context, certificate)
    return context


class Fixed:
    """Credentials that never change."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def current(self) -> Credential | None:
        """Always the one."""
        return self._credential

    async def renew(self) -> Credential:
        """Always the same one, which tells the caller that there is nothing newer."""
        return self._credential


class Files:
    """A token or client certificate in files that somebody else rotates (in a pod: the kubelet).

    The files are looked at every `CHECK_FILES_EVERY_S` and read again when one of them has changed.
    """

    def __init__(
        self, trust: Trust, *, token: Path | None = None, certificate: tuple[Path, Path] | None = None,
        fixed_certificate: ClientCertificate | None = None, fixed_authorization: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trust = trust
        self._token = token
        self._certificate = certificate
        self._fixed_certificate = fixed_certificate
        self._fixed_authorization = fixed_authorization
        self._clock = clock
        self._looked_at = float("-inf")
        self._stamp: tuple[tuple[int, int, int], ...] = ()
        self._credential: Credential | None = None

    def current(self) -> Credential | None:
        """None when it is time to look and something has changed."""
        if self._clock() - self._looked_at < CHECK_FILES_EVERY_S:
            return self._credential
        if self._credential is None or self._stamps() != self._stamp:
            return None
        self._looked_at = self._clock()
        return self._credential

    async def renew(self) -> Credential:
        """Read again. Keeps the credential object when nothing has changed."""
        stamp = self._stamps()
        if self._credential is None or stamp != self._stamp:
            self._credential = self._read()
            self._stamp = stamp
        self._looked_at = self._clock()
        return self._credential

    def _stamps(self) -> tuple[tuple[int, int, int], ...]:
        stamps = []
        for path in (self._token, *(self._certificate or ())):
            if path is not None:
                stat = _stat(path)
                stamps.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(stamps)

    def _read(self) -> Credential:
        certificate = self._fixed_certificate
        if self._certificate is not None:
            chain, key = self._certificate
            certificate = ClientCertificate(certificate_pem=read_file(chain), key_pem=read_file(key))
        authorization = self._fixed_authorization
        if self._token is not None:
            authorization = bearer(read_file(self._token).decode("ascii", "replace"), f"token file {self._token}")
        return Credential(tls=tls_context(self._trust, certificate), authorization=authorization)


class _ExecStatus(msgspec.Struct):
    token: str = ""
    clientCertificateData: str = ""
    clientKeyData: str = ""
    expirationTimestamp: datetime | None = None


class _ExecCredential(msgspec.Struct):
    apiVersion: str = ""
    kind: str = ""
    status: _ExecStatus | None = None


class Exec:
    """Credentials from an exec plugin; it runs at first use, before its answer expires, and after a 401.

    Source: Kubernetes reference, client.authentication.k8s.io/v1.
    """

    def __init__(
        self, trust: Trust, plugin: ExecPlugin, *, now: Callable[[], datetime] = lambda: datetime.now(UTC),
        timeout_s: float = EXEC_TIMEOUT_S,
    ) -> None:
        self._trust = trust
        self._plugin = plugin
        self._now = now
        self._timeout_s = timeout_s
        self._credential: Credential | None = None
        self._expires: datetime | None = None
        self._running: asyncio.Task[Credential] | None = None

    def current(self) -> Credential | None:
        """None before the first run and close to the end of validity."""
        if self._expires is not None and self._now() >= self._expires - EXPIRY_MARGIN:
            return None
        return self._credential

    async def renew(self) -> Credential:
        """Run the plugin. Requests that need it at the same time share one run."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await asyncio.shield(self._running)

    async def _run(self) -> Credential:
        status = _exec_status(self._plugin, await _run_plugin(self._plugin, self._timeout_s))
        certificate = None
        if status.clientCertificateData or status.clientKeyData:
            certificate = ClientCertificate(
                certificate_pem=status.clientCertificateData.encode(), key_pem=status.clientKeyData.encode()
            )
        authorization = bearer(status.token, f"exec plugin {self._plugin.command!r}") if status.token else None
        expires = status.expirationTimestamp
        self._expires = expires.replace(tzinfo=UTC) if expires and expires.tzinfo is None else expires
        self._credential = Credential(tls=tls_context(self._trust, certificate), authorization=authorization)
        return self._credential


def bearer(token: str, source: str) -> str:
    """The header value for `token`. Raises CredentialsError when it cannot be one; `source` says where it came from."""
    token = token.strip()
    if not token:
        raise errors.CredentialsError(f"{source}: the token is empty")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise errors.CredentialsError(f"{source}: the token contains characters that a token cannot have")
    return f"Bearer {token}"


def basic(username: str, password: str) -> str:
    """The header value for a user name and a password."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def read_file(path: Path) -> bytes:
    """The content of a credential file. Raises CredentialsError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.CredentialsError(f"cannot read {path}: {error.strerror}") from None


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise errors.CredentialsError(f"cannot read {path}: {error.strerror}") from None


def _load_ca(context: ssl.SSLContext, pem: bytes) -> None:
    try:
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except (ValueError, ssl.SSLError):
        raise errors.CredentialsError("the certificate authority is not a PEM certificate") from None


def _load_certificate(context: ssl.SSLContext, certificate: ClientCertificate) -> None:
    """The TLS library reads only files, so it gets an anonymous one. A password prompt is answered with nothing."""
    descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(certificate.certificate_pem + b"\n" + certificate.key_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: b"")
    except (ssl.SSLError, OSError, ValueError):
        raise errors.CredentialsError(
            "the client certificate and key are not a matching, unencrypted PEM pair"
        ) from None
    finally:
        os.close(descriptor)


async def _run_plugin(plugin: ExecPlugin, timeout_s: float) -> bytes:
    """Its standard output. What it prints on standard error may hold secrets, so nobody sees it."""
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
    if plugin.cluster is not None:
        info["spec"] = {"interactive": False, "cluster": plugin.cluster}
    env = {**os.environ, **plugin.env, "KUBERNETES_EXEC_INFO": msgspec.json.encode(info).decode()}
    try:
        process = await asyncio.create_subprocess_exec(
            plugin.command, *plugin.args, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except (OSError, ValueError) as error:
        detail = getattr(error, "strerror", None) or "cannot be started"
        hint = f"; {plugin.install_hint}" if plugin.install_hint else ""
        raise errors.CredentialsError(f"exec plugin {plugin.command!r}: {detail}{hint}") from None
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate()
    except TimeoutError:
        raise errors.CredentialsError(f"exec plugin {plugin.command!r}: no answer within {timeout_s:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise errors.CredentialsError(
            f"exec plugin {plugin.command!r}: ended with exit code {process.returncode}; run it by hand to see why"
        )
    return output


def _exec_status(plugin: ExecPlugin, output: bytes) -> _ExecStatus:
    try:
        answer = msgspec.json.decode(output, type=_ExecCredential)
    except (ValueError, RecursionError):
        raise errors.CredentialsError(f"exec plugin {plugin.command!r}: its answer is not an ExecCredential") from None
    if answer.kind != "ExecCredential" or answer.apiVersion != plugin.api_version:
        raise errors.CredentialsError(
            f"exec plugin {plugin.command!r}: its answer is not an ExecCredential of {plugin.api_version}"
        )
    status = answer.status
    if status is None or not (status.token or (status.clientCertificateData and status.clientKeyData)):
        raise errors.CredentialsError(f"exec plugin {plugin.command!r}: its answer has no token and no certificate")
    return status
