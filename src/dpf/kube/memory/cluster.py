"""The client port on a memory cluster, and the hooks through which tests interfere.

It passes the same conformance suite as a real kube-apiserver (tests/conformance/kube). What a controller manager does
happens at once, before the write returns, unless `controllers=False`. It does not validate against schemas, does not
authorise, and treats lists as atomic in server-side apply (see `ownership`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeVar

from dpf.api.core import Namespace
from dpf.api.meta import Key, Object, ObjectMeta
from dpf.kube import address, codec, errors
from dpf.kube.client import Endpoint, Event, EventType, Listing, PatchType
from dpf.kube.memory import authority, collector, ownership, rules, subresources, watches
from dpf.kube.memory.objects import Objects, Place, Record
from dpf.kube.memory.rules import Tree

T = TypeVar("T", bound=Object)

DEFAULT_MANAGER: Final = "pydpf"
"""Field manager of writes that name none: the API server takes it from the User-Agent."""
_WRITES: Final = frozenset({"create", "apply", "patch", "delete"})
_SUFFIX: Final = "bcdfghjklmnpqrstvwxz2456789"


class Write(NamedTuple):
    """One write request as tests count them: `Write("patch/status", "DPUService", Key("ns", "name"))`."""

    verb: str
    kind: str
    key: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request on its way in. `verb` is get, list, watch, version, create, apply, patch or delete."""

    verb: str
    kind: str = ""
    key: Key = field(default_factory=lambda: Key("", ""))
    subresource: str | None = None
    dry_run: bool = False

    @property
    def is_write(self) -> bool:
        """Whether it would change something."""
        return self.verb in _WRITES and not self.dry_run

    @property
    def full_verb(self) -> str:
        """The verb with its subresource, e.g. `patch/status`."""
        return f"{self.verb}/{self.subresource}" if self.subresource else self.verb

    def __str__(self) -> str:
        return f"{self.full_verb} {self.kind} {self.key}".strip()


