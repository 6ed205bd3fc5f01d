"""What triggers a pass over a DPUSet beside itself, and how what it needs is found in the cache.

Called by the controller and `observe`. A change is brought to the DPUSets that it concerns, by their selectors or as
owners, so that the devices of one set cost another nothing. Source: behaviour-provisioning.md section 3.1, watches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from dpf.api import names
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.dpuset import DPUSet, DPUSetSpec
from dpf.api.meta import Key, Object, object_key
from dpf.kube.cache import Cache
from dpf.provisioning.dpuset import naming, selection
from dpf.provisioning.dpuset.snapshot import device_of, phase
from dpf.runtime import conditions
from dpf.runtime.reconciler import Watch

BY_OWNER: Final = "dpuset-owner"
BY_DEVICE: Final = "dpuset-device"
BY_COLLISION: Final = "dpuset-collision"
BY_NODE: Final = "dpuset-node"
BY_LABEL: Final = "dpuset-label"
BY_COLLISION_LABEL: Final = "dpuset-collision-label"
WITH_CLUSTER_SELECTOR: Final = "dpuset-cluster-selector"

Maps = Callable[[Any, Any], Iterable[Key]]
"""Of a watch: `maps(old, new)` names roots."""


def build(cache: Callable[[], Cache], urge: Callable[[Key], None]) -> list[Watch]:
    """All watches over the host cluster's cache. `urge` hears of DPUSets that something has happened to.

    It does not hear of the progress of DPUs, which a large set looks at less often (`pace`).
    """
    concerned = _Concerned(cache)

    def at_once(maps: Maps) -> Maps:
        def urging(old: Any, new: Any) -> Iterator[Key]:  # noqa: ANN401 - objects of the watched kind
            for key in maps(old, new):
                urge(key)
                yield key

        return urging

    def of_dpu(old: DPU | None, new: DPU | None) -> Iterable[Key]:
        """A DPU that has got further, or has broken down, is to be counted; what it is asked for is another matter."""
        if _wishes(old) != _wishes(new):
            return at_once(concerned.by_dpu)(old, new)
        return _owner_key(new) if new is not None and _progress(old) != _progress(new) else ()

    return [
        Watch(kind=DPUSet, maps=_nobody, indexes={
            BY_COLLISION_LABEL: _collision_value, WITH_CLUSTER_SELECTOR: _with_cluster_selector,
        }),
        Watch(kind=DPU, maps=of_dpu, indexes={
            BY_OWNER: owner_index, BY_DEVICE: _device_index, BY_COLLISION: _collision_index,
        }),
        Watch(kind=DPUDevice, maps=at_once(concerned.by_device), indexes={BY_NODE: _node_index}),
        Watch(kind=DPUNode, maps=at_once(concerned.by_node), indexes={BY_LABEL: _label_index}),
        Watch(kind=DPUCluster, maps=at_once(concerned.by_cluster)),
        Watch(kind=DPFOperatorConfig, maps=at_once(concerned.by_config)),
    ]


class _Concerned:
    """Which DPUSets have to look at a change."""

    def __init__(self, cache: Callable[[], Cache]) -> None:
        self._cache = cache

    def by_dpu(self, old: DPU | None, new: DPU | None) -> Iterator[Key]:
        """Its DPUSet; the others that want the device hear of its coming and going, and of another owner."""
        both = [dpu for dpu in (old, new) if dpu is not None]
        for dpu in both:
            yield from _owner_key(dpu)
        if old is not None and new is not None and set(owner_index(old)) == set(owner_index(new)):
            return
        for dpu in both:
            yield from self._marking(dpu)
            device = self._cache().get(DPUDevice, Key(dpu.metadata.namespace or "", device_of(dpu)))
            if device is not None:
                yield from self._selecting(device)

    def by_device(self, old: DPUDevice | None, new: DPUDevice | None) -> Iterator[Key]:
        """Who selects it, and who has a DPU for it."""
        if _device_facts(old) == _device_facts(new):
            return
        for device in (old, new):
            if device is not None:
                yield from self._selecting(device)
                for dpu in self._cache().by_index(DPU, BY_DEVICE, str(object_key(device))):
                    yield from _owner_key(dpu)

    def by_node(self, old: DPUNode | None, new: DPUNode | None) -> Iterator[Key]:
        """Who selects it, or did before."""
        if _node_facts(old) == _node_facts(new):
            return
        for node in (old, new):
            if node is not None:
                for dpuset, spec in self._dpusets(node):
                    if selection.selects_node(spec, node):
                        yield object_key(dpuset)

    def by_cluster(self, old: DPUCluster | None, new: DPUCluster | None) -> Iterator[Key]:
        """Whoever chooses among clusters, when its labels change."""
        if _labels(old) != _labels(new):
            for dpuset in self._cache().by_index(DPUSet, WITH_CLUSTER_SELECTOR, ""):
                yield object_key(dpuset)

    def by_config(self, old: DPFOperatorConfig | None, new: DPFOperatorConfig | None) -> Iterator[Key]:
        """All, when DPUs are installed in another way."""
        if _config_facts(old) != _config_facts(new):
            yield from self._cache().store(DPUSet).keys()

    def _selecting(self, device: DPUDevice) -> Iterator[Key]:
        namespace, labels = device.metadata.namespace or "", device.metadata.labels or {}
        node = self._cache().get(DPUNode, Key(namespace, labels.get(names.DPUNODE_NAME_LABEL, "")))
        if node is None:
            return  # nobody selects a device without a host, and who had done so hears of the host or of its DPU
        for dpuset, spec in self._dpusets(device):
            if selection.selects(spec, node, device):
                yield object_key(dpuset)

    def _dpusets(self, obj: Object) -> Iterator[tuple[DPUSet, DPUSetSpec]]:
        """Those of the object's namespace whose selectors mean something."""
        for dpuset in self._cache().list(DPUSet, obj.metadata.namespace or ""):
            if dpuset.spec is not None and selection.problem(dpuset.spec) is None:
                yield dpuset, dpuset.spec

    def _marking(self, dpu: DPU) -> Iterator[Key]:
        for value in _collision_index(dpu):
            for dpuset in self._cache().by_index(DPUSet, BY_COLLISION_LABEL, value):
                yield object_key(dpuset)


