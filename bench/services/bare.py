"""A client with nothing above HTTP: it sets up the benchmark, and its speed is the limit that ours is compared with.

Objects are plain dictionaries. It keeps as many requests in flight as our client does.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import msgspec

from dpf.kube.http import POOL

AGENT: Final = "bench"
JSON: Final = "application/json"
MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY: Final = "application/apply-patch+yaml"
_CLUSTER_SCOPED: Final = frozenset({"Namespace", "Node"})


class Refused(Exception):
    """The API server did not do what was asked."""


class Bare:
    """One API server, which knows its caller as `agent`. Close it."""

    def __init__(self, server: str, tls: ssl.SSLContext, agent: str = AGENT) -> None:
        self._agent = agent
        self._server = server
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def create(self, obj: Mapping[str, Any]) -> None:
        """POST."""
        path = collection(obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace"))
        await self.request("POST", path, msgspec.json.encode(obj))

    async def apply(self, obj: Mapping[str, Any], owner: str = AGENT) -> None:
        """Server-side apply."""
        path = collection(obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace"))
        query = urlencode({"fieldManager": owner, "force": "true"})
        await self.request("PATCH", f"{path}/{obj['metadata']['name']}?{query}", msgspec.json.encode(obj), APPLY)

    async def patch(
        self, version: str, kind: str, namespace: str, name: str, patch: Mapping[str, Any], subresource: str = "",
    ) -> None:
        """Merge patch."""
        path = f"{collection(version, kind, namespace)}/{name}{'/' + subresource if subresource else ''}"
        await self.request("PATCH", path, msgspec.json.encode(patch), MERGE)

    async def patch_json(self, path: str, patch: Sequence[Mapping[str, Any]]) -> None:
        """JSON patch."""
        await self.request("PATCH", path, msgspec.json.encode(patch), JSON_PATCH)

    async def list(self, version: str, kind: str, namespace: str) -> list[dict[str, Any]]:
        """All objects of a kind in a namespace."""
        answer = msgspec.json.decode(await self.request("GET", collection(version, kind, namespace)))
        return [{"apiVersion": version, "kind": kind, **item} for item in answer["items"]]

    async def request(self, method: str, path: str, body: bytes | None = None, type_: str = JSON) -> bytes:
        """The body of a 2xx answer. Raises Refused."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=POOL, ssl=self._tls)
            self._session = aiohttp.ClientSession(connector=connector, headers={"User-Agent": self._agent})
        headers = {"Content-Type": type_}
        async with self._session.request(method, self._server + path, data=body, headers=headers) as response:
            raw = await response.read()
            if response.status >= 300:
                raise Refused(f"{method} {path}: {response.status} {raw[:500]!r}")
            return raw

    async def aclose(self) -> None:
        """Hang up."""
        if self._session is not None:
            await self._session.close()


async def in_flight(works: Iterable[Awaitable[Any]], width: int = POOL) -> None:
    """All of them, `width` at a time."""
    waiting = iter(works)

    async def some() -> None:
        for work in waiting:
            await work

    await asyncio.gather(*(some() for _ in range(width)))


def collection(version: str, kind: str, namespace: str | None) -> str:
    """URL path of a kind in a namespace."""
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    where = "" if kind in _CLUSTER_SCOPED or namespace is None else f"/namespaces/{namespace}"
    return f"{root}{where}/{kind.lower()}s"
