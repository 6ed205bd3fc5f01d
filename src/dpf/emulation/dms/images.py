"""The versions that a card has: files of the folder that DMS and controllers share, and files that were transferred.

Called by `card`. A file is seen under its name when it is whole. Bundles are walked through before they are taken, so
that what is damaged on the way is refused.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dpf.emulation import bfb
from dpf.local import files

BUNDLE: Final = ".bfb"
CONFIGURATION: Final = ".cfg"
LARGEST_CONFIGURATION: Final = 128 << 10
"""Bytes of a bf.cfg (behaviour-provisioning.md 13)."""

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,250}\.(bfb|cfg)")
_SHARED_CONFIGURATIONS: Final = "bfcfg"
_PART: Final = ".part-"
_PIECE: Final = 1 << 20


class Damaged(ValueError):
    """A file is not what its name says; the text says why and quotes nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flashed:
    """What was written to a card, by SHA-256."""

    bundle_sha256: str
    bfcfg_sha256: str
    bfcfg: bytes


def is_name(name: str) -> bool:
    """Whether a version may have this name: that of a file without a path, of a kind that a DMS knows."""
    return _NAME.fullmatch(name) is not None


class Images:
    """`shared` may be None; it is only read."""

    def __init__(self, folder: Path, shared: Path | None) -> None:
        self._folder = files.ensure_private_folder(folder)
        self._shared = shared
        for part in folder.glob(f"{_PART}*"):  # left by a DMS that was killed
            part.unlink(missing_ok=True)

    def find(self, name: str) -> Path | None:
        """The file of a version; None when the card does not have it. Raises OSError."""
        if not is_name(name):
            return None
        places = [self._folder]
        if self._shared is not None:
            places = [self._shared, self._shared / _SHARED_CONFIGURATIONS, self._folder]
        return next((place / name for place in places if (place / name).is_file()), None)

    def receive(self, name: str) -> Incoming:
        """A file that begins to arrive. Raises OSError."""
        return Incoming(self._folder / name)


class Incoming:
    """One file on its way; `close` when it is over, whether it is whole or not."""

    def __init__(self, path: Path) -> None:
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=_PART)
        self._file = os.fdopen(descriptor, "wb")
        self._part = Path(part)
        self._path = path
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Raises OSError."""
        self._file.write(piece)
        self._hash.update(piece)
        self.size += len(piece)

    def keep(self) -> str:
        """It is whole: check it, and have it under its name. Returns its SHA-256. Raises Damaged, OSError."""
        self._file.close()
        check(self._part, self._path.suffix)
        self._part.replace(self._path)
        return self._hash.hexdigest()

    def close(self) -> None:
        """Drop what is not kept."""
        self._file.close()
        self._part.unlink(missing_ok=True)


def check(path: Path, kind: str) -> None:
    """Whether a file is what its name says. Raises Damaged, OSError."""
    if kind == CONFIGURATION:
        size = path.stat().st_size
        if not 0 < size <= LARGEST_CONFIGURATION:
            raise Damaged(f"a configuration has 1 to {LARGEST_CONFIGURATION} bytes, this one has {size}")
        return
    with path.open("rb") as file:
        try:
            bfb.length(file)
        except bfb.NotABundle as error:
            raise Damaged(str(error)) from None


def flash(bundle: Path, configuration: Path) -> Flashed:
    """Read both as an installation does. Raises Damaged, OSError."""
    check(bundle, BUNDLE)
    check(configuration, CONFIGURATION)
    bfcfg = configuration.read_bytes()
    return Flashed(
        bundle_sha256=_digest(bundle), bfcfg_sha256=hashlib.sha256(bfcfg).hexdigest(), bfcfg=bfcfg,
    )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
