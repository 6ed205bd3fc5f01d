"""Finds BlueField cards below a sysfs root. Reads only. Called by `scan`.

A card has several functions on the bus; it is one card, at the address without the function. Source:
behaviour-provisioning.md section 4 (Detector).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dpf.detector import vpd

DEVICES: Final = ("0xa2dc", "0xa2d6")
"""PCI device ids of BlueField-3 and BlueField-2."""
_VENDOR: Final = "0x15b3"
_ADDRESS: Final = re.compile(r"([0-9a-f]{4}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")


class Unreadable(Exception):
    """The bus could not be read, which says nothing about what is on it; the message names the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """`address` is domain, bus and device with dashes, e.g. `0000-04-00`. What could not be read is ""."""

    address: str
    pf0_name: str = ""
    serial: str = ""
    part: str = ""


def cards(sysfs: Path) -> tuple[Card, ...]:
    """The cards by address. Raises Unreadable."""
    root = sysfs / "bus" / "pci" / "devices"
    try:
        functions = sorted(path for path in root.iterdir() if _ADDRESS.fullmatch(path.name))
    except OSError as error:
        raise Unreadable(f"cannot list {root}: {error.strerror}; is sysfs mounted there?") from None
    found: dict[str, Path] = {}
    for function in functions:
        if is_card(function):
            found.setdefault(_slot(function), function)
    return tuple(_card(slot, first) for slot, first in sorted(found.items()))


def is_card(function: Path) -> bool:
    """Whether the function of a device, a folder of the bus, is one of a DPU."""
    return _text(function / "device") in DEVICES and _text(function / "vendor") in (_VENDOR, "")


def _slot(function: Path) -> str:
    match = _ADDRESS.fullmatch(function.name)
    return "-".join(match.groups()[:3]) if match is not None else ""


def _card(slot: str, function: Path) -> Card:
    """The first function of a card is its first physical function."""
    product = vpd.parse(_bytes(function / "vpd"))
    return Card(address=slot, pf0_name=interface(function), serial=product.serial, part=product.part)


def interface(function: Path) -> str:
    """Name of its network interface; "" when it has none, as without a driver.

    The one without a representor's suffix comes first.
    """
    try:
        names = sorted(path.name for path in (function / "net").iterdir())
    except OSError:
        return ""
    return min(names, key=lambda name: (len(name), name)) if names else ""


def _text(path: Path) -> str:
    return _bytes(path).decode(errors="replace").strip().lower()


def _bytes(path: Path) -> bytes:
    """A device that goes while it is looked at reads as nothing."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
