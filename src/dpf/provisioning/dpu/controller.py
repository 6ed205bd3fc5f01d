"""DPU: guarantees that a card becomes, or says why it does not become, a Ready Node of its DPU cluster.

One pass is one look and at most one move between phases (`phases/table`); the move is written before the next phase
does anything. What installs is found again after any crash. Writes the DPU's status, its spec.cluster once, its Node,
tokens, a file on the volume of the BFBs, pods on its host, and asks DPUNodeMaintenances. Continues: DPUServices, which
are installed on the Node. Source: behaviour-provisioning.md section 5.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, Final

from dpf.api import core, names
from dpf.api.bfb import BFB
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU, ConditionType
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.kube.cache import Cache
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.certificates import issuer as certificates
from dpf.provisioning.dpu import observe, status, watches
from dpf.provisioning.dpu import plan as planner
from dpf.provisioning.dpu.apply import Driver
from dpf.provisioning.dpu.intents import Intent
from dpf.provisioning.dpu.places import Places
from dpf.provisioning.dpu.snapshot import Settings, Snapshot
from dpf.provisioning.hostpods import driver as hostpods
from dpf.provisioning.join import permissions as joining
from dpf.runtime.clock import Clock
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch

_READ = ("get", "list", "watch")


CONDITIONS: Final = (
    ConditionType.READY, ConditionType.INITIALIZED, ConditionType.DPU_FLAVOR_EXISTS, ConditionType.DPU_FLAVOR_RENDERED,
    ConditionType.BFB_READY, ConditionType.PENDING, ConditionType.NODE_EFFECT_READY,
    ConditionType.INTERFACE_INITIALIZED, ConditionType.ARM_FORCE_RESTARTED, ConditionType.FW_CONFIGURED,
    ConditionType.BFB_PREPARED, ConditionType.BFB_TRANSFERRED, ConditionType.OS_INSTALLED, ConditionType.DPU_CONFIG,
    ConditionType.REBOOTED, ConditionType.HOST_NETWORK_READY, ConditionType.DPU_CLUSTER_READY,
    ConditionType.SERVICE_READINESS, ConditionType.NODE_EFFECT_REMOVED, ConditionType.ERROR, ConditionType.DELETING,
)
"""Those that this release writes, in the order in which they come about."""


class DPUController(Reconciler[DPU, Snapshot]):
    """One controller for all DPUs. Its passes wait for cards, so there are many at the same time."""

    kind = DPU
    name = "dpu"
    field_owner = "dpu-controller"
    finalizer = names.DPU_FINALIZER
    condition_types = CONDITIONS
    keeps_unseen_conditions = False
    workers = 64
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=DPU, verbs=(*_READ, "patch"), subresources=("status", "finalizers")),
        *(Permission(kind=kind, verbs=_READ) for kind in (
            DPUNode, DPUDevice, BFB, DPUFlavor, DPUCluster, DPFOperatorConfig,
        )),
        Permission(kind=core.Node, verbs=_READ),
        Permission(kind=DPUNodeMaintenance, verbs=(*_READ, "create", "patch")),
        Permission(kind=core.Role, verbs=("list",)),
        Permission(kind=core.RoleBinding, verbs=("list",)),
        Permission(kind=core.Node, verbs=(*_READ, "patch", "delete"), everywhere=True),
        *joining.PERMISSIONS, *hostpods.PERMISSIONS, *certificates.PERMISSIONS,
    )

    def __init__(
        self, *, clusters: ClusterRegistry, driver: Driver, settings: Settings, clock: Clock,
        closing: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        self._clusters = clusters
        self._driver = driver
        self._clock = clock
        self._closing = tuple(closing)
        self._world = observe.World(
            clusters=clusters, installers=dict(driver.installers), leftovers=driver, usual=settings,
            places=Places(clusters.host.cache),
        )

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """See `watches.build`."""
        return watches.build(self._cache)

    async def observe(self, root: DPU) -> Snapshot:
        """See `observe.snapshot`."""
        return await observe.snapshot(self._world, root, self._clock.now())

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:
        """See `plan.plan`."""
        return planner.plan(snapshot, now)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:
        """See `plan.plan_teardown`."""
        return planner.plan_teardown(snapshot, now)

    async def drive(self, intent: Intent) -> Any:  # noqa: ANN401 - each intent names its answer
        """See `Driver.carry_out`."""
        return await self._driver.carry_out(intent)

    async def aclose(self) -> None:
        """Closes the connections to cards."""
        for close in self._closing:
            await close()

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """See `status.compute`."""
        return status.compute(snapshot, applied, now)

    def _cache(self) -> Cache:
        return self._clusters.host.cache
