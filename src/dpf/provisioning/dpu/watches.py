"""What triggers a pass over a DPU beside itself, and how DPUs are found in the cache. Called by the controller."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from dpf.api import core, names
from dpf.api.bfb import BFB
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU, ConditionType, Phase
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpucluster import Phase as ClusterPhase
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Key, Object, object_key
from dpf.kube.cache import Cache
from dpf.provisioning.dpu.snapshot import ADMITTED
from dpf.provisioning.maintenance import drain
from dpf.provisioning.maintenance import snapshot as maintenances
from dpf.provisioning.maintenance import watches as effects
from dpf.runtime import conditions
from dpf.runtime.reconciler import Watch

BY_NODE: Final = "dpu-dpunode"
BY_DEVICE: Final = "dpu-dpudevice"
BY_BFB: Final = "dpu-bfb"
BY_FLAVOR: Final = "dpu-flavor"
BY_CLUSTER: Final = "dpu-dpucluster"
"""By `namespace/name` of what the DPU names; "" for a DPU without a DPUCluster."""
BY_NAME: Final = "dpu-name"
BY_PHASE: Final = "dpu-phase"
WAITING: Final = "dpu-waiting"
"""DPUs that wait for a place among the installations."""
BY_SERIAL: Final = "dpu-card"
"""DPUDevices by their serial numbers, in lower case."""
HOMELESS: Final = "dpu-homeless"
"""DPUs that wait for room in a DPUCluster, and for nothing else."""
NO_PLACE: Final = "MaxParallelInstallations"
NO_CLUSTER: Final = "DPUClusterNotAllocated"
_NEXT: Final = 4
"""How many of those that wait are told of one place: the others hear of the next one."""


def build(cache: Callable[[], Cache]) -> list[Watch]:
    """All watches of the host cluster and of the DPU clusters."""
    told = _Concerned(cache)
    return [
        Watch(kind=DPU, maps=told.by_dpu, indexes={
            BY_NODE: _named("dpuNodeName"), BY_DEVICE: _named("dpuDeviceName"), BY_BFB: _named("bfb"),
            BY_FLAVOR: _named("dpuFlavor"), BY_CLUSTER: lambda dpu: (str(cluster_of(dpu) or ""),),
            BY_NAME: lambda dpu: (dpu.metadata.name,), BY_PHASE: lambda dpu: (str(dpu.status.phase),),
            WAITING: _waits_for_place, HOMELESS: _waits_for_cluster,
        }),
        Watch(kind=DPUNode, maps=told.users(BY_NODE, _node_facts)),
        Watch(kind=DPUDevice, maps=told.users(BY_DEVICE, _device_facts), indexes={BY_SERIAL: _serial}),
        Watch(kind=BFB, maps=told.users(BY_BFB, _bfb_facts)),
        Watch(kind=DPUFlavor, maps=told.users(BY_FLAVOR, _generation)),
        Watch(kind=DPUCluster, maps=told.by_cluster),
        Watch(kind=DPUNodeMaintenance, maps=told.by_maintenance, indexes={effects.BY_DPUNODE: effects.by_dpunode}),
        Watch(kind=DPFOperatorConfig, maps=told.by_config),
        Watch(kind=core.Pod, maps=told.by_pod, labels=f"{names.PROVISIONING_COMPONENT_LABEL}={drain.HOST_AGENT}"),
        Watch(kind=core.Node, maps=told.by_node, everywhere=True),
    ]


def cluster_of(dpu: DPU) -> Key | None:
    """The DPUCluster that a DPU belongs to."""
    cluster = dpu.spec.cluster if dpu.spec is not None else None
    if cluster is None or not cluster.name:
        return None
    return Key(cluster.namespace or dpu.metadata.namespace or "", cluster.name)


class _Concerned:
    """Which DPUs have to look at a change."""

    def __init__(self, cache: Callable[[], Cache]) -> None:
        self._cache = cache

    def users(
        self, index: str, facts: Callable[[Any], object],
    ) -> Callable[[Object | None, Object | None], Iterable[Key]]:
        """DPUs that name an object, when something about it has changed that matters to them."""

        def maps(old: Object | None, new: Object | None) -> Iterable[Key]:
            found = new or old
            before, after = (facts(obj) if obj is not None else None for obj in (old, new))
            if found is None or before == after:
                return ()
            return self._find(index, str(object_key(found)))

        return maps

    def by_dpu(self, old: DPU | None, new: DPU | None) -> Iterator[Key]:
        """A place or a cluster's room has become free; the DPU itself the runtime follows."""
        if old is None:
            return
        held, holds = (dpu is not None and dpu.status.phase in ADMITTED for dpu in (old, new))
        if held and not holds:
            yield from heapq.nsmallest(_NEXT, self._find(WAITING, ""))
        if new is None and cluster_of(old) is not None:
            yield from heapq.nsmallest(_NEXT, self._find(HOMELESS, ""))

    def by_cluster(self, old: DPUCluster | None, new: DPUCluster | None) -> Iterator[Key]:
        """Its DPUs when it comes, goes or changes; those without one when it may take them."""
        found = new or old
        if found is None or _cluster_facts(old) == _cluster_facts(new):
            return
        yield from self._find(BY_CLUSTER, str(object_key(found)))
        if new is not None and new.status.phase == ClusterPhase.READY:
            yield from self._find(BY_CLUSTER, "")

    def by_maintenance(self, old: DPUNodeMaintenance | None, new: DPUNodeMaintenance | None) -> Iterator[Key]:
        """The DPUs of the host."""
        found = new or old
        if found is not None and _maintenance_facts(old) != _maintenance_facts(new):
            yield from self._find(BY_NODE, str(maintenances.dpunode_key(found)))

    def by_config(self, old: DPFOperatorConfig | None, new: DPFOperatorConfig | None) -> Iterable[Key]:
        """All, when DPUs are installed in another way."""
        before, after = (config.spec if config is not None else None for config in (old, new))
        if before == after and _upgrade(old) == _upgrade(new):
            return ()
        return self._cache().store(DPU).keys()

    def by_pod(self, old: core.Pod | None, new: core.Pod | None) -> Iterator[Key]:
        """The DPU that a pod of a host is for, or all DPUs of the host."""
        pod = new or old
        namespace = (pod.metadata.namespace if pod is not None else None) or ""
        for owner in (pod.metadata.ownerReferences if pod is not None else None) or ():
            if owner.kind == DPU.resource.kind:
                yield Key(namespace, owner.name)
            elif owner.kind == DPUNode.resource.kind:
                yield from self._find(BY_NODE, str(Key(namespace, owner.name)))

    def by_node(self, old: core.Node | None, new: core.Node | None) -> Iterable[Key]:
        """The DPU that a Node of a DPU cluster is; heartbeats are no change."""
        node = new or old
        if node is None or _kube_node_facts(old) == _kube_node_facts(new):
            return ()
        return self._find(BY_NAME, node.metadata.name)

    def _find(self, index: str, value: str) -> Iterable[Key]:
        return self._cache().store(DPU).keys_by_index(index, value)


