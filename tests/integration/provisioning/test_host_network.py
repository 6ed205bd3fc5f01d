"""The host's side of a card with the kernel's own interfaces, in a network namespace of its own (behaviour 11)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyroute2 import IPRoute
from tests.support import needs

from dpf.emulation.kubelet import namespaces, sockets
from dpf.hostagent.network.daemon import Card, HostNetwork
from dpf.hostagent.network.kernellinks import KernelLinks
from dpf.hostagent.network.plan import Link, Wanted

pytestmark = pytest.mark.root

SLOT = "0000:0e:00"
SET_UP = Link(name="ens1f0v0", mtu=1400, is_up=True, master="br-dpu")


class Host:
    """A namespace with a bridge and an interface that stands for the first virtual function."""

    def __init__(self, netns: str, root: Path) -> None:
        self.netns = netns
        self.daemon = HostNetwork(
            Card(slot=SLOT), Wanted(vfs=4, mtu=1400, bridge="br-dpu"), sysfs=root / "sys", links=KernelLinks(),
            ready_file=root / "ready",
        )
        self.function = root / "sys" / "bus" / "pci" / "devices" / f"{SLOT}.0"
        (self.function / "net" / "ens1f0").mkdir(parents=True)
        (self.function / "virtfn0" / "net" / "ens1f0v0").mkdir(parents=True)
        (self.function / "sriov_numvfs").write_text("0\n")

    def netlink(self, change: Callable[[IPRoute], object]) -> None:
        def inside() -> None:
            with IPRoute() as ipr:
                change(ipr)

        sockets.inside(self.netns, inside)

    def add_function(self) -> None:
        self.netlink(lambda ipr: ipr.link("add", ifname="ens1f0v0", kind="veth", peer={"ifname": "far"}))

    def add_bridge(self) -> None:
        self.netlink(lambda ipr: ipr.link("add", ifname="br-dpu", kind="bridge"))

    def add_address(self) -> None:
        self.netlink(lambda ipr: ipr.addr(
            "add", index=ipr.link_lookup(ifname="br-dpu")[0], address="192.0.2.1", prefixlen=24
        ))

    def step(self) -> str:
        return sockets.inside(self.netns, self.daemon.step)

    def find(self, name: str) -> Link | None:
        return sockets.inside(self.netns, lambda: KernelLinks().find(name))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    needs.root()
    netns = f"hn{os.getpid() % 100000}"
    namespaces.ensure_netns(netns)
    yield Host(netns, tmp_path)
    namespaces.remove_netns(netns)


def test_function_becomes_a_port_of_a_bridge_with_an_address(host: Host) -> None:
    assert host.step() == f"the first virtual function of {SLOT}.0 has no interface yet"
    host.add_function()
    assert host.step() == "this host has no bridge br-dpu. Next step: set it up, with an address"
    host.add_bridge()
    assert host.step() == "bridge br-dpu has no IPv4 address yet"
    host.add_address()
    assert host.step() == ""
    assert host.find("ens1f0v0") == SET_UP
    bridge = host.find("br-dpu")
    assert bridge is not None
    assert (bridge.is_bridge, bridge.has_ipv4) == (True, True)
    assert (host.function / "sriov_numvfs").read_text() == "4\n"


def test_what_somebody_changes_is_changed_back_and_taken_out_at_the_end(host: Host) -> None:
    host.add_function()
    host.add_bridge()
    host.add_address()
    host.step()
    host.netlink(lambda ipr: ipr.link("set", index=ipr.link_lookup(ifname="ens1f0v0")[0], master=0, state="down"))
    assert host.find("ens1f0v0") == Link(name="ens1f0v0", mtu=1400, is_up=False)

    assert host.step() == ""
    assert host.find("ens1f0v0") == SET_UP
    sockets.inside(host.netns, host.daemon.leave)
    assert host.find("ens1f0v0") == Link(name="ens1f0v0", mtu=1400, is_up=True)


def test_kernel_that_refuses_is_told(host: Host) -> None:
    host.add_function()
    host.add_bridge()
    host.add_address()
    links = KernelLinks()

    with pytest.raises(OSError, match="cannot give ens1f0v0 the MTU 70000"):
        sockets.inside(host.netns, lambda: links.set_mtu("ens1f0v0", 70000))
    with pytest.raises(OSError, match="there is no interface nothing"):
        sockets.inside(host.netns, lambda: links.attach("nothing", "br-dpu"))
