"""Addresses follow from the node's index."""

from __future__ import annotations

import pytest

from dpf.emulation.kubelet import addresses
from dpf.emulation.kubelet.config import NetworkConfig


def test_every_node_has_an_address_and_a_block() -> None:
    own = addresses.of_node(NetworkConfig(), 3, namespaces=True)
    assert (str(own.node), str(own.gateway), str(own.pods), str(own.pod_gateway)) == (
        "198.18.0.5", "198.18.0.1", "198.19.3.0/24", "198.19.3.1",
    )


def test_without_namespaces_the_same_layout_is_on_loopback() -> None:
    own = addresses.of_node(NetworkConfig(), 1, namespaces=False)
    assert (str(own.node), str(own.pods)) == ("127.18.0.3", "127.19.1.0/24")


def test_blocks_of_a_small_platform_do_not_overlap() -> None:
    network = NetworkConfig(nodeNetwork="198.18.5.0/24", podNetwork="198.19.80.0/20", podPrefixLength=26)
    blocks = [addresses.of_node(network, index, namespaces=True).pods for index in range(64)]
    assert all(block.subnet_of(addresses.IPv4Network("198.19.80.0/20")) for block in blocks)
    assert len({str(block) for block in blocks}) == 64


def test_the_lowest_free_address_is_taken() -> None:
    own = addresses.of_node(NetworkConfig(podPrefixLength=29), 0, namespaces=True)
    used: list[str] = []
    for _ in range(5):
        used.append(addresses.first_free(own, used))
    assert used == ["198.19.0.2", "198.19.0.3", "198.19.0.4", "198.19.0.5", "198.19.0.6"]
    used.remove("198.19.0.4")
    assert addresses.first_free(own, used) == "198.19.0.4"


def test_a_full_block_says_so() -> None:
    own = addresses.of_node(NetworkConfig(podPrefixLength=29), 0, namespaces=True)
    with pytest.raises(addresses.NoAddressLeft, match=r"all 5 pod addresses of 198\.19\.0\.0/29 are in use"):
        addresses.first_free(own, [f"198.19.0.{n}" for n in range(8)])
