"""What one pass over a DPUCluster decides: when to look again, and when to let it go.

Pure. The controller writes nothing but status: a manager makes the cluster, and the health check is part of observing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dpf.api.dpucluster import ConditionType, DPUCluster, Phase
from dpf.provisioning.dpucluster import clustertypes, phases
from dpf.provisioning.dpucluster.prober import Health, Healthy
from dpf.runtime import conditions
from dpf.runtime.plan import Plan

CHECK_READY_EVERY_S: Final = 30.0
CHECK_UNREADY_EVERY_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`health` is None where there is nothing to ask yet: the manager has never reported the cluster as created.

    `server` is the URL of its API server, "" while unknown; `nodes_count` is how many DPUs belong to it.
    """

    cluster: DPUCluster
    health: Health | None = None
    server: str = ""
    nodes_count: int = 0


def plan(snapshot: Snapshot) -> Plan:
    """Look again soon while the cluster should answer and does not, rarely while it is well, on changes otherwise."""
    if snapshot.health is None:
        return Plan()
    ready = phase(snapshot) is Phase.READY
    return Plan(wake_after_s=CHECK_READY_EVERY_S if ready else CHECK_UNREADY_EVERY_S)


def teardown(_: Snapshot) -> Plan:
    """Nothing of ours has to be cleaned up; the manager has its own finalizer."""
    return Plan(release=True)


def phase(snapshot: Snapshot) -> Phase:
    """The phase after this pass."""
    status = snapshot.cluster.status
    return phases.next_phase(status.phase, phases.Facts(
        known_type=clustertypes.is_known(snapshot.cluster.spec.type),
        created=conditions.is_true(status.conditions, ConditionType.CREATED),
        healthy=isinstance(snapshot.health, Healthy),
    ))
