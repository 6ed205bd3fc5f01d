"""The port to the network interfaces of the host. Implementations: `kernellinks` (netlink), `filelinks` (a sysfs tree).

Each call is short, may block, and raises OSError, whose text is for people.
"""

from __future__ import annotations

from typing import Protocol

from dpf.hostagent.network.plan import Link


class Links(Protocol):
    """Interfaces by name."""

    def find(self, name: str) -> Link | None:
        """The interface; None when there is none."""

    def attach(self, name: str, bridge: str) -> None:
        """Make it a port of the bridge, and of no other."""

    def detach(self, name: str) -> None:
        """Make it a port of nothing; absent is fine."""

    def set_mtu(self, name: str, mtu: int) -> None:
        """Change its MTU."""

    def set_up(self, name: str) -> None:
        """Switch it on."""
