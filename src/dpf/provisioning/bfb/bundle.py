"""Finds the software inventory inside a bundle, piece by piece as the bytes come (behaviour-provisioning.md 2.1).

Pure, and bounded in memory whatever the size of the bundle. Called by `partial` while a bundle is written and by
`files` for one that was found. What the versions mean, `versions` knows. Image headers are not looked at.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

NOT_FOUND: Final = "software inventory JSON not found in BFB"

_BEGIN: Final = b"This JSON represents"
_END: Final = b'"Members@odata.count":'
_SHORTEST: Final = 4
"""Runs of printable characters below this length are taken for noise."""
_LARGEST: Final = 1 << 20
"""Bytes of an inventory; real ones have a few thousand."""

_RUN: Final = re.compile(rb"[\x20-\x7e]+")
_NO_RUN: Final = re.compile(rb"[^\x20-\x7e]")

_FIELDS: Final = {"BF3_ATF": "atf", "BF3_BSP": "bsp", "BF3_UEFI": "uefi", "DOCA": "doca"}


class Inventory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Versions as the bundle spells them; "" where it says nothing."""

    atf: str = ""
    bsp: str = ""
    uefi: str = ""
    doca: str = ""


class _Member(msgspec.Struct):
    Name: str = ""
    Version: str = ""


class _Document(msgspec.Struct):
    Members: list[_Member] = []


class Scanner:
    """Takes a bundle in pieces of any size. The first inventory that can be read counts."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] | None = None
        self._size = 0
        self._skipping = False
        self._found: Inventory | None = None
        self._problem = ""

    def feed(self, piece: bytes) -> None:
        """The next bytes."""
        if self._found is None:
            self._advance(self._rest + piece)

    def finish(self) -> tuple[Inventory | None, str]:
        """The inventory, or None and why there is none. Nothing may be fed any more."""
        if self._found is None and self._lines is not None and not self._skipping:
            self._take(self._rest)
        return self._found, "" if self._found is not None else self._problem or NOT_FOUND

    def _advance(self, data: bytes) -> None:
        position = 0
        while self._found is None:
            step = self._search if self._lines is None else self._skip if self._skipping else self._collect
            following = step(data, position)
            if following is None:
                return
            position = following
        self._rest = b""

    def _search(self, data: bytes, position: int) -> int | None:
        """Look for the beginning. Returns where to go on, None when `data` is used up."""
        at = data.find(_BEGIN, position)
        if at < 0:
            self._rest = data[max(position, len(data) - len(_BEGIN) + 1):]
            return None
        self._lines, self._size, self._skipping = [b"{"], 0, True
        return at

    def _skip(self, data: bytes, position: int) -> int | None:
        """Leave out the rest of the run that has the beginning in it."""
        end = _NO_RUN.search(data, position)
        if end is None:
            self._rest = b""
            return None
        self._skipping = False
        return end.start()

    def _collect(self, data: bytes, position: int) -> int | None:
        """Take the next run. One that reaches the end of `data` may go on in the next piece."""
        run = _RUN.search(data, position)
        if run is None or run.end() == len(data):
            self._rest = b"" if run is None else run.group()
            if len(self._rest) > _LARGEST:
                self._give_up("is too large")
                self._rest = self._rest[1 - len(_BEGIN):]
            return None
        self._take(run.group())
        return run.end()

    def _take(self, run: bytes) -> None:
        if self._lines is None or len(run) < _SHORTEST:
            return
        self._lines.append(run.strip())
        self._size += len(run)
        if _END in run:
            self._parse(self._lines)
        elif self._size > _LARGEST:
            self._give_up("is too large")

    def _parse(self, lines: list[bytes]) -> None:
        text = b"\n".join([*lines[:-1], lines[-1].rstrip(b","), b"}"])
        try:
            document = msgspec.json.decode(text, type=_Document)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._give_up(f"cannot be read: {error}")
            return
        versions = {_FIELDS[m.Name]: m.Version for m in document.Members if m.Name in _FIELDS}
        self._found = Inventory(**versions)

    def _give_up(self, why: str) -> None:
        """What began was no inventory; another one may follow."""
        self._problem = self._problem or f"software inventory JSON in BFB {why}"
        self._lines = None
