"""Reads what a pass over a BFB needs: the volume, what goes on beside the passes, rivals and users. Reads only.

Called by the controller. Before a BFB is let go its users are listed fresh, because a cache may be a moment behind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dpf.api.bfb import BFB
from dpf.api.dpu import DPU
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, Object
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.bfb import naming, watches
from dpf.provisioning.bfb.download import Downloads
from dpf.provisioning.bfb.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is read from."""

    clusters: ClusterRegistry
    downloads: Downloads


async def snapshot(world: World, bfb: BFB) -> Snapshot:
    """One look. Raises kube.errors.Error when the host cluster does not answer."""
    name = naming.file_name(bfb)
    rival = naming.holder(bfb, world.clusters.host.cache.by_index(BFB, watches.BY_FILE, name))
    refused = naming.problem(bfb) or (naming.taken(bfb, rival) if rival is not None else None)
    owned = rival is None and naming.holds_name(bfb)
    seen = Snapshot(bfb=bfb, file_name=name, refused=refused, owns_file=owned)
    if bfb.metadata.deletionTimestamp is not None:
        activity = world.downloads.activity(bfb.metadata.uid or "")
        return replace(seen, activity=activity, users=await _users(world, seen.key))
    if naming.problem(bfb) is not None:
        return replace(seen, activity=world.downloads.activity(bfb.metadata.uid or ""))
    # In this order: what has ended by now has its result on the volume.
    activity = world.downloads.activity(bfb.metadata.uid or "")
    return replace(seen, activity=activity, files=await world.downloads.look(bfb.metadata.uid or "", name))


async def _users(world: World, key: Key) -> tuple[str, ...]:
    """`DPUSet: name` and `DPU: name` of all that refer to it; sets first, sorted."""
    cache, client = world.clusters.host.cache, world.clusters.host.client
    dpusets = cache.by_index(DPUSet, watches.BY_BFB, str(key))
    dpus = cache.by_index(DPU, watches.BY_BFB, str(key))
    if not dpusets and not dpus:
        dpusets = tuple(s for s in (await client.list(DPUSet, key.namespace)).items if watches.bfb_of_dpuset(s) == key)
        dpus = tuple(d for d in (await client.list(DPU, key.namespace)).items if watches.bfb_of_dpu(d) == key)
    return (*_named(dpusets), *_named(dpus))


def _named(users: tuple[Object, ...]) -> list[str]:
    return sorted(f"{type(user).resource.kind}: {user.metadata.name}" for user in users)
