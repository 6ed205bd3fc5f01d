"""One stream of bytes -> the bundle's images, and the bf.cfg behind them (behaviour-provisioning.md 2.1).

Pure, piece by piece as the bytes come, bounded in memory whatever the size of the bundle. Called by `fetching`.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import Final

from dpf.emulation import bfb
from dpf.emulation.bfb import NotABundle
from dpf.provisioning.bfb.bundle import Inventory, Scanner

BFCFG_LIMIT: Final = 131072

_HEADER: Final = struct.Struct("<QQQ")
_ALIGNMENT: Final = 8


class Splitter:
    """Takes the bytes; `finish` says what they were."""

    def __init__(self) -> None:
        self._header = b""
        self._left = 0
        self._checksum = 0
        self._wanted = 0
        self._following = True
        self._at = 0
        self._bfcfg = bytearray()
        self._bundle = hashlib.sha256()
        self._scanner = Scanner()

    def feed(self, piece: bytes) -> None:
        """The next bytes. Raises NotABundle where they stop being one."""
        position = 0
        while position < len(piece):
            if self._left:
                position += self._data(piece[position:position + self._left])
            elif self._following:
                position += self._head(piece[position:position + _HEADER.size - len(self._header)])
            else:
                position += self._behind(piece[position:])

    def finish(self) -> tuple[Inventory | None, bytes]:
        """The inventory of the bundle, and the bf.cfg. Raises NotABundle when the bundle is not whole."""
        if self._left or self._following:
            raise NotABundle(f"the bundle ends at byte {self._at}, inside of an image")
        inventory, _ = self._scanner.finish()
        return inventory, bytes(self._bfcfg)

    @property
    def bundle_sha256(self) -> str:
        """Digest of the bundle's bytes so far."""
        return self._bundle.hexdigest()

    def _head(self, piece: bytes) -> int:
        self._header += piece
        self._take(piece)
        if len(self._header) == _HEADER.size:
            first, second, following = _HEADER.unpack(self._header)
            if first & 0xFFFFFFFF != bfb.MAGIC or (first >> 52 & 0xF) * 8 != _HEADER.size:
                raise NotABundle(f"there is no image at byte {self._at - _HEADER.size}")
            length = second & 0xFFFFFFFF
            self._left = -(-length // _ALIGNMENT) * _ALIGNMENT
            self._wanted, self._checksum, self._header = second >> 32, 0, b""
            self._following = bool(following)
            self._close_image()
        return len(piece)

    def _data(self, piece: bytes) -> int:
        self._checksum = zlib.crc32(piece, self._checksum)
        self._left -= len(piece)
        self._take(piece)
        self._close_image()
        return len(piece)

    def _close_image(self) -> None:
        if not self._left and self._checksum != self._wanted:
            raise NotABundle(f"the image that ends at byte {self._at} is damaged")

    def _behind(self, piece: bytes) -> int:
        self._bfcfg += piece
        if len(self._bfcfg) > BFCFG_LIMIT:
            raise NotABundle(f"the bf.cfg behind the bundle has more than {BFCFG_LIMIT} bytes")
        return len(piece)

    def _take(self, piece: bytes) -> None:
        self._at += len(piece)
        self._bundle.update(piece)
        self._scanner.feed(piece)
