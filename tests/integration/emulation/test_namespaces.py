"""Networks of nodes and pods on this machine: made, made again, damaged, removed."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import needs

from dpf.emulation.kubelet import addresses, namespaces, network, sockets
from dpf.emulation.kubelet.addresses import NodeAddresses
from dpf.emulation.kubelet.config import NetworkConfig
from dpf.emulation.kubelet.namespaces import NamespaceNetwork
from dpf.emulation.kubelet.network import NetworkError

pytestmark = pytest.mark.root

NETWORK = NetworkConfig(nodeNetwork="198.18.251.0/24", podNetwork="198.19.251.0/24", podPrefixLength=27)


@pytest.fixture
def platform() -> Iterator[str]:
    needs.root()
    name = f"tm{os.getpid() % 100000}"
    network.remove_all(name)
    yield name
    network.remove_all(name)


def _addresses(index: int) -> NodeAddresses:
    return addresses.of_node(NETWORK, index, namespaces=True)


def _node(platform: str, index: int) -> NamespaceNetwork:
    return NamespaceNetwork(platform=platform, node=f"node-{index}", index=index, addresses=_addresses(index))


def _traces(platform: str) -> list[str]:
    links = [path.name for path in Path("/sys/class/net").iterdir()]
    return [name for name in (*links, *namespaces.netns_names(".*")) if name.startswith(platform)]


def _echo_in(netns: str, address: str) -> tuple[socket.socket, threading.Thread]:
    """A listener inside `netns` that returns what it gets from one connection."""
    listening = sockets.listen_tcp(address, 7000, netns)
    listening.setblocking(True)

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(connection.recv(100))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return listening, thread


def _ask(netns: str | None, address: str) -> bytes:
    def ask() -> bytes:
        with socket.create_connection((address, 7000), timeout=5) as connection:
            connection.sendall(b"hello")
            return connection.recv(100)

    return sockets.inside(netns, ask)


async def test_pods_reach_each_other_across_nodes_and_the_machine_reaches_them(platform: str) -> None:
    nodes = [_node(platform, index) for index in range(2)]
    pods = []
    for index, node in enumerate(nodes):
        await node.ensure_node()
        ip = addresses.first_free(_addresses(index), ())
        pods.append((await node.ensure_pod(f"uid-{index}", ip), ip))
    (first, _), (second, address) = pods
    assert first is not None
    assert second is not None
    for asking in (None, first, nodes[0].node_netns, nodes[1].node_netns):
        listening, thread = _echo_in(second, address)
        assert _ask(asking, address) == b"hello"
        thread.join()
        listening.close()
    assert {f"{platform}br", f"{platform}n0", f"{platform}n1"} <= set(_traces(platform))


async def test_making_again_changes_nothing_and_mends_what_was_broken(platform: str) -> None:
    node = _node(platform, 0)
    await node.ensure_node()
    netns = await node.ensure_pod("uid-1", "198.19.251.2")
    before = sorted(_traces(platform))
    inodes = {name: (sockets.NETNS_FOLDER / name).stat().st_ino for name in namespaces.netns_names(f"{platform}-.*")}
    await node.ensure_node()
    await node.ensure_pod("uid-1", "198.19.251.2")
    assert sorted(_traces(platform)) == before
    assert {name: (sockets.NETNS_FOLDER / name).stat().st_ino for name in inodes} == inodes
    sockets.in_thread(lambda: namespaces._delete_link(f"{platform}n0"))
    await node.ensure_node()
    await node.ensure_pod("uid-1", "198.19.251.2")
    assert netns is not None
    listening, thread = _echo_in(netns, "198.19.251.2")
    assert _ask(None, "198.19.251.2") == b"hello"
    thread.join()
    listening.close()


async def test_the_next_pod_of_an_address_is_reached_at_once(platform: str) -> None:
    """Whoever spoke to the first one still has its hardware address in mind."""
    node, address = _node(platform, 0), "198.19.251.2"
    await node.ensure_node()
    for uid in ("uid-1", "uid-2"):
        netns = await node.ensure_pod(uid, address)
        assert netns is not None
        for asking in (None, node.node_netns):
            listening, thread = _echo_in(netns, address)
            assert _ask(asking, address) == b"hello"
            thread.join()
            listening.close()
        await node.remove_pod(uid)


async def test_a_pod_and_a_node_go_without_the_others(platform: str) -> None:
    first, second = _node(platform, 0), _node(platform, 1)
    for node, ip in ((first, "198.19.251.2"), (second, "198.19.251.34")):
        await node.ensure_node()
        await node.ensure_pod("uid-1", ip)
    await first.remove_pod("uid-1")
    await first.remove_pod("uid-1")
    assert not [name for name in _traces(platform) if name.startswith(f"{platform}-node-0-p")]
    await first.remove_node()
    await first.remove_node()
    assert min(name for name in _traces(platform) if "-" in name) == f"{platform}-node-1"


async def test_removal_takes_everything_also_what_a_crash_left_half_made(platform: str) -> None:
    node = _node(platform, 0)
    await node.ensure_node()
    await node.ensure_pod("uid-1", "198.19.251.2")
    (sockets.NETNS_FOLDER / f"{platform}-node-9").touch()
    network.remove_all(platform)
    assert _traces(platform) == []
    network.remove_all(platform)


async def test_a_half_made_namespace_is_made_whole(platform: str) -> None:
    sockets.NETNS_FOLDER.mkdir(exist_ok=True)
    (sockets.NETNS_FOLDER / f"{platform}-node-0").touch()
    node = _node(platform, 0)
    await node.ensure_node()
    assert sockets.inside(node.node_netns, lambda: sorted(p.name for p in Path("/proc/thread-self/net").glob("dev")))


async def test_a_network_that_is_in_use_is_named(platform: str) -> None:
    await _node(platform, 0).ensure_node()
    other = f"{platform[:-1]}x"
    try:
        with pytest.raises(NetworkError, match=rf"198\.18\.251\.0/24 overlaps .* {platform}br \(198\.18\.251\.0/24\)"):
            await _node(other, 0).ensure_node()
    finally:
        network.remove_all(other)


def test_a_thread_that_entered_a_namespace_touches_no_other(platform: str) -> None:
    namespaces.ensure_netns(f"{platform}-x")
    before = Path("/proc/self/ns/net").readlink()
    inside = sockets.inside(f"{platform}-x", lambda: Path("/proc/thread-self/ns/net").readlink())
    assert inside != before
    assert Path("/proc/thread-self/ns/net").readlink() == before
