"""What one pass over a DPU has to do beside telling what it saw: at most to look again soon. Pure.

Called by the controller.
"""

from __future__ import annotations

from typing import Final

from dpf.runtime.plan import Plan
from dpf.services.dpuready.snapshot import Snapshot
from dpf.services.dpuready.workloads import Silent

SETTLES_S: Final = 2.0
"""How soon it is looked again at a DPU cluster that was not asked yet: no watch tells of an empty list."""


def plan(snapshot: Snapshot) -> Plan:
    """See the module."""
    return Plan(wake_after_s=SETTLES_S if settles(snapshot) else None)


def settles(snapshot: Snapshot) -> bool:
    """Whether this process does not know yet what its DPU cluster says; until then what was told stands."""
    return isinstance(snapshot.view, Silent) and snapshot.view.settles
