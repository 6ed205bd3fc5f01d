"""Synthetic software bundles, and the walk over the images of any bundle (behaviour-provisioning.md 2.1).

Tests and the local platform write bundles with `write`; an emulated BMC finds with `length` where a bundle ends and the
bf.cfg that was sent behind it begins. There is no software in these bundles: random bytes and an inventory.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import BinaryIO, Final

MAGIC: Final = 0x13026642
MAJOR: Final = 1
MINOR: Final = 2
IMAGE: Final = 62
INITRAMFS: Final = 63
SMALLEST: Final = 2048

_HEADER: Final = struct.Struct("<QQQ")
_ALIGNMENT: Final = 8
_PIECE: Final = 1 << 20
_MARKER: Final = "This JSON represents the software inventory of a BlueField bundle that was made for tests"


class NotABundle(ValueError):
    """The bytes are no sequence of whole images; says where that shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What the inventory says; "" leaves a component out."""

    doca: str = "2.9.3008-1"
    bsp: str = "4.9.3.13617"
    uefi: str = "4.9.3-25-gf0aa3d6a62"
    atf: str = "v2.2(release):4.9.3-2-g2b5c0fa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image of a bundle: its id, and where its data lies (bytes from the beginning, without padding)."""

    id: int
    offset: int
    length: int


DEFAULT: Final = Versions()


def build(versions: Versions | None = DEFAULT, *, size: int = 8192, seed: int = 0, indent: int = 2) -> bytes:
    """A bundle of exactly `size` bytes (a multiple of 8, at least SMALLEST); the same seed gives the same bytes.

    `versions` None leaves the inventory out.
    """
    text = inventory(versions, indent=indent) if versions is not None else b"no inventory\n"
    filling = size - 2 * _HEADER.size - _padded(len(text))
    if filling < 0 or size % _ALIGNMENT:
        raise ValueError(f"a bundle of {size} bytes cannot be made: it takes a multiple of {_ALIGNMENT}, or more")
    payload = Random(seed).randbytes(filling)  # noqa: S311 - bytes to fill a file with
    return build_image(IMAGE, payload, following=1 << INITRAMFS) + build_image(INITRAMFS, text, following=0)


def write(path: Path, versions: Versions | None = DEFAULT, *, size: int = 8192, seed: int = 0) -> bytes:
    """Put a bundle at `path`; returns its bytes. Raises OSError."""
    data = build(versions, size=size, seed=seed)
    path.write_bytes(data)
    return data


def inventory(versions: Versions, *, indent: int = 2) -> bytes:
    """The inventory as a bundle holds it: lines of text, the count of its members in the last one but the bracket."""
    components = {"BF3_ATF": versions.atf, "BF3_BSP": versions.bsp, "BF3_UEFI": versions.uefi, "DOCA": versions.doca}
    members = [{"Name": name, "Version": version} for name, version in components.items() if version]
    document = {
        "//": _MARKER, "@odata.id": "/redfish/v1/UpdateService/FirmwareInventory", "Name": "Firmware Inventory",
        "Members": members, "Members@odata.count": len(members),
    }
    return json.dumps(document, indent=indent).encode() + b"\n"


def build_image(id: int, data: bytes, *, following: int) -> bytes:
    """Header, data, padding. `following` is the bitmap of the ids of later images."""
    padded = data.ljust(_padded(len(data)), b"\0")
    first = MAGIC | MAJOR << 32 | MINOR << 36 | (_HEADER.size // 8) << 52 | id << 56
    return _HEADER.pack(first, len(data) | zlib.crc32(padded) << 32, following) + padded


def images(stream: BinaryIO) -> Iterator[Image]:
    """The images from where the stream stands, up to the one that no other follows; checks sizes and checksums.

    Reads in pieces, whatever the size. Raises NotABundle, OSError.
    """
    offset = 0
    while True:
        header = stream.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise NotABundle(f"the bundle ends inside the header of an image at byte {offset}")
        first, second, following = _HEADER.unpack(header)
        if first & 0xFFFFFFFF != MAGIC or (first >> 52 & 0xF) * 8 != _HEADER.size:
            raise NotABundle(f"there is no image at byte {offset}")
        length = second & 0xFFFFFFFF
        if _checksum(stream, _padded(length)) != second >> 32:
            raise NotABundle(f"the image at byte {offset} is damaged or not complete")
        yield Image(id=first >> 56, offset=offset + _HEADER.size, length=length)
        offset += _HEADER.size + _padded(length)
        if not following:
            return


def length(stream: BinaryIO) -> int:
    """How many bytes from where the stream stands are bundle. Raises NotABundle, OSError."""
    end = 0
    for image in images(stream):
        end = image.offset + _padded(image.length)
    return end


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _checksum(stream: BinaryIO, size: int) -> int | None:
    """CRC32 of the next `size` bytes; None when there are fewer."""
    checksum = 0
    while size:
        piece = stream.read(min(size, _PIECE))
        if not piece:
            return None
        checksum = zlib.crc32(piece, checksum)
        size -= len(piece)
    return checksum
