"""Approves signing requests. Called by the runtime's executor through the controller."""

from __future__ import annotations

from typing import Final

from dpf.api import core
from dpf.kube.client import Client
from dpf.provisioning.agentcsr.plan import Approve

REASON: Final = "DPUAgentApproved"


async def carry_out(intent: Approve, host: Client) -> None:
    """Raises kube.errors.Conflict when the request has changed since it was read, and other kube.errors.Error."""
    metadata = intent.csr.metadata
    approved = {"type": "Approved", "status": "True", "reason": REASON, "message": intent.message}
    patch = {"metadata": {"resourceVersion": metadata.resourceVersion}, "status": {"conditions": [approved]}}
    await host.patch(core.CertificateSigningRequest, metadata.name, patch=patch, subresource="approval")
