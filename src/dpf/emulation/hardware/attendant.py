"""The person in the machine room: reboots a host when its DPUNode asks for that, and says so as the guide tells people.

A host that is rebooted from outside waits for somebody who power-cycles it and then takes the annotation off
(behaviour-provisioning.md section 7). On the local platform nobody is there, so this is done for people, unless they
want to do it themselves. It knows the host only through the API, as a person does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import structlog

from dpf.api import names
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.meta import Key, object_key
from dpf.kube import connect, errors
from dpf.kube.cache import Cache
from dpf.kube.client import Client
from dpf.kube.reflector import Reflectors

_LOG: Final = structlog.get_logger(__name__)
_AGAIN_S: Final = 2.0
PowerCycle = Callable[[str, tuple[str, ...]], Awaitable[None]]
"""Power-cycle the host with this name and the cards with these serial numbers."""


async def attend(kubeconfig: Path, power_cycle: PowerCycle) -> None:
    """Look after the hosts of the cluster until cancelled."""
    async with connect.client(kubeconfig, name="host") as client:
        await Attendant(client, power_cycle).run()


class Attendant:
    """Reads DPUNodes from a cache, and writes to them through `client`."""

    def __init__(self, client: Client, power_cycle: PowerCycle) -> None:
        self._client = client
        self._power_cycle = power_cycle
        self._cache = Cache("attendant")
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        self._cache.register(DPUNode)
        self._cache.register(DPUDevice)
        self._cache.subscribe(DPUNode, lambda _old, _new: self._changed.set())
        reflectors = Reflectors(self._client, self._cache)
        reflectors.start()
        try:
            while True:
                await self._cache.wait_synced(DPUNode, DPUDevice)
                self._changed.clear()
                if await self._look():
                    await self._changed.wait()
                else:
                    await asyncio.sleep(_AGAIN_S)
        finally:
            await reflectors.stop("the attendant leaves")

    async def _look(self) -> bool:
        """Do what is asked for; False when something did not work and is to be tried again."""
        try:
            asked = [node for node in self._cache.list(DPUNode) if _wants_reboot(node)]
            for dpunode in asked:
                await self._reboot(dpunode)
        except errors.Error as error:
            _LOG.warning("the attendant could not reboot a host", why=str(error))
            return False
        return True

    async def _reboot(self, dpunode: DPUNode) -> None:
        """First the host, then the annotation: who is interrupted in between does it once more."""
        key = object_key(dpunode)
        try:
            # What the cache says may be from before we took the annotation off.
            dpunode = await self._client.get(DPUNode, key.name, key.namespace)
        except errors.NotFound:
            return
        if not _wants_reboot(dpunode):
            return
        refs = (dpunode.spec.dpus if dpunode.spec is not None else None) or ()
        devices = [self._cache.get(DPUDevice, Key(key.namespace, ref.name)) for ref in refs]
        serials = tuple(d.spec.serialNumber for d in devices if d is not None and d.spec is not None)
        _LOG.info("the attendant reboots a host", dpunode=str(key), cards=len(serials))
        await self._power_cycle(key.name, serials)
        change = {"metadata": {"annotations": {names.EXTERNAL_REBOOT_REQUIRED_ANNOTATION: None}}}
        try:
            await self._client.patch(DPUNode, key.name, key.namespace, patch=change)
        except errors.NotFound:
            return


def _wants_reboot(dpunode: DPUNode) -> bool:
    return (dpunode.metadata.annotations or {}).get(names.EXTERNAL_REBOOT_REQUIRED_ANNOTATION) == "true"