class MemoryCluster:
    """`client.Client` on dictionaries. One instance is the cluster; any number of controllers may share it."""

    def __init__(
        self, name: str = "host", *, now: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None, history: int = 100_000, controllers: bool = True,
        without_status: Collection[type[Object]] = (), version: str = "v1.36.3",
    ) -> None:
        """`without_status`: kinds whose CRD has no status subresource, such as Argo CD's Application."""
        self._name = name
        self._now = now
        self._rng = rng or random.Random(0)  # noqa: S311 - names, no secrets
        self._controllers = controllers
        self._without_status = {rules.family(kind) for kind in without_status}
        self._git_version = version
        self._uids = 0
        self._objects = Objects(history)
        self._interruptions: list[errors.Error | None] = []
        self._faults: list[tuple[Callable[[Request], bool], errors.Error]] = []
        self.endpoint = Endpoint(server=f"https://{name.replace('/', '.')}.example:6443", ca_pem=authority.CA_PEM)
        """See `client.Client`. Nobody listens there."""
        self.tokens = subresources.Tokens(name)
        self.writes: list[Write] = []
        """Every write request that came in, dry runs apart: also those that changed nothing or failed."""
        self.requests: list[Request] = []
        self.on_request: Callable[[Request], None] | None = None
        """Called before each request is carried out; what it raises reaches the caller."""
        self.after_write: Callable[[Request], None] | None = None
        """Called after each write was carried out, before the caller hears of it: the place of `crash_at(n)`."""
        for namespace in ("default", "kube-system", "kube-public", "kube-node-lease"):
            self.add(Namespace(metadata=ObjectMeta(name=namespace)))

    @property
    def name(self) -> str:
        """See `client.Client`."""
        return self._name

    @property
    def resource_version(self) -> str:
        """The newest resourceVersion."""
        return str(self._objects.version)

    # Hooks for tests.

    def fail_next(self, predicate: Callable[[Request], bool], error: errors.Error, *, times: int = 1) -> None:
        """Answer the next `times` requests that `predicate` accepts with `error`; they change nothing."""
        self._faults += [(predicate, error)] * times

    def compact(self) -> None:
        """Forget history: a watch that starts before now is answered with 410."""
        self._objects.compact()

    def bookmark(self) -> None:
        """Send a bookmark to every open watch."""
        self._objects.bookmark()

    def end_watches(self, error: errors.Error | None = None) -> None:
        """End every open watch: as a server does at its timeout, or with `error` inside the stream."""
        self._interruptions.append(error)
        self._objects.wake()

    def add(self, *objects: Object) -> None:
        """Put objects in place as given, status and finalizers included, outside the count of writes.

        Missing namespaces are made. uid and creationTimestamp are filled in where they are absent.
        """
        for obj in objects:
            self.add_raw(type(obj), rules.wire(obj))

    def add_raw(self, kind: type[Object], tree: Tree) -> None:
        """As `add`, for wire data that need not fit our types."""
        key = Key(tree["metadata"].get("namespace") or "", tree["metadata"]["name"])
        if key.namespace and Key("", key.namespace) not in self._objects.of(rules.NAMESPACES):
            self.add(Namespace(metadata=ObjectMeta(name=key.namespace)))
        tree = rules.with_encoded_data(kind, tree)
        born = rules.newborn(kind, tree, key, uid=self._new_uid(), now=self._stamp(), has_status=False)
        tree = rules.with_metadata({**born, **rules.without(tree, "metadata")}, **tree["metadata"])
        owners = ownership.record({}, tree, {}, ownership.Manager("seed", "Update"))
        self._objects.store((rules.family(kind), key), Record(tree, owners))

    def objects(self, kind: type[T], namespace: str | None = None) -> tuple[T, ...]:
        """What exists now, sorted by key, outside of any fault or count."""
        return watches.listing(kind, self._objects, watches.choose(kind, namespace, None, None)).items

    # The port.

    async def get(self, kind: type[T], name: str, namespace: str | None = None) -> T:
        """See `client.Client`."""
        request, place = self._single("get", kind, name, namespace)
        await self._enter(request)
        return self._answer(kind, request, self._require(place).tree)

    async def list(
        self, kind: type[T], namespace: str | None = None, *, labels: str | None = None, fields: str | None = None,
        page_size: int = 500,  # noqa: ARG002 - pages are the server's and the HTTP client's business
    ) -> Listing[T]:
        """See `client.Client`."""
        address.collection(kind, namespace)
        await self._enter(Request(verb="list", kind=kind.resource.kind, key=Key(namespace or "", "")))
        return watches.listing(kind, self._objects, watches.choose(kind, namespace, labels, fields))

    async def pages(
        self, kind: type[T], namespace: str | None = None, *, labels: str | None = None, fields: str | None = None,
        page_size: int = 500,
    ) -> AsyncIterator[Listing[T]]:
        """See `client.Client`. Always one page."""
        yield await self.list(kind, namespace, labels=labels, fields=fields, page_size=page_size)

    async def watch(
        self, kind: type[T], namespace: str | None = None, *, resource_version: str, labels: str | None = None,
        fields: str | None = None, timeout_s: float = 300.0,
    ) -> AsyncIterator[Sequence[Event[T]]]:
        """See `client.Client`. Ends after `timeout_s` with a bookmark, or by `end_watches`."""
        address.collection(kind, namespace)
        await self._enter(Request(verb="watch", kind=kind.resource.kind, key=Key(namespace or "", "")))
        interruption = len(self._interruptions)
        choice = watches.choose(kind, namespace, labels, fields)
        watch = watches.Watch(self._objects, choice, resource_version)
        yield ()
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            changed = self._objects.changed
            if events := watch.take(kind):
                yield events
            elif len(self._interruptions) > interruption:
                if (error := self._interruptions[interruption]) is not None:
                    raise error
                return
            elif not await watches.something_happens(changed, deadline):
                yield [Event(EventType.BOOKMARK, None, self.resource_version)]
                return

    async def create(self, obj: T, *, dry_run: bool = False) -> T:
        """See `client.Client`."""
        address.home(obj)
        kind, metadata = type(obj), obj.metadata
        key = address.key(kind, metadata.name or self._generated(metadata.generateName), metadata.namespace)
        request = Request(verb="create", kind=kind.resource.kind, key=key, dry_run=dry_run)
        await self._enter(request)
        if not key.name:
            raise errors.Invalid(f"{kind.resource.kind}: name or generateName is required", status=422)
        if metadata.resourceVersion:
            # Really a 500, so that tests meet what users meet.
            raise errors.ServerError("resourceVersion should not be set on objects to be created", status=500)
        self._require_namespace(kind, key)
        place = (rules.family(kind), key)
        if self._objects.find(place) is not None:
            raise errors.AlreadyExists(
                f'{kind.resource.qualified_name} "{key.name}" already exists', status=409, reason="AlreadyExists"
            )
        tree = self._newborn(kind, rules.wire(obj), key)
        owners = ownership.record({}, tree, {}, ownership.Manager(DEFAULT_MANAGER, "Update"))
        return self._finish(kind, place, request, None, Record(tree, owners))

    async def create_subresource(
        self, kind: type[Object], name: str, namespace: str | None = None, *, subresource: str, body: T,
        dry_run: bool = False,
    ) -> T:
        """See `client.Client`."""
        request, place = self._single("create", kind, name, namespace, subresource, dry_run)
        await self._enter(request)
        tree = rules.wire(body)
        subresources.check(place[0], request.key, subresource, tree)
        record = self._require(place)
        if subresource == subresources.TOKEN:
            tree = self.tokens.answer(tree, request.key, record.tree, self._now(), dry_run=dry_run)
        else:
            if not dry_run:
                grace_s = subresources.grace_period_s(tree)
                collector.delete(self._objects, place, now=self._stamp(), grace_s=grace_s)
            tree = {"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success"}
        self._leave(request)
        return watches.decode(type(body), tree)

    async def apply(
        self, obj: T, *, field_owner: str, force: bool = True, dry_run: bool = False, subresource: str | None = None,
    ) -> T:
        """See `client.Client`."""
        kind, metadata = type(obj), obj.metadata
        request, place = self._single("apply", kind, metadata.name, metadata.namespace, subresource, dry_run)
        await self._enter(request)
        old = self._objects.find(place)
        if old is not None:
            rules.check_version(kind, request.key, old.tree, metadata.resourceVersion)
        elif subresource:
            raise _not_found(place)
        elif metadata.uid or metadata.resourceVersion:
            raise errors.Conflict(f"{request}: uid or resourceVersion name an object that is gone", status=409)
        else:
            self._require_namespace(kind, request.key)
        return self._finish(kind, place, request, old, self._applied(kind, old, obj, request, field_owner, force))

    async def patch(
        self, kind: type[T], name: str, namespace: str | None = None, *,
        patch: Mapping[str, Any] | Sequence[Mapping[str, Any]], type: PatchType = PatchType.MERGE,
        subresource: str | None = None, field_owner: str | None = None, dry_run: bool = False,
    ) -> T:
        """See `client.Client`. Strategic merge patches are refused: use a merge patch or `apply`."""
        request, place = self._single("patch", kind, name, namespace, subresource, dry_run)
        await self._enter(request)
        old = self._require(place)
        tree = rules.patched(kind, request.key, old.tree, patch, type)
        rules.check_version(kind, request.key, old.tree, tree.get("metadata", {}).get("resourceVersion"))
        tree = rules.changed(kind, old.tree, tree, subresource=subresource, has_status=self._has_status(kind))
        manager = ownership.Manager(field_owner or DEFAULT_MANAGER, "Update", subresource or "")
        owners = ownership.record(old.tree, tree, old.owners, manager)
        return self._finish(kind, place, request, old, Record(tree, owners))

    async def delete(
        self, kind: type[T], name: str, namespace: str | None = None, *, uid: str | None = None,
        resource_version: str | None = None, propagation: str = "Background", grace_period_s: int | None = None,
        dry_run: bool = False,
    ) -> None:
        """See `client.Client`."""
        request, place = self._single("delete", kind, name, namespace, None, dry_run)
        await self._enter(request)
        old = self._require(place)
        if uid and uid != old.tree["metadata"]["uid"]:
            raise errors.Conflict(f"{request}: the object has another uid than {uid}", status=409, reason="Conflict")
        rules.check_version(kind, request.key, old.tree, resource_version)
        if not dry_run:
            policy = propagation if self._controllers else "Background"
            collector.delete(
                self._objects, place, now=self._stamp(), propagation=policy, grace_s=grace_period_s
            )
        self._leave(request)

    async def server_version(self) -> str:
        """See `client.Client`."""
        await self._enter(Request(verb="version"))
        return self._git_version

    async def aclose(self) -> None:
        """See `client.Client`. The cluster goes on: it is shared."""

    # Requests in and out.

    def _single(
        self, verb: str, kind: type[Object], name: str, namespace: str | None, subresource: str | None = None,
        dry_run: bool = False,
    ) -> tuple[Request, Place]:
        address.single(kind, name, namespace, subresource)
        key = address.key(kind, name, namespace)
        request = Request(verb=verb, kind=kind.resource.kind, key=key, subresource=subresource, dry_run=dry_run)
        return request, (rules.family(kind), key)

    async def _enter(self, request: Request) -> None:
        """Count, let a test interfere, fail when told to. Gives way once, as any real request does."""
        await asyncio.sleep(0)
        self.requests.append(request)
        if request.is_write:
            self.writes.append(Write(request.full_verb, request.kind, request.key))
        if self.on_request is not None:
            self.on_request(request)
        for number, (predicate, error) in enumerate(self._faults):
            if predicate(request):
                del self._faults[number]
                raise error

    def _leave(self, request: Request) -> None:
        """What controllers do about a write, and the hook after it."""
        if not request.is_write:
            return
        if self._controllers:
            collector.settle(self._objects, now=self._stamp())
        if self.after_write is not None:
            self.after_write(request)

    def _finish(self, kind: type[T], place: Place, request: Request, old: Record | None, new: Record) -> T:
        """Store, unless it is a dry run or nothing changed, and answer with what is stored."""
        tree = new.tree
        if not request.dry_run:
            if old is None or tree != old.tree or new.owners != old.owners:
                tree = collector.store(self._objects, place, new).tree
            self._leave(request)
        return self._answer(kind, request, tree)

    def _answer(self, kind: type[T], request: Request, tree: Tree) -> T:
        try:
            return watches.decode(kind, tree)
        except codec.BAD_OBJECT as error:
            raise errors.Invalid(f"{request}: the object cannot be read: {error}", reason="Unreadable") from None

    # Rules that need the cluster.

    def _applied(
        self, kind: type[Object], old: Record | None, obj: Object, request: Request, field_owner: str, force: bool
    ) -> Record:
        has_status = self._has_status(kind)
        wanted = rules.reachable(rules.wire(obj), subresource=request.subresource, has_status=has_status)
        live, owners = (old.tree, old.owners) if old is not None else ({}, {})
        try:
            tree, owners = ownership.apply(
                live, owners, ownership.Manager(field_owner, "Apply", request.subresource or ""),
                rules.with_encoded_data(kind, wanted), force=force,
            )
        except ownership.OwnershipConflict as conflict:
            raise errors.Conflict(f"{request} by {field_owner}: conflict: {conflict}", status=409,
                                  reason="Conflict") from None
        if old is None:
            return Record(self._newborn(kind, tree, request.key), owners)
        return Record(
            rules.changed(kind, old.tree, tree, subresource=request.subresource, has_status=has_status), owners
        )

    def _newborn(self, kind: type[Object], tree: Tree, key: Key) -> Tree:
        return rules.newborn(
            kind, tree, key, uid=self._new_uid(), now=self._stamp(), has_status=self._has_status(kind)
        )

    def _require(self, place: Place) -> Record:
        record = self._objects.find(place)
        if record is None:
            raise _not_found(place)
        return record

    def _require_namespace(self, kind: type[Object], key: Key) -> None:
        if not kind.resource.namespaced:
            return
        namespace = self._objects.find((rules.NAMESPACES, Key("", key.namespace)))
        if namespace is None:
            raise errors.NotFound(f'namespaces "{key.namespace}" not found', status=404, reason="NotFound")
        if namespace.tree["metadata"].get("deletionTimestamp"):
            raise errors.Forbidden(
                f'{kind.resource.qualified_name} "{key.name}" is forbidden: unable to create new content in namespace '
                f"{key.namespace} because it is being terminated", status=403, reason="Forbidden",
            )

    def _has_status(self, kind: type[Object]) -> bool:
        return "status" in kind.__struct_fields__ and rules.family(kind) not in self._without_status

    def _generated(self, prefix: str | None) -> str:
        return prefix + "".join(self._rng.choices(_SUFFIX, k=5)) if prefix else ""

    def _new_uid(self) -> str:
        self._uids += 1
        return f"00000000-0000-4000-8000-{self._uids:012x}"

    def _stamp(self) -> str:
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _not_found(place: Place) -> errors.NotFound:
    (group, plural), key = place
    qualified = f"{plural}.{group}" if group else plural
    return errors.NotFound(f'{qualified} "{key.name}" not found', status=404, reason="NotFound")
