"""A network for every node and pod: namespaces, veth pairs and bridges on this machine.

    machine   <platform>br  .1 of the node network, route to all pods
      └ veth <platform>n<index> ─ eth0 of namespace <platform>-<node>: the node's address
          └ bridge `pods`, .1 of the node's pod block
              └ veth ─ eth0 of namespace <platform>-<node>-p<digest>: the pod's address

A node answers for its pods' addresses on the shared bridge (proxy ARP), so that nothing needs a route per node and the
machine forwards nothing. Called by `nodes`, `agent` and `podworker` through the port `network.PodNetwork`; `removal`
finds everything again by the platform's prefix, whoever made it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Final

from pyroute2 import IPRoute

from dpf.emulation.kubelet import netlink, sockets
from dpf.emulation.kubelet.addresses import NodeAddresses
from dpf.emulation.kubelet.network import NetworkError

_POD_BRIDGE: Final = "pods"
_INSIDE: Final = "eth0"
_DEFAULT: Final = IPv4Network("0.0.0.0/0")


class NamespaceNetwork:
    """`network.PodNetwork` with network namespaces. Needs root."""

    def __init__(self, *, platform: str, node: str, index: int, addresses: NodeAddresses) -> None:
        self._platform = platform
        self._node = node
        self._outside = f"{platform}n{index}"
        self._netns = f"{platform}-{node}"
        self._addresses = addresses

    @property
    def node_netns(self) -> str | None:
        """See PodNetwork."""
        return self._netns

    async def ensure_node(self) -> None:
        """See PodNetwork."""
        await _in_thread(self._ensure_node)

    async def ensure_pod(self, uid: str, ip: str) -> str | None:
        """See PodNetwork."""
        netns = self._pod_netns(uid)
        await _in_thread(lambda: self._ensure_pod(netns, uid, ip))
        return netns

    async def remove_pod(self, uid: str) -> None:
        """See PodNetwork."""
        netns = self._pod_netns(uid)
        await _in_thread(lambda: self._remove_pod(netns, uid))

    async def remove_node(self) -> None:
        """See PodNetwork."""
        await _in_thread(self._remove_node)

    def _ensure_node(self) -> None:
        own, bridge = self._addresses, _bridge_name(self._platform)
        with IPRoute() as ipr:
            if netlink.find_link(ipr, bridge) is None:
                self._refuse_overlap(ipr)
            index = netlink.ensure_bridge(ipr, bridge, _mac(bridge))
            netlink.ensure_address(ipr, index, IPv4Interface((own.gateway, own.node_network.prefixlen)))
            netlink.ensure_route(ipr, own.pod_network, index, source=own.gateway)
            ensure_netns(self._netns)
            netlink.ensure_veth(
                ipr, self._outside, peer=_INSIDE, peer_netns=self._netns, peer_mac=_mac(str(own.node)), bridge=bridge
            )
        sockets.inside(self._netns, self._set_up_node)

    def _set_up_node(self) -> None:
        """Inside the node's namespace."""
        own = self._addresses
        with IPRoute() as ipr:
            netlink.set_up(ipr, "lo")
            outer = netlink.set_up(ipr, _INSIDE)
            netlink.ensure_address(ipr, outer, IPv4Interface((own.node, own.node_network.prefixlen)))
            netlink.ensure_route(ipr, own.pod_network, outer, source=own.node)
            pods = netlink.ensure_bridge(ipr, _POD_BRIDGE, _mac(self._netns))
            netlink.ensure_address(ipr, pods, IPv4Interface((own.pod_gateway, own.pods.prefixlen)))
        netlink.switch_off_tx_checksums(_INSIDE)
        netlink.set_sysctl("ipv4/ip_forward", "1")
        netlink.set_sysctl(f"ipv4/conf/{_INSIDE}/proxy_arp", "1")
        # Answers for others are delayed by up to 0.8 s by default, to let the owner answer first: there is none.
        netlink.set_sysctl(f"ipv4/neigh/{_INSIDE}/proxy_delay", "0")

    def _refuse_overlap(self, ipr: IPRoute) -> None:
        for network in (self._addresses.node_network, self._addresses.pod_network):
            other = netlink.overlapping(ipr, network, except_link=_bridge_name(self._platform))
            if other is not None:
                raise NetworkError(
                    f"{network} overlaps the network of interface {other} on this machine: choose other nodeNetwork "
                    "and podNetwork for this platform"
                )

    def _ensure_pod(self, netns: str, uid: str, ip: str) -> None:
        ensure_netns(netns)
        sockets.inside(self._netns, lambda: self._plug_in(netns, uid, ip))
        sockets.inside(netns, lambda: self._set_up_pod(ip))

    def _plug_in(self, netns: str, uid: str, ip: str) -> None:
        """Inside the node's namespace.

        The hardware address follows from the pod's: a neighbour that still remembers an earlier pod of this address
        reaches the new one.
        """
        with IPRoute() as ipr:
            netlink.ensure_veth(
                ipr, _pod_port(uid), peer=_INSIDE, peer_netns=netns, peer_mac=_mac(ip), bridge=_POD_BRIDGE
            )

    def _set_up_pod(self, ip: str) -> None:
        """Inside the pod's namespace."""
        own = self._addresses
        with IPRoute() as ipr:
            netlink.set_up(ipr, "lo")
            index = netlink.set_up(ipr, _INSIDE)
            netlink.ensure_address(ipr, index, IPv4Interface((ip, own.pods.prefixlen)))
            netlink.ensure_route(ipr, _DEFAULT, index, gateway=own.pod_gateway)
        netlink.switch_off_tx_checksums(_INSIDE)

    def _remove_pod(self, netns: str, uid: str) -> None:
        """The port goes explicitly: a namespace's own interfaces go only when the kernel gets round to it."""
        if (sockets.NETNS_FOLDER / self._netns).exists():
            sockets.inside(self._netns, lambda: _delete_link(_pod_port(uid)))
        remove_netns(netns)

    def _remove_node(self) -> None:
        for name in netns_names(f"{re.escape(self._netns)}-p[0-9a-f]{{10}}"):
            remove_netns(name)
        _delete_link(self._outside)
        remove_netns(self._netns)

    def _pod_netns(self, uid: str) -> str:
        return f"{self._netns}-p{_digest(uid)}"


