"""The port behind which a pod gets its network, and the implementation for a machine without namespaces.

`namespaces` is the other implementation, imported only where it is used: its netlink library takes memory. Called by
`nodes` (node), `podworker` (pods) and `dpfctl local down` (`remove_all`).
"""

from __future__ import annotations

import os
from typing import Protocol


def remove_all(platform: str) -> None:
    """Take away every namespace and interface that carries the platform's prefix, whoever made them.

    Without root there are none. Raises NetworkError.
    """
    if os.geteuid() != 0:
        return
    from dpf.emulation.kubelet import namespaces

    namespaces.remove_all(platform)


class NetworkError(Exception):
    """The network of a node or pod could not be made; the message says what and, where known, how to mend it."""


class PodNetwork(Protocol):
    """The network of one node. Every method is idempotent and raises NetworkError."""

    @property
    def node_netns(self) -> str | None:
        """Name of the node's namespace under /run/netns; None where the node lives in the machine's own."""

    async def ensure_node(self) -> None:
        """Make the node's network as it should be."""

    async def ensure_pod(self, uid: str, ip: str) -> str | None:
        """Make the pod's network with that address; returns the name of its namespace, or None."""

    async def remove_pod(self, uid: str) -> None:
        """Take the pod's network away; absent is fine."""

    async def remove_node(self) -> None:
        """Take the node's network away with everything in it."""


class HostNetwork:
    """No namespaces: pods share the machine's network, told apart by loopback addresses that need no set-up."""

    node_netns: str | None = None

    async def ensure_node(self) -> None:
        """Nothing to make: all of 127.0.0.0/8 answers on Linux."""

    async def ensure_pod(self, uid: str, ip: str) -> str | None:  # noqa: ARG002 - the port
        """Nothing to make."""
        return None

    async def remove_pod(self, uid: str) -> None:
        """Nothing to take away."""

    async def remove_node(self) -> None:
        """Nothing to take away."""
