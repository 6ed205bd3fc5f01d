"""The machine room of a platform: what each install interface needs, and nothing else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dpf.emulation.hardware import settings as room
from dpf.emulation.kubelet import addresses as node_addresses
from dpf.local.platform import hardware, nodes
from dpf.local.platform.settings import InstallInterface, Settings

PIN = "sha256:" + "0" * 64


def a_platform(interface: InstallInterface, dpus: int = 3, *, manual_reboot: bool = False) -> Settings:
    return Settings(
        state=Path("/nowhere/s"), dpus=dpus, install_interface=interface, pod_network="netns", address_slot=1,
        ports={"bfb-server": 20001, "bmc": 443}, manual_reboot=manual_reboot,
    )


def a_room(interface: InstallInterface, dpus: int = 3) -> room.Settings:
    """As the machine room reads it."""
    made = hardware.configuration(a_platform(interface, dpus), "https://127.0.0.1:20000", PIN)
    return room.parse(msgspec.json.encode(made), "test")


def test_a_card_in_a_host_has_no_bmc() -> None:
    found = a_room("gnoi")
    assert [(card.name, card.host, card.bmc) for card in found.cards] == [
        ("dpu-1", "worker-1", None), ("dpu-2", "worker-2", None), ("dpu-3", "worker-3", None),
    ]
    assert found.hostCluster is not None
    assert found.hostCluster.join.caPins == [PIN]


def test_the_users_guide_finds_its_cards() -> None:
    assert [card.pci_address for card in a_room("gnoi").cards] == ["0000:0e:00.0", "0000:1a:00.0", "0000:0e:00.0"]


def test_a_card_with_a_bmc_is_in_no_host() -> None:
    found = a_room("redfish")
    assert found.hosts == []
    assert found.hostCluster is None
    addresses = [(card.bmc.host, card.bmc.port) for card in found.cards if card.bmc is not None]
    assert len(set(addresses)) == 3
    assert {port for _, port in addresses} == {443}


def test_without_an_interface_there_are_only_bundles() -> None:
    found = a_room("none")
    assert (found.cards, found.hosts, found.dpuKubelet) == ([], [], None)
    assert found.bundlePort == 20001
    assert hardware.kubelets(a_platform("none")) == []


@pytest.mark.parametrize(("interface", "processes"), [
    ("gnoi", [nodes.PROCESS, hardware.HOSTS_PROCESS]), ("redfish", [nodes.PROCESS]),
])
def test_every_cluster_has_one_kubelet_process(interface: InstallInterface, processes: list[str]) -> None:
    assert [spec.name for spec in hardware.kubelets(a_platform(interface))] == processes


def test_as_many_as_there_may_be_have_addresses_of_their_own() -> None:
    found = a_room("gnoi", 64)
    assert found.hostCluster is not None
    network = found.hostCluster.kubelet.template.network
    indexes = [card.index for card in found.cards] + [host.index for host in found.hosts]
    blocks = [node_addresses.of_node(network, index, namespaces=True).pods for index in indexes]
    assert len(set(blocks)) == len(blocks) == 128


def test_nobody_reboots_hosts_for_who_wants_to_do_it() -> None:
    made = hardware.configuration(a_platform("redfish", manual_reboot=True), "https://127.0.0.1:20000", PIN)
    assert made.kubeconfig == ""
    assert a_room("redfish").kubeconfig == "/nowhere/s/host/admin.kubeconfig"
