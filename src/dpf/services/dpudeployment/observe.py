"""Reads everything that a decision about one DPUDeployment needs (Snapshot).

Called by the controller at the start of each pass. Reads only. Caches answer, by key or by index. The API server itself
is asked where a cache that is a moment late could mislead: about what a deployment that is being deleted still has,
before a name is taken for the first time, and before revisions change places. A settled deployment is observed without
any request.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from dpf.api import names
from dpf.api.bfb import BFB
from dpf.api.bluefieldsoftware import BlueFieldSoftware
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpuflavortemplate import DPUFlavorTemplate
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, Object, object_key
from dpf.kube import errors
from dpf.kube.cache import Cache
from dpf.kube.client import Client
from dpf.services.dpudeployment import dependencies, dpusets, interfaces, naming, plan, revisions, services, watches
from dpf.services.dpudeployment.snapshot import Children, Dependency, Snapshot

T = TypeVar("T", bound=Object)
Identity = tuple[type[Object], Key]

_UNREADABLE: Final = "Unreadable"
"""Reason of the error when the server's answer does not fit our type."""


async def snapshot(cache: Cache, client: Client, deployment: DPUDeployment) -> Snapshot:
    """One look at the world around `deployment`. Raises kube.errors.Error when the host cluster does not answer."""
    found = dataclasses.replace(
        _named(cache, deployment), children=_children(cache, deployment), marked=_marked(cache, object_key(deployment)),
        zero_trust=any(map(dpusets.is_zero_trust, cache.list(DPFOperatorConfig))),
    )
    if deployment.metadata.deletionTimestamp is not None:
        return await _remaining(client, found)
    if plan.changes_revisions(found) or _makes_up_for_a_loss(found):
        # Kinds are watched one by one. With DPUSets that are behind the DPUServices, a revision that is being given to
        # the nodes would look unused; with DPUServices that are behind, one that was just made would be made again.
        found = dataclasses.replace(found, children=await _fresh_children(client, found))
    return await _with_name_holders(cache, client, found)


def _named(cache: Cache, deployment: DPUDeployment) -> Snapshot:
    """What the deployment names, as far as it exists, and what of it cannot be read."""
    namespace = deployment.metadata.namespace or ""
    unreadable = dict(_unreadable_children(cache, object_key(deployment)))
    found: dict[type[Dependency], dict[str, Dependency]] = {kind: {} for kind in dependencies.KINDS}
    for kind, name in dependencies.references(deployment):
        key = Key(namespace, name)
        why = cache.store(kind).unreadable.get(key)
        if why is not None:
            unreadable[kind, key] = why
            continue
        dependency = cache.get(kind, key)
        if dependency is not None:
            found[kind][name] = dependency
    return Snapshot(
        deployment=deployment, bfb=_only(found, BFB), bluefield_software=_only(found, BlueFieldSoftware),
        flavor=_only(found, DPUFlavor), flavor_template=_only(found, DPUFlavorTemplate),
        templates=_all(found, DPUServiceTemplate), configurations=_all(found, DPUServiceConfiguration),
        unreadable=unreadable,
    )


def _only(found: dict[type[Dependency], dict[str, Dependency]], kind: type[T]) -> T | None:
    return next(iter(_all(found, kind).values()), None)


def _all(found: dict[type[Dependency], dict[str, Dependency]], kind: type[T]) -> dict[str, T]:
    objects = next(objects for k, objects in found.items() if k is kind)
    return {name: obj for name, obj in objects.items() if isinstance(obj, kind)}


def _unreadable_children(cache: Cache, deployment: Key) -> Iterator[tuple[Identity, str]]:
    """Objects that may be children by their name; what they are cannot be told, so nothing may be done beside them."""
    for kind in dependencies.CHILD_KINDS:
        for key, why in cache.store(kind).unreadable.items():
            named_so = key.name == deployment.name or key.name.startswith(f"{deployment.name}-")
            if key.namespace == deployment.namespace and named_so:
                yield (kind, key), why


def _children(cache: Cache, deployment: DPUDeployment) -> Children:
    owner = watches.owner_value(object_key(deployment))
    return Children(
        services=cache.by_index(DPUService, watches.BY_OWNER, owner),
        interfaces=cache.by_index(DPUServiceInterface, watches.BY_OWNER, owner),
        chains=cache.by_index(DPUServiceChain, watches.BY_OWNER, owner),
        dpusets=cache.by_index(DPUSet, watches.BY_OWNER, owner),
    )


def _marked(cache: Cache, deployment: Key) -> tuple[Dependency, ...]:
    value = watches.consumer_value(deployment)
    return tuple(d for kind in dependencies.KINDS for d in cache.by_index(kind, watches.BY_CONSUMER, value))


async def _remaining(client: Client, found: Snapshot) -> Snapshot:
    """What a deployment that is being deleted still has, as the server says: the finalizer goes by this.

    Dependencies are asked for when no child is left, for only then they are let go.
    """
    children = await _fresh_children(client, found)
    if any((children.services, children.interfaces, children.chains, children.dpusets)):
        return dataclasses.replace(found, children=children)
    label, namespace = naming.consumer_label(found.key), found.key.namespace
    marked = await asyncio.gather(*(_listed(client, kind, namespace, label) for kind in dependencies.KINDS))
    return dataclasses.replace(found, children=children, marked=tuple(d for some in marked for d in some))


