"""What one pass over a DPU decides: the phase's decision as a plan, or what is left to take away. Pure.

Source: behaviour-provisioning.md sections 1, 5 and 5.17.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from dpf.api import core
from dpf.api.dpu import DPU, Phase
from dpf.api.meta import Key
from dpf.provisioning.dpu.decision import AT_ONCE_S, Decision
from dpf.provisioning.dpu.intents import Revoke
from dpf.provisioning.dpu.phases import effect, table
from dpf.provisioning.dpu.snapshot import Snapshot, Unknown
from dpf.runtime import clock
from dpf.runtime.plan import Action, Delete, Drive, Finding, Plan, Severity, Step

NOTES: Final = "Notes"
PHASE: Final = "Phase"
EFFECT: Final = "Effect"
REMOVAL: Final = "Removal"
CLUSTER: Final = "Cluster"
CHECK_REMAINS_S: Final = 2.0
CLUSTER_LIMIT: Final = timedelta(minutes=10)
"""How long a DPU cluster that does not answer may keep a DPU from going; its tokens end by themselves."""


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """The phase's actions, and when to look again."""
    decision = table.decide(snapshot, now)
    return Plan(steps=_steps(decision), wake_after_s=decision.wake_after_s)


def plan_teardown(snapshot: Snapshot, now: datetime) -> Plan:
    """An installation that has begun ends first (BP 5.8); then all that was made for the DPU goes."""
    if is_installing(snapshot, now):
        decision = table.decide(snapshot, now)
        return Plan(steps=_steps(decision), wake_after_s=decision.wake_after_s)
    if snapshot.phase != Phase.DELETING:
        return Plan(wake_after_s=AT_ONCE_S)
    leave = Step(name=EFFECT, actions=effect.leaving(snapshot))
    remains = tuple(_remains(snapshot, now))
    findings = tuple(Finding(severity=Severity.WAITING, message=text) for text in remains)
    if not remains:
        return Plan(steps=(leave,), release=True)
    removal = Step(name=REMOVAL, actions=tuple(_removal(snapshot)), findings=findings)
    return Plan(steps=(leave, removal), wake_after_s=CHECK_REMAINS_S)


def is_installing(snapshot: Snapshot, now: datetime) -> bool:
    """Whether a card would be left half installed: its system is being written just now, as far as we can tell.

    Where the phase has something to do, nothing goes on: to a DPU that is deleted it is not done any more.
    """
    return snapshot.phase == Phase.OS_INSTALLING and not table.decide(snapshot, now).actions


def is_abandoned(snapshot: Snapshot, now: datetime) -> bool:
    """Whether the DPU cluster was silent for so long that the DPU goes without it."""
    deleted = snapshot.dpu.metadata.deletionTimestamp
    return isinstance(snapshot.node, Unknown) and deleted is not None and (
        now - clock.parse_rfc3339(deleted) > CLUSTER_LIMIT
    )


def _steps(decision: Decision) -> tuple[Step, ...]:
    """What is written down comes before what is ordered: an order must not be forgotten, whatever ends in between."""
    severity = Severity.INVALID if decision.is_invalid else Severity.WAITING
    findings = (Finding(severity=severity, message=decision.why),) if decision.why else ()
    notes = tuple(action for action in decision.actions if not isinstance(action, Drive))
    orders = tuple(action for action in decision.actions if isinstance(action, Drive))
    if not notes or not orders:
        return (Step(name=PHASE, actions=decision.actions, findings=findings),)
    return (Step(name=NOTES, actions=notes), Step(name=PHASE, actions=orders, findings=findings))


def _remains(snapshot: Snapshot, now: datetime) -> Iterator[str]:
    """What was made for the DPU and is still there."""
    if isinstance(snapshot.node, Unknown):
        if not is_abandoned(snapshot, now):
            yield (
                f"DPUCluster {snapshot.cluster_key} does not answer ({snapshot.node.why}): Node {snapshot.key.name} "
                f"and its tokens are left until it does, at most {CLUSTER_LIMIT.total_seconds() / 60:.0f} min"
            )
    elif snapshot.node is not None:
        yield f"Node {snapshot.key.name} in DPUCluster {snapshot.cluster_key}"
    if isinstance(snapshot.remains, Unknown):
        yield snapshot.remains.why
    else:
        yield from snapshot.remains


def _removal(snapshot: Snapshot) -> Iterator[Action]:
    cluster = snapshot.cluster_key
    reachable = cluster is not None and not isinstance(snapshot.node, Unknown) and snapshot.cluster is not None
    if isinstance(snapshot.node, core.Node) and cluster is not None:
        yield Delete(
            cluster=cluster, kind=core.Node, key=Key("", snapshot.key.name), uid=snapshot.node.metadata.uid,
            because=f"DPU {snapshot.key} is deleted",
        )
    dpu: DPU = snapshot.dpu
    intent = Revoke(dpu=dpu, cluster=cluster if reachable else None, for_good=True)
    # A DPU cluster that is silent keeps nothing in the host cluster and on the volume from going.
    if snapshot.remains or not isinstance(snapshot.node, Unknown):
        yield Drive(intent=intent, because=f"DPU {snapshot.key} is deleted")
