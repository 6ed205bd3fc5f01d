"""What stands on the DPUNode about a reboot that was begun: written before the restart, read by the host's next life.

Pure. Called by `plan`, `status` and `apply`. The id of the boot in which the order was given is what tells later
whether the host has restarted since: a process cannot remember its own end.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from dpf.api.dpunode import DPUNode
from dpf.runtime import clock

ANNOTATION: Final = "provisioning.dpu.nvidia.com/host-agent-reboot"


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`bootID` is the boot that has to end, `at` when the order was given (RFC 3339), `failed` why not."""

    bootID: str
    at: str
    failed: str = ""

    def age_s(self, now: datetime) -> float:
        """Seconds since the order; a time that cannot be read is long ago."""
        try:
            return (now - datetime.fromisoformat(self.at)).total_seconds()
        except (ValueError, TypeError):
            return float("inf")


def new(boot_id: str, now: datetime) -> Record:
    """An order that is about to be given in this boot."""
    return Record(bootID=boot_id, at=clock.rfc3339(now))


def read(dpunode: DPUNode) -> Record | None:
    """The reboot that was begun, if any; what cannot be read is none."""
    text = (dpunode.metadata.annotations or {}).get(ANNOTATION)
    try:
        return msgspec.json.decode(text, type=Record) if text else None
    except msgspec.MsgspecError:
        return None


def patch(record: Record | None, *, version: str | None = None) -> dict[str, Any]:
    """A merge patch of the DPUNode that writes it, or takes it off; `version` makes it conditional."""
    text = msgspec.json.encode(record).decode() if record is not None else None
    metadata: dict[str, Any] = {"annotations": {ANNOTATION: text}}
    return {"metadata": {**metadata, "resourceVersion": version} if version is not None else metadata}
