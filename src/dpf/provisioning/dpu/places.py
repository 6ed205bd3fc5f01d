"""Places for installations at the same time, and DPUClusters for DPUs without one. Called by `observe`.

Who has a place, and who belongs to which cluster, is in the DPU objects. Between a decision and the moment when the
cache shows it, it is held here: passes that run side by side, over a cache that is late, can never give more than there
is. What is held here is forgotten with the process, and was not acted on then. Source: behaviour-provisioning.md 5.2
and 12.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from dpf.api.dpu import DPU
from dpf.api.dpucluster import DPUCluster, Phase
from dpf.api.meta import Key, object_key
from dpf.kube import selectors
from dpf.kube.cache import Cache
from dpf.provisioning.dpu import watches
from dpf.provisioning.dpu.snapshot import ADMITTED

NOT_READY: Final = "cluster {} is not ready, phase: {}"
FULL: Final = "cluster {} is full, max node: {}"
NONE: Final = "no cluster available"
UNFIT: Final = "no feasible cluster found"


@dataclass(slots=True)
class Places:
    """Of one process, which is the only one that works."""

    cache: Cache
    _admitted: dict[str, Key] = field(default_factory=dict)
    _assigned: dict[str, tuple[Key, Key]] = field(default_factory=dict)

    def admit(self, dpu: DPU, most: int) -> tuple[bool, int]:
        """Whether the DPU has a place, which is held for it from now on; and how many DPUs have one."""
        uid = dpu.metadata.uid or ""
        admitted = self._installing()
        others = len(admitted - {uid})
        if uid not in admitted and others >= most:
            return False, others
        self._admitted[uid] = object_key(dpu)
        return True, others

    def assign(self, dpu: DPU) -> tuple[Key | None, str]:
        """The DPUCluster for the DPU, held for it from now on; or None and why (BP section 12).

        The fullest of those that are Ready, selected and not full: so clusters fill one after the other. Of equals the
        first by name.
        """
        uid = dpu.metadata.uid or ""
        held = self._assigned.get(uid)
        if held is not None and _is_there(self.cache.get(DPUCluster, held[1])):
            return held[1], ""
        clusters = [c for c in self.cache.list(DPUCluster) if _is_there(c)]
        wanted = dpu.spec.cluster.selector if dpu.spec is not None and dpu.spec.cluster is not None else None
        fitting = [c for c in clusters if wanted is None or selectors.matches(wanted, c.metadata.labels)]
        counts = self._counts()
        free = [c for c in fitting if c.status.phase == Phase.READY and counts[object_key(c)] < _most(c)]
        if not free:
            return None, _why(clusters, fitting, counts)
        best = min(free, key=lambda c: (-counts[object_key(c)] / _most(c), object_key(c)))
        self._assigned[uid] = (object_key(dpu), object_key(best))
        return object_key(best), ""

    def give_back(self, dpu: DPU) -> None:
        """The DPU needs nothing that is held only here."""
        self._admitted.pop(dpu.metadata.uid or "", None)
        self._assigned.pop(dpu.metadata.uid or "", None)

    def _installing(self) -> set[str]:
        """Who has a place by what the cache shows, or by what it does not show yet."""
        for uid, key in tuple(self._admitted.items()):
            found = self.cache.get(DPU, key)
            if found is None or found.metadata.uid != uid or found.status.phase != "Pending":
                del self._admitted[uid]
        shown = (self.cache.by_index(DPU, watches.BY_PHASE, str(phase)) for phase in ADMITTED)
        return {dpu.metadata.uid or "" for dpus in shown for dpu in dpus} | set(self._admitted)

    def _counts(self) -> Counter[Key]:
        counts = Counter({
            object_key(cluster): len(self.cache.store(DPU).keys_by_index(watches.BY_CLUSTER, str(object_key(cluster))))
            for cluster in self.cache.list(DPUCluster)
        })
        for uid, (key, cluster) in tuple(self._assigned.items()):
            found = self.cache.get(DPU, key)
            if found is None or found.metadata.uid != uid or watches.cluster_of(found) is not None:
                del self._assigned[uid]
            else:
                counts[cluster] += 1
        return counts


def _is_there(cluster: DPUCluster | None) -> bool:
    return cluster is not None and cluster.metadata.deletionTimestamp is None


def _most(cluster: DPUCluster) -> int:
    return max(1, cluster.spec.maxNodes)


def _why(clusters: Iterable[DPUCluster], fitting: list[DPUCluster], counts: Counter[Key]) -> str:
    """Why none of them takes a DPU, for people."""
    if not fitting:
        return NONE if not list(clusters) else f"{UNFIT}: the DPU's cluster selector matches none"
    told = [
        NOT_READY.format(object_key(c), c.status.phase) if c.status.phase != Phase.READY
        else FULL.format(object_key(c), _most(c))
        for c in sorted(fitting, key=object_key) if c.status.phase != Phase.READY or counts[object_key(c)] >= _most(c)
    ]
    return f"{UNFIT}: {'; '.join(told[:5])}"