def owner_index(dpu: DPU) -> Iterable[str]:
    """The DPUSet of a DPU: the uid of its controller; if it has none, the name on its labels."""
    references = [owner for owner in dpu.metadata.ownerReferences or () if owner.controller]
    if references:
        return [owner.uid for owner in references if owner.kind == DPUSet.resource.kind]
    return [str(key) for key in _labelled(dpu)]


def collision_value(namespace: str, dpuset: str) -> str:
    """Under what DPUs with the collision label of this DPUSet are filed."""
    return f"{namespace}/{naming.collision_label(dpuset)}"


def _owner_key(dpu: DPU) -> Iterator[Key]:
    references = [owner for owner in dpu.metadata.ownerReferences or () if owner.controller]
    for owner in references:
        if owner.kind == DPUSet.resource.kind:
            yield Key(dpu.metadata.namespace or "", owner.name)
    if not references:
        yield from _labelled(dpu)


def _labelled(dpu: DPU) -> Iterator[Key]:
    labels = dpu.metadata.labels or {}
    name, namespace = labels.get(names.DPUSET_NAME_LABEL), labels.get(names.DPUSET_NAMESPACE_LABEL)
    if name and namespace and namespace == dpu.metadata.namespace:
        yield Key(namespace, name)


def _nobody(_old: Any, _new: Any) -> Iterable[Key]:  # noqa: ANN401 - the signature of a mapping
    """The runtime follows the kind itself; siblings concern each other through DPUs only."""
    return ()


def _device_index(dpu: DPU) -> Iterable[str]:
    device = device_of(dpu)
    return (f"{dpu.metadata.namespace}/{device}",) if device else ()


def _collision_index(dpu: DPU) -> Iterable[str]:
    prefix = names.COLLISION_DPUSET_LABEL_PREFIX
    return [f"{dpu.metadata.namespace}/{key}" for key in dpu.metadata.labels or {} if key.startswith(prefix)]


def _collision_value(dpuset: DPUSet) -> Iterable[str]:
    return (collision_value(dpuset.metadata.namespace or "", dpuset.metadata.name),)


def _node_index(device: DPUDevice) -> Iterable[str]:
    node = (device.metadata.labels or {}).get(names.DPUNODE_NAME_LABEL)
    return (f"{device.metadata.namespace}/{node}",) if node else ()


def _label_index(node: DPUNode) -> Iterable[str]:
    return [label_value(node.metadata.namespace or "", value) for value in selection.indexed(node.metadata.labels)]


def label_value(namespace: str, value: str) -> str:
    """Under what DPUNodes of the namespace with a label are filed; `value`: see `selection.indexed`."""
    return f"{namespace}/{value}"


def _with_cluster_selector(dpuset: DPUSet) -> Iterable[str]:
    cluster = dpuset.spec.dpuTemplate.spec.cluster if dpuset.spec is not None else None
    return ("",) if cluster is not None and cluster.selector is not None else ()


def _wishes(dpu: DPU | None) -> object:
    """What a DPU is asked for, by whom, and what is said about that; and whether it stays."""
    if dpu is None:
        return None
    meta, annotations = dpu.metadata, dpu.metadata.annotations or {}
    return (
        meta.uid, meta.deletionTimestamp is None, meta.generation, meta.ownerReferences, meta.labels,
        annotations.get(names.LAST_APPLIED_LABELS_ANNOTATION),
        annotations.get(names.LAST_APPLIED_ANNOTATIONS_ANNOTATION), dpu.spec, dpu.status.outdated,
    )


def _progress(dpu: DPU | None) -> object:
    """How far it is. What happens inside a phase concerns nobody here."""
    if dpu is None:
        return None
    ready = conditions.find(dpu.status.conditions, conditions.READY)
    has_noticed = dpu.status.observedGeneration == dpu.metadata.generation
    return phase(dpu), ready.status if ready is not None else None, has_noticed


def _device_facts(device: DPUDevice | None) -> object:
    if device is None:
        return None
    meta, status = device.metadata, device.status
    return (
        meta.uid, meta.labels, meta.deletionTimestamp is None, device.spec,
        status.pciAddress, status.serialNumber, status.dpuType,
    )


def _node_facts(node: DPUNode | None) -> object:
    return None if node is None else (node.metadata.uid, node.metadata.labels, node.metadata.deletionTimestamp is None)


def _config_facts(config: DPFOperatorConfig | None) -> object:
    if config is None or config.spec is None:
        return None
    return config.spec.deploymentMode, config.spec.provisioningController.installInterface


def _labels(obj: Object | None) -> object:
    return None if obj is None else (obj.metadata.uid, obj.metadata.labels)
