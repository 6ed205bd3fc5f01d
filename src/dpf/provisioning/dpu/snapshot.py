"""Every fact that a decision about one DPU needs, as plain values. Pure. `observe` makes them for the phases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from dpf.api import core, names
from dpf.api.bfb import BFB
from dpf.api.dpfoperatorconfig import DeploymentMode
from dpf.api.dpu import DPU, ConditionType, DPUSpec, Phase
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Condition, Key, object_key
from dpf.api.provisioning import InstallInterface
from dpf.provisioning.dpu import tracker
from dpf.provisioning.hostpods.state import PodState
from dpf.provisioning.install.port import Card, Sight, Silence
from dpf.runtime import clock, conditions

ADMITTED: Final = frozenset({
    Phase.NODE_EFFECT, Phase.INITIALIZE_INTERFACE, Phase.PERFORM_ARM_FORCE_RESTART, Phase.CONFIG_FW_PARAMETERS,
    Phase.UPDATE_FIRMWARE, Phase.PREPARE_BFB, Phase.OS_INSTALLING,
})
"""Phases in which a DPU occupies one of the places for installations at the same time (BP 5.2)."""
UNBEGUN: Final = frozenset({Phase.INITIALIZING, Phase.PENDING})
"""Phases in which neither the host nor the card was touched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How DPUs are installed, from the DPFOperatorConfig and the command line; lengths of time in seconds.

    `registry` is host and port of our registry as BMCs reach it. `folder` is the volume with the BFBs. 0 means no limit
    for `removal_timeout_s`.
    """

    version: str
    interface: InstallInterface = InstallInterface.GNOI
    mode: DeploymentMode = DeploymentMode.HOST_TRUSTED
    registry: str = ""
    folder: str = "/bfb"
    parallel_installations: int = 50
    install_attempts: int = 2
    install_timeout_s: float = 3600.0
    removal_timeout_s: float = 0.0
    control_plane_mtu: int = 1500
    high_speed_mtu: int = 1500
    upgrade: str | None = None
    """From and to which version the platform is being upgraded just now, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """What could not be read; nothing follows from it. `why` is for people."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One DPU and what it depends on. None: it does not exist, or was not read because the phase does not need it.

    `allocated` is the DPUCluster that is proposed for a DPU without one, `unallocated` why there is none. `place` tells
    whether the DPU may be installed now, beside the others. `sight` is what the card said in this pass. `node` is the
    Node in the DPU cluster. `maintenances` are those of the host that concern this DPU. `siblings` are the other DPUs
    of the host. `rival` is another DPU that has the same card, `namesake` another one that has the same Node; both
    are looked for before anything is done. `remains` names what was made for the DPU and is left.
    """

    dpu: DPU
    settings: Settings
    dpunode: DPUNode | None = None
    device: DPUDevice | None = None
    host_node: core.Node | None = None
    bfb: BFB | None = None
    flavor: DPUFlavor | None = None
    cluster: DPUCluster | None = None
    allocated: Key | None = None
    unallocated: str | None = None
    has_place: bool = True
    installing: int = 0
    card: Card | None = None
    sight: Sight | Silence | None = None
    node: core.Node | Unknown | None = None
    maintenances: tuple[DPUNodeMaintenance, ...] = ()
    siblings: tuple[DPU, ...] = ()
    rival: DPU | None = None
    namesake: DPU | None = None
    dms: PodState | None = None
    host_network: PodState | None = None
    remains: tuple[str, ...] | Unknown = field(default=())

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return object_key(self.dpu)

    @property
    def phase(self) -> str:
        """The phase that the DPU is in."""
        return self.dpu.status.phase

    @property
    def interface(self) -> InstallInterface | None:
        """How this DPU is installed; once it is known it stays, whatever the platform does now."""
        told = self.dpu.status.dpuInstallInterface
        return InstallInterface(told) if told in set(InstallInterface) else None

    @property
    def is_redfish(self) -> bool:
        """Whether it is installed by its BMC."""
        return self.interface is InstallInterface.REDFISH

    @property
    def cluster_key(self) -> Key | None:
        """The DPUCluster that it belongs to."""
        cluster = self.dpu.spec.cluster if self.dpu.spec is not None else None
        if cluster is None or not cluster.name:
            return None
        return Key(cluster.namespace or self.key.namespace, cluster.name)

    @property
    def tracker(self) -> tracker.Tracker:
        """What was tried on the card so far."""
        return tracker.read(self.dpu)

    def condition(self, type_: ConditionType) -> Condition | None:
        """A condition as it stands on the DPU."""
        return conditions.find(self.dpu.status.conditions, type_)

    def holds(self, type_: ConditionType) -> bool:
        """Whether a condition is there and True."""
        return conditions.is_true(self.dpu.status.conditions, type_)

    def since(self, type_: ConditionType) -> datetime | None:
        """When a condition changed its status last."""
        found = self.condition(type_)
        return clock.parse_rfc3339(found.lastTransitionTime) if found is not None and found.lastTransitionTime else None

    def overdue(self, type_: ConditionType, limit_s: float, now: datetime) -> bool:
        """Whether a condition has stood as it does for longer than `limit_s`."""
        since = self.since(type_)
        return since is not None and now - since > timedelta(seconds=limit_s)

    @property
    def lost(self) -> tuple[str, str]:
        """Reason and text about the first of what the DPU names that was there when it began, and has gone."""
        spec = self.dpu.spec or DPUSpec()
        named = (
            ("DPUNode", spec.dpuNodeName, self.dpunode), ("DPUDevice", spec.dpuDeviceName, self.device),
            ("DPUFlavor", spec.dpuFlavor, self.flavor), ("BFB", spec.bfb, self.bfb),
        )
        kind, name = next(((kind, name) for kind, name, found in named if found is None), ("DPU", self.key.name))
        return f"{kind}NotFound", f"{kind} {self.key.namespace}/{name} does not exist any more"

    @property
    def dpu_labels(self) -> Mapping[str, str]:
        """Labels of the DPU object."""
        return self.dpu.metadata.labels or {}

    @property
    def device_labels(self) -> Mapping[str, str]:
        """Labels of its DPUDevice."""
        return (self.device.metadata.labels or {}) if self.device is not None else {}

    @property
    def skips_hardware(self) -> bool:
        """Whether the card is left alone because a label says so."""
        return self.device_labels.get(names.SKIP_HW_PROVISIONING_LABEL) == "true"

    @property
    def hostless(self) -> bool:
        """Whether the DPUNode stands for no host."""
        return ((self.dpunode.metadata.labels or {}) if self.dpunode is not None else {}).get(
            names.HOSTLESS_LABEL
        ) == "true"
