"""Which Kubernetes version a control plane should run, and which step there is allowed.

Pure. Kubernetes goes forward only, one minor version at a time; Kamaji refuses everything else.
"""

from __future__ import annotations

import re
from typing import Final

DEFAULT: Final = "v1.35.6"
"""What a DPUCluster gets that names no version (behaviour-provisioning.md section 12)."""

_FULL: Final = re.compile(r"v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})")


def wanted(hint: str | None) -> str | None:
    """The version for spec.version `hint`, with a leading v; None for a hint that is no full version."""
    if not hint:
        return DEFAULT
    return f"v{hint.removeprefix('v')}" if _FULL.fullmatch(hint) else None


def obstacle(current: str, target: str) -> str | None:
    """Why a control plane cannot go from `current` to `target` in place, with the next step; None when it can."""
    old, new = _parse(current), _parse(target)
    if old is None or new is None:
        return None
    if new < old:
        return f"Kubernetes cannot go back from {current} to {target}. Next step: set spec.version to {current}"
    if new[0] != old[0] or new[1] > old[1] + 1:
        return (
            f"Kubernetes cannot go from {current} to {target} in one step, only by one minor version. "
            f"Next step: set spec.version to a version v{old[0]}.{old[1] + 1}.x first"
        )
    return None


def _parse(version: str) -> tuple[int, int, int] | None:
    found = _FULL.fullmatch(version)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None
