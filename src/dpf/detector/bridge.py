"""Whether the host has the bridge to the out-of-band ports, and a default route over it as a second choice. Reads only.

Source: behaviour-provisioning.md section 4 (Detector).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_DEFAULT: Final = "00000000"
_METRIC_ABOVE: Final = 2
_COLUMNS: Final = 8


def is_configured(sysfs: Path, proc: Path, name: str) -> bool:
    """`name` is a bridge, and carries a default IPv4 route with a metric above 2; what cannot be read is not there."""
    if not (sysfs / "class" / "net" / name / "bridge").is_dir():
        return False
    try:
        lines = (proc / "net" / "route").read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(_is_default(line.split(), name) for line in lines[1:])


def _is_default(columns: list[str], name: str) -> bool:
    """Interface, destination, gateway, flags, counters, metric, mask."""
    if len(columns) < _COLUMNS or columns[0] != name or columns[1] != _DEFAULT or columns[7] != _DEFAULT:
        return False
    return columns[6].isdecimal() and int(columns[6]) > _METRIC_ABOVE
