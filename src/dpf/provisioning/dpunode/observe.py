"""Reads what a pass over a DPUNode needs, from the cache, by index. Reads only. Called by the controller."""

from __future__ import annotations

from dpf.api import core
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Key, object_key
from dpf.kube.cache import Cache
from dpf.provisioning.dpudevice import controller as dpudevices
from dpf.provisioning.dpunode import interface, snapshot, watches
from dpf.provisioning.dpunode.snapshot import Snapshot
from dpf.provisioning.maintenance import watches as effects


def snapshot_of(cache: Cache, dpunode: DPUNode) -> Snapshot:
    """One look. Raises kube.errors.NotSynced when the cache cannot tell."""
    where = str(object_key(dpunode))
    configs = cache.list(DPFOperatorConfig)
    owner = snapshot.owner_node(dpunode)
    node = cache.get(core.Node, Key("", owner or dpunode.status.kubeNodeRef or dpunode.metadata.name))
    listed = dpudevices.listed(dpunode)
    devices = {d.metadata.name: d for d in cache.by_index(DPUDevice, watches.ON_NODE, where)}
    for device in listed:
        devices |= {d.metadata.name: d for d in cache.by_index(DPUDevice, dpudevices.BY_LOWER_NAME, device)}
    return Snapshot(
        dpunode=dpunode, node=node, orphaned=owner is not None and node is None,
        interface=interface.interface_of(configs[0] if configs else None),
        dpus=tuple(sorted(cache.by_index(DPU, watches.ON_NODE, where), key=object_key)),
        devices=tuple(device for _, device in sorted(devices.items())),
        shared=tuple(d.rpartition("/")[2] for d in listed if len(cache.by_index(DPUNode, dpudevices.BY_DEVICE, d)) > 1),
        effects=tuple(m for m in cache.by_index(DPUNodeMaintenance, effects.BY_DPUNODE, where) if effects.counts(m)),
    )
