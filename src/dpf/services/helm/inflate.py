"""gzip, unpacked in small pieces: a few bytes can stand for gigabytes, and the reader must be able to stop in time.

Called by `transport`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from dpf.services.helm.port import ChartError

_PIECE: Final = 64 << 10
_GZIP: Final = 16 + zlib.MAX_WBITS


class Inflater:
    """A gzip stream of one or more members, fed as it arrives."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)

    @property
    def complete(self) -> bool:
        """Whether the stream may end here."""
        return self._member.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What these bytes stand for, in pieces of at most 64 KiB; taking no more stops the work. Raises ChartError."""
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            try:
                yield self._member.decompress(data, _PIECE)
            except zlib.error:
                raise ChartError("the repository's answer is not valid gzip") from None
            data = self._member.unconsumed_tail or self._member.unused_data
