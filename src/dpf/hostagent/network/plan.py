"""What is to be done to the host's network for one card, from what is there. Pure. Called by `daemon`.

Virtual functions are made only where there are none: another count than the wanted one is somebody's own, and changing
it would take away interfaces that are in use. Source: behaviour-provisioning.md section 11.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`vfs` functions on each port of the card; the first of the first port becomes a port of `bridge`, with `mtu`."""

    vfs: int
    mtu: int
    bridge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A physical function: its address, its interface, how many virtual functions it has and could have."""

    address: str
    name: str
    vfs: int
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A network interface of the host. `master` is the bridge that it is a port of, "" for none."""

    name: str
    mtu: int
    is_up: bool
    master: str = ""
    is_bridge: bool = False
    has_ipv4: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look. `ports` are those of the card, the first port first; `function` is the first virtual function's link.

    `bridge` is the interface of the wanted name, whatever it is.
    """

    ports: tuple[Port, ...] = ()
    function: Link | None = None
    bridge: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeFunctions:
    """Have the port make so many virtual functions."""

    port: Port
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attach:
    """Make the interface a port of the bridge."""

    name: str
    bridge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMTU:
    """Give the interface that MTU."""

    name: str
    mtu: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """Switch the interface on."""

    name: str


Action = MakeFunctions | Attach | SetMTU | SetUp


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`waits_for` is for people; without it and without actions everything is as wanted."""

    actions: tuple[Action, ...] = ()
    waits_for: str = ""

    @property
    def is_done(self) -> bool:
        """Whether the host's side is set up."""
        return not self.actions and not self.waits_for


def functions(seen: Seen, wanted: Wanted, card: str) -> Plan:
    """Only the virtual functions: what has to be there before anything else."""
    if not seen.ports:
        return Plan(waits_for=f"this host has no card {card}, or its driver is not loaded")
    refused = [port for port in seen.ports if port.limit is not None and wanted.vfs > port.limit and not port.vfs]
    if refused:
        port = refused[0]
        return Plan(waits_for=(
            f"card function {port.address} offers {port.limit} virtual functions, and {wanted.vfs} are wanted. Next "
            "step: set NUM_OF_VFS and SRIOV_EN in its firmware (nvconfig of the DPUFlavor), and reboot the host"
        ))
    return Plan(actions=tuple(
        MakeFunctions(port=port, count=wanted.vfs) for port in seen.ports if not port.vfs and wanted.vfs
    ))


def plan(seen: Seen, wanted: Wanted, card: str) -> Plan:
    """The next steps. Without virtual functions there is nothing that could be a port of the bridge."""
    first = functions(seen, wanted, card)
    if not first.is_done or not seen.ports[0].vfs:
        return first
    if seen.function is None:
        return Plan(waits_for=f"the first virtual function of {seen.ports[0].address} has no interface yet")
    if seen.bridge is None or not seen.bridge.is_bridge:
        return Plan(waits_for=f"this host has no bridge {wanted.bridge}. Next step: set it up, with an address")
    if not seen.bridge.has_ipv4:
        return Plan(waits_for=f"bridge {wanted.bridge} has no IPv4 address yet")
    return Plan(actions=tuple(_connect(seen.function, wanted)))


def is_attached(seen: Seen, wanted: Wanted) -> bool:
    """Whether the function is a port of our bridge, and has to be taken out when the DPU goes."""
    return seen.function is not None and seen.function.master == wanted.bridge


def _connect(function: Link, wanted: Wanted) -> Iterator[Action]:
    if function.mtu != wanted.mtu:
        yield SetMTU(name=function.name, mtu=wanted.mtu)
    if function.master != wanted.bridge:
        yield Attach(name=function.name, bridge=wanted.bridge)
    if not function.is_up:
        yield SetUp(name=function.name)
