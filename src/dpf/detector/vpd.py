"""Reads part number and serial number out of a card's vital product data (PCI Local Bus 2.2, appendix I). Pure.

The data are written by somebody else's firmware, and may be cut short or make no sense: what cannot be read is "".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_LARGE: Final = 0x80
_READ_ONLY: Final = 0x90
_END: Final = 0x78
_FIELD_HEADER: Final = 3
_MAX_BYTES: Final = 1 << 15
_PRINTABLE: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What the card says about itself, as far as it can be the value of a label."""

    part: str = ""
    serial: str = ""


def parse(data: bytes) -> Product:
    """The fields PN and SN of the read-only part."""
    fields = dict(_fields(_read_only(data[:_MAX_BYTES])))
    return Product(part=_value(fields.get(b"PN")), serial=_value(fields.get(b"SN")))


def _read_only(data: bytes) -> bytes:
    """The content of the read-only resource."""
    position = 0
    while position < len(data) and data[position] != _END:
        tag = data[position]
        if not tag & _LARGE:
            position += 1 + (tag & 0x07)
            continue
        length = int.from_bytes(data[position + 1:position + 3], "little")
        if tag == _READ_ONLY:
            return data[position + 3:position + 3 + length]
        position += 3 + length
    return b""


def _fields(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position + _FIELD_HEADER <= len(content):
        length = content[position + 2]
        start = position + _FIELD_HEADER
        yield content[position:position + 2], content[start:start + length]
        position = start + length


def _value(raw: bytes | None) -> str:
    text = (raw or b"").decode("ascii", errors="replace").strip(" \0")
    return text if _PRINTABLE.fullmatch(text) else ""
