"""What an emulated card remembers, and what a counting test wants to know.

Called by `card`. One folder for each card, closed to others: a configuration holds a token with which a node joins.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from dpf.local import files


class TransferRecord(msgspec.Struct, kw_only=True):
    """One file that was received to its end."""

    version: str
    size: int
    sha256: str


class ActivationRecord(msgspec.Struct, kw_only=True):
    """One activation that was accepted. `outcome` is active, booted, failed or lost."""

    version: str
    outcome: str = "active"
    bundle_sha256: str = ""
    bfcfg_sha256: str = ""


class Record(msgspec.Struct, kw_only=True):
    """Everything about one card. `status` is a number of gNOI's RebootStatus.

    `version` is what was activated last, `previous` what was before it. `resets` is how often the Arm cores were
    restarted, `count` how often a system has started after that; `boot_id` is of the last start. `told` is the count of
    the last start that the system's keeper knows of. Transfers and activations are never forgotten.
    """

    mode: str = "DPU"
    version: str = ""
    previous: str = ""
    is_active: bool = False
    status: int = 0
    reason: str = ""
    resets: int = 0
    count: int = 0
    boot_id: str = ""
    told: int = 0
    transfers: list[TransferRecord] = []
    activations: list[ActivationRecord] = []


class Store:
    """The files of one card."""

    def __init__(self, folder: Path) -> None:
        self.folder = files.ensure_private_folder(folder)
        self._record = folder / "card.json"
        self._bfcfg = folder / "bf.cfg"

    def load(self) -> Record:
        """A new one for a card from the factory. Raises OSError, and ValueError for a file that is no record."""
        content = files.read_if_exists(self._record)
        return Record() if content is None else msgspec.json.decode(content, type=Record)

    def save(self, record: Record) -> None:
        """Raises OSError."""
        files.write_atomic(self._record, msgspec.json.encode(record))

    def bfcfg(self) -> bytes:
        """The configuration on the card; empty before the first activation."""
        return files.read_if_exists(self._bfcfg) or b""

    def save_bfcfg(self, content: bytes) -> None:
        """Raises OSError."""
        files.write_atomic(self._bfcfg, content)
