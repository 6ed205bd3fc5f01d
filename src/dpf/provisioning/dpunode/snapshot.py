"""Every fact that a decision about one DPUNode needs, as plain values. Pure. Filled by `observe`."""

from __future__ import annotations

from dataclasses import dataclass, field

from dpf.api import core, names
from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Key, object_key
from dpf.api.provisioning import InstallInterface
from dpf.api.upkeep import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look. `node` is the Node of the host cluster that the host is; `orphaned`: its owning Node has gone.

    `devices` are the DPUDevices that it lists or that carry its name; `shared` are listed by another DPUNode as well.
    `effects` are the maintenances because of which the host may be out of service. `script` is the reboot script, read
    when it has to run; `job` its Job, and `exit_code` what a Job that failed ended with, where that can be told.
    """

    dpunode: DPUNode
    interface: InstallInterface
    node: core.Node | None = None
    orphaned: bool = False
    dpus: tuple[DPU, ...] = ()
    devices: tuple[DPUDevice, ...] = ()
    shared: tuple[str, ...] = ()
    effects: tuple[DPUNodeMaintenance, ...] = ()
    job: Job | None = None
    script: core.ConfigMap | None = field(default=None, repr=False)
    exit_code: int | None = None

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return object_key(self.dpunode)

    @property
    def kube_node(self) -> str | None:
        """The Node's name; once known it stays."""
        return self.dpunode.status.kubeNodeRef or (self.node.metadata.name if self.node is not None else None)

    @property
    def hostless(self) -> bool:
        """Whether it stands for a card without a host."""
        return (self.dpunode.metadata.labels or {}).get(names.HOSTLESS_LABEL) == "true"

    @property
    def missing(self) -> tuple[str, ...]:
        """Listed devices that do not exist."""
        refs = (self.dpunode.spec.dpus if self.dpunode.spec is not None else None) or ()
        there = {device.metadata.name.lower() for device in self.devices}
        return tuple(ref.name for ref in refs if ref.name.lower() not in there)


def owner_node(dpunode: DPUNode) -> str | None:
    """The Node that owns it."""
    owners = dpunode.metadata.ownerReferences or ()
    return next((owner.name for owner in owners if owner.kind == "Node" and owner.apiVersion == "v1"), None)