def remove_all(platform: str) -> None:
    """Take away every namespace and interface of that platform. Raises NetworkError; what is absent is fine."""

    def remove() -> None:
        for name in netns_names(f"{re.escape(platform)}-.*"):
            remove_netns(name)
        with IPRoute() as ipr:
            for name in netlink.link_names(ipr):
                if re.fullmatch(rf"{re.escape(platform)}(br|n[0-9]+)", name):
                    netlink.delete_link(ipr, name)

    with _explained():
        # The netlink library runs an event loop of its own, which a thread with a running one does not allow.
        sockets.in_thread(remove)


def ensure_netns(name: str) -> None:
    """A named network namespace, as `ip netns add` makes it. Raises OSError."""
    path = sockets.NETNS_FOLDER / name
    if _is_netns(path):
        return
    sockets.NETNS_FOLDER.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o444)

    def make() -> None:
        sockets.unshare_network()
        sockets.bind_mount(Path("/proc/thread-self/ns/net"), path)

    sockets.in_thread(make)


def remove_netns(name: str) -> None:
    """Remove the name; the namespace ends with the last process in it. Absent is fine. Raises OSError."""
    path = sockets.NETNS_FOLDER / name
    try:
        sockets.unmount(path)
    except OSError as error:
        # EINVAL: the file is there but nothing is mounted on it, as a crash between the two steps leaves it.
        if error.errno not in {errno.EINVAL, errno.ENOENT}:
            raise
    path.unlink(missing_ok=True)


def netns_names(pattern: str) -> list[str]:
    """Names of namespaces that match the regular expression as a whole."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(path.name for path in sockets.NETNS_FOLDER.iterdir() if re.fullmatch(pattern, path.name))
    return []


def _is_netns(path: Path) -> bool:
    """Whether a namespace is mounted there: an ordinary file lies in the device of its folder."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev
    except FileNotFoundError:
        return False


def _delete_link(name: str) -> None:
    with IPRoute() as ipr:
        netlink.delete_link(ipr, name)


def _bridge_name(platform: str) -> str:
    return f"{platform}br"


def _pod_port(uid: str) -> str:
    return f"v{_digest(uid)}"


def _digest(text: str) -> str:
    """10 hexadecimal digits: interface names have at most 15 characters."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _mac(name: str) -> str:
    """A locally administered address that is always the same for `name`."""
    digest = hashlib.sha256(name.encode()).digest()
    return "02:" + ":".join(f"{byte:02x}" for byte in digest[:5])


async def _in_thread(function: Callable[[], None]) -> None:
    with _explained():
        await asyncio.to_thread(function)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except netlink.ERRORS as error:
        if isinstance(error, PermissionError) or getattr(error, "code", None) == errno.EPERM:
            raise NetworkError('network namespaces need root: run as root, or set network.mode to "host"') from error
        raise NetworkError(str(error)) from error
