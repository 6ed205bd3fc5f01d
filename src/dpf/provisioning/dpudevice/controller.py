"""DPUDevice: guarantees that the card is attached to the DPUNode that lists it, and carries the labels that select it.

For cards that are reached through their hosts this is all, and makes them Ready. Cards that are reached by their BMCs
are initialised and discovered beside it. Continues: DPUSets, which make a DPU for each card they select. Source:
behaviour-provisioning.md section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar, Final

from dpf.api import names
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU
from dpf.api.dpudevice import ConditionType, DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.meta import Key, Object, object_key
from dpf.kube.cache import Cache
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.dpudevice import plan as planner
from dpf.provisioning.dpudevice import status
from dpf.provisioning.dpudevice.snapshot import Snapshot
from dpf.provisioning.dpunode import interface
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch

_READ = ("get", "list", "watch")
BY_DEVICE: Final = "dpudevice"
"""DPUNodes and DPUs by `namespace/device`, in lower case."""
BY_LOWER_NAME: Final = "dpudevice-lower"
"""DPUDevices by `namespace/name`, in lower case."""


class DPUDeviceController(Reconciler[DPUDevice, Snapshot]):
    """One controller for all DPUDevices of the host cluster."""

    kind = DPUDevice
    name = "dpudevice"
    field_owner = "dpudevice-controller"
    finalizer = names.DPUDEVICE_FINALIZER
    condition_types = (ConditionType.DISCOVERED, ConditionType.NODE_ATTACHED, ConditionType.READY)
    observes_generation = False
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=DPUDevice, verbs=(*_READ, "patch"), subresources=("status", "finalizers")),
        Permission(kind=DPUNode, verbs=(*_READ, "create", "patch")),
        Permission(kind=DPU, verbs=_READ),
        Permission(kind=DPFOperatorConfig, verbs=_READ),
    )

    def __init__(self, *, clusters: ClusterRegistry) -> None:
        self._clusters = clusters

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """DPUNodes that list devices, DPUs on them, and how they are reached at all."""
        return (
            Watch(kind=DPUDevice, maps=_nobody, indexes={BY_LOWER_NAME: by_lower_name}),
            Watch(kind=DPUNode, maps=self._of_lists, indexes={BY_DEVICE: listed}),
            Watch(kind=DPU, maps=self._of_lists, indexes={BY_DEVICE: _used}),
            Watch(kind=DPFOperatorConfig, maps=self._of_config),
        )

    async def observe(self, root: DPUDevice) -> Snapshot:
        """From the cache. Raises kube.errors.NotSynced."""
        where = str(object_key(root)).lower()
        listing = sorted(self._cache.by_index(DPUNode, BY_DEVICE, where), key=object_key)
        configs = self._cache.list(DPFOperatorConfig)
        return Snapshot(
            device=root, dpunode=listing[0] if listing else None,
            interface=interface.interface_of(configs[0] if configs else None),
            dpus=tuple(sorted(self._cache.by_index(DPU, BY_DEVICE, where), key=object_key)),
        )

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """See `plan.plan`."""
        return planner.plan(snapshot)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """See `plan.plan_teardown`."""
        return planner.plan_teardown(snapshot)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """See `status.compute`."""
        return status.compute(snapshot, applied)

    @property
    def _cache(self) -> Cache:
        return self._clusters.host.cache

    def _of_lists(self, old: Object | None, new: Object | None) -> Iterable[Key]:
        """Devices that an object names newly or no longer; a DPU's phase concerns nobody here."""
        before, after = (set(_named(obj)) for obj in (old, new))
        for where in sorted(before ^ after):
            yield from map(object_key, self._cache.by_index(DPUDevice, BY_LOWER_NAME, where))

    def _of_config(self, old: DPFOperatorConfig | None, new: DPFOperatorConfig | None) -> Iterable[Key]:
        if interface.interface_of(old) == interface.interface_of(new):
            return ()
        return self._cache.store(DPUDevice).keys()


def listed(dpunode: DPUNode) -> Iterable[str]:
    """The devices that a DPUNode lists, as `namespace/device` in lower case."""
    namespace = dpunode.metadata.namespace or ""
    refs = (dpunode.spec.dpus if dpunode.spec is not None else None) or ()
    return tuple(str(Key(namespace, ref.name)).lower() for ref in refs)


def by_lower_name(device: DPUDevice) -> Iterable[str]:
    """The key of a device as `listed` gives it."""
    return (str(object_key(device)).lower(),)


def _used(dpu: DPU) -> Iterable[str]:
    name = dpu.spec.dpuDeviceName if dpu.spec is not None else ""
    return (str(Key(dpu.metadata.namespace or "", name)).lower(),) if name else ()


def _named(obj: Object | None) -> Iterable[str]:
    if isinstance(obj, DPUNode):
        return listed(obj)
    return _used(obj) if isinstance(obj, DPU) else ()


def _nobody(old: Object | None, new: Object | None) -> Iterable[Key]:  # noqa: ARG001 - the contract of mappings
    """The runtime follows the root kind itself; this watch only declares an index."""
    return ()
