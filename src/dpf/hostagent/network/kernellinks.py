"""`links.Links` over netlink, in the network namespace of the process.

Use it in a thread of its own: the netlink library runs an event loop, which a thread with a running one does not allow.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from dpf.hostagent.network.plan import Link

_UP: Final = 1
"""IFF_UP."""


class KernelLinks:
    """The interfaces of this kernel."""

    def find(self, name: str) -> Link | None:
        """See Links."""
        with _netlink(f"cannot read interface {name}") as ipr:
            index = _index(ipr, name)
            return _link(ipr, name, ipr.get_links(index)[0], index) if index is not None else None

    def attach(self, name: str, bridge: str) -> None:
        """See Links."""
        with _netlink(f"cannot make {name} a port of {bridge}") as ipr:
            ipr.link("set", index=_require(ipr, name), master=_require(ipr, bridge))

    def detach(self, name: str) -> None:
        """See Links."""
        with _netlink(f"cannot take {name} out of its bridge") as ipr:
            index = _index(ipr, name)
            if index is not None:
                ipr.link("set", index=index, master=0)

    def set_mtu(self, name: str, mtu: int) -> None:
        """See Links."""
        with _netlink(f"cannot give {name} the MTU {mtu}") as ipr:
            ipr.link("set", index=_require(ipr, name), mtu=mtu)

    def set_up(self, name: str) -> None:
        """See Links."""
        with _netlink(f"cannot switch {name} on") as ipr:
            ipr.link("set", index=_require(ipr, name), state="up")


def _link(ipr: IPRoute, name: str, message: Any, index: int) -> Link:  # noqa: ANN401 - a netlink message
    info, master = message.get_attr("IFLA_LINKINFO"), message.get_attr("IFLA_MASTER")
    kind = info.get_attr("IFLA_INFO_KIND") if info is not None else None
    return Link(
        name=name, mtu=int(message.get_attr("IFLA_MTU")), is_up=bool(message["flags"] & _UP),
        master=str(ipr.get_links(master)[0].get_attr("IFLA_IFNAME")) if master else "", is_bridge=kind == "bridge",
        has_ipv4=any(True for _ in ipr.get_addr(family=socket.AF_INET, index=index)),
    )


def _index(ipr: IPRoute, name: str) -> int | None:
    found = ipr.link_lookup(ifname=name)
    return int(found[0]) if found else None


def _require(ipr: IPRoute, name: str) -> int:
    index = _index(ipr, name)
    if index is None:
        raise OSError(errno.ENODEV, f"there is no interface {name}")
    return index


@contextmanager
def _netlink(trouble: str) -> Iterator[IPRoute]:
    try:
        with IPRoute() as ipr:
            yield ipr
    except NetlinkError as error:
        raise OSError(error.code, f"{trouble}: {os.strerror(error.code)}") from error
