"""What the versions in a bundle mean: the ones that a BFB reports (behaviour-provisioning.md 2.1). Pure.

Called by the planner and `status`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dpf.api.bfb import BFBVersions
from dpf.provisioning.bfb.bundle import NOT_FOUND, Inventory

_DOCA: Final = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9])[^.]*")
_LONGEST: Final = 256


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why no versions can be reported; it stays so until the bundle is another one, or its versions are declared."""

    why: str


def read(declared: BFBVersions | None, inventory: Inventory | None, problem: str) -> BFBVersions | Unusable:
    """The versions to report. Declared ones (spec.versions) stand; then the bundle is not asked.

    `problem` says why there is no `inventory`.
    """
    if declared is not None:
        return BFBVersions(bsp=declared.bsp, doca=declared.doca, uefi=declared.uefi, atf=declared.atf)
    if inventory is None:
        return Unusable(problem or NOT_FOUND)
    doca = normalize_doca(inventory.doca)
    if doca is None:
        return Unusable(f"DOCA version {inventory.doca[:64]!r} in BFB is not of the form major.minor.patch")
    return BFBVersions(bsp=_part(inventory.bsp), doca=doca, uefi=_part(inventory.uefi), atf=_part(inventory.atf))


def normalize_doca(version: str) -> str | None:
    """`3.0.0058-1` is 3.0.0 and `2.9.3008` is 2.9.3; None for what has another form."""
    match = _DOCA.fullmatch(version.partition("-")[0][:_LONGEST])
    return ".".join(match.groups()) if match else None


def _part(version: str) -> str | None:
    """A stranger wrote the bundle: what goes into the object is bounded."""
    return version[:_LONGEST] or None
