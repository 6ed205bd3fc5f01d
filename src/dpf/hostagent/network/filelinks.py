"""`links.Links` of a host that exists as a sysfs tree only: emulated hosts, and tests.

An interface is a folder of `class/net` with `mtu`, `flags` and `master` (a link to the bridge's folder); one with
a folder `bridge` is a bridge, and has an address. The interface of a virtual function is there as soon as its card has
the folder `virtfn0/net/<name>`, which `make_functions` makes as a driver would.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

from dpf.hostagent.network import functions
from dpf.hostagent.network.plan import Link, Port

_UP: Final = 1
_USUAL_MTU: Final = 1500


def make_functions(sysfs: Path, port: Port, count: int) -> None:
    """What a driver does: virtual functions of the port, each with its interface. Raises OSError."""
    folder = sysfs / "bus" / "pci" / "devices" / port.address
    for number in range(count):
        (folder / f"virtfn{number}" / "net" / f"{port.name}v{number}").mkdir(parents=True, exist_ok=True)
    functions.make(sysfs, port, count)


class FileLinks:
    """The interfaces below `sysfs`."""

    def __init__(self, sysfs: Path) -> None:
        self._net = sysfs / "class" / "net"
        self._cards = sysfs / "bus" / "pci" / "devices"

    def find(self, name: str) -> Link | None:
        """See Links."""
        folder = self._net / name
        if not folder.is_dir() and not any(self._cards.glob(f"*/virtfn*/net/{name}")):
            return None
        master, is_bridge = folder / "master", (folder / "bridge").is_dir()
        return Link(
            name=name, mtu=_number(folder / "mtu", _USUAL_MTU), is_up=bool(_number(folder / "flags", 0) & _UP),
            master=master.readlink().name if master.is_symlink() else "", is_bridge=is_bridge, has_ipv4=is_bridge,
        )

    def attach(self, name: str, bridge: str) -> None:
        """See Links."""
        self._require(bridge)
        self.detach(name)
        (self._require(name) / "master").symlink_to(Path("..") / bridge)

    def detach(self, name: str) -> None:
        """See Links."""
        (self._net / name / "master").unlink(missing_ok=True)

    def set_mtu(self, name: str, mtu: int) -> None:
        """See Links."""
        (self._require(name) / "mtu").write_text(f"{mtu}\n")

    def set_up(self, name: str) -> None:
        """See Links."""
        folder = self._require(name)
        (folder / "flags").write_text(f"{_number(folder / 'flags', 0) | _UP:#x}\n")

    def _require(self, name: str) -> Path:
        if self.find(name) is None:
            raise OSError(errno.ENODEV, f"there is no interface {name}")
        folder = self._net / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _number(path: Path, otherwise: int) -> int:
    try:
        return int(path.read_text().strip(), base=0)
    except (OSError, ValueError):
        return otherwise
