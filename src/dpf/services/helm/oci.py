"""Charts in OCI registries: the annotations of the manifest `<repository>/<chart>:<version>` (OCI distribution 1.1).

Called by `repositories`. A registry that wants a password or a token says so with a 401; it gets one once. The password
goes to the registry itself and to a token service of the same site (`challenge.is_akin`), to no other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from yarl import URL

from dpf.services.helm import challenge, https
from dpf.services.helm.port import Access, ChartError, Source
from dpf.services.helm.transport import Answer, Conversation, place

MAX_MANIFEST: Final = 4 << 20
"""What registries accept, by the specification."""
_MAX_TOKEN: Final = 1 << 20
_HELM_CONFIG: Final = "application/vnd.cncf.helm.config.v1+json"
_MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)
_NAME: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_TOKEN: Final = re.compile(r"[!-~]{1,65536}")
_DOCKER_HUB: Final = {"docker.io": "registry-1.docker.io"}
"""Where a registry is not at the host that it is known by."""

D = TypeVar("D")


class _Descriptor(msgspec.Struct):
    digest: str = ""
    artifactType: str = ""


class _Manifest(msgspec.Struct):
    annotations: dict[str, str] | None = None
    manifests: list[_Descriptor] | None = None


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""


class _Body:
    """Collects a small body."""

    def __init__(self) -> None:
        self.raw = bytearray()

    def take(self, piece: bytes) -> bool:
        self.raw += piece
        return False


async def read(web: Conversation, source: Source, access: Access) -> Mapping[str, str]:
    """Annotations of the chart's manifest; of an index, those of the chart in it. Raises ChartError."""
    registry = Registry(web, source, access)
    manifest = _decode(_Manifest, await registry.manifest(_tag(source)))
    if manifest.manifests:
        digest = _chart_in(manifest.manifests)
        manifest = _decode(_Manifest, await registry.manifest(digest))
    return manifest.annotations or {}


def registry_url(source: Source) -> URL:
    """The base of the chart's API, `https://<host>/v2/<name>/`. Raises ChartError for an impossible name."""
    url = URL("https://" + source.repository.removeprefix("oci://"))
    name = "/".join((url.raw_path.strip("/"), source.chart.strip("/"))).strip("/")
    if not _NAME.fullmatch(name):
        raise ChartError(f"{name!r} cannot be the name of a chart in an OCI registry", retryable=False)
    host = _DOCKER_HUB.get(url.raw_host or "", url.raw_host or "")
    return url.with_host(host).with_path(f"/v2/{name}/").with_query(None)


class Registry:
    """One chart in one registry, and what was agreed on about who we are."""

    def __init__(self, web: Conversation, source: Source, access: Access) -> None:
        self._web = web
        self._url = registry_url(source)
        self._basic = https.basic(access.credentials)
        self._authorization: str | None = None

    async def manifest(self, reference: str) -> bytes:
        """The manifest of a tag or a digest. Raises ChartError."""
        answer, raw = await self._get(reference)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self._authorization = await self._authorize(answer)
            answer, raw = await self._get(reference)
        if answer.status != HTTPStatus.OK:
            raise https.unexpected(answer)
        if reference.startswith("sha256:") and f"sha256:{hashlib.sha256(raw).hexdigest()}" != reference:
            raise ChartError(f"{place(self._url)} answers with another manifest than the one asked for")
        return raw

    async def _get(self, reference: str) -> tuple[Answer, bytes]:
        body = _Body()
        answer = await self._web.get(
            self._url / "manifests" / reference, sink=body.take, limit=MAX_MANIFEST, accept=_MANIFESTS,
            authorization=self._authorization,
        )
        return answer, bytes(body.raw)

    async def _authorize(self, answer: Answer) -> str:
        """The Authorization header that this challenge asks for. Raises ChartError when we have nothing to give."""
        match challenge.choose(answer.challenges):
            case challenge.Bearer() as wanted:
                return f"Bearer {await self._token(wanted)}"
            case challenge.Basic() if self._basic is not None:
                return self._basic
            case _:
                raise https.unexpected(answer)

    async def _token(self, wanted: challenge.Bearer) -> str:
        """Ask the registry's token service. Raises ChartError."""
        url = self._realm(wanted)
        akin = challenge.is_akin(self._url.raw_host or "", url.raw_host or "")
        body = _Body()
        answer = await self._web.get(
            url, sink=body.take, limit=_MAX_TOKEN, authorization=self._basic if akin else None
        )
        if answer.status != HTTPStatus.OK:
            if self._basic is not None and not akin:
                raise ChartError(
                    f"{place(self._url)} has its log-in at {place(url)}, another site, which is not given the password",
                    retryable=False,
                )
            raise https.unexpected(answer)
        granted = _decode(_Token, bytes(body.raw))
        token = granted.token or granted.access_token
        if not _TOKEN.fullmatch(token):
            raise ChartError(f"{place(url)} answers without a usable token")
        return token

    def _realm(self, wanted: challenge.Bearer) -> URL:
        """What to ask for a token. Raises ChartError for anything but a plain https URL."""
        try:
            url = URL(wanted.realm).with_fragment(None)
            usable = url.scheme == "https" and bool(url.raw_host) and url.user is None and url.password is None
        except ValueError:
            usable = False
        if not usable:
            raise ChartError(f"{place(self._url)} has its log-in at something that is no plain https URL")
        name = self._url.raw_path.removeprefix("/v2/").strip("/")
        query = {"scope": wanted.scope or f"repository:{name}:pull"}
        return url.update_query({"service": wanted.service, **query} if wanted.service else query)


def _tag(source: Source) -> str:
    """A chart's version as a tag: `+` is not possible there, and helm writes `_` instead. Raises ChartError."""
    tag = source.version.replace("+", "_")
    if not _TAG.fullmatch(tag):
        raise ChartError(f"version {source.version} cannot be a tag in an OCI registry", retryable=False)
    return tag


def _chart_in(manifests: list[_Descriptor]) -> str:
    """The digest of the manifest of an index that is a chart, else of the first. Raises ChartError."""
    charts = [entry for entry in manifests if entry.artifactType == _HELM_CONFIG]
    digest = (charts or manifests)[0].digest
    if not _DIGEST.fullmatch(digest):
        raise ChartError("the registry's index names a manifest without a sha256 digest", retryable=False)
    return digest


def _decode(kind: type[D], raw: bytes) -> D:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise ChartError("the registry answers with something that is neither a manifest nor a token") from None
