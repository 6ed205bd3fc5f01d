"""The file name of a BFB, who may have it, and what is wrong in the object. Pure; called by `observe` and `watches`.

Sources: behaviour-provisioning.md section 2, api-provisioning.md section 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from dpf.api.bfb import BFB
from dpf.api.meta import object_key
from dpf.provisioning.bfb import sources

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_\-.]+\.bfb")
_LONGEST: Final = 255
"""What file systems allow."""


def file_name(bfb: BFB) -> str:
    """The name that the BFB asks for, or the one that it gets."""
    asked = bfb.spec.fileName if bfb.spec is not None else None
    return asked or f"{bfb.metadata.namespace}-{bfb.metadata.name}.bfb"


def holds_name(bfb: BFB) -> bool:
    """Whether it was given its name already: its file may be there."""
    return bfb.status.fileName == file_name(bfb)


def problem(bfb: BFB) -> str | None:
    """What is wrong in the object itself; only a change of it can help."""
    if bfb.spec is None:
        return "the object has no spec; delete it and create it again with spec.url"
    name = file_name(bfb)
    if not _FILE_NAME.fullmatch(name) or len(name) > _LONGEST:
        return f"spec.fileName {name[:64]!r} is not a file name of the form <letters, digits, _ - .>.bfb"
    try:
        sources.parse(bfb.spec.url)
    except sources.SourceError as error:
        return f"{error}; delete the BFB and create it again"
    return None


def holder(bfb: BFB, claimants: Iterable[BFB]) -> BFB | None:
    """The BFB that has this one's file name instead of it: given it already, then older; None when nobody has.

    `claimants` want the same name; the BFB itself may be among them.
    """
    me = object_key(bfb)
    others = [other for other in claimants if object_key(other) != me]
    first = min(others, key=_order, default=None)
    return first if first is not None and _order(first) < _order(bfb) else None


def taken(bfb: BFB, by: BFB) -> str:
    """Why the BFB cannot have its file name, in the words of the admission webhook."""
    return f"spec.fileName '{file_name(bfb)}' is already used by BFB '{object_key(by)}'"


def _order(bfb: BFB) -> tuple[bool, str, str]:
    return not holds_name(bfb), bfb.metadata.creationTimestamp or "", str(object_key(bfb))
