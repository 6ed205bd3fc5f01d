"""What is remembered of a card's system: what it was started from and whether it runs. One folder per card.

Called by `systems`. The folder is private: bf.cfg and the bootstrap token are in it, and what an agent keeps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from dpf.emulation.kubelet.config import NodeConfig
from dpf.local import files

_RECORD: Final = "system.json"
_BFCFG: Final = "bf.cfg"
_TOKEN: Final = "token"  # noqa: S105 - a file name
_AGENT: Final = "agent"


class SystemRecord(msgspec.Struct, kw_only=True):
    """`disk` names the installation, `count` the start as the BMC or DMS counts it, `boots` every start.

    `node` is what its configuration makes of it; None while it is not to be one, for the reason in `problem`.
    """

    disk: str = ""
    count: int = 0
    boots: int = 0
    running: bool = False
    node: NodeConfig | None = None
    problem: str = ""


class SystemFolder:
    """The files of one card's system."""

    def __init__(self, folder: Path) -> None:
        self.path = files.ensure_private_folder(folder)

    @property
    def token(self) -> Path:
        """The bootstrap token of the installation."""
        return self.path / _TOKEN

    @property
    def agent(self) -> Path:
        """Where the agent keeps its identity."""
        return self.path / _AGENT

    def load(self) -> SystemRecord:
        """An empty record for a card that never ran a system of ours. Raises OSError, and ValueError when damaged."""
        content = files.read_if_exists(self.path / _RECORD)
        return SystemRecord() if content is None else msgspec.json.decode(content, type=SystemRecord)

    def save(self, record: SystemRecord) -> None:
        """Raises OSError."""
        files.write_atomic(self.path / _RECORD, msgspec.json.encode(record))

    def bfcfg(self) -> bytes:
        """Of the installation that runs; empty before the first."""
        return files.read_if_exists(self.path / _BFCFG) or b""

    def save_bfcfg(self, content: bytes) -> None:
        """Raises OSError."""
        files.write_atomic(self.path / _BFCFG, content)

    def save_token(self, text: str) -> None:
        """Raises OSError."""
        files.write_atomic(self.token, text.encode())
