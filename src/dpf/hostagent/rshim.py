"""What the rshim driver of this host shows of its cards, below a folder of device files. Reads only.

A driver that owns a card has a folder `rshim<N>` with a file `misc` of lines `NAME value`: `DEV_NAME` says which card,
and the log of the card's firmware stands below. Called by `preflight` and by the reboots.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_OFF: Final = "System Off"
_MAX_BYTES: Final = 1 << 16


def devices(dev: Path) -> tuple[str, ...]:
    """Names of the devices that a driver of this host has, e.g. `pcie-0000:0e:00.2`; of others `rshim<N>`."""
    return tuple(_name(folder) for folder in _folders(dev))


def is_off(dev: Path, function: str) -> bool:
    """Whether the system of the card is shut down; `function` is one of the card's, e.g. `0000:0e:00.0`.

    A card that no driver of this host has can tell nothing here: that counts as off.
    """
    slot = function.rpartition(".")[0]
    found = [folder for folder in _folders(dev) if slot in _name(folder)]
    return all(_OFF in _read(folder / "misc") for folder in found)


def _folders(dev: Path) -> list[Path]:
    return sorted(path for path in dev.glob("rshim[0-9]*") if path.is_dir())


def _name(folder: Path) -> str:
    for line in _read(folder / "misc").splitlines():
        word, _, value = line.partition(" ")
        if word == "DEV_NAME" and value.strip():
            return value.split()[0]
    return folder.name


def _read(path: Path) -> str:
    """Device files have no size; the driver may go while we read."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode(errors="replace")
    except OSError:
        return ""
