"""DPUDiscovery: guarantees that the BMCs of a range of addresses are looked for from time to time.

Makes a DPUDevice for each DPU that it finds and, where the DPFOperatorConfig wants it, a DPUNode. Changes the factory's
password of BMCs to ours on the way, because they answer to nothing else. Never changes or deletes what it has made.
Continues: the DPUDevice controller. Source: behaviour-provisioning.md section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

from dpf.api import core
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpudiscovery import ConditionType, DPUDiscovery
from dpf.api.dpunode import DPUNode
from dpf.api.meta import Key, object_key
from dpf.kube.cache import Cache
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.dpudevice.credentials import SHARED_SECRET
from dpf.provisioning.dpudiscovery import observe, status
from dpf.provisioning.dpudiscovery import plan as planner
from dpf.provisioning.dpudiscovery.scanning import Scans
from dpf.provisioning.dpudiscovery.snapshot import Job, Snapshot
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch

_READ = ("get", "list", "watch")


class DPUDiscoveryController(Reconciler[DPUDiscovery, Snapshot]):
    """One controller for all DPUDiscoveries of the host cluster."""

    kind = DPUDiscovery
    name = "dpudiscovery"
    field_owner = "dpudiscovery-controller"
    condition_types = tuple(ConditionType)
    observes_generation = False
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=DPUDiscovery, verbs=(*_READ, "patch"), subresources=("status",)),
        Permission(kind=DPUDevice, verbs=(*_READ, "create", "patch")),
        Permission(kind=DPUNode, verbs=(*_READ, "create", "patch")),
        Permission(kind=DPFOperatorConfig, verbs=_READ),
        Permission(kind=core.Secret, verbs=_READ),
    )

    def __init__(self, *, clusters: ClusterRegistry, scans: Scans) -> None:
        self._clusters = clusters
        self._scans = scans

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """How DPUs are reached, and the password; what is known is read when a scan needs it."""
        return (
            Watch(kind=DPFOperatorConfig, maps=self._of_config),
            Watch(kind=core.Secret, maps=self._of_secret),
            Watch(kind=DPUDevice, maps=_nobody),
            Watch(kind=DPUNode, maps=_nobody),
        )

    async def observe(self, root: DPUDiscovery) -> Snapshot:
        """See `observe.snapshot`."""
        return observe.snapshot(self._cache, self._scans, root)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:
        """See `plan.plan`."""
        return planner.plan(snapshot, now)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """Nothing: what it found stays, and there is no finalizer."""
        return Plan(release=True)

    async def drive(self, intent: Job) -> None:
        """See `Scans.start`."""
        await self._scans.start(intent)

    async def aclose(self) -> None:
        """Ends the scans."""
        await self._scans.aclose()

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """See `status.compute`."""
        return status.compute(snapshot, applied)

    @property
    def _cache(self) -> Cache:
        return self._clusters.host.cache

    def _of_config(self, old: DPFOperatorConfig | None, new: DPFOperatorConfig | None) -> Iterable[Key]:
        before, after = (
            one.spec.provisioningController.installInterface if one is not None and one.spec is not None else None
            for one in (old, new)
        )
        return self._cache.store(DPUDiscovery).keys() if before != after or old is None or new is None else ()

    def _of_secret(self, old: core.Secret | None, new: core.Secret | None) -> Iterable[Key]:
        secret = new or old
        if secret is None or secret.metadata.name != SHARED_SECRET:
            return ()
        return map(object_key, self._cache.list(DPUDiscovery, secret.metadata.namespace))


def _nobody(old: Any, new: Any) -> Iterable[Key]:  # noqa: ANN401, ARG001 - the contract of mappings
    """A device more is no reason to scan."""
    return ()