def _named(field: str) -> Callable[[DPU], Iterable[str]]:
    def values(dpu: DPU) -> Iterable[str]:
        name = getattr(dpu.spec, field, None) if dpu.spec is not None else None
        return (str(Key(dpu.metadata.namespace or "", name)),) if name else ()

    return values


def _serial(device: DPUDevice) -> Iterable[str]:
    return (device.spec.serialNumber.lower(),) if device.spec is not None else ()


def _waits_for_place(dpu: DPU) -> Iterable[str]:
    found = conditions.find(dpu.status.conditions, ConditionType.PENDING)
    waits = dpu.status.phase == Phase.PENDING and found is not None and found.reason == NO_PLACE
    return ("",) if waits else ()


def _waits_for_cluster(dpu: DPU) -> Iterable[str]:
    found = conditions.find(dpu.status.conditions, ConditionType.INITIALIZED)
    return ("",) if cluster_of(dpu) is None and found is not None and found.reason == NO_CLUSTER else ()


def _node_facts(dpunode: DPUNode) -> object:
    told = dpunode.status
    return dpunode.metadata.generation, told.conditions, told.kubeNodeRef, told.dpuInstallInterface


def _device_facts(device: DPUDevice) -> object:
    return device.metadata.generation, device.metadata.labels, device.status


def _bfb_facts(bfb: BFB) -> object:
    return bfb.metadata.deletionTimestamp, bfb.status.phase, bfb.status.versions, bfb.status.fileName


def _generation(obj: Object) -> object:
    return obj.metadata.uid, obj.metadata.generation


def _cluster_facts(cluster: DPUCluster | None) -> object:
    if cluster is None:
        return None
    meta = cluster.metadata
    return meta.deletionTimestamp, meta.labels, cluster.status.phase, cluster.spec.maxNodes


def _maintenance_facts(maintenance: DPUNodeMaintenance | None) -> object:
    if maintenance is None:
        return None
    return maintenance.metadata.deletionTimestamp, maintenance.spec, maintenance.status.conditions


def _upgrade(config: DPFOperatorConfig | None) -> object:
    return (config.status.version, config.status.targetVersion) if config is not None else None


def _kube_node_facts(node: core.Node | None) -> object:
    """What a DPU has to know of its Node; the heartbeat times in its conditions are not that."""
    if node is None:
        return None
    ready = next((c.status for c in node.status.conditions or () if c.type == "Ready"), None)
    return node.metadata.uid, node.metadata.labels, node.metadata.annotations, ready, node.status.addresses
