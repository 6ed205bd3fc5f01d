"""Every fact that a decision about the reboot of this host needs. Pure values. Filled by the controller."""

from __future__ import annotations

from dataclasses import dataclass

from dpf.api.meta import Key
from dpf.hostagent.reboot import record
from dpf.hostagent.reboot.choice import Way
from dpf.hostagent.reboot.record import Record
from dpf.provisioning.dpunode import reboot
from dpf.provisioning.dpunode.snapshot import Snapshot as Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Intent: restart the host now, as `record` says on the DPUNode `key` already."""

    key: Key
    way: Way
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`seen` is the DPUNode with its DPUs. `boot_id` is that of the running kernel, "" when it cannot be read."""

    seen: Seen
    boot_id: str

    @property
    def record(self) -> Record | None:
        """The reboot that was begun, if any."""
        return record.read(self.seen.dpunode)

    @property
    def is_ours(self) -> bool:
        """Whether the agent on the host is the one who reboots it."""
        return not reboot.is_driven(self.seen.dpunode) and not self.seen.hostless
