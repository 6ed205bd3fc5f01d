"""The person in the machine room: power-cycles what asks for it, then takes the annotation off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from dpf.api import names
from dpf.api.dpudevice import DPUDevice, DPUDeviceSpec
from dpf.api.dpunode import DPUNode, DPUNodeSpec, DPURef
from dpf.api.meta import ObjectMeta
from dpf.emulation.hardware.attendant import Attendant
from dpf.kube import wait
from dpf.kube.memory import MemoryCluster

NAMESPACE = names.DPF_NAMESPACE
WANTED = {names.EXTERNAL_REBOOT_REQUIRED_ANNOTATION: "true", "kept": "yes"}


def a_device(serial: str) -> DPUDevice:
    return DPUDevice(
        metadata=ObjectMeta(name=serial.lower(), namespace=NAMESPACE), spec=DPUDeviceSpec(serialNumber=serial)
    )


def a_host(name: str, *devices: str, annotations: dict[str, str] | None = None) -> DPUNode:
    return DPUNode(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE, annotations=annotations),
        spec=DPUNodeSpec(dpus=[DPURef(name=device) for device in devices]),
    )


@asynccontextmanager
async def attended(cluster: MemoryCluster) -> AsyncIterator[list[tuple[str, tuple[str, ...]]]]:
    cycled: list[tuple[str, tuple[str, ...]]] = []

    async def power_cycle(host: str, serials: tuple[str, ...]) -> None:
        cycled.append((host, serials))

    task = asyncio.create_task(Attendant(cluster, power_cycle).run())
    try:
        yield cycled
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(cluster: MemoryCluster, name: str, accept: Callable[[DPUNode], bool]) -> DPUNode:
    found = await wait.until(
        cluster, DPUNode, name, NAMESPACE, accept=lambda node: node is not None and accept(node), timeout_s=5
    )
    assert found is not None
    return found


def is_done(node: DPUNode) -> bool:
    return names.EXTERNAL_REBOOT_REQUIRED_ANNOTATION not in (node.metadata.annotations or {})


async def test_a_host_that_asks_is_rebooted_once_with_its_cards() -> None:
    cluster = MemoryCluster()
    cluster.add(a_device("MT1"), a_device("MT2"), a_host("other"), a_host("host", "mt1", "mt2", "gone"))
    async with attended(cluster) as cycled:
        await cluster.patch(DPUNode, "host", NAMESPACE, patch={"metadata": {"annotations": WANTED}})
        node = await until(cluster, "host", is_done)
        assert node.metadata.annotations == {"kept": "yes"}
        # Whatever else changes, nobody asks any more.
        await cluster.patch(DPUNode, "host", NAMESPACE, patch={"metadata": {"labels": {"a": "b"}}})
        await until(cluster, "host", lambda found: found.metadata.labels == {"a": "b"})
    assert cycled == [("host", ("MT1", "MT2"))]


async def test_who_asked_before_we_came_is_rebooted_too() -> None:
    cluster = MemoryCluster()
    cluster.add(a_host("host", annotations=WANTED))
    async with attended(cluster) as cycled:
        await until(cluster, "host", is_done)
    assert cycled == [("host", ())]


async def test_another_value_asks_for_nothing() -> None:
    cluster = MemoryCluster()
    cluster.add(
        a_host("host", annotations={names.EXTERNAL_REBOOT_REQUIRED_ANNOTATION: "false"}),
        a_host("later", annotations=WANTED),
    )
    async with attended(cluster) as cycled:
        await until(cluster, "later", is_done)
    assert cycled == [("later", ())]
