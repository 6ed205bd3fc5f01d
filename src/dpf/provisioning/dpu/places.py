"""Places for installations at the same time, and DPUClusters for DPUs without one. Called by `observe`.

Who has a place, and who belongs to which cluster, is in the DPU objects. Between a decision and the moment when the
cache shows it, it is held here: passes that run side by side, over a cache that is late, can never give more than there
is. What is held here is forgotten with the process, and was not acted on then. Source: behaviour-provisioning.md 5.2
and 12.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dpf.api.dpu import DPU, Phase
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpucluster import Phase as ClusterPhase
from dpf.api.meta import Key, object_key
from dpf.kube import selectors
from dpf.kube.cache import Cache
from dpf.provisioning.dpu import watches
from dpf.provisioning.dpu.snapshot import ADMITTED

NOT_READY: Final = "cluster {} is not ready, phase: {}"
FULL: Final = "cluster {} is full, max node: {}"
TAKEN: Final = "cluster {} has a Node of that name, which is another DPU's"
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
        others = self._installing(but=dpu)
        if uid not in self._admitted and others >= most:
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
        counts, taken = self._counts(), self._taken(dpu)
        refusals = {object_key(c): why for c in fitting if (why := _refusal(c, counts, taken))}
        free = [c for c in fitting if object_key(c) not in refusals]
        if not free:
            return None, _why(clusters, refusals)
        best = min(free, key=lambda c: (-counts[object_key(c)] / _most(c), object_key(c)))
        self._assigned[uid] = (object_key(dpu), object_key(best))
        return object_key(best), ""

    def give_back(self, dpu: DPU) -> None:
        """The DPU needs nothing that is held only here."""
        self._admitted.pop(dpu.metadata.uid or "", None)
        self._assigned.pop(dpu.metadata.uid or "", None)

    def _installing(self, *, but: DPU) -> int:
        """How many others have a place by what the cache shows, or by what it does not show yet.

        Asked for each DPU that begins, so what the cache shows is counted without being read.
        """
        store = self.cache.store(DPU)
        pending = store.keys_by_index(watches.BY_PHASE, Phase.PENDING)
        for uid, key in tuple(self._admitted.items()):
            found = self.cache.get(DPU, key) if key in pending else None
            if found is None or found.metadata.uid != uid:
                del self._admitted[uid]
        shown = [store.keys_by_index(watches.BY_PHASE, phase) for phase in ADMITTED]
        others = sum(map(len, shown)) - sum(object_key(but) in keys for keys in shown)
        return others + len(self._admitted) - (but.metadata.uid in self._admitted)

    def _taken(self, dpu: DPU) -> set[Key]:
        """DPUClusters with a Node of that name, which is another DPU's."""
        namesakes = self.cache.by_index(DPU, watches.BY_NAME, dpu.metadata.name)
        others = {o.metadata.uid: watches.cluster_of(o) for o in namesakes if o.metadata.uid != dpu.metadata.uid}
        held = {uid: where for uid, (key, where) in self._assigned.items() if key.name == dpu.metadata.name}
        return {key for uid, key in [*others.items(), *held.items()] if key is not None and uid != dpu.metadata.uid}

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


def _refusal(cluster: DPUCluster, counts: Counter[Key], taken: set[Key]) -> str:
    """Why a cluster takes no DPU just now; empty when it does."""
    key = object_key(cluster)
    if cluster.status.phase != ClusterPhase.READY:
        return NOT_READY.format(key, cluster.status.phase)
    if counts[key] >= _most(cluster):
        return FULL.format(key, _most(cluster))
    return TAKEN.format(key) if key in taken else ""


def _why(clusters: Iterable[DPUCluster], refusals: Mapping[Key, str]) -> str:
    """Why none of them takes a DPU, for people."""
    if not refusals:
        return NONE if not list(clusters) else f"{UNFIT}: the DPU's cluster selector matches none"
    return f"{UNFIT}: {'; '.join([refusals[key] for key in sorted(refusals)][:5])}"
