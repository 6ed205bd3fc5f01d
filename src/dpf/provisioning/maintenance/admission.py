"""Gives hosts a place among those that may be out of service at the same time.

Called by `observe`. A maintenance with a place says so in its status, and is counted by that. Between the decision and
the moment when the cache shows that status, the place is held here: passes that run side by side, over a cache that is
late, can never give more places than there are. What is held here is forgotten with the process; nothing has been done
to those hosts then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Key, object_key
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.maintenance import snapshot as values
from dpf.provisioning.maintenance import watches
from dpf.provisioning.maintenance.snapshot import Limits


class Admissions:
    """The places of one process, which is the only one that works."""

    def __init__(self, clusters: ClusterRegistry) -> None:
        self._clusters = clusters
        self._held: dict[Key, tuple[str, Key]] = {}
        self._asked_server = False
        self._beginning = asyncio.Lock()

    async def is_full(self, maintenance: DPUNodeMaintenance, limits: Limits) -> bool:
        """Whether there is no place for the host; if there is one, it is held for it from now on.

        Raises kube.errors.Error when the host cluster cannot be read.
        """
        await self._begin()
        self._forget()
        own = values.dpunode_key(maintenance)
        if len(self._out_of_service() - {own}) >= limits.max_unavailable:
            return True
        self._held[object_key(maintenance)] = (maintenance.metadata.uid or "", own)
        return False

    def give_back(self, key: Key) -> None:
        """The maintenance of that name needs no place (any more), as far as it is only held here."""
        self._held.pop(key, None)

    async def _begin(self) -> None:
        """Once: who worked before us may have given places that the cache does not show yet."""
        async with self._beginning:
            if self._asked_server:
                return
            listing = await self._clusters.host.client.list(DPUNodeMaintenance)
            for maintenance in filter(watches.counts, listing.items):
                self._held[object_key(maintenance)] = (maintenance.metadata.uid or "", values.dpunode_key(maintenance))
            self._asked_server = True

    def _forget(self) -> None:
        """What the cache shows as counted needs no place here; what is gone, or going uncounted, needs none at all."""
        for key, (uid, _) in tuple(self._held.items()):
            found = self._clusters.host.cache.get(DPUNodeMaintenance, key)
            gone = found is None or found.metadata.uid != uid or found.metadata.deletionTimestamp is not None
            if found is None or gone or watches.counts(found):
                del self._held[key]

    def _out_of_service(self) -> set[Key]:
        return {*self._by_status(), *(dpunode for _, dpunode in self._held.values())}

    def _by_status(self) -> Iterator[Key]:
        cache = self._clusters.host.cache
        yield from map(values.dpunode_key, cache.by_index(DPUNodeMaintenance, watches.COUNTED, watches.YES))
        yield from map(object_key, cache.by_index(DPUNode, watches.NOT_READY, watches.YES))