async def _fresh_children(client: Client, found: Snapshot) -> Children:
    """The children as the server lists them. One that lost its label is known from the cache alone."""
    key, namespace = found.key, found.key.namespace
    labels = f"{names.OWNED_BY_DPUDEPLOYMENT_LABEL}={naming.owner_value(key)}"
    fresh = await asyncio.gather(
        _listed(client, DPUService, namespace, labels), _listed(client, DPUServiceInterface, namespace, labels),
        _listed(client, DPUServiceChain, namespace, labels), _listed(client, DPUSet, namespace, labels),
    )
    cached, owner = found.children, watches.owner_value(key)
    return Children(
        services=_union(fresh[0], cached.services, owner), interfaces=_union(fresh[1], cached.interfaces, owner),
        chains=_union(fresh[2], cached.chains, owner), dpusets=_union(fresh[3], cached.dpusets, owner),
    )


def _union(fresh: Sequence[T], cached: Sequence[T], owner: str) -> tuple[T, ...]:
    """What the server lists, and what only the cache can know because it has no label any more."""
    unlabelled = (obj for obj in cached if names.OWNED_BY_DPUDEPLOYMENT_LABEL not in (obj.metadata.labels or {}))
    return (*(obj for obj in fresh if owner in watches.owner_index(obj)), *unlabelled)


async def _with_name_holders(cache: Cache, client: Client, found: Snapshot) -> Snapshot:
    """Who has the names that children without a predecessor would get. Nothing is read when nothing is to be created.

    What turns out to be the deployment's own was created a moment ago, and the cache has not heard of it.
    """
    wanted = list(dict.fromkeys(_new_names(found)))
    if not wanted or next(dependencies.problems(found), None) is not None:
        return found
    holders = await asyncio.gather(*(_holder(cache, client, kind, key) for kind, key in wanted))
    owner = watches.owner_value(found.key)
    foreign: set[Identity] = set()
    own: list[Object] = []
    for identity, holder in zip(wanted, holders, strict=True):
        if isinstance(holder, Object) and owner in watches.owner_index(holder):
            own.append(holder)
        elif holder is not None:
            foreign.add(identity)
    return dataclasses.replace(found, children=_extended(found.children, own), foreign=frozenset(foreign))


def _new_names(found: Snapshot) -> Iterator[Identity]:
    """Plain names of children that are not there yet. One with a predecessor gets another name anyway."""
    children = found.children
    every = (*children.services, *children.interfaces, *children.chains, *children.dpusets)
    taken = {(type(child), child.metadata.name) for child in every}
    return ((kind, Key(found.key.namespace, name)) for kind, name in _first_names(found) if (kind, name) not in taken)


def _makes_up_for_a_loss(found: Snapshot) -> bool:
    """Whether something has to be made that was there before: the DPUSets, which come last, are there.

    The cache may have heard that it is gone, and not yet that it was made again under another name.
    """
    lost = bool(found.children.dpusets) and any(kind is not DPUSet for kind, _ in _new_names(found))
    return lost and next(dependencies.problems(found), None) is None


def _first_names(found: Snapshot) -> Iterator[tuple[type[Object], str]]:
    """The plain name of every child that is wanted and has no revision that stays."""
    spec, children, deployment = found.deployment.spec, found.children, found.key.name
    if spec is None:
        return
    made = {services.service_of(service) for service in revisions.alive(children.services)}
    roles = {interfaces.role(interface) for interface in revisions.alive(children.interfaces)}
    for service, references in sorted(spec.services.items()):
        if service not in made:
            yield DPUService, naming.service_name(deployment, service)
        for name in _interfaces(found.configurations.get(references.serviceConfiguration)):
            if (service, name) not in roles:
                yield DPUServiceInterface, naming.interface_name(deployment, service, name)
    if spec.serviceChains is not None and not revisions.alive(children.chains):
        yield DPUServiceChain, naming.chain_name(deployment)
    for entry in spec.dpus.dpuSets or ():
        yield DPUSet, naming.dpuset_name(deployment, entry.nameSuffix)


def _interfaces(configuration: DPUServiceConfiguration | None) -> list[str]:
    spec = configuration.spec if configuration is not None else None
    return [interface.name for interface in spec.interfaces or ()] if spec is not None else []


def _extended(children: Children, own: Sequence[Object]) -> Children:
    """`children` with those that the cache has not heard of."""
    return Children(
        services=_joined(children.services, own, DPUService),
        interfaces=_joined(children.interfaces, own, DPUServiceInterface),
        chains=_joined(children.chains, own, DPUServiceChain), dpusets=_joined(children.dpusets, own, DPUSet),
    ) if own else children


def _joined(known: Sequence[T], own: Sequence[Object], kind: type[T]) -> tuple[T, ...]:
    keys = {object_key(obj) for obj in known}
    return (*known, *(obj for obj in own if isinstance(obj, kind) and object_key(obj) not in keys))


async def _holder(cache: Cache, client: Client, kind: type[T], key: Key) -> T | str | None:
    """Who has a name: an object, a text about one that cannot be read, or nobody. The server is asked to be sure."""
    if key in cache.store(kind).unreadable:
        return cache.store(kind).unreadable[key]
    known = cache.get(kind, key)
    if known is not None:
        return known
    try:
        return await client.get(kind, key.name, key.namespace)
    except errors.NotFound:
        return None
    except errors.Invalid as error:
        if error.reason != _UNREADABLE:
            raise
        return str(error)


async def _listed(client: Client, kind: type[T], namespace: str, labels: str) -> tuple[T, ...]:
    """A complete list from the server. What exists but cannot be read must not look absent, hence NotSynced."""
    listing = await client.list(kind, namespace, labels=labels)
    for item in listing.unreadable:
        raise errors.NotSynced(f"{kind.resource.kind} {item.key} cannot be read: {item.why}; correct the object")
    return listing.items
