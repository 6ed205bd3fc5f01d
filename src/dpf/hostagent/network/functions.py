"""Physical and virtual functions of a card, in a sysfs tree. Called by `daemon`. Knows no netlink."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from dpf.detector import pci
from dpf.hostagent.network.plan import Port

_ADDRESS: Final = re.compile(r"(?:([0-9a-f]{4})[:-])?([0-9a-f]{2})[:-]([0-9a-f]{2})(?:\.[0-7])?")


class BadCard(Exception):
    """What names the card is no address on the bus; the message says so."""


def slot_of(address: str) -> str:
    """Where a card is on the bus, e.g. `0000:0e:00`, from an address with dashes or colons. Raises BadCard."""
    match = _ADDRESS.fullmatch(address.lower())
    if match is None:
        raise BadCard(f"{address!r} is no address on the PCI bus; write it like 0000-0e-00")
    return f"{match[1] or '0000'}:{match[2]}:{match[3]}"


def slot_of_interface(sysfs: Path, name: str) -> str | None:
    """Where the card is whose network interface has this name; None when there is none."""
    try:
        function = (sysfs / "class" / "net" / name / "device").resolve(strict=True).name
        return slot_of(function)
    except (OSError, BadCard):
        return None


def ports(sysfs: Path, slot: str) -> tuple[Port, ...]:
    """The card's first function, and the second if it is one of a DPU. Empty when the card is not there."""
    first, second = _folder(sysfs, slot, 0), _folder(sysfs, slot, 1)
    if not first.is_dir():
        return ()
    return (_port(first), _port(second)) if second.is_dir() and pci.is_card(second) else (_port(first),)


def first_function(sysfs: Path, port: Port) -> str:
    """Name of the interface of the port's first virtual function, or ""."""
    return pci.interface(sysfs / "bus" / "pci" / "devices" / port.address / "virtfn0")


def make(sysfs: Path, port: Port, count: int) -> None:
    """Have the driver make virtual functions. Raises OSError."""
    (sysfs / "bus" / "pci" / "devices" / port.address / "sriov_numvfs").write_text(f"{count}\n")


def _folder(sysfs: Path, slot: str, number: int) -> Path:
    return sysfs / "bus" / "pci" / "devices" / f"{slot}.{number}"


def _port(folder: Path) -> Port:
    return Port(
        address=folder.name, name=pci.interface(folder), vfs=_number(folder / "sriov_numvfs") or 0,
        limit=_number(folder / "sriov_totalvfs"),
    )


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
