"""From a range of addresses to Ready DPUDevices against a real API server, with no more rights than are declared.

What the in-memory cluster cannot vouch for: that what we make passes the schemas of the CRDs, that the declared rights
are enough, also for Secrets, and that a settled fleet is settled with the defaults that the API server fills in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.provisioning.test_dpunode import client
from tests.support import bmcdevices, bmcs, grants
from tests.support.world import NAMESPACE

from dpf.api import core
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpudiscovery import DPUDiscovery, DPUDiscoverySpec, IPRange, IPRangeSpec
from dpf.api.dpunode import DPUNode
from dpf.api.meta import ObjectMeta
from dpf.emulation.bmc.emulator import Emulator
from dpf.emulation.bmc.settings import CardSettings
from dpf.kube import kubeconfig, wait
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.http import HTTPClient
from dpf.provisioning.certificates.issuer import CA_SECRET, Issuer
from dpf.provisioning.dpudevice.controller import DPUDeviceController
from dpf.provisioning.dpudevice.driver import BMCs
from dpf.provisioning.dpudiscovery.controller import DPUDiscoveryController
from dpf.provisioning.dpudiscovery.scanning import Scans
from dpf.runtime import conditions
from dpf.runtime.clock import SystemClock
from dpf.runtime.manager import Manager

pytestmark = pytest.mark.parts

__all__ = ["client"]
HOSTS = ("127.78.0.1", "127.78.0.2", "127.78.0.5")
TIMEOUT_S = 60.0


@asynccontextmanager
async def controllers(administrator: HTTPClient) -> AsyncIterator[Manager]:
    """One process with our rights."""
    permissions = (*DPUDeviceController.permissions, *DPUDiscoveryController.permissions)
    content = await grants.grant(administrator, "bmc-tests", NAMESPACE, permissions)
    ours = HTTPClient(kubeconfig.from_secret(content, source="tests"), name="host")
    registry, clock = ClusterRegistry(ours), SystemClock()
    async with AsyncExitStack() as stack:
        devices = BMCs(Issuer(ours, NAMESPACE, clock, cache=registry.host.cache), clock, limits=bmcs.QUICK)
        stack.push_async_callback(devices.aclose)
        scans = Scans(clock, limits=bmcs.QUICK)
        stack.push_async_callback(scans.aclose)
        manager = Manager(registry, ours, [
            DPUDeviceController(clusters=registry, bmcs=devices),
            DPUDiscoveryController(clusters=registry, scans=scans),
        ])
        registry.start()
        running = asyncio.create_task(manager.run())
        try:
            yield manager
        finally:
            await manager.stop(running)
            await registry.aclose()


async def test_a_range_becomes_ready_devices(client: HTTPClient, tmp_path: Path) -> None:
    port = await free_port()
    cards = [
        CardSettings(name=f"dpu-{n}", serial=f"MT78{n:04d}", host=host, port=port) for n, host in enumerate(HOSTS)
    ]
    await client.apply(bmcdevices.by_bmcs(skipDPUNodeDiscovery=False), field_owner="tests")
    await client.apply(bmcdevices.a_secret(), field_owner="tests")
    async with Emulator(tmp_path, cards), controllers(client):
        await client.create(DPUDiscovery(
            metadata=ObjectMeta(name="rights", namespace=NAMESPACE),
            spec=DPUDiscoverySpec(ipRangeSpec=IPRangeSpec(
                ipRange=IPRange(startIP="127.78.0.1", endIP="127.78.0.8", port=port)
            )),
        ))
        for card in cards:
            device = await wait.until(
                client, DPUDevice, card.serial.lower(), NAMESPACE, timeout_s=TIMEOUT_S,
                accept=lambda one: one is not None and conditions.is_true(one.status.conditions, "Ready"),
            )
            assert device is not None
            assert (device.status.dpuType, device.status.serialNumber) == ("BlueField3", card.serial)
            assert device.status.bmcServerCertificate is not None
        found = await wait.until(
            client, DPUDiscovery, "rights", NAMESPACE, timeout_s=TIMEOUT_S,
            accept=lambda one: one is not None and one.status.lastScanTime is not None,
        )
        assert found is not None
        assert found.status.foundDPUs == len(HOSTS)
    await clean(client)


async def clean(administrator: HTTPClient) -> None:
    """The server is shared by tests."""
    for device in (await administrator.list(DPUDevice, NAMESPACE)).items:
        await administrator.patch(DPUDevice, device.metadata.name, NAMESPACE, patch={"metadata": {"finalizers": None}})
        await administrator.delete(DPUDevice, device.metadata.name, NAMESPACE)
    for node in (await administrator.list(DPUNode, NAMESPACE)).items:
        await administrator.delete(DPUNode, node.metadata.name, NAMESPACE)
    await administrator.delete(DPUDiscovery, "rights", NAMESPACE)
    await administrator.delete(DPFOperatorConfig, "dpf", NAMESPACE)
    await administrator.delete(core.Secret, CA_SECRET, NAMESPACE)


async def free_port() -> int:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port
