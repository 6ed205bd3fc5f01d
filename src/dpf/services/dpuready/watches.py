"""What triggers a pass over a DPU beside itself, and how DPUs are found in the cache.

Called by the controller. Pods and Nodes of DPU clusters lead to one DPU; what is said about all of them at once, such
as a chain that becomes ready, leads to all that are installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from dpf.api import names
from dpf.api.dpu import DPU
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.meta import Key, Object, object_key
from dpf.kube.cache import Cache
from dpf.runtime.reconciler import Watch
from dpf.services.dpudeployment import revisions
from dpf.services.dpuready import nodeviews, remote
from dpf.services.dpuready.snapshot import is_installed

BY_NAME: Final = "dpuready-name"
"""Installed DPUs by name, which is that of their Node."""
BY_CLUSTER: Final = "dpuready-cluster"
"""Installed DPUs by `namespace/name` of their DPUCluster."""
INSTALLED: Final = "dpuready-installed"
"""Installed DPUs, all filed under the empty text."""


def build(cache: Callable[[], Cache]) -> list[Watch]:
    """All watches."""
    maps = _Mappings(cache)
    return [
        Watch(kind=DPU, maps=_nobody, indexes={BY_NAME: _by_name, BY_CLUSTER: _by_cluster, INSTALLED: _installed}),
        Watch(kind=DPUCluster, maps=maps.of_cluster),
        Watch(kind=DPUService, maps=maps.of_all(_service_facts)),
        Watch(kind=DPUServiceInterface, maps=maps.of_all(_part_facts)),
        Watch(kind=DPUServiceChain, maps=maps.of_all(_part_facts)),
        *remote.build(maps.of_nodes, maps.everybody),
    ]


class _Mappings:
    """From a change to the DPUs that it concerns; none when nothing changed that is told of."""

    def __init__(self, cache: Callable[[], Cache]) -> None:
        self._cache = cache

    def of_cluster(self, old: DPUCluster | None, new: DPUCluster | None) -> Iterable[Key]:
        cluster = new if new is not None else old
        before, after = (c.metadata.labels if c is not None else None for c in (old, new))
        if cluster is None or ((old is None) == (new is None) and before == after):
            return ()
        return self._find(BY_CLUSTER, str(object_key(cluster)))

    def of_all(
        self, facts: Callable[[Any], object]
    ) -> Callable[[Object | None, Object | None], Iterable[Key]]:
        """Every DPU, when these facts of an object change."""

        def maps(old: Object | None, new: Object | None) -> Iterable[Key]:
            before, after = (facts(obj) if obj is not None else None for obj in (old, new))
            return self.everybody() if before != after else ()

        return maps

    def of_nodes(self, names: Iterable[str]) -> Iterator[Key]:
        for name in sorted(names):
            yield from self._find(BY_NAME, name)

    def everybody(self) -> Iterable[Key]:
        return self._find(INSTALLED, "")

    def _find(self, index: str, value: str) -> Iterable[Key]:
        return tuple(self._cache().store(DPU).keys_by_index(index, value))


def _nobody(old: Object | None, new: Object | None) -> Iterable[Key]:  # noqa: ARG001 - the contract of mappings
    """The runtime follows the root kind itself; this watch only declares indexes."""
    return ()


def _by_name(dpu: DPU) -> Iterable[str]:
    return (dpu.metadata.name,) if is_installed(dpu) else ()


def _by_cluster(dpu: DPU) -> Iterable[str]:
    key = nodeviews.cluster_key(dpu)
    return (str(key),) if key is not None and is_installed(dpu) else ()


def _installed(dpu: DPU) -> Iterable[str]:
    return ("",) if is_installed(dpu) else ()


def _service_facts(service: DPUService) -> object:
    """Readiness counts until the service is installed; what charts are given does not."""
    spec, meta = service.spec, service.metadata
    if spec is None:
        return None
    nodes = spec.serviceDaemonSet.nodeSelector if spec.serviceDaemonSet is not None else None
    is_system = names.COMPONENT_LABEL in (meta.labels or {})
    placed = (spec.serviceID, spec.deployInCluster, spec.paused, spec.dpuClusterSelector, nodes)
    return meta.deletionTimestamp, is_system, placed, revisions.is_ready(service)


def _part_facts(part: DPUServiceInterface | DPUServiceChain) -> object:
    spec = part.spec
    if spec is None:
        return None
    placed = (spec.dpuClusterSelector, spec.clusterSelector, spec.template.spec.nodeSelector)
    return part.metadata.deletionTimestamp, placed, revisions.is_ready(part)
