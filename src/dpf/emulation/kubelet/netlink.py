"""Interfaces, addresses and routes of the current network namespace: small idempotent steps over netlink.

Called by `namespaces`, in a thread that has entered the namespace (`sockets.inside`). Every function raises OSError or
NetlinkError, never for something that is already as asked.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import socket
import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

ERRORS: Final = (NetlinkError, OSError)
_SIOCETHTOOL: Final = 0x8946
_ETHTOOL_STXCSUM: Final = 0x17
_SCOPE_LINK: Final = 253


def find_link(ipr: IPRoute, name: str) -> int | None:
    """Index of the interface, or None."""
    found = ipr.link_lookup(ifname=name)
    return int(found[0]) if found else None


def ensure_bridge(ipr: IPRoute, name: str, mac: str) -> int:
    """A bridge that is up. Its address is fixed: a bridge that takes over its ports' spoils neighbours' caches."""
    index = find_link(ipr, name)
    if index is None:
        _tolerate(errno.EEXIST, lambda: ipr.link("add", ifname=name, kind="bridge", address=mac))
        index = _require(ipr, name)
    ipr.link("set", index=index, state="up")
    return index


def ensure_veth(ipr: IPRoute, name: str, *, peer: str, peer_netns: str, peer_mac: str, bridge: str) -> None:
    """A veth pair: `name` here as a port of `bridge`, `peer` in the other namespace with the address `peer_mac`."""
    if find_link(ipr, name) is None:
        there = {"ifname": peer, "net_ns_fd": peer_netns, "address": peer_mac}
        _tolerate(errno.EEXIST, lambda: ipr.link("add", ifname=name, kind="veth", peer=there))
    ipr.link("set", index=_require(ipr, name), master=_require(ipr, bridge), state="up")


def set_up(ipr: IPRoute, name: str) -> int:
    """Switch an interface on; returns its index."""
    index = _require(ipr, name)
    ipr.link("set", index=index, state="up")
    return index


def ensure_address(ipr: IPRoute, index: int, address: IPv4Interface) -> None:
    """Give the interface that address."""
    _tolerate(errno.EEXIST, lambda: ipr.addr(
        "add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen
    ))


def ensure_route(
    ipr: IPRoute, network: IPv4Network, index: int, *, gateway: IPv4Address | None = None,
    source: IPv4Address | None = None,
) -> None:
    """Send `network` out of the interface, directly or through `gateway`."""
    options: dict[str, Any] = {"dst": str(network), "oif": index}
    options |= {"gateway": str(gateway)} if gateway else {"scope": _SCOPE_LINK}
    if source is not None:
        options["prefsrc"] = str(source)
    ipr.route("replace", **options)


def overlapping(ipr: IPRoute, network: IPv4Network, *, except_link: str) -> str | None:
    """`<interface> (<network>)` of another interface whose routes overlap `network`, the default route apart."""
    own = find_link(ipr, except_link)
    for route in ipr.get_routes(family=socket.AF_INET, table=254):
        destination, index = route.get_attr("RTA_DST"), route.get_attr("RTA_OIF")
        if destination is None or index in {None, own}:
            continue
        other = IPv4Network((destination, route["dst_len"]))
        if other.overlaps(network):
            links = ipr.get_links(index)
            name = links[0].get_attr("IFLA_IFNAME") if links else index
            return f"{name} ({other})"
    return None


def delete_link(ipr: IPRoute, name: str) -> None:
    """Remove the interface; absent is fine."""
    index = find_link(ipr, name)
    if index is not None:
        _tolerate(errno.ENODEV, lambda: ipr.link("del", index=index))


def link_names(ipr: IPRoute) -> list[str]:
    """Names of all interfaces."""
    return [str(link.get_attr("IFLA_IFNAME")) for link in ipr.get_links()]


def switch_off_tx_checksums(name: str) -> None:
    """What `ethtool -K <name> tx off` does: a checksum left to hardware that is not there would drop packets."""
    value = ctypes.create_string_buffer(struct.pack("II", _ETHTOOL_STXCSUM, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, struct.pack("16sP", name.encode(), ctypes.addressof(value)))


def set_sysctl(path: str, value: str) -> None:
    """Write below /proc/sys/net of the current namespace, when it differs."""
    file = Path("/proc/sys/net") / path
    if file.read_text().strip() != value:
        file.write_text(value)


def _require(ipr: IPRoute, name: str) -> int:
    index = find_link(ipr, name)
    if index is None:
        raise OSError(errno.ENODEV, f"there is no interface {name}")
    return index


def _tolerate(code: int, function: Callable[[], object]) -> None:
    """Call; a failure with that error number means that it was done already."""
    try:
        function()
    except NetlinkError as error:
        if error.code != code:
            raise
