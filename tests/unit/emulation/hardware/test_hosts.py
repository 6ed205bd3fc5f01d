"""Emulated hosts: what node feature discovery sees of their cards, and what a reboot does."""

from __future__ import annotations

from pathlib import Path

from tests.support.machinerooms import a_room, nodes_of

from dpf.emulation.hardware import tree
from dpf.emulation.hardware.hosts import BOOT_ID, Hosts
from dpf.emulation.hardware.settings import Card
from dpf.hostagent.network import functions

PREFIX = "feature.node.kubernetes.io"


def test_the_detector_finds_the_cards_in_the_tree(tmp_path: Path) -> None:
    tree.write(tmp_path, [
        Card(name="a", serial="MT1", index=0), Card(name="b", serial="MT2", index=1, slot=5),
    ])
    assert tree.features(tmp_path) == {
        f"{PREFIX}/dpu-enabled": "true",
        f"{PREFIX}/dpu-0-pci-address": "0000-04-00", f"{PREFIX}/dpu-0-pf0-name": "ens4f0np0",
        f"{PREFIX}/dpu-0-serial-number": "MT1", f"{PREFIX}/dpu-0-part-number": tree.PART_NUMBER,
        f"{PREFIX}/dpu-1-pci-address": "0000-05-00", f"{PREFIX}/dpu-1-pf0-name": "ens5f0np0",
        f"{PREFIX}/dpu-1-serial-number": "MT2", f"{PREFIX}/dpu-1-part-number": tree.PART_NUMBER,
        f"{PREFIX}/dpu-oob-bridge-configured": "",
    }


def test_a_host_without_cards_has_only_its_bridge(tmp_path: Path) -> None:
    tree.write(tmp_path, [])
    assert tree.features(tmp_path) == {f"{PREFIX}/dpu-oob-bridge-configured": ""}


def test_virtual_functions_are_kept_until_the_next_boot(tmp_path: Path) -> None:
    card = Card(name="a", serial="MT1", index=0)
    tree.write(tmp_path, [card])
    first, second = functions.ports(tmp_path / "sys", "0000:04:00")
    assert (first.vfs, first.limit, second.name) == (0, tree.TOTAL_VFS, "ens4f1np1")
    functions.make(tmp_path / "sys", first, 3)

    tree.write(tmp_path, [card])
    assert functions.ports(tmp_path / "sys", "0000:04:00")[0].vfs == 3
    tree.write(tmp_path, [card], fresh=True)
    assert functions.ports(tmp_path / "sys", "0000:04:00")[0].vfs == 0


def test_hosts_are_nodes_with_their_features(tmp_path: Path) -> None:
    Hosts(a_room(tmp_path, gnoi=2)).start()
    nodes = nodes_of(tmp_path / "hosts.json")
    assert list(nodes) == ["worker-0", "worker-1"]
    assert nodes["worker-1"].labels[f"{PREFIX}/dpu-0-serial-number"] == "MT2334XZ0001"
    assert nodes["worker-1"].system == "host"


def test_a_reboot_shows_and_is_remembered(tmp_path: Path) -> None:
    hosts = Hosts(a_room(tmp_path, gnoi=2))
    hosts.start()
    before, id_before = nodes_of(tmp_path / "hosts.json"), (hosts.folder("worker-0") / BOOT_ID).read_text()
    hosts.reboot("worker-0")
    after = nodes_of(tmp_path / "hosts.json")
    assert after["worker-0"].boot != before["worker-0"].boot
    assert after["worker-1"] == before["worker-1"]
    assert (hosts.folder("worker-0") / BOOT_ID).read_text() != id_before

    again = Hosts(a_room(tmp_path, gnoi=2))
    again.start()
    assert nodes_of(tmp_path / "hosts.json") == after


def test_a_host_that_is_off_is_no_node(tmp_path: Path) -> None:
    hosts = Hosts(a_room(tmp_path, gnoi=2))
    hosts.start()
    hosts.switch_off("worker-0")
    assert list(nodes_of(tmp_path / "hosts.json")) == ["worker-1"]
    hosts.reboot("worker-0")
    assert list(nodes_of(tmp_path / "hosts.json")) == ["worker-0", "worker-1"]
