"""Reads everything that a decision about one DPUService needs (Snapshot).

Called by the controller at the start of each pass. Reads only. The host cluster and connected DPU clusters answer from
their caches, by index. The API server itself is asked where a cache that is a moment late could mislead: about what a
service that is being deleted still has, and before a name is taken. It is also asked where a DPU cluster's cache is not
filled yet.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Container, Coroutine, Sequence
from typing import Any, Final, TypeVar

from dpf.api import core, names
from dpf.api.argocd import Application
from dpf.api.dpuservice import DPUService
from dpf.api.meta import Key, Object, ObjectMeta, object_key
from dpf.kube import clusters, errors
from dpf.kube.cache import Cache
from dpf.kube.client import Client
from dpf.runtime.mirrors import NONE, Mirrors
from dpf.services.argocd import build
from dpf.services.dpuservice import applications, attached, interfaces, targets, watches
from dpf.services.dpuservice.fleet import Fleet, Unusable
from dpf.services.dpuservice.snapshot import ClusterView, Connecting, HostPorts, Remote, Snapshot

T = TypeVar("T", bound=Object)

_REMOTE_KINDS: Final[tuple[type[Object], ...]] = (core.Namespace, core.Secret, core.Service, core.Node)


async def snapshot(
    registry: clusters.ClusterRegistry, fleet: Fleet, service: DPUService, mirrors: Mirrors = NONE
) -> Snapshot:
    """One look at the world around `service`. Raises kube.errors.Error when the host cluster does not answer."""
    cache, client = registry.host.cache, registry.host.client
    key = object_key(service)
    found = Snapshot(
        service=service, fleet=fleet, mirrors=mirrors,
        clusters=await _clusters(registry, fleet, service),
        host_namespace=cache.get(core.Namespace, Key("", key.namespace)),
        applications=await _applications(cache, client, service),
        namesakes=tuple(n for n in cache.by_index(DPUService, watches.BY_NAME, key.name) if object_key(n) != key),
        siblings=_siblings(cache, service),
        pull_secrets=tuple(cache.by_index(core.Secret, watches.BY_PULL_SECRET_NAMESPACE, key.namespace)),
        ports=await _ports(cache, client, service),
        interfaces=await attached.observe(cache, client, service),
    )
    return await _with_name_holders(client, found)


async def _applications(cache: Cache, client: Client, service: DPUService) -> tuple[Application, ...]:
    """Applications of the service. The finalizer may only go on what the server itself says."""
    key = object_key(service)
    if service.metadata.deletionTimestamp is None:
        return tuple(cache.by_index(Application, watches.BY_SERVICE, str(key)))
    return await _listed(client, Application, None, _labels_of(key))


async def _with_name_holders(client: Client, found: Snapshot) -> Snapshot:
    """Who has the names that new Applications would like. Nothing is read when nothing is to be created.

    Without its interfaces a service has no Applications (`plan`). What turns out to be the service's own was created a
    moment ago, and the cache has not heard of it.
    """
    if found.service.metadata.deletionTimestamp is not None:
        return found
    wanted = applications.names_to_look_up(found)
    if not wanted or isinstance(interfaces.resolve(found), str):
        return found
    namespace = found.fleet.dpf_namespace
    own, others = list(found.applications), {}
    holders = await asyncio.gather(*(_read(client, Application, Key(namespace, name)) for name in wanted))
    for name, holder in zip(wanted, holders, strict=True):
        if holder is not None and str(found.key) in watches.service_index(holder):
            own.append(holder)
        elif holder is not None:
            others[name] = holder
    return dataclasses.replace(found, applications=tuple(own), name_holders=others)


def _siblings(cache: Cache, service: DPUService) -> tuple[DPUService, ...]:
    """Other DPUServices of the namespace; one that cannot be read is there nevertheless, and not being deleted."""
    if service.metadata.deletionTimestamp is None:
        return ()
    key = object_key(service)
    unreadable = (k for k in cache.store(DPUService).unreadable if k.namespace == key.namespace)
    blind = [DPUService(metadata=ObjectMeta(name=k.name, namespace=k.namespace)) for k in unreadable]
    return tuple(s for s in (*cache.list(DPUService, key.namespace), *blind) if object_key(s) != key)


async def _ports(cache: Cache, client: Client, service: DPUService) -> HostPorts:
    """Objects for config ports. Before the first is made, the server tells whether the name is free."""
    key = object_key(service)
    services = tuple(cache.by_index(core.Service, watches.BY_SERVICE, str(key)))
    wanted = service.spec is not None and service.spec.configPorts is not None
    occupant = None
    if wanted and not services and service.metadata.deletionTimestamp is None:
        occupant = await _read(client, core.Service, key)
    return HostPorts(
        services=tuple(s for s in services if _is_exposed(s)),
        slices=tuple(s for s in cache.by_index(core.EndpointSlice, watches.BY_SERVICE, str(key)) if _is_exposed(s)),
        endpoints=tuple(e for e in cache.by_index(core.Endpoints, watches.BY_SERVICE, str(key)) if _is_exposed(e)),
        occupant=occupant if occupant is not None and not _is_exposed(occupant) else None,
    )


def _is_exposed(obj: Object) -> bool:
    return names.EXPOSED_PORT_LABEL in (obj.metadata.labels or {})


async def _clusters(
    registry: clusters.ClusterRegistry, fleet: Fleet, service: DPUService
) -> tuple[ClusterView, ...]:
    selected = targets.selected(service, (member.cluster for member in fleet.members))
    chosen = {object_key(cluster) for cluster in selected}
    remotes = await _remotes(registry, service, [member.key for member in fleet.members], chosen)
    return tuple(ClusterView(member=member, remote=remotes[member.key]) for member in fleet.members)


async def _remotes(
    registry: clusters.ClusterRegistry, service: DPUService, every: Sequence[Key], chosen: Container[Key]
) -> dict[Key, Remote | Connecting | Unusable]:
    """What each DPU cluster holds. Those that have to be asked are asked at the same time; no answer is a value."""
    spec, key = service.spec, object_key(service)
    fresh = service.metadata.deletionTimestamp is not None
    found: dict[Key, Remote | Connecting | Unusable] = {}
    asked: dict[Key, Coroutine[Any, Any, Remote | Unusable]] = {}
    for name in every:
        cluster = registry.get(name)
        with_ports = name in chosen and spec is not None and spec.configPorts is not None
        if isinstance(registry.health(name), clusters.Connecting):
            found[name] = Connecting()
        elif isinstance(cluster, clusters.Unreachable):
            found[name] = Unusable(why=cluster.why)
        elif fresh or not cluster.cache.is_synced(*_REMOTE_KINDS):
            asked[name] = _asked(cluster.client, key, with_ports=with_ports)
        else:
            found[name] = _at_hand(cluster.cache, key, with_ports=with_ports)
    answers = await asyncio.gather(*asked.values()) if asked else ()
    return {**found, **dict(zip(asked, answers, strict=True))}


def _at_hand(cache: Cache, service: Key, *, with_ports: bool) -> Remote | Unusable:
    try:
        return _cached(cache, service, with_ports=with_ports)
    except errors.NotSynced as error:
        return Unusable(why=str(error))


async def _asked(client: Client, service: Key, *, with_ports: bool) -> Remote | Unusable:
    try:
        return await _direct(client, service, with_ports=with_ports)
    except errors.Error as error:
        return Unusable(why=str(error))


def _cached(cache: Cache, service: Key, *, with_ports: bool) -> Remote:
    return Remote(
        namespace=cache.get(core.Namespace, Key("", service.namespace)),
        pull_secrets=tuple(cache.by_index(core.Secret, watches.BY_PULL_SECRET_NAMESPACE, service.namespace)),
        services=tuple(cache.by_index(core.Service, watches.BY_SERVICE, str(service))) if with_ports else (),
        nodes=tuple(cache.list(core.Node)) if with_ports else (),
    )


async def _direct(client: Client, service: Key, *, with_ports: bool) -> Remote:
    labels = _labels_of(service)
    return Remote(
        namespace=await _read(client, core.Namespace, Key("", service.namespace)),
        pull_secrets=await _listed(client, core.Secret, service.namespace, names.IMAGE_PULL_SECRET_LABEL),
        services=await _listed(client, core.Service, None, labels) if with_ports else (),
        nodes=await _listed(client, core.Node, None, None) if with_ports else (),
    )


def _labels_of(service: Key) -> str:
    return ",".join(f"{label}={value}" for label, value in sorted(build.match_labels(service).items()))


async def _read(client: Client, kind: type[T], key: Key) -> T | None:
    try:
        return await client.get(kind, key.name, key.namespace or None)
    except errors.NotFound:
        return None


async def _listed(client: Client, kind: type[T], namespace: str | None, labels: str | None) -> tuple[T, ...]:
    """A complete list from the server. What exists but cannot be read must not look absent, hence NotSynced."""
    listing = await client.list(kind, namespace, labels=labels)
    for item in listing.unreadable:
        raise errors.NotSynced(f"{kind.resource.kind} {item.key} cannot be read: {item.why}; correct the object")
    return listing.items


