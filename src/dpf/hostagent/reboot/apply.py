"""Carries out what a pass has decided about the own host. Called by the runtime's executor through the controller."""

from __future__ import annotations

import contextlib

from dpf.api.dpunode import DPUNode
from dpf.hostagent.reboot import record
from dpf.hostagent.reboot.port import Machine
from dpf.hostagent.reboot.record import Record
from dpf.hostagent.reboot.snapshot import Restart
from dpf.kube import errors
from dpf.kube.client import Client


async def carry_out(intent: Restart, machine: Machine, host: Client) -> None:
    """Restart the host; why it would not, is written where the order stands. Raises kube.errors.Error."""
    why = await machine.restart(intent.way)
    if why is None:
        return
    failed = Record(bootID=intent.record.bootID, at=intent.record.at, failed=why)
    with contextlib.suppress(errors.NotFound):
        await host.patch(DPUNode, intent.key.name, intent.key.namespace, patch=record.patch(failed))
