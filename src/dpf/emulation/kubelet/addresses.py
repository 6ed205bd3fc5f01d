"""Which address each node and pod has.

Pure. A node's address and its block of pod addresses follow from its index, so that a restart, or another process,
comes to the same. Without namespaces the same layout is used inside 127.0.0.0/8.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from dpf.emulation.kubelet.config import NetworkConfig

_GATEWAY_AND_FIRST: Final = 2
"""Of the node network, .0 is the network and .1 the bridge; node 0 has the next one."""


class NoAddressLeft(Exception):
    """Every address of the node's pod block is in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAddresses:
    """Addresses of one node: its own, the bridge's in the machine's namespace, and its pods' block."""

    node: IPv4Address
    gateway: IPv4Address
    node_network: IPv4Network
    pod_network: IPv4Network
    pods: IPv4Network

    @property
    def pod_gateway(self) -> IPv4Address:
        """The node's own address inside its pod block."""
        return self.pods.network_address + 1


def of_node(network: NetworkConfig, index: int, *, namespaces: bool) -> NodeAddresses:
    """Addresses of the node with that index (checked by `config`)."""
    node_network, pod_network = _networks(network, namespaces=namespaces)
    size = 2 ** (pod_network.max_prefixlen - network.podPrefixLength)
    block = IPv4Network((pod_network.network_address + index * size, network.podPrefixLength))
    return NodeAddresses(
        node=node_network.network_address + _GATEWAY_AND_FIRST + index, gateway=node_network.network_address + 1,
        node_network=node_network, pod_network=pod_network, pods=block,
    )


def first_free(addresses: NodeAddresses, used: Iterable[str]) -> str:
    """The lowest pod address that is not in `used`. Raises NoAddressLeft."""
    taken = {ipaddress.IPv4Address(ip) for ip in used} | {addresses.pod_gateway}
    for candidate in addresses.pods.hosts():
        if candidate not in taken:
            return str(candidate)
    raise NoAddressLeft(f"all {addresses.pods.num_addresses - 3} pod addresses of {addresses.pods} are in use")


def _networks(network: NetworkConfig, *, namespaces: bool) -> tuple[IPv4Network, IPv4Network]:
    nodes, pods = IPv4Network(network.nodeNetwork), IPv4Network(network.podNetwork)
    return (nodes, pods) if namespaces else (_on_loopback(nodes), _on_loopback(pods))


def _on_loopback(network: IPv4Network) -> IPv4Network:
    """The same network with 127 as its first octet: 198.18.0.0/16 becomes 127.18.0.0/16."""
    host_bits = int(network.network_address) & 0x00FFFFFF
    return IPv4Network((127 << 24 | host_bits, network.prefixlen))
