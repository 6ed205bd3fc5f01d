"""DPUDevice: guarantees that the card is attached to the DPUNode that lists it, and can be installed.

A card that is reached through its host is ready when it is attached. The BMC of one that is reached by it is made ours
(password, CAs, certificate), asked who it is, and kept so. Creates the certificates of our own that this needs, and a
DPUNode for a card without a host. Continues: DPUSets, which make a DPU for each card they select. Decision:
docs/adr/0014. Source: behaviour-provisioning.md sections 4 and 9.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, Final

from dpf.api import core, names
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU
from dpf.api.dpudevice import ConditionType, DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.meta import Key, Object, object_key
from dpf.kube.cache import Cache
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.certificates.issuer import REDFISH_CLIENT_SECRET, Issuer
from dpf.provisioning.dpudevice import credentials, observe, status
from dpf.provisioning.dpudevice import plan as planner
from dpf.provisioning.dpudevice.driver import BMCs
from dpf.provisioning.dpudevice.intents import Intent
from dpf.provisioning.dpudevice.snapshot import Snapshot
from dpf.provisioning.dpunode import interface
from dpf.runtime.clock import SystemClock
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch

_READ = ("get", "list", "watch")
BY_DEVICE: Final = observe.BY_DEVICE
"""DPUNodes and DPUs by `namespace/device`, in lower case."""
BY_LOWER_NAME: Final = "dpudevice-lower"
"""DPUDevices by `namespace/name`, in lower case."""
BY_SECRET: Final = "dpudevice-secret"  # noqa: S105 - an index
"""DPUDevices by the Secrets whose passwords they use, or have used."""


class DPUDeviceController(Reconciler[DPUDevice, Snapshot]):
    """One controller for all DPUDevices of the host cluster.

    `bmcs` has the issuer of certificates; without one they are issued in DPF's own namespace.
    """

    kind = DPUDevice
    name = "dpudevice"
    field_owner = "dpudevice-controller"
    finalizer = names.DPUDEVICE_FINALIZER
    condition_types = tuple(ConditionType)
    observes_generation = False
    keeps_unseen_conditions = False
    workers = 64
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=DPUDevice, verbs=(*_READ, "patch"), subresources=("status", "finalizers")),
        Permission(kind=DPUNode, verbs=(*_READ, "create", "patch")),
        Permission(kind=DPU, verbs=_READ),
        Permission(kind=DPFOperatorConfig, verbs=_READ),
        Permission(kind=core.Secret, verbs=_READ),
        Permission(kind=core.ConfigMap, verbs=_READ),
        Permission(kind=core.Secret, verbs=("create", "patch"), namespace=names.DPF_NAMESPACE),
        Permission(kind=core.ConfigMap, verbs=("create", "patch"), namespace=names.DPF_NAMESPACE),
    )

    def __init__(self, *, clusters: ClusterRegistry, bmcs: BMCs | None = None) -> None:
        self._clusters = clusters
        self._given = bmcs

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """DPUNodes that list devices, DPUs on them, how they are reached at all, passwords and CAs."""
        return (
            Watch(kind=DPUDevice, maps=_nobody, indexes={BY_LOWER_NAME: by_lower_name, BY_SECRET: _secrets_of}),
            Watch(kind=DPUNode, maps=self._of_lists, indexes={BY_DEVICE: listed}),
            Watch(kind=DPU, maps=self._of_lists, indexes={BY_DEVICE: _used}),
            Watch(kind=DPFOperatorConfig, maps=self._of_config),
            Watch(kind=core.Secret, maps=self._of_secret),
            Watch(kind=core.ConfigMap, maps=self._of_bundle),
        )

    async def observe(self, root: DPUDevice) -> Snapshot:
        """See `observe.snapshot`."""
        return await observe.snapshot(self._cache, self._bmcs, root)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:
        """See `plan.plan`."""
        return planner.plan(snapshot, now)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """See `plan.plan_teardown`."""
        return planner.plan_teardown(snapshot)

    async def drive(self, intent: Intent) -> Any:  # noqa: ANN401 - the answers of several intents
        """See `BMCs.carry_out`."""
        return await self._bmcs.carry_out(intent)

    async def aclose(self) -> None:
        """Closes the connections to BMCs."""
        await self._bmcs.aclose()

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """See `status.compute`."""
        return status.compute(snapshot, applied, now)

    @cached_property
    def _bmcs(self) -> BMCs:
        """Made when it is needed first: the host cluster has no client before it is connected."""
        clock, host = SystemClock(), self._clusters.host
        return self._given or BMCs(Issuer(host.client, names.DPF_NAMESPACE, clock, cache=host.cache), clock)

    @property
    def _cache(self) -> Cache:
        return self._clusters.host.cache

    def _of_lists(self, old: Object | None, new: Object | None) -> Iterable[Key]:
        """Devices that an object names newly or no longer; a DPU's phase concerns nobody here."""
        before, after = (set(_named(obj)) for obj in (old, new))
        for where in sorted(before ^ after):
            yield from map(object_key, self._cache.by_index(DPUDevice, BY_LOWER_NAME, where))

    def _of_config(self, old: DPFOperatorConfig | None, new: DPFOperatorConfig | None) -> Iterable[Key]:
        before, after = ((interface.interface_of(one), observe.renew_before_s(one)) for one in (old, new))
        return self._all() if before != after else ()

    def _of_secret(self, old: core.Secret | None, new: core.Secret | None) -> Iterable[Key]:
        """Those whose password it is, when that has changed; all of them when our own certificate comes or goes."""
        secret = new or old
        if secret is None or (old is not None and new is not None and old.data == new.data):
            return ()
        key = object_key(secret)
        if key == Key(self._bmcs.issuer.bundle_key.namespace, REDFISH_CLIENT_SECRET):
            return self._all() if old is None or new is None else ()
        return map(object_key, self._cache.by_index(DPUDevice, BY_SECRET, str(key)))

    def _of_bundle(self, old: core.ConfigMap | None, new: core.ConfigMap | None) -> Iterable[Key]:
        config_map = new or old
        if config_map is None or object_key(config_map) != self._bmcs.issuer.bundle_key:
            return ()
        return self._all() if old is None or new is None or old.data != new.data else ()

    def _all(self) -> Iterable[Key]:
        return self._cache.store(DPUDevice).keys()


def listed(dpunode: DPUNode) -> Iterable[str]:
    """The devices that a DPUNode lists, as `namespace/device` in lower case."""
    namespace = dpunode.metadata.namespace or ""
    refs = (dpunode.spec.dpus if dpunode.spec is not None else None) or ()
    return tuple(str(Key(namespace, ref.name)).lower() for ref in refs)


def by_lower_name(device: DPUDevice) -> Iterable[str]:
    """The key of a device as `listed` gives it."""
    return (str(object_key(device)).lower(),)


def _secrets_of(device: DPUDevice) -> Iterable[str]:
    key = credentials.secret_key(device)
    return {str(key), str(Key(key.namespace, device.status.bmcCredentialSecretName or key.name))}


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
