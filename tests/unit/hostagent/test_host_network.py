"""The host's side of a card is set up once and kept so (behaviour-provisioning.md 11, 16.55)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dpf.hostagent.network import filelinks, functions
from dpf.hostagent.network.daemon import Card, HostNetwork
from dpf.hostagent.network.filelinks import FileLinks
from dpf.hostagent.network.plan import Link, Port, Wanted

SLOT = "0000:0e:00"
WANTED = Wanted(vfs=4, mtu=9000, bridge="br-dpu")


class Host:
    """A host with a card of two ports and a bridge."""

    def __init__(self, root: Path, *, second: str = "0xa2dc", total: int = 16) -> None:
        self.sysfs = root / "sys"
        self.ready_file = root / "run" / "ready"
        self.links = FileLinks(self.sysfs)
        self.add_bridge()
        for number, device in enumerate(("0xa2dc", second)):
            folder = self.function(number)
            name = f"ens1f{number}np{number}"
            (folder / "net" / name).mkdir(parents=True)
            for file, text in (("device", device), ("vendor", "0x15b3"), ("sriov_numvfs", "0")):
                (folder / file).write_text(f"{text}\n")
            (folder / "sriov_totalvfs").write_text(f"{total}\n")
            (self.sysfs / "class" / "net" / name).mkdir()
            (self.sysfs / "class" / "net" / name / "device").symlink_to(folder)

    def function(self, number: int) -> Path:
        return self.sysfs / "bus" / "pci" / "devices" / f"{SLOT}.{number}"

    def add_bridge(self) -> None:
        (self.sysfs / "class" / "net" / "br-dpu" / "bridge").mkdir(parents=True, exist_ok=True)

    def vfs(self, number: int) -> int:
        return int((self.function(number) / "sriov_numvfs").read_text())

    def daemon(self, wanted: Wanted = WANTED, card: Card | None = None) -> HostNetwork:
        return HostNetwork(
            card or Card(slot=SLOT), wanted, sysfs=self.sysfs, links=self.links, ready_file=self.ready_file,
            make=filelinks.make_functions,
        )

    @property
    def first(self) -> Link | None:
        return self.links.find("ens1f0np0v0")

    def files(self) -> dict[str, float]:
        """When what was written."""
        return {str(path): path.lstat().st_mtime_ns for path in self.sysfs.rglob("*")}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


SET_UP = Link(name="ens1f0np0v0", mtu=9000, is_up=True, master="br-dpu")


def test_first_function_becomes_a_port_of_the_bridge(host: Host) -> None:
    assert host.daemon().step() == ""
    assert (host.vfs(0), host.vfs(1)) == (4, 4)
    assert host.first == SET_UP
    assert host.ready_file.exists()


def test_card_is_found_by_its_interface(host: Host) -> None:
    assert host.daemon(card=Card(pf0="ens1f0np0")).step() == ""
    assert host.first == SET_UP


def test_second_function_that_is_no_dpu_is_left_alone(tmp_path: Path) -> None:
    host = Host(tmp_path, second="0x1021")

    assert host.daemon().step() == ""
    assert (host.vfs(0), host.vfs(1)) == (4, 0)


def test_functions_that_are_there_are_kept_whatever_their_number(host: Host) -> None:
    filelinks.make_functions(host.sysfs, Port(address=f"{SLOT}.0", name="ens1f0np0", vfs=0), 2)

    assert host.daemon().step() == ""
    assert (host.vfs(0), host.vfs(1)) == (2, 4)


def test_nothing_is_written_when_nothing_differs(host: Host) -> None:
    daemon = host.daemon()
    daemon.step()
    before = host.files()

    assert daemon.step() == ""
    assert host.daemon().step() == "", "after a restart"
    assert host.files() == before


def test_changed_mtu_is_carried_over(host: Host) -> None:
    host.daemon().step()

    assert host.daemon(Wanted(vfs=4, mtu=1500, bridge="br-dpu")).step() == ""
    assert host.first == Link(name="ens1f0np0v0", mtu=1500, is_up=True, master="br-dpu")


def test_what_somebody_takes_away_comes_back(host: Host) -> None:
    daemon = host.daemon()
    daemon.step()
    host.links.detach("ens1f0np0v0")

    assert daemon.step() == ""
    assert host.first == SET_UP


def test_bridge_is_waited_for(host: Host) -> None:
    (host.sysfs / "class" / "net" / "br-dpu" / "bridge").rmdir()
    daemon = host.daemon()

    assert daemon.step() == "this host has no bridge br-dpu. Next step: set it up, with an address"
    assert not host.ready_file.exists()
    assert host.vfs(0) == 4, "the functions do not depend on it"
    host.add_bridge()
    assert daemon.step() == ""
    assert host.ready_file.exists()


def test_host_is_not_ready_any_more_when_the_card_goes(host: Host) -> None:
    daemon = host.daemon()
    daemon.step()
    for number in (0, 1):
        host.function(number).rename(host.sysfs / f"gone{number}")

    assert daemon.step() == f"this host has no card at {SLOT}, or its driver is not loaded"
    assert not host.ready_file.exists()


def test_card_that_offers_too_few_functions_is_told(tmp_path: Path) -> None:
    host = Host(tmp_path, total=2)

    trouble = host.daemon().make_functions()
    assert trouble.startswith(f"card function {SLOT}.0 offers 2 virtual functions, and 4 are wanted. Next step: ")
    assert host.vfs(0) == 0


def test_driver_that_refuses_is_told(host: Host) -> None:
    (host.function(0) / "sriov_numvfs").chmod(0o444)
    (host.function(0) / "sriov_numvfs").unlink()
    (host.function(0) / "sriov_numvfs").mkdir()

    assert host.daemon().step() == f"make 4 virtual functions on {SLOT}.0: Is a directory"


def test_without_functions_there_is_nothing_to_connect(host: Host) -> None:
    assert host.daemon(Wanted(vfs=0, mtu=1500, bridge="br-dpu")).step() == ""
    assert host.first is None


def test_function_leaves_the_bridge_at_the_end(host: Host) -> None:
    daemon = host.daemon()
    daemon.step()
    daemon.leave()

    assert host.first == Link(name="ens1f0np0v0", mtu=9000, is_up=True)
    assert host.vfs(0) == 4
    assert not host.ready_file.exists()
    daemon.leave()


def test_function_of_another_bridge_is_left_there_at_the_end(host: Host) -> None:
    daemon = host.daemon()
    daemon.step()
    (host.sysfs / "class" / "net" / "other" / "bridge").mkdir(parents=True)
    host.links.attach("ens1f0np0v0", "other")
    daemon.leave()

    assert host.first is not None
    assert host.first.master == "other"


async def test_daemon_sets_up_and_leaves(host: Host) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(host.daemon().run(stop))
    async with asyncio.timeout(10):
        while not host.ready_file.exists():
            await asyncio.to_thread(lambda: None)
        stop.set()
        await running

    assert host.first == Link(name="ens1f0np0v0", mtu=9000, is_up=True)


@pytest.mark.parametrize("address", ["0000-0e-00", "0000:0E:00.0", "0e-00", "0e:00", "0000:0e:00"])
def test_addresses_are_understood_as_people_write_them(address: str) -> None:
    assert functions.slot_of(address) == SLOT


@pytest.mark.parametrize("address", ["", "ens1", "0000-0e", "../../etc", "0000:0e:00.9"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(functions.BadCard, match="no address on the PCI bus"):
        functions.slot_of(address)
