"""Host Node: guarantees a DPUDevice for each card that was detected on it, and a DPUNode that lists them.

For host-trusted installations; cards that are reached by their BMCs are found by DPUDiscovery. The DPUNode is owned by
the Node. Continues: `provisioning.dpunode` and `provisioning.dpudevice`. Sources: behaviour-provisioning.md section 4,
resolutions.md row 48.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from dpf.api import core, names
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Key, object_key
from dpf.kube import errors
from dpf.kube.cache import Cache
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.dpunode import interface
from dpf.provisioning.dpunode.registration import features
from dpf.provisioning.dpunode.registration import plan as planner
from dpf.provisioning.dpunode.registration.plan import Snapshot
from dpf.provisioning.maintenance import snapshot as maintenances
from dpf.provisioning.maintenance import watches as effects
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch

_READ = ("get", "list", "watch")
BY_DPUNODE = "registration-dpunode"
"""DPUDevices by the DPUNode that their label names."""
BY_NODE = "registration-node"
"""DPUNodes by the Node that owns them."""
ON_DPUNODE = "registration-dpus"
"""DPUs and effects by `namespace/name` of their DPUNode."""


class DPURegistrationController(Reconciler[core.Node, Snapshot]):
    """One controller for all Nodes of the host cluster. It writes no status and holds no Node back."""

    kind = core.Node
    name = "dpuregistration"
    field_owner = "dpuregistration-controller"
    observes_generation = False
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=core.Node, verbs=_READ),
        Permission(kind=core.Namespace, verbs=("get",)),
        Permission(kind=DPUNode, verbs=(*_READ, "create", "patch", "delete")),
        Permission(kind=DPU, verbs=_READ),
        Permission(kind=DPUNodeMaintenance, verbs=_READ),
        Permission(kind=DPUDevice, verbs=(*_READ, "create", "patch")),
        Permission(kind=DPFOperatorConfig, verbs=_READ),
    )

    def __init__(self, *, clusters: ClusterRegistry, namespace: str = names.DPF_NAMESPACE) -> None:
        self._clusters = clusters
        self._namespace = namespace

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """What was registered, when it changes or goes; how cards are found at all."""
        return (
            Watch(kind=DPUNode, maps=self._of_dpunode, indexes={BY_NODE: _nodes_of}),
            Watch(kind=DPU, maps=self._of_dpu, indexes={ON_DPUNODE: _dpunode_of}),
            Watch(kind=DPUNodeMaintenance, maps=self._of_effect, indexes={ON_DPUNODE: effects.by_dpunode}),
            Watch(kind=DPUDevice, maps=self._of_device, indexes={BY_DPUNODE: _by_dpunode}),
            Watch(kind=DPFOperatorConfig, maps=self._of_config),
        )

    def selects(self, root: core.Node) -> bool:
        """Nodes with cards; heartbeats of all others end here."""
        return bool(features.cards(root))

    async def observe(self, root: core.Node) -> Snapshot:
        """What is registered, from the cache. Raises kube.errors.NotSynced."""
        cache, namespace = self._cache, features.namespace_of(root, self._namespace)
        dpunode = features.dpunode_name(root.metadata.name)
        former = tuple(
            d for d in cache.by_index(DPUNode, BY_NODE, root.metadata.name) if d.metadata.namespace != namespace
        )
        named = (Key(namespace, features.device_name(dpunode, card)) for card in features.cards(root))
        devices = {d.metadata.name: d for d in cache.by_index(DPUDevice, BY_DPUNODE, dpunode)}
        devices |= {d.metadata.name: d for key in named if (d := cache.get(DPUDevice, key)) is not None}
        configs = cache.list(DPFOperatorConfig)
        return Snapshot(
            node=root, lacks_namespace=bool(former) and not await self._exists(namespace),
            namespace=namespace, dpunode=cache.get(DPUNode, Key(namespace, dpunode)), former=former,
            occupied=tuple(str(object_key(d)) for d in former if self._is_occupied(object_key(d))),
            interface=interface.interface_of(configs[0] if configs else None),
            devices=tuple(d for _, d in sorted(devices.items()) if d.metadata.namespace == namespace),
        )

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """See `plan.plan`."""
        return planner.plan(snapshot)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """Nothing: without a finalizer nobody waits for it."""
        return Plan()

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """Nothing: the status of a Node belongs to its kubelet."""
        return Verdict(states={})

    @property
    def _cache(self) -> Cache:
        return self._clusters.host.cache

    def _of_dpunode(self, old: DPUNode | None, new: DPUNode | None) -> Iterable[Key]:
        if old is not None and new is not None and old.spec == new.spec:
            return ()
        return [
            Key("", owner.name) for dpunode in (old, new) if dpunode is not None
            for owner in dpunode.metadata.ownerReferences or () if owner.kind == "Node"
        ]

    def _of_device(self, old: DPUDevice | None, new: DPUDevice | None) -> Iterable[Key]:
        if old is not None and new is not None and old.metadata.labels == new.metadata.labels:
            return ()
        dpunodes = {name for device in (old, new) if device is not None for name in _by_dpunode(device)}
        namespaces = {device.metadata.namespace or "" for device in (old, new) if device is not None}
        found = (self._cache.get(DPUNode, Key(ns, name)) for ns in sorted(namespaces) for name in sorted(dpunodes))
        return [key for dpunode in found if dpunode is not None for key in self._of_dpunode(None, dpunode)]

    def _of_dpu(self, old: DPU | None, new: DPU | None) -> Iterable[Key]:
        """The last one that goes may have held its host in a namespace that it should leave."""
        if old is None or new is not None:
            return ()
        keys = (Key(*where.split("/", 1)) for where in _dpunode_of(old))
        found = [dpunode for key in keys if (dpunode := self._cache.get(DPUNode, key)) is not None]
        return [key for dpunode in found for key in self._of_dpunode(None, dpunode)]

    async def _exists(self, namespace: str) -> bool:
        """Asked only while a host is on its way to another namespace."""
        try:
            await self._clusters.host.client.get(core.Namespace, namespace)
        except errors.NotFound:
            return False
        return True

    def _of_effect(self, old: DPUNodeMaintenance | None, new: DPUNodeMaintenance | None) -> Iterable[Key]:
        """An effect that has gone may have held its host in a namespace that it should leave."""
        if old is None or new is not None:
            return ()
        dpunode = self._cache.get(DPUNode, maintenances.dpunode_key(old))
        return self._of_dpunode(None, dpunode) if dpunode is not None else ()

    def _is_occupied(self, dpunode: Key) -> bool:
        """Whether there are DPUs, or an effect on the host that its namespace has to undo."""
        stores = (self._cache.store(DPU), self._cache.store(DPUNodeMaintenance))
        return any(store.keys_by_index(ON_DPUNODE, str(dpunode)) for store in stores)

    def _of_config(self, old: DPFOperatorConfig | None, new: DPFOperatorConfig | None) -> Iterable[Key]:
        if interface.interface_of(old) == interface.interface_of(new):
            return ()
        return self._cache.store(core.Node).keys()


def _nodes_of(dpunode: DPUNode) -> Iterable[str]:
    """The Node that owns a DPUNode: one that somebody made by hand is nobody's to move."""
    return [owner.name for owner in dpunode.metadata.ownerReferences or () if owner.kind == "Node"]


def _dpunode_of(dpu: DPU) -> Iterable[str]:
    name = dpu.spec.dpuNodeName if dpu.spec is not None else ""
    return (str(Key(dpu.metadata.namespace or "", name)),) if name else ()


def _by_dpunode(device: DPUDevice) -> Iterable[str]:
    name = (device.metadata.labels or {}).get(names.DPUNODE_NAME_LABEL)
    return (name,) if name else ()
