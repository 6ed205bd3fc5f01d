"""What triggers a pass over a DPUNode beside itself. Called by the controller, with `find` into the host's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from dpf.api import core, names
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU, Phase
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Key, Object, object_key
from dpf.api.upkeep import Job
from dpf.provisioning.dpudevice import controller as dpudevices
from dpf.provisioning.dpunode import interface, reboot, snapshot
from dpf.provisioning.maintenance import snapshot as maintenances
from dpf.provisioning.maintenance import watches as effects
from dpf.runtime.reconciler import Watch

BY_OWNER: Final = "dpunode-owner"
"""DPUNodes by the Node that owns them, has their name, or is their kubeNodeRef."""
ON_NODE: Final = "dpunode-dpus"
"""DPUs and DPUDevices by `namespace/name` of the DPUNode."""

Find = Callable[[type[Object], str, str], Iterable[Object]]


def build(find: Find, every: Callable[[], Iterable[Key]]) -> list[Watch]:
    """All watches. `every` gives all DPUNodes."""

    def of_node(old: core.Node | None, new: core.Node | None) -> Iterable[Key]:
        node = new or old
        if node is None or _facts(old) == _facts(new):
            return ()
        return map(object_key, find(DPUNode, BY_OWNER, node.metadata.name))

    def of_config(old: DPFOperatorConfig | None, new: DPFOperatorConfig | None) -> Iterable[Key]:
        return every() if interface.interface_of(old) != interface.interface_of(new) else ()

    def of_device(old: DPUDevice | None, new: DPUDevice | None) -> Iterable[Key]:
        device = new or old
        if device is None or (old is not None and new is not None and _device(old) == _device(new)):
            return ()
        where = str(object_key(device)).lower()
        return {*map(object_key, find(DPUNode, dpudevices.BY_DEVICE, where)), *_nodes(old, new)}

    def of_dpu(old: DPU | None, new: DPU | None) -> Iterable[Key]:
        if old is None or new is None:
            return _nodes(old, new)
        if _dpu(old) == _dpu(new):
            return ()
        alone = {key: len(tuple(find(DPU, ON_NODE, str(key)))) == 1 for key in _nodes(old, new)}
        return [key for key, is_alone in alone.items() if not is_alone or _stage(old) != _stage(new)]

    def of_lists(old: DPUNode | None, new: DPUNode | None) -> Iterable[Key]:
        """Other DPUNodes that list a device which this one lists newly, or no longer."""
        before, after = (set(dpudevices.listed(d)) if d is not None else set() for d in (old, new))
        me = object_key(new or old or DPUNode())
        others = {object_key(d) for where in before ^ after for d in find(DPUNode, dpudevices.BY_DEVICE, where)}
        return others - {me}

    return [
        Watch(kind=DPUNode, maps=of_lists, indexes={BY_OWNER: _nodes_of, dpudevices.BY_DEVICE: dpudevices.listed}),
        Watch(kind=core.Node, maps=of_node),
        Watch(kind=DPU, maps=of_dpu, indexes={ON_NODE: lambda dpu: map(str, _nodes(dpu))}),
        Watch(kind=DPUDevice, maps=of_device, indexes={
            ON_NODE: lambda device: map(str, _nodes(device)),
            dpudevices.BY_LOWER_NAME: dpudevices.by_lower_name,
        }),
        Watch(kind=DPUNodeMaintenance, maps=_of_effect, indexes={effects.BY_DPUNODE: effects.by_dpunode}),
        Watch(kind=DPFOperatorConfig, maps=of_config),
        Watch(kind=Job, labels=names.DPUNODE_NAME_LABEL, maps=_of_job),
    ]


def _of_effect(old: DPUNodeMaintenance | None, new: DPUNodeMaintenance | None) -> Iterable[Key]:
    before, after = (m is not None and effects.counts(m) for m in (old, new))
    found = new or old
    return (maintenances.dpunode_key(found),) if found is not None and before != after else ()


def _nodes(*objects: Any) -> Iterable[Key]:  # noqa: ANN401 - DPUs, DPUDevices and None
    """The DPUNodes that DPUs and DPUDevices name."""
    for obj in objects:
        if isinstance(obj, DPU):
            name = obj.spec.dpuNodeName if obj.spec is not None else ""
        elif isinstance(obj, DPUDevice):
            name = (obj.metadata.labels or {}).get(names.DPUNODE_NAME_LABEL, "")
        else:
            continue
        if name:
            yield Key(obj.metadata.namespace or "", name)


def _nodes_of(dpunode: DPUNode) -> Iterable[str]:
    candidates = (dpunode.metadata.name, snapshot.owner_node(dpunode), dpunode.status.kubeNodeRef)
    return {name for name in candidates if name}


def _dpu(dpu: DPU) -> object:
    return dpu.status.phase, dpu.status.rebootStatus


def _stage(dpu: DPU) -> object:
    """What a host has to know of a DPU that is alone on it; siblings are told of every phase."""
    phase = dpu.status.phase
    if phase in (Phase.REBOOTING, Phase.DELETING):
        return phase, dpu.status.rebootStatus
    return phase in reboot.ON_THE_WAY, dpu.status.rebootStatus


def _of_job(old: Job | None, new: Job | None) -> Iterable[Key]:
    job = new or old
    owners = (job.metadata.ownerReferences if job is not None else None) or ()
    namespace = (job.metadata.namespace if job is not None else None) or ""
    return [Key(namespace, owner.name) for owner in owners if owner.kind == DPUNode.resource.kind]


def _device(device: DPUDevice) -> object:
    return (device.metadata.labels or {}).get(names.DPUNODE_NAME_LABEL)


def _facts(node: core.Node | None) -> object:
    """Heartbeats are none."""
    return None if node is None else (node.metadata.uid, node.metadata.labels, node.metadata.annotations)
