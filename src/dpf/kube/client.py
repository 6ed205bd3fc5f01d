"""The client port: every way this project talks to one Kubernetes cluster.

Two implementations pass one conformance suite: `http.HTTPClient` (a real API server) and `memory.MemoryCluster`
(in process, for tests and planning). There is deliberately no `update`: our Structs model a part of an object, and a
whole-object write would erase the rest. Write with `create`, `apply` (server-side), `patch` and `delete`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from dpf.api.meta import Key, Object

T = TypeVar("T", bound=Object)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an API server is and how it proves itself: what another program needs beside credentials.

    `server` is an URL without a trailing slash. `ca_pem` None means the certificate authorities of the system.
    """

    server: str
    ca_pem: bytes | None = None
    insecure: bool = False
    tls_server_name: str = ""


class EventType(StrEnum):
    """Kinds of watch events that reach a consumer; ERROR events are raised as errors instead."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    UNREADABLE = "UNREADABLE"
    """Ours, not the server's: an object was added or changed, but does not fit our type."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that exists and does not fit our type: to be reported and passed over, never taken for absent."""

    key: Key
    why: str


class Event(msgspec.Struct, Generic[T], frozen=True):
    """One watch event. (A Struct, because one is made for every event of every watch.)

    On a BOOKMARK only `resource_version` means anything and `object` is None. On UNREADABLE, and when an object that
    does not fit our type is DELETED, `object` is None and `unreadable` says which one and why.
    """

    type: EventType
    object: T | None
    resource_version: str
    unreadable: Unreadable | None = None


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A complete list: all pages, and the resourceVersion from which a watch continues it.

    `unreadable` names the objects that exist but do not fit our type; they are not among the items.
    """

    items: tuple[T, ...]
    resource_version: str
    unreadable: tuple[Unreadable, ...] = ()


class PatchType(StrEnum):
    """Content types of PATCH."""

    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class Client(Protocol):
    """One cluster. Every method raises `kube.errors.Error` subclasses and nothing else."""

    @property
    def name(self) -> str:
        """For messages: `host`, or `<namespace>/<name>` of a DPUCluster."""

    @property
    def endpoint(self) -> Endpoint:
        """The API server that this client talks to."""

    async def get(self, kind: type[T], name: str, namespace: str | None = None) -> T:
        """One object, read from the server. Raises NotFound."""

    async def list(
        self, kind: type[T], namespace: str | None = None, *, labels: str | None = None, fields: str | None = None,
        page_size: int = 500,
    ) -> Listing[T]:
        """All objects, page by page. `labels` and `fields` are selectors in API syntax."""

    def pages(
        self, kind: type[T], namespace: str | None = None, *, labels: str | None = None, fields: str | None = None,
        page_size: int = 500,
    ) -> AsyncIterator[Listing[T]]:
        """The pages of one list, for whoever need not hold all objects at once; `page_size` 0 means one page.

        The list is complete only at the end. Raises Expired when the rest of it cannot be had any more: forget what
        came and begin anew, unpaged.
        """

    def watch(
        self, kind: type[T], namespace: str | None = None, *, resource_version: str, labels: str | None = None,
        fields: str | None = None, timeout_s: float = 300.0,
    ) -> AsyncIterator[Sequence[Event[T]]]:
        """Batches of events after `resource_version`, as they arrive; ends when the server ends the stream.

        The first batch is empty: it says that the server has opened the watch.

        Raises Expired on 410, as HTTP status or inside the stream.

        Silence longer than `timeout_s` plus a margin raises Timeout (read watchdog).
        """

    async def create(self, obj: T, *, dry_run: bool = False) -> T:
        """Create `obj` (with `metadata.generateName` or a name). Raises AlreadyExists."""

    async def create_subresource(
        self, kind: type[Object], name: str, namespace: str | None = None, *, subresource: str, body: T,
        dry_run: bool = False,
    ) -> T:
        """Post `body` to a subresource of one object that exists; what the server answers, read as the same type.

        For a TokenRequest to `token` of a ServiceAccount, and an Eviction to `eviction` of a Pod: the answer to that
        is a Status, of which nothing fits. Neither body nor answer is ever part of an error.
        """

    async def apply(
        self, obj: T, *, field_owner: str, force: bool = True, dry_run: bool = False, subresource: str | None = None,
    ) -> T:
        """Server-side apply of exactly the fields set in `obj`."""

    async def patch(
        self, kind: type[T], name: str, namespace: str | None = None, *,
        patch: Mapping[str, Any] | Sequence[Mapping[str, Any]], type: PatchType = PatchType.MERGE,
        subresource: str | None = None, field_owner: str | None = None, dry_run: bool = False,
    ) -> T:
        """Patch one object. Put `metadata.resourceVersion` into a merge patch to make it conditional (Conflict)."""

    async def delete(
        self, kind: type[T], name: str, namespace: str | None = None, *, uid: str | None = None,
        resource_version: str | None = None, propagation: str = "Background", grace_period_s: int | None = None,
        dry_run: bool = False,
    ) -> None:
        """Delete one object. Raises NotFound; a precondition that fails raises Conflict.

        `grace_period_s` concerns Pods that run on a node: until its kubelet says otherwise, they stay that long with a
        deletionTimestamp. None is the Pod's own period; 0 removes the object at once, whatever still runs.
        """

    async def server_version(self) -> str:
        """`gitVersion` of the API server (GET /version)."""

    async def aclose(self) -> None:
        """Close connections. Idempotent."""
