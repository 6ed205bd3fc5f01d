"""Scans of a range of addresses, over real sockets (behaviour-provisioning.md 4, 16.19)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from tests.support import bmcs
from tests.support.bmcdevices import Fleet, a_fleet, a_secret, by_bmcs
from tests.support.bmcs import PASSWORD, authority
from tests.support.world import NAMESPACE

from dpf.api import core
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpudiscovery import DPUDiscovery, DPUDiscoverySpec, IPRange, IPRangeSpec
from dpf.api.dpunode import DPUNode
from dpf.api.meta import ObjectMeta
from dpf.emulation.bmc.settings import CardSettings
from dpf.runtime.manager import Manager

LIMITS = bmcs.QUICK


def a_discovery(port: int, first: str = "127.77.0.1", last: str = "127.77.0.4", **spec: Any) -> DPUDiscovery:
    found = IPRange(startIP=first, endIP=last, port=port)
    return DPUDiscovery(
        metadata=ObjectMeta(name="lab", namespace=NAMESPACE),
        spec=DPUDiscoverySpec(ipRangeSpec=IPRangeSpec(ipRange=found), **spec),
    )


def cards(port: int, *hosts: str) -> list[CardSettings]:
    return [
        CardSettings(name=f"dpu-{n}", serial=f"MT2334XZ0{n:03d}", host=host, port=port) for n, host in enumerate(hosts)
    ]


@asynccontextmanager
async def a_foreigner(
    host: str, port: int, asked: list[str], product: str = "Some Server"
) -> AsyncIterator[None]:
    """Another Redfish service; it lets nobody in."""
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.headers.get("Authorization", ""))
        if asked[-1]:
            return web.json_response({}, status=401)
        return web.json_response({"Product": product})

    context = bmcs.server_tls(authority("stranger"), (host,))
    server = web.Server(answer, access_log=None)  # type: ignore[arg-type]
    listening = await asyncio.get_running_loop().create_server(server, host, port, ssl=context)
    try:
        yield
    finally:
        listening.close()
        await server.shutdown(timeout=0.1)


async def free_port() -> int:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def scanned(fleet: Fleet, manager: Manager) -> DPUDiscovery:
    """Let the scan end, and everything be made of it."""
    for _ in range(200):
        assert fleet.scans is not None
        if not fleet.scans.tasks:
            break
        await asyncio.wait(fleet.scans.tasks)
    await fleet.pass_time(manager, 2)
    return discovery(fleet)


def discovery(fleet: Fleet) -> DPUDiscovery:
    (found,) = fleet.host.objects(DPUDiscovery)
    return found


def told(found: DPUDiscovery) -> tuple[str, str, str]:
    (condition,) = found.status.conditions or ()
    return condition.status, condition.reason, condition.message


def devices(fleet: Fleet) -> dict[str, tuple[str, str | None, int]]:
    return {
        d.metadata.name: (d.spec.serialNumber, d.spec.bmcIp, d.spec.bmcPort)
        for d in fleet.host.objects(DPUDevice) if d.spec is not None
    }


async def test_two_bmcs_a_dead_address_and_a_foreign_one(tmp_path: Path) -> None:
    """16.19."""
    port, asked = await free_port(), list[str]()
    found = cards(port, "127.77.0.1", "127.77.0.4")
    async with (
        a_foreigner("127.77.0.2", port, asked), a_fleet(tmp_path, cards=found, devices=False, limits=LIMITS) as fleet,
    ):
        fleet.host.add(a_discovery(port))
        async with fleet.running() as manager:
            after = await scanned(fleet, manager)
            assert devices(fleet) == {
                "mt2334xz0000": ("MT2334XZ0000", "127.77.0.1", port),
                "mt2334xz0001": ("MT2334XZ0001", "127.77.0.4", port),
            }
            assert after.status.foundDPUs == 2
            assert after.status.lastScanTime is not None
            assert told(after) == ("True", "Success", "4 addresses scanned; 1 are of something else")
            assert asked == [""], "no password was shown to a stranger"
            assert fleet.host.objects(DPUNode) == ()
            assert {fleet.card(n).record.accounts["root"].password for n in (0, 1)} == {PASSWORD}

            await fleet.pass_time(manager, 3601)
            again = await scanned(fleet, manager)
            assert again.status.lastScanTime != after.status.lastScanTime
            assert again.status.foundDPUs == 2
            assert len(devices(fleet)) == 2
            assert asked == ["", ""]


async def test_found_cards_are_set_up_by_themselves(tmp_path: Path) -> None:
    port = await free_port()
    found = cards(port, "127.77.0.1")
    objects = [by_bmcs(skipDPUNodeDiscovery=False), a_secret()]
    async with a_fleet(tmp_path, cards=found, devices=False, limits=LIMITS, objects=objects) as fleet:
        fleet.host.add(a_discovery(port))
        async with fleet.running() as manager:
            await scanned(fleet, manager)
            await fleet.pass_time(manager, 5)
            (node,) = fleet.host.objects(DPUNode)
            assert node.metadata.name == "dpu-node-mt2334xz0000"
            assert (node.metadata.labels or {})["feature.node.kubernetes.io/dpu-enabled"] == "true"
            assert node.spec is not None
            assert [ref.name for ref in node.spec.dpus or ()] == ["mt2334xz0000"]
            assert node.spec.nodeRebootMethod.external == {}
            assert fleet.told("Ready") == ("True", "Success", "")
            assert fleet.told("NodeAttached")[0] == "True"


async def test_known_addresses_and_serial_numbers_are_passed_over(tmp_path: Path) -> None:
    port = await free_port()
    found = cards(port, "127.77.0.1", "127.77.0.2", "127.77.0.3")
    async with a_fleet(tmp_path, cards=found, devices=False, limits=LIMITS) as fleet:
        fleet.add_device(0, attach=False)
        fleet.add_device(1, attach=False, bmcIp="127.77.9.9")
        fleet.host.add(a_discovery(port))
        async with fleet.running() as manager:
            after = await scanned(fleet, manager)
            assert devices(fleet)["mt2334xz0001"][1] == "127.77.9.9"
            assert set(devices(fleet)) == {"mt2334xz0000", "mt2334xz0001", "mt2334xz0002"}
            assert after.status.foundDPUs == 2


async def test_a_wrong_password_and_a_lying_bmc_end_no_scan(tmp_path: Path) -> None:
    port = await free_port()
    found = cards(port, "127.77.0.1", "127.77.0.2", "127.77.0.3", "127.77.0.4")
    async with a_fleet(tmp_path, cards=found, devices=False, limits=LIMITS) as fleet:
        fleet.card(0).set_password("root", "somebody-else's")
        fleet.set_faults(1, silent=True)
        fleet.set_faults(2, serial="Not A Name!")
        fleet.host.add(a_discovery(port))
        async with fleet.running() as manager:
            after = await scanned(fleet, manager)
            assert set(devices(fleet)) == {"mt2334xz0003"}
            assert told(after) == ("True", "Success", (
                "4 addresses scanned; the password was not accepted at 127.77.0.1; "
                "serial numbers that cannot be names at 127.77.0.3"
            ))


async def test_a_password_that_was_not_accepted_is_not_tried_in_every_scan(tmp_path: Path) -> None:
    """BMCs lock accounts that are guessed at, for their owners as well."""
    port, asked = await free_port(), list[str]()

    def tries() -> int:
        return sum(text != "" for text in asked)

    async with (
        a_foreigner("127.77.0.2", port, asked, product="BlueField-3 DPU"),
        a_fleet(tmp_path, cards=0, devices=False, limits=LIMITS) as fleet,
    ):
        fleet.host.add(a_discovery(port, "127.77.0.2", "127.77.0.2", scanInterval="1m"))
        async with fleet.running() as manager:
            first = await scanned(fleet, manager)
            once = tries()
            assert once > 0
            await fleet.pass_time(manager, 61)
            second = await scanned(fleet, manager)
            assert second.status.lastScanTime != first.status.lastScanTime
            assert told(second)[2] == "1 addresses scanned; the password was not accepted at 127.77.0.2"
            assert tries() == once

            await fleet.host.patch(core.Secret, "bmc-shared-password", NAMESPACE, patch={
                "data": a_secret(password="another-one-1").data,
            })
            await fleet.pass_time(manager, 61)
            await scanned(fleet, manager)
            assert tries() == 2 * once, "another password may be the right one"
            await fleet.pass_time(manager, 3601)
            await scanned(fleet, manager)
            assert tries() == 3 * once, "somebody may have corrected it on the BMC"


async def test_a_range_that_runs_backwards_is_told_and_not_scanned(tmp_path: Path) -> None:
    async with a_fleet(tmp_path, devices=False) as fleet:
        fleet.host.add(a_discovery(443, "127.77.0.9", "127.77.0.1"))
        async with fleet.running() as manager:
            text = "startIP must be less than or equal to endIP (got startIP 127.77.0.9, endIP 127.77.0.1)"
            assert told(discovery(fleet)) == ("False", "Failure", text)
            before = list(fleet.world.writes)
            await fleet.pass_time(manager, 4000)
            assert fleet.world.writes == before


async def test_without_a_password_or_without_redfish_nothing_is_scanned(tmp_path: Path) -> None:
    port = await free_port()
    async with a_fleet(tmp_path, cards=cards(port, "127.77.0.1"), devices=False, objects=[], limits=LIMITS) as fleet:
        fleet.host.add(a_discovery(port))
        async with fleet.running() as manager:
            assert told(discovery(fleet))[:2] == ("False", "Pending")
            assert "not installed through their BMCs" in told(discovery(fleet))[2]
            fleet.host.add(by_bmcs())
            await manager.settle()
            assert told(discovery(fleet))[2].startswith(f"Secret {NAMESPACE}/bmc-shared-password does not exist")
            assert fleet.scans is not None
            assert fleet.scans.tasks == ()
            fleet.host.add(a_secret())
            await manager.settle()
            await scanned(fleet, manager)
            assert len(devices(fleet)) == 1


async def test_a_large_range_occupies_no_worker_and_shows_its_cards_at_once(tmp_path: Path) -> None:
    port = await free_port()
    async with a_fleet(tmp_path, cards=cards(port, "127.77.0.1"), devices=False, limits=LIMITS) as fleet:
        fleet.host.add(a_discovery(port, "127.77.0.1", "127.77.255.255"))
        async with fleet.running() as manager:
            assert fleet.scans is not None
            (task,) = fleet.scans.tasks
            async with asyncio.timeout(20):
                while not devices(fleet):
                    await fleet.pass_time(manager, 2)
                    await asyncio.sleep(0)
            assert not task.done()
            assert discovery(fleet).status.lastScanTime is None
            writes = [one for one in fleet.world.writes if "DPUDiscovery" in one]
            assert len(writes) == 1, "its first condition"


async def test_a_changed_range_is_scanned_at_once(tmp_path: Path) -> None:
    port = await free_port()
    async with a_fleet(tmp_path, cards=cards(port, "127.77.0.9"), devices=False, limits=LIMITS) as fleet:
        fleet.host.add(a_discovery(port))
        async with fleet.running() as manager:
            await scanned(fleet, manager)
            assert devices(fleet) == {}
            change = {"spec": {"ipRangeSpec": {"ipRange": {"endIP": "127.77.0.12"}}}}
            await fleet.host.patch(DPUDiscovery, "lab", NAMESPACE, patch=change)
            await manager.settle()
            await scanned(fleet, manager)
            assert len(devices(fleet)) == 1


async def test_a_process_that_ends_during_a_scan_begins_it_again(tmp_path: Path) -> None:
    port = await free_port()
    objects = [by_bmcs(skipDPUNodeDiscovery=False), a_secret()]
    found = cards(port, "127.77.0.1", "127.77.0.3")
    for n in range(1, 9):
        async with a_fleet(
            tmp_path / str(n), cards=found, devices=False, limits=LIMITS, objects=objects
        ) as fleet:
            fleet.host.add(a_discovery(port))
            left = [n]

            def fail(request: Any, left: list[int] = left) -> None:
                if request.kind in {"DPUDevice", "DPUNode", "DPUDiscovery"}:
                    left[0] -= 1
                    if left[0] == 0:
                        raise _Killed

            fleet.host.after_write = fail
            try:
                async with fleet.running() as manager:
                    await scanned(fleet, manager)
            except _Killed:
                pass
            fleet.host.after_write = None
            async with fleet.running() as manager:
                await scanned(fleet, manager)
                await fleet.pass_time(manager, 31)
            assert set(devices(fleet)) == {"mt2334xz0000", "mt2334xz0001"}, n
            assert {node.metadata.name for node in fleet.host.objects(DPUNode)} == {
                "dpu-node-mt2334xz0000", "dpu-node-mt2334xz0001",
            }, n
            assert discovery(fleet).status.foundDPUs == 2, n


class _Killed(BaseException):
    """Stands for SIGKILL."""


async def test_no_password_shows(tmp_path: Path) -> None:
    port = await free_port()
    async with a_fleet(tmp_path, cards=cards(port, "127.77.0.1"), devices=False, limits=LIMITS) as fleet:
        fleet.card(0).set_password("root", "somebody-else's")
        fleet.host.add(a_discovery(port))
        async with fleet.running() as manager:
            after = await scanned(fleet, manager)
            assert told(after)[2] == "4 addresses scanned; the password was not accepted at 127.77.0.1"
            assert PASSWORD not in repr([*fleet.host.objects(core.Event), after])
