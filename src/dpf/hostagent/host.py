"""Where the host's own trees are: this machine's, or those of an emulated host. Values only. Called by `__main__`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

FEATURES: Final = Path("/etc/kubernetes/node-feature-discovery/features.d")
"""Where node feature discovery looks for files of features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Roots of sysfs, procfs and device files, and the folder of feature files."""

    sysfs: Path = Path("/sys")
    procfs: Path = Path("/proc")
    dev: Path = Path("/dev")
    features: Path = FEATURES
    is_emulated: bool = False


def emulated(folder: Path) -> Host:
    """A host whose trees are below `folder`: sys, proc, dev and features.d."""
    return Host(
        sysfs=folder / "sys", procfs=folder / "proc", dev=folder / "dev", features=folder / "features.d",
        is_emulated=True,
    )
