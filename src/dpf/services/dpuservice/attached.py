"""Reads the DPUServiceInterfaces of a DPUService, who claims them, and the DPUServiceNADs of their networks.

Called by this kind's observation. Reads only. The host cluster's cache answers, except where a cache that is a moment
late could mislead: before a claim is made or taken back, before a claim's owner is taken for gone, and about what a
service that is being deleted still holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from dpf.api.dpuservice import DPUService
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicenad import DPUServiceNAD
from dpf.api.meta import Key, Object, object_key
from dpf.kube import errors
from dpf.kube.cache import Cache
from dpf.kube.client import Client
from dpf.services.dpuservice import interfaces, networks, watches
from dpf.services.dpuservice.fleet import Unusable
from dpf.services.dpuservice.snapshot import Interfaces

T = TypeVar("T", bound=Object)


async def observe(cache: Cache, client: Client, service: DPUService) -> Interfaces:
    """Everything about the interfaces of `service`. Raises kube.errors.Error when the host cluster does not answer."""
    if service.metadata.deletionTimestamp is not None:
        return Interfaces(claimed=await _held(client, service))
    names = frozenset((service.spec.interfaces if service.spec else None) or ())
    departed = await _departed(cache, client, service, names)
    free = {"", *departed}
    listed: dict[str, DPUServiceInterface | Unusable] = {}
    for name in sorted(names):
        found = _cached(cache, Key(service.metadata.namespace or "", name))
        if isinstance(found, DPUServiceInterface) and interfaces.consumer(found) in free:
            found = await _read(client, DPUServiceInterface, object_key(found))
        if found is not None:
            listed[name] = found
    return Interfaces(
        listed=listed, departed=departed, claimed=await _claimed(cache, client, service, names),
        nads=_nads(cache, listed.values()),
    )


def _cached(cache: Cache, key: Key) -> DPUServiceInterface | Unusable | None:
    why = cache.store(DPUServiceInterface).unreadable.get(key)
    return Unusable(why=why) if why is not None else cache.get(DPUServiceInterface, key)


async def _departed(
    cache: Cache, client: Client, service: DPUService, names: Iterable[str]
) -> frozenset[str]:
    """DPUServices that claimed one of the named interfaces and do not exist, as the server itself says."""
    namespace = service.metadata.namespace or ""
    found = [_cached(cache, Key(namespace, name)) for name in names]
    claimed = [i for i in found if isinstance(i, DPUServiceInterface) and interfaces.is_our_claim(i)]
    owners = {interfaces.consumer(i) for i in claimed}
    others = sorted(owners - {"", service.metadata.name})
    return frozenset([name for name in others if not await _exists(cache, client, Key(namespace, name))])


async def _exists(cache: Cache, client: Client, service: Key) -> bool:
    """One that cannot be read exists. A text that no object can have for a name does not."""
    if service in cache.store(DPUService).unreadable or cache.get(DPUService, service) is not None:
        return True
    try:
        return await _read(client, DPUService, service) is not None
    except errors.BadRequest:
        return False


async def _claimed(
    cache: Cache, client: Client, service: DPUService, keep: Iterable[str]
) -> tuple[DPUServiceInterface, ...]:
    """Interfaces with the service's own claim; those that it has to let go, fresh."""
    kept = frozenset(keep)
    every = cache.by_index(DPUServiceInterface, watches.BY_CONSUMER, str(object_key(service)))
    fresh = [await _read(client, DPUServiceInterface, object_key(i)) for i in every if i.metadata.name not in kept]
    return (*(i for i in every if i.metadata.name in kept), *(i for i in fresh if i is not None))


async def _held(client: Client, service: DPUService) -> tuple[DPUServiceInterface, ...]:
    """What the server says. One that cannot be read keeps its claim: it is free once the service is gone."""
    listing = await client.list(DPUServiceInterface, service.metadata.namespace)
    return tuple(i for i in listing.items if interfaces.consumer(i) == service.metadata.name)


def _nads(cache: Cache, listed: Iterable[DPUServiceInterface | Unusable]) -> dict[Key, DPUServiceNAD]:
    """One that cannot be read counts as missing, which the documented rule passes over."""
    unreadable = cache.store(DPUServiceNAD).unreadable
    wanted: set[Key] = set()
    for found in listed:
        service = interfaces.definition(found) if isinstance(found, DPUServiceInterface) else None
        if service is not None and isinstance(found, DPUServiceInterface):
            wanted |= {key for key in (networks.attachment(service, found.metadata.namespace or "").nad,) if key}
    nads = {key: cache.get(DPUServiceNAD, key) for key in sorted(wanted - set(unreadable))}
    return {key: nad for key, nad in nads.items() if nad is not None}


async def _read(client: Client, kind: type[T], key: Key) -> T | None:
    try:
        return await client.get(kind, key.name, key.namespace or None)
    except errors.NotFound:
        return None
