"""The machine room against a real control plane: what was flashed joins, what stops is gone, what is wrong is told."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.bmcs import authority, make_ours, server_tls
from tests.support.bmcs import identity as client_identity
from tests.support.joinable import Cluster
from tests.support.kubelets import until_node
from tests.support.machinerooms import a_bfcfg, a_kubelet, a_room, a_room_process, nodes_of

from dpf.emulation import bfb
from dpf.emulation.bmc.control import ControlError, Deed, Request
from dpf.emulation.hardware import control, linesocket, room
from dpf.emulation.hardware.settings import Settings
from dpf.kube.http import HTTPClient
from dpf.provisioning.bfb import imageuri
from dpf.provisioning.bfb.registry import Registry
from dpf.provisioning.flavor.facts import Join
from dpf.provisioning.install.port import Card, Install, PrepareRShim
from dpf.provisioning.install.redfish.installer import RedfishInstaller
from dpf.provisioning.install.redfish.transport import Transport

pytestmark = pytest.mark.parts


@pytest_asyncio.fixture
async def admin(cluster: Cluster) -> AsyncIterator[HTTPClient]:
    async with cluster.admin() as client:
        yield client


async def a_join(cluster: Cluster, ttl_s: float = 600.0) -> Join:
    """What `kubeadm token create --print-join-command` gives."""
    return Join(server=cluster.server.removeprefix("https://"), token=await cluster.mint(ttl_s), pins=(cluster.pin,))


async def test_a_card_that_a_bmc_installs_from_our_registry_becomes_a_ready_node(
    cluster: Cluster, admin: HTTPClient, tmp_path: Path
) -> None:
    settings, volume = a_room(tmp_path, redfish=1), tmp_path / "bfb"
    (volume / "bfcfg").mkdir(parents=True)
    bfb.write(volume / "ns-a.bfb")
    (volume / "bfcfg" / "ns_hw-a_uid").write_bytes(a_bfcfg("hw-a", await a_join(cluster)))
    registry = Registry(volume, host="127.0.0.1", port=0, tls=server_tls(authority()))
    await registry.start()
    async with room.opened(settings) as opened:
        card = opened.emulator.card("dpu-0")
        make_ours(card)
        with a_kubelet(tmp_path / "nodes.json", tmp_path / "kubelet.log"):
            await _install(card.settings.host, card.record.port, f"127.0.0.1:{registry.port}"
                           f"{imageuri.build('ns-a.bfb', 'ns_hw-a_uid')}")
            node = await until_node(admin, "hw-a")
            assert (node.status.capacity or {})["nvidia.com/bf_sf"] == "20"

            card.power_off_arm()
            await _until_says(tmp_path / "kubelet.log", "node is switched off", "hw-a")
            assert nodes_of(tmp_path / "nodes.json") == {}
    await registry.stop()


async def test_a_card_that_a_dms_boots_joins_and_survives_our_own_death(
    cluster: Cluster, admin: HTTPClient, tmp_path: Path
) -> None:
    settings = a_room(tmp_path, gnoi=1)
    bfcfg = a_bfcfg("hw-b", await a_join(cluster))
    with ExitStack() as stack:
        with a_room_process(settings, tmp_path):
            await _until_answering(settings)
            stack.enter_context(a_kubelet(tmp_path / "nodes.json", tmp_path / "kubelet.log"))
            assert await linesocket.ask(settings.boot_socket, _boot("dpu-0", 1, bfcfg)) == {"ok": True}
            first = await until_node(admin, "hw-b")
        with a_room_process(settings, tmp_path):
            await _until_answering(settings)
            shown = await control.ask(settings.control_socket, Request(card="dpu-0"))
            assert (shown["dpu-0"]["node"], shown["dpu-0"]["boots"]) == ("hw-b", 1)

            await control.ask(settings.control_socket, Request(card="dpu-0", do=Deed.POWER_CYCLE))
            assert first.status.nodeInfo is not None
            await _until_boot_id_changes(admin, "hw-b", first.status.nodeInfo.bootID)


async def test_a_wrong_token_is_told_and_disturbs_nobody(
    cluster: Cluster, admin: HTTPClient, tmp_path: Path
) -> None:
    settings = a_room(tmp_path, gnoi=2)
    good = await a_join(cluster)
    wrong = Join(server=good.server, token="zzzzzz.0123456789abcdef", pins=good.pins)
    async with room.opened(settings) as opened:
        with a_kubelet(tmp_path / "nodes.json", tmp_path / "kubelet.log"):
            await opened.systems.boot("dpu-0", a_bfcfg("hw-c", wrong), count=1)
            await opened.systems.boot("dpu-1", a_bfcfg("hw-d", good), count=1)
            await until_node(admin, "hw-d")
            await _until_says(tmp_path / "kubelet.log", "hw-c", "token")
            # Installed anew with a token that is known: nothing of the first attempt is in the way.
            await opened.systems.boot("dpu-0", a_bfcfg("hw-c", good), count=2)
            await until_node(admin, "hw-c")
    assert wrong.token not in "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    assert wrong.token not in (tmp_path / "kubelet.log").read_text()


async def _install(host: str, port: int, image: str) -> None:
    ours = client_identity()
    transport = Transport(lambda: ours)
    at = Card(name="dpu-0", host=host, port=port, serial="MT2334XZ0000")
    installer = RedfishInstaller(transport)
    await installer.order(at, PrepareRShim())
    await installer.order(at, Install(image=image))
    await transport.aclose()


def _boot(card: str, count: int, bfcfg: bytes) -> dict[str, object]:
    return {"card": card, "count": count, "bfcfg": base64.b64encode(bfcfg).decode()}


async def _until_answering(settings: Settings) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await control.ask(settings.control_socket, Request(card="*"))
            except ControlError:
                await asyncio.sleep(0.05)
            else:
                return


async def _until_says(path: Path, *words: str) -> None:
    def lines() -> list[str]:
        return path.read_text().splitlines()

    async with asyncio.timeout(30):
        while True:
            if any(all(word in line for word in words) for line in lines()):
                return
            await asyncio.sleep(0.1)


async def _until_boot_id_changes(admin: HTTPClient, name: str, before: str) -> None:
    async with asyncio.timeout(30):
        while True:
            node = await until_node(admin, name)
            if node.status.nodeInfo is not None and node.status.nodeInfo.bootID != before:
                return
            await asyncio.sleep(0.1)
