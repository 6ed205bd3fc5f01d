"""What triggers a pass over a DPUNodeMaintenance beside itself, and the indexes by which things are found.

Called by the controller, `observe` and `admission`. NodeMaintenances are not watched: their kind need not be served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from dpf.api import core, names
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU
from dpf.api.dpunode import ConditionType, DPUNode
from dpf.api.dpunodemaintenance import ConditionType as MaintenanceCondition
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Key, Object, object_key
from dpf.api.upkeep import Job
from dpf.provisioning.maintenance import snapshot as values
from dpf.runtime import conditions
from dpf.runtime.reconciler import Watch

BY_DPUNODE: Final = "maintenance-dpunode"
"""DPUNodeMaintenances by `namespace/name` of the DPUNode."""
BY_REQUESTOR: Final = "maintenance-requestor"
"""DPUNodeMaintenances by `namespace/requestor`."""
COUNTED: Final = "maintenance-counted"
"""DPUNodeMaintenances whose host may be out of service."""
BY_NODE: Final = "maintenance-node"
"""DPUNodes by the Node of the host cluster."""
NOT_READY: Final = "maintenance-not-ready"
"""DPUNodes that are not Ready."""
YES: Final = "yes"

Find = Callable[[type[Object], str, str], Iterable[Object]]


def build(find: Find) -> list[Watch]:
    """All watches. `find(kind, index, value)` looks into the cache of the host cluster."""
    maps = _Mappings(find)
    return [
        Watch(kind=DPUNodeMaintenance, maps=maps.of_maintenance, indexes={
            BY_DPUNODE: by_dpunode, BY_REQUESTOR: _by_requestor,
            COUNTED: lambda m: _filed(counts(m)),
        }),
        Watch(kind=DPUNode, maps=maps.of_dpunode, indexes={
            BY_NODE: _by_node, NOT_READY: lambda d: _filed(is_not_ready(d)),
        }),
        Watch(kind=core.Node, maps=maps.of_node),
        Watch(kind=DPU, maps=maps.of_dpu),
        Watch(kind=DPFOperatorConfig, maps=maps.of_config),
        Watch(kind=Job, labels=names.DPUNODE_NAME_LABEL, maps=_of_job),
    ]


class _Mappings:
    """From a change to the maintenances that it concerns; none when nothing changed that a decision depends on."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._waiting: dict[Key, None] = {}
        """Who waits for a place, in the order in which the cache has told it: it tells every change."""

    def of_maintenance(self, old: DPUNodeMaintenance | None, new: DPUNodeMaintenance | None) -> Iterable[Key]:
        if new is not None and _waits(new):
            self._waiting.setdefault(object_key(new))
        elif (gone := new or old) is not None:
            self._waiting.pop(object_key(gone), None)
        freed = old is not None and counts(old) and (new is None or not counts(new))
        return self._next_in_line() if freed else ()

    def of_dpunode(self, old: DPUNode | None, new: DPUNode | None) -> Iterable[Key]:
        if old is not None and is_not_ready(old) and (new is None or not is_not_ready(new)):
            yield from self._next_in_line()
        if _dpunode_facts(old) != _dpunode_facts(new):
            yield from self._of_dpunodes(d for d in (new or old,) if d is not None)

    def of_node(self, old: core.Node | None, new: core.Node | None) -> Iterable[Key]:
        node = new or old
        if node is None or _node_facts(old) == _node_facts(new):
            return ()
        return self._of_dpunodes(self._find(DPUNode, BY_NODE, node.metadata.name))

    def of_dpu(self, old: DPU | None, new: DPU | None) -> Iterable[Key]:
        dpu = new or old
        if dpu is None or _dpu_facts(old) == _dpu_facts(new):
            return ()
        return [object_key(m) for m in self._find(DPUNodeMaintenance, BY_REQUESTOR, str(object_key(dpu)))]

    def of_config(self, old: DPFOperatorConfig | None, new: DPFOperatorConfig | None) -> Iterable[Key]:
        if old is not None and new is not None and old.spec == new.spec:
            return ()
        return tuple(self._waiting)

    def _of_dpunodes(self, dpunodes: Iterable[Object]) -> Iterable[Key]:
        for dpunode in dpunodes:
            yield from map(object_key, self._find(DPUNodeMaintenance, BY_DPUNODE, str(object_key(dpunode))))

    def _next_in_line(self) -> Iterable[Key]:
        """Somebody to look for each place that becomes free; who looks in vain is asked again after all others."""
        for key in tuple(self._waiting)[:1]:
            del self._waiting[key]
            self._waiting[key] = None
            yield key


def counts(maintenance: DPUNodeMaintenance) -> bool:
    """Whether the host may be out of service because of it."""
    return values.is_committed(maintenance) and not values.is_harmless(maintenance)


def is_not_ready(dpunode: DPUNode) -> bool:
    """Whether it says so; one that nobody has looked at says nothing."""
    ready = conditions.find(dpunode.status.conditions, ConditionType.READY)
    return ready is not None and ready.status == conditions.Status.FALSE


def _waits(maintenance: DPUNodeMaintenance) -> bool:
    found = conditions.find(maintenance.status.conditions, MaintenanceCondition.NODE_EFFECT_APPLIED)
    pending = found is None or found.reason == conditions.Reason.PENDING
    return pending and maintenance.metadata.deletionTimestamp is None


def by_dpunode(maintenance: DPUNodeMaintenance) -> Iterable[str]:
    """The DPUNode, as the index has it."""
    return (str(values.dpunode_key(maintenance)),)


def _filed(yes: bool) -> Iterable[str]:
    return (YES,) if yes else ()


def _by_requestor(maintenance: DPUNodeMaintenance) -> Iterable[str]:
    namespace = maintenance.metadata.namespace or ""
    return tuple(str(Key(namespace, requestor)) for requestor in values.requestors(maintenance))


def _by_node(dpunode: DPUNode) -> Iterable[str]:
    return (dpunode.status.kubeNodeRef,) if dpunode.status.kubeNodeRef else ()


def _of_job(old: Job | None, new: Job | None) -> Iterable[Key]:
    job = new or old
    owners = job.metadata.ownerReferences or () if job is not None else ()
    return [
        Key(job.metadata.namespace or "", owner.name) for owner in owners
        if job is not None and owner.kind == DPUNodeMaintenance.resource.kind
    ]


def _dpunode_facts(dpunode: DPUNode | None) -> object:
    return None if dpunode is None else (dpunode.status.kubeNodeRef, values.has_siblings(dpunode))


def _node_facts(node: core.Node | None) -> object:
    """Heartbeats are none."""
    return None if node is None else (node.spec, node.metadata.labels, node.metadata.annotations)


def _dpu_facts(dpu: DPU | None) -> object:
    key = names.WAIT_FOR_EXTERNAL_NODE_EFFECT_ANNOTATION
    return None if dpu is None else (dpu.status.phase, (dpu.metadata.annotations or {}).get(key))
