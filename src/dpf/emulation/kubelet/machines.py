"""What a node's machine was when its kubelet ran last: which installation, and which start of it.

Kept in the node's folder, so that a kubelet that was away meanwhile still notices a restart or a new installation.
Called by `nodes`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from dpf.local import files

FILE_NAME: Final = "machine.json"


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """`disk` and `boot` of the node's configuration."""

    disk: str = ""
    boot: str = ""


def load(folder: Path) -> Machine | None:
    """What is remembered; None for a node that never ran, or whose record cannot be read. Raises OSError."""
    content = files.read_if_exists(folder / FILE_NAME)
    try:
        return None if content is None else msgspec.json.decode(content, type=Machine)
    except msgspec.MsgspecError:
        return None


def store(folder: Path, machine: Machine) -> None:
    """Raises OSError."""
    files.ensure_private_folder(folder)
    files.write_atomic(folder / FILE_NAME, msgspec.json.encode(machine))
