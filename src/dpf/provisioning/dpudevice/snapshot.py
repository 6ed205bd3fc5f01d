"""Every fact that a decision about one DPUDevice needs, as plain values. Pure. Filled by the controller."""

from __future__ import annotations

from dataclasses import dataclass

from dpf.api import names
from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.provisioning import InstallInterface


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`dpunode` is the one that lists the device; of several the first by name. `dpus` are those on the device."""

    device: DPUDevice
    interface: InstallInterface
    dpunode: DPUNode | None = None
    dpus: tuple[DPU, ...] = ()

    @property
    def hostless(self) -> bool:
        """Whether it stands alone, without a host."""
        return (self.device.metadata.labels or {}).get(names.HOSTLESS_LABEL) == "true"

    @property
    def skips_hardware(self) -> bool:
        """Whether its BMC is left alone."""
        return (self.device.metadata.labels or {}).get(names.SKIP_HW_PROVISIONING_LABEL) == "true"
