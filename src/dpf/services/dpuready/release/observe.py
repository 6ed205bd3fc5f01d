"""Reads everything that decides which requestors leave a DPUNodeMaintenance (Snapshot).

Called by the controller at the start of each pass. Caches first; before anybody leaves, the servers are asked: a cache
that is a moment behind shows the revision before, or no DaemonSet yet, and a host that was let go is in use at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from dpf.api.dpu import DPU
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.meta import Key, Object, object_key
from dpf.kube import errors
from dpf.kube.cache import Cache
from dpf.kube.client import Client
from dpf.kube.clusters import ClusterRegistry
from dpf.services.dpuready import nodeviews
from dpf.services.dpuready.release import plan, requestors, watches
from dpf.services.dpuready.release.requestors import Requestor
from dpf.services.dpuready.release.snapshot import Card, Claim, Snapshot

T = TypeVar("T", bound=Object)


async def snapshot(clusters: ClusterRegistry, maintenance: DPUNodeMaintenance) -> Snapshot:
    """One look. Raises kube.errors.Error when the host cluster cannot tell."""
    cache = clusters.host.cache
    dpus = cache.by_index(DPU, watches.BY_DPUNODE, str(requestors.dpunode_key(maintenance)))
    found = Snapshot(
        maintenance=maintenance, cards=tuple(_card(clusters, dpu) for dpu in sorted(dpus, key=object_key)),
        claims=tuple(_claims(cache, maintenance)),
    )
    return await _confirmed(clusters, found) if plan.releases(found) else found


def _card(clusters: ClusterRegistry, dpu: DPU) -> Card:
    key = nodeviews.cluster_key(dpu)
    return Card(dpu=dpu, view=nodeviews.cached(clusters, key, dpu.metadata.name) if key is not None else None)


def _claims(cache: Cache, maintenance: DPUNodeMaintenance) -> Iterator[Claim]:
    for requestor in requestors.parsed(maintenance):
        unreadable = [kind for kind in (DPUService, DPUServiceChain) if requestor.key in cache.store(kind).unreadable]
        if unreadable:
            why = f"{unreadable[0].resource.kind} {requestor.key} cannot be read; correct the object"
            yield Claim(requestor=requestor, why_unknown=why)
            continue
        yield Claim(
            requestor=requestor, service=_owned(requestor, cache.get(DPUService, requestor.key)),
            chain=_owned(requestor, cache.get(DPUServiceChain, requestor.key)),
        )


def _owned(requestor: Requestor, obj: T | None) -> T | None:
    return obj if obj is not None and requestor.is_for(obj) else None


async def _confirmed(clusters: ClusterRegistry, found: Snapshot) -> Snapshot:
    """The same look at the servers, for those who would leave; the others wait for another pass."""
    host = clusters.host.client
    maintenance = await _read(host, DPUNodeMaintenance, object_key(found.maintenance))
    if maintenance is None or not requestors.is_due(maintenance):
        return Snapshot(maintenance=found.maintenance)
    asking = set(requestors.asking(maintenance))
    leaving = [claim for claim in found.claims if not any(True for _ in plan.holds(found, claim))]
    claims = [await _asked(host, claim) for claim in leaving if claim.requestor.text in asking]
    dpus = [card.dpu for card in found.cards] or await _listed(host, maintenance)
    cards = [await _fresh(clusters, dpu) for dpu in dpus]
    return Snapshot(
        maintenance=maintenance, claims=tuple(claims), cards=tuple(card for card in cards if card is not None),
    )


async def _asked(host: Client, claim: Claim) -> Claim:
    requestor = claim.requestor
    return replace(
        claim, service=_owned(requestor, await _read(host, DPUService, requestor.key)),
        chain=_owned(requestor, await _read(host, DPUServiceChain, requestor.key)),
    )


async def _listed(host: Client, maintenance: DPUNodeMaintenance) -> list[DPU]:
    """DPUs of a host that seems to have none."""
    dpunode, namespace = str(requestors.dpunode_key(maintenance)), maintenance.metadata.namespace
    listing = await host.list(DPU, namespace)
    for item in listing.unreadable:
        raise errors.NotSynced(f"DPU {item.key} cannot be read: {item.why}; correct the object")
    return [dpu for dpu in listing.items if dpunode in watches.by_dpunode(dpu)]


async def _fresh(clusters: ClusterRegistry, dpu: DPU) -> Card | None:
    """None when the DPU is gone."""
    current = await _read(clusters.host.client, DPU, object_key(dpu))
    if current is None:
        return None
    key = nodeviews.cluster_key(current)
    if key is None:
        return Card(dpu=current)
    return Card(dpu=current, view=await nodeviews.fresh(clusters, key, current.metadata.name))


async def _read(client: Client, kind: type[T], key: Key) -> T | None:
    """None when the server says that there is none. A text that no object can have for a name names none."""
    try:
        return await client.get(kind, key.name, key.namespace or None)
    except (errors.NotFound, errors.BadRequest):
        return None
