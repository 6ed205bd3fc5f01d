"""What was tried on a card, remembered on the DPU object itself before it is tried again. Pure.

Two annotations: `arm-restart-tracker` for restarts of the Arm cores (BP 5.5), and `install-tracker` for installations
that failed (BP 5.8). What cannot be read counts as nothing tried.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from dpf.api import names
from dpf.api.dpu import DPU
from dpf.api.meta import object_key
from dpf.runtime.plan import Patch

MOST_RESTARTS: Final = 10


class Tracker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`failed` installations so far; `last` is the task, or the count of activations, of the last one.

    `reboots` are those that the agent has asked for since; `boot` is its start at which it asked last.
    """

    failed: int = 0
    last: str = ""
    reboots: int = 0
    boot: str = ""


class Restarts(msgspec.Struct, frozen=True, kw_only=True):
    """`attempt` restarts since they were begun for this generation of the DPU; `last` is when, RFC 3339."""

    generation: int = 0
    attempt: int = 0
    max: int = 2
    last: str = ""


def read(dpu: DPU) -> Tracker:
    """Failed installations of this DPU; nobody gets more attempts by a note that he has written himself."""
    found = _decode(dpu, names.INSTALL_TRACKER_ANNOTATION, Tracker)
    return found if found is not None and found.failed >= 0 else Tracker()


def restarts(dpu: DPU) -> Restarts:
    """Restarts of this DPU for its present generation."""
    found = _decode(dpu, names.ARM_RESTART_TRACKER_ANNOTATION, Restarts)
    generation = dpu.metadata.generation or 0
    if found is None or found.generation != generation or found.attempt < 0:
        return Restarts(generation=generation)
    return msgspec.structs.replace(found, max=min(max(found.max, 1), MOST_RESTARTS))  # type: ignore[no-any-return]


def remember(dpu: DPU, what: Tracker | Restarts, because: str) -> Patch:
    """Write it down, conditional on the version that was read."""
    name = names.INSTALL_TRACKER_ANNOTATION if isinstance(what, Tracker) else names.ARM_RESTART_TRACKER_ANNOTATION
    note = {name: msgspec.json.encode(what).decode()}
    metadata: dict[str, Any] = {"resourceVersion": dpu.metadata.resourceVersion, "annotations": note}
    return Patch(kind=DPU, key=object_key(dpu), patch={"metadata": metadata}, because=because)


def _decode(dpu: DPU, name: str, kind: type[Any]) -> Any:  # noqa: ANN401 - one of the two
    try:
        return msgspec.json.decode((dpu.metadata.annotations or {}).get(name, "null"), type=kind | None)
    except msgspec.MsgspecError:
        return None
