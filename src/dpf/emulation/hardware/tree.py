"""What the kernel of an emulated host shows: its DPUs on the PCI bus, its bridge, its routes.

Called by `hosts`. The folders are those of `hostagent.host.emulated`: the host agent reads them, and writes what it
would write there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from dpf.detector import scan
from dpf.emulation.hardware.settings import Card
from dpf.hostagent import host as hosts
from dpf.local import files

PF0: Final = "ens{slot}f0np0"
PF1: Final = "ens{slot}f1np1"
PART_NUMBER: Final = "900-9D3B6-00CV-AA0"
TOTAL_VFS: Final = 16
NFD_PREFIX: Final = "feature.node.kubernetes.io/"
_VENDOR: Final = "0x15b3"
_BLUEFIELD_3: Final = "0xa2dc"
_ROUTES: Final = (
    "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    "{bridge}\t00000000\t0101A8C0\t0003\t0\t0\t1024\t00000000\t0\t0\t0\n"
)


def write(
    folder: Path, cards: Iterable[Card], *, bridge: str = scan.DEFAULT_BRIDGE, fresh: bool = False
) -> None:
    """Have the tree of a host with these cards in `folder`. Raises OSError.

    What was changed in it since stays, unless it is `fresh`, as after a boot.
    """
    sysfs = folder / "sys"
    if fresh:
        shutil.rmtree(sysfs, ignore_errors=True)
    for card in cards:
        _function(sysfs, card, 0, PF0.format(slot=card.slot))
        _function(sysfs, card, 1, PF1.format(slot=card.slot))
    (sysfs / "bus" / "pci" / "devices").mkdir(parents=True, exist_ok=True)
    (sysfs / "class" / "net" / bridge / "bridge").mkdir(parents=True, exist_ok=True)
    _put(folder / "proc" / "net" / "route", _ROUTES.format(bridge=bridge).encode())
    hosts.emulated(folder).features.mkdir(parents=True, exist_ok=True)


def features(folder: Path) -> dict[str, str]:
    """Labels that node feature discovery makes of what the detector finds. Raises pci.Unreadable, OSError."""
    host = hosts.emulated(folder)
    scan.detect(sysfs=host.sysfs, proc=host.procfs, features=host.features)
    lines = (host.features / scan.FILE).read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line)
    return {f"{NFD_PREFIX}{name}": value for name, _, value in pairs}


def vital_product_data(serial: str, part: str) -> bytes:
    """The data of a card that says who it is (PCI Local Bus 2.2, appendix I)."""
    name = b"BlueField-3 DPU, emulated"
    fields = b"".join(key + bytes([len(value)]) + value for key, value in (
        (b"PN", part.encode()), (b"SN", serial.encode()),
    ))
    return b"".join((
        b"\x82", len(name).to_bytes(2, "little"), name, b"\x90", len(fields).to_bytes(2, "little"), fields, b"x",
    ))


def _function(sysfs: Path, card: Card, number: int, interface: str) -> None:
    device = sysfs / "bus" / "pci" / "devices" / f"{card.pci_address[:-1]}{number}"
    (device / "net" / interface).mkdir(parents=True, exist_ok=True)
    _put(device / "vendor", f"{_VENDOR}\n".encode())
    _put(device / "device", f"{_BLUEFIELD_3}\n".encode())
    _put(device / "vpd", vital_product_data(card.serial, PART_NUMBER))
    _put(device / "sriov_totalvfs", f"{TOTAL_VFS}\n".encode())
    if not (device / "sriov_numvfs").exists():
        _put(device / "sriov_numvfs", b"0\n")
    (device / "virtfn0" / "net" / f"{interface}v0").mkdir(parents=True, exist_ok=True)
    link = sysfs / "class" / "net" / interface
    link.mkdir(parents=True, exist_ok=True)
    if not (link / "device").is_symlink():
        (link / "device").symlink_to(device)


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomic(path, content, mode=0o644)
