"""What triggers a pass over a DPUNodeMaintenance, and the indexes by which its observation finds things.

Called by the controller and the observation. There are as many maintenances as hosts out of service, so most changes
lead to none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from dpf.api.dpu import DPU
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.meta import Key, Object, object_key
from dpf.kube.cache import Cache
from dpf.runtime.reconciler import Watch
from dpf.services.dpudeployment import revisions
from dpf.services.dpuready import remote
from dpf.services.dpuready.release import requestors

BY_DPUNODE: Final = "dpuready-dpunode"
"""DPUs, and DPUNodeMaintenances that are due, by `namespace/name` of their DPUNode."""
BY_NAME: Final = "dpuready-release-name"
"""DPUs by name, which is that of their Node."""
BY_REQUESTED: Final = "dpuready-requested"
"""DPUNodeMaintenances that are due by `namespace/name` of what their requestors stand for."""
DUE: Final = "dpuready-due"
"""DPUNodeMaintenances that are due, all filed under the empty text."""


def build(cache: Callable[[], Cache]) -> list[Watch]:
    """All watches."""
    maps = _Mappings(cache)
    return [
        Watch(kind=DPUNodeMaintenance, maps=_nobody, indexes={
            BY_DPUNODE: _due_by_dpunode, BY_REQUESTED: _due_by_requested, DUE: _due,
        }),
        Watch(kind=DPU, maps=maps.of_dpu, indexes={BY_DPUNODE: by_dpunode, BY_NAME: lambda d: (d.metadata.name,)}),
        Watch(kind=DPUService, maps=maps.of_revision),
        Watch(kind=DPUServiceChain, maps=maps.of_revision),
        *remote.build(maps.of_nodes, maps.everybody),
    ]


class _Mappings:
    """From a change to the maintenances that it concerns; none when nothing changed that a decision depends on."""

    def __init__(self, cache: Callable[[], Cache]) -> None:
        self._cache = cache

    def of_dpu(self, old: DPU | None, new: DPU | None) -> Iterator[Key]:
        if _dpu_facts(old) != _dpu_facts(new):
            for value in {value for dpu in (old, new) if dpu is not None for value in by_dpunode(dpu)}:
                yield from self._find(BY_DPUNODE, value)

    def of_revision(self, old: Object | None, new: Object | None) -> Iterable[Key]:
        changed = new if new is not None else old
        if changed is None or _revision_facts(old) == _revision_facts(new):
            return ()
        return self._find(BY_REQUESTED, str(object_key(changed)))

    def of_nodes(self, names: Iterable[str]) -> Iterator[Key]:
        if not self.everybody():
            return
        for name in sorted(names):
            for dpu in self._cache().by_index(DPU, BY_NAME, name):
                for value in by_dpunode(dpu):
                    yield from self._find(BY_DPUNODE, value)

    def everybody(self) -> Iterable[Key]:
        return self._find(DUE, "")

    def _find(self, index: str, value: str) -> Iterable[Key]:
        return tuple(self._cache().store(DPUNodeMaintenance).keys_by_index(index, value))


def _nobody(old: Object | None, new: Object | None) -> Iterable[Key]:  # noqa: ARG001 - the contract of mappings
    """The runtime follows the root kind itself; this watch only declares indexes."""
    return ()


def _due(maintenance: DPUNodeMaintenance) -> Iterable[str]:
    return ("",) if requestors.is_due(maintenance) else ()


def _due_by_dpunode(maintenance: DPUNodeMaintenance) -> Iterable[str]:
    return (str(requestors.dpunode_key(maintenance)),) if requestors.is_due(maintenance) else ()


def _due_by_requested(maintenance: DPUNodeMaintenance) -> Iterable[str]:
    if not requestors.is_due(maintenance):
        return ()
    return tuple({str(requestor.key) for requestor in requestors.parsed(maintenance)})


def by_dpunode(dpu: DPU) -> Iterable[str]:
    """`namespace/name` of the DPU's DPUNode."""
    return (str(Key(dpu.metadata.namespace or "", dpu.spec.dpuNodeName)),) if dpu.spec is not None else ()


def _dpu_facts(dpu: DPU | None) -> object:
    return None if dpu is None else (dpu.metadata.deletionTimestamp, dpu.spec, dpu.status.phase)


def _revision_facts(obj: Object | None) -> object:
    if obj is None:
        return None
    meta = obj.metadata
    return meta.uid, meta.generation, meta.deletionTimestamp, meta.labels, revisions.is_ready(obj)
