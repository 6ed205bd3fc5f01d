"""Chart repositories on loopback, over TLS with a CA of their own, that behave as a test tells them to.

    async with a_site() as site:
        site.pages["/index.yaml"] = page(b"...")
        source, access = site.source(), site.access()

A `Handler` of aiohttp answers each path; whatever was asked is in `site.requests`. `Registry` is an OCI registry on
such a site, with the log-in of the distribution specification.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import hashlib
import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from dpf.local.pki import certificates
from dpf.services.helm.port import Access, Credentials, Source

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
INDEX = b"""apiVersion: v1
entries:
  producer:
  - annotations:
      category: Infrastructure
      dpu.nvidia.com/doca-version: '>= 2.9'
    name: producer
    version: v0.0.1
  - name: producer
    version: v0.0.2
generated: "2026-01-01T00:00:00Z"
"""
ANNOTATIONS = {"category": "Infrastructure", "dpu.nvidia.com/doca-version": ">= 2.9"}


@dataclass(slots=True)
class Site:
    """One server. `pages` are its handlers by path; a path that is not there is 404."""

    host: str
    port: int
    pages: dict[str, Handler] = field(default_factory=dict)
    requests: list[web.BaseRequest] = field(default_factory=list)
    open: int = 0
    """Requests being answered now."""
    most: int = 0
    """The most there ever were at the same time."""

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}"

    @property
    def paths(self) -> list[str]:
        """Paths asked for, in order."""
        return [request.path for request in self.requests]

    def source(self, chart: str = "producer", version: str = "v0.0.1", *, path: str = "") -> Source:
        return Source(repository=self.url + path, chart=chart, version=version)

    def access(self, username: str = "", password: str = "", **fields: str | bool) -> Access:
        """Trusting the sites' CA; with these credentials if there are any."""
        credentials = Credentials(username=username, password=password, **fields)  # type: ignore[arg-type]
        return Access(
            credentials=credentials if username or fields else None,
            authorities=dict.fromkeys(("127.0.0.1", "127.0.0.2", "127.0.0.3"), authority().pem.decode()),
        )


@dataclass(slots=True)
class Registry:
    """An OCI registry on `site`. With `password` it wants a token, given at `realm`, or (`basic`) that password."""

    site: Site
    password: str = ""
    realm: str = ""
    basic: bool = False
    token: str = "a-token-not-for-eyes"
    blobs: dict[str, bytes] = field(default_factory=dict)

    def push(self, name: str, tag: str, annotations: Mapping[str, str] | None = None) -> str:
        """A chart's manifest; returns its digest."""
        annotations = ANNOTATIONS if annotations is None else annotations
        return self.put(name, tag, {
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": HELM_CONFIG, "digest": f"sha256:{0:064d}", "size": 2}, "layers": [],
            "annotations": {"org.opencontainers.image.title": name, **annotations},
        })

    def push_index(self, name: str, tag: str, *manifests: Mapping[str, object]) -> str:
        """An index of manifests; returns its digest."""
        return self.put(name, tag, {
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": list(manifests),
        })

    def put(self, name: str, tag: str, document: object) -> str:
        """Any JSON as a manifest; returns its digest."""
        raw = json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        for reference in (tag, digest):
            path = f"/v2/{name}/manifests/{reference}"
            self.blobs[path] = raw
            self.site.pages[path] = self._manifest
        return digest

    def serve_tokens(self, path: str = "/token") -> None:
        """Make this site the registry's token service too."""
        self.realm = self.site.url + path
        self.site.pages[path] = self.give_token

    async def give_token(self, request: web.Request) -> web.Response:
        """The token service: a token for whoever has the password, or for everybody if there is none."""
        if self.password and request.headers.get("Authorization") != basic("me", self.password):
            return web.Response(status=401)
        return web.json_response({"token": self.token})

    async def _manifest(self, request: web.Request) -> web.Response:
        wanted = basic("me", self.password) if self.basic else f"Bearer {self.token}"
        if (self.password or self.realm) and request.headers.get("Authorization") != wanted:
            challenge = 'Basic realm="registry"' if self.basic else (
                f'Bearer realm="{self.realm}",service="registry",scope="repository:x:pull"'
            )
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        return web.Response(body=self.blobs[request.path])


@functools.cache
def authority() -> certificates.Authority:
    """The CA of every site."""
    return certificates.new_authority("chart servers", certificates.new_key(), datetime.now(UTC))


@asynccontextmanager
async def a_site(host: str = "127.0.0.1", *, names: tuple[str, ...] = (), trusted: bool = True) -> AsyncIterator[Site]:
    """A server on `host` (loopback). Its certificate names the host and `names`; not `trusted`: by another CA."""
    signer = authority() if trusted else certificates.new_authority("x", certificates.new_key(), datetime.now(UTC))
    site = Site(host, 0)
    server = web.Server(functools.partial(_answer, site), handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0.01)
    await runner.setup()
    listening = web.TCPSite(runner, host, 0, ssl_context=_context(signer, names or (host,)))
    try:
        await listening.start()
        (address, *_) = runner.addresses
        site.port = address[1]
        yield site
    finally:
        await runner.cleanup()
        await asyncio.sleep(0)


def page(body: bytes, **headers: str) -> Handler:
    """Always this body."""
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


def status(code: int, **headers: str) -> Handler:
    """Always this status."""
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=code, headers=headers)

    return answer


def redirect(location: str, code: int = 302) -> Handler:
    """Always elsewhere."""
    return status(code, Location=location)


def hanging(*, after: bytes | None = None) -> Handler:
    """No answer; or, with `after`, a beginning and then nothing."""
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if after is not None:
            await response.prepare(request)
            await response.write(after)
        await asyncio.Event().wait()
        return response

    return answer


def endless(piece: bytes, *, begin: bytes = b"", pause_s: float = 0.0, announce: int | None = None) -> Handler:
    """A body that does not end, made while it is sent; `announce` claims that it has so many bytes."""
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if announce is not None:
            response.content_length = announce
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            await response.write(begin)
            while True:
                await response.write(piece)
                await asyncio.sleep(pause_s)
        return response

    return answer


def basic(username: str, password: str) -> str:
    """The header of a user and a password."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def a_client_certificate() -> certificates.Pair:
    """One that the sites' CA signed."""
    return certificates.issue(authority(), certificates.Request(common_name="me"), datetime.now(UTC))


async def _answer(site: Site, request: web.BaseRequest) -> web.StreamResponse:
    site.requests.append(request)
    site.open += 1
    site.most = max(site.most, site.open)
    try:
        return await site.pages.get(request.path, status(404))(request)  # type: ignore[arg-type]
    finally:
        site.open -= 1


def _context(signer: certificates.Authority, names: tuple[str, ...]) -> ssl.SSLContext:
    request = certificates.Request(common_name=names[0], sans=names, usage=certificates.Usage.SERVER)
    pair = certificates.issue(signer, request, datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    descriptor = os.memfd_create("serving-certificate")
    try:
        os.write(descriptor, pair.certificate + pair.key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    context.load_verify_locations(cadata=authority().pem.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    return context
