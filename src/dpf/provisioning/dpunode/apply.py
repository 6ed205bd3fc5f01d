"""Tells DPUs how their reboot is. Called by the runtime's executor through the controller."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from dpf.api.dpu import DPU, Phase
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.provisioning.dpunode.reboot import Report
from dpf.runtime.clock import rfc3339

_ATTEMPTS: Final = 5


async def carry_out(intent: Report, host: Client, now: datetime) -> None:
    """Tell it, also when others have written to the DPU since it was read, as long as it waits as it did.

    Otherwise a host that is rebooted as soon as somebody is asked to would be rebooted again: its DPUs would not know
    that they were waiting for that. Raises kube.errors.Conflict when the DPU waits no longer, and other
    kube.errors.Error.
    """
    version: str | None = intent.version
    for _ in range(_ATTEMPTS):
        try:
            await _tell(intent, host, now, version)
        except errors.Conflict:
            current = await host.get(DPU, intent.dpu.name, intent.dpu.namespace)
            if not _waits_as_before(intent, current):
                raise
            version = current.metadata.resourceVersion
        else:
            return
    await _tell(intent, host, now, version)


async def _tell(intent: Report, host: Client, now: datetime, version: str | None) -> None:
    status = {
        "phase": str(intent.phase), "reason": intent.reason, "message": intent.message,
        "lastTransitionTime": rfc3339(now),
    }
    patch = {"metadata": {"resourceVersion": version}, "status": {"rebootStatus": status}}
    await host.patch(DPU, intent.dpu.name, intent.dpu.namespace, patch=patch, subresource="status")


def _waits_as_before(intent: Report, dpu: DPU) -> bool:
    is_same = dpu.metadata.uid == intent.uid and dpu.metadata.deletionTimestamp is None
    return is_same and dpu.status.phase == Phase.REBOOTING and dpu.status.rebootStatus == intent.before
