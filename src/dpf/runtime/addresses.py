"""How far inside a network an address lies, to judge where a server may send us.

Pure. Called by whatever fetches what an object names. Its author may name any server, also one on this machine; a
server that answers with a redirect is a stranger, and leads at most to where its own address lies (docs/adr/0010 and
0012).
"""

from __future__ import annotations

import ipaddress
from enum import IntEnum
from typing import Final

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_IPV4_BITS: Final = (1 << 32) - 1


class Reach(IntEnum):
    """Greater is further inside."""

    PUBLIC = 0
    PRIVATE = 1
    """Addresses of a site."""
    LOCAL = 2
    """This machine and its link: loopback, link-local (metadata services), and what is no host's address at all."""


def reach(address: str) -> Reach:
    """Where this address (text, perhaps with a zone) lies. Raises ValueError for what is no address."""
    ip = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    if ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast or ip.is_reserved:
        return Reach.LOCAL
    return Reach.PUBLIC if ip.is_global else Reach.PRIVATE


def _unwrapped(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address that an IPv6 address only carries."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & _IPV4_BITS)
    return ip.ipv4_mapped or ip.sixtofour or ip
