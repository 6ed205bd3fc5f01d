"""Tells DPUs how their reboot is. Called by the runtime's executor through the controller."""

from __future__ import annotations

from datetime import datetime

from dpf.api.dpu import DPU
from dpf.kube.client import Client
from dpf.provisioning.dpunode.reboot import Report
from dpf.runtime.clock import rfc3339


async def carry_out(intent: Report, host: Client, now: datetime) -> None:
    """Raises kube.errors.Conflict when the DPU has changed since it was read, and other kube.errors.Error."""
    status = {
        "phase": str(intent.phase), "reason": intent.reason, "message": intent.message,
        "lastTransitionTime": rfc3339(now),
    }
    patch = {"metadata": {"resourceVersion": intent.version}, "status": {"rebootStatus": status}}
    await host.patch(DPU, intent.dpu.name, intent.dpu.namespace, patch=patch, subresource="status")
