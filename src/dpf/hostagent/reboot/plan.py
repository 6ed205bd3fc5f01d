"""What one look at the own host decides: whether, how and when it is restarted. Pure.

    DPUs wait -> they are told Pending -> the boot's id is written on the DPUNode -> the host is restarted, once
              -> another boot runs: they are told Succeeded -> what was written is taken off

Each step rests on what the one before has left in the API, and the order to restart is given only in the pass that has
written it down. A pass that is cut short between the two costs time, never a second reboot. Source:
behaviour-provisioning.md section 7.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from dpf.api.dpu import DPU, RebootPhase
from dpf.api.dpunode import DPUNode
from dpf.hostagent.reboot import choice, record
from dpf.hostagent.reboot.choice import Way
from dpf.hostagent.reboot.record import Record
from dpf.hostagent.reboot.snapshot import Restart, Snapshot
from dpf.provisioning.dpunode import reboot
from dpf.runtime.plan import Drive, Finding, Patch, Plan, Severity, Step

RECORD: Final = "RebootRecord"
RESTART: Final = "HostRestart"
FAILED: Final = "FailedToReboot"
WAITING: Final = "WaitingForHostAgent"
LIMIT_S: Final = 900.0
"""How long a host may take to go down after it was told to: a reset by the cards waits for their systems first."""
RETRY_S: Final = 60.0
"""How long after a failed order the next one is given."""


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """Nothing, where nobody waits or somebody else reboots the host."""
    waiting, begun = reboot.participants(snapshot.seen), snapshot.record
    if not waiting or not snapshot.is_ours:
        return _forget(snapshot, "no DPU waits for it any more") if begun is not None else Plan()
    if not snapshot.boot_id:
        return _held("The id of the running boot cannot be read on this host, so its reboot could not be noticed")
    if begun is None:
        return _begin(snapshot, waiting, now)
    if begun.bootID != snapshot.boot_id:
        return _finish(snapshot, waiting)
    return _under_way(snapshot, waiting, begun, now)


def _begin(snapshot: Snapshot, waiting: tuple[DPU, ...], now: datetime) -> Plan:
    siblings = reboot.siblings(snapshot.seen)
    if siblings:
        finding = Finding(severity=Severity.WAITING, message=f"Waiting for {siblings} before the host is rebooted")
        return Plan(steps=(Step(name=RECORD, findings=(finding,)),), wake_after_s=reboot.SIBLING_WAIT_S)
    way = choice.choose(snapshot.seen.dpunode, waiting)
    if isinstance(way, choice.Unusable):
        return _held(way.why)
    if isinstance(way, choice.Skip):
        why = f"The host was not rebooted: annotation {way.annotation} says so"
        return Plan(steps=(reboot.report(waiting, RebootPhase.SUCCEEDED, "RebootSkipped", why),))
    fresh = tuple(dpu for dpu in waiting if not _is_told(dpu))
    if fresh:
        message = f"The agent on the host reboots it: {reboot.required(snapshot.seen)}"
        return Plan(steps=(reboot.report(fresh, RebootPhase.PENDING, WAITING, message),))
    return _restart(snapshot, way, now)


def _restart(snapshot: Snapshot, way: Way, now: datetime) -> Plan:
    """Conditional on what was read: whoever has written since may have changed why the host is restarted."""
    begun, because = record.new(snapshot.boot_id, now), reboot.required(snapshot.seen)
    order = Drive(intent=Restart(key=snapshot.seen.key, way=way, record=begun), because=because)
    write = _write(snapshot, begun, f"the host is about to be restarted: {because}")
    return Plan(
        steps=(Step(name=RECORD, actions=(write,)), Step(name=RESTART, actions=(order,))), wake_after_s=LIMIT_S,
    )


def _under_way(snapshot: Snapshot, waiting: tuple[DPU, ...], begun: Record, now: datetime) -> Plan:
    age_s = begun.age_s(now)
    if not begun.failed:
        if age_s < LIMIT_S:
            return Plan(wake_after_s=LIMIT_S - age_s)
        late = Record(bootID=begun.bootID, at=begun.at, failed=(
            f"The host has not restarted within {LIMIT_S / 60:.0f} minutes after it was told to. Next step: look at "
            "its console, or restart it by hand"
        ))
        return Plan(steps=(Step(name=RECORD, actions=(_write(snapshot, late, "the host still runs"),)),))
    pending = tuple(dpu for dpu in waiting if reboot.told_phase(dpu) == RebootPhase.PENDING)
    steps = (reboot.report(pending, RebootPhase.FAILED, FAILED, begun.failed),) if pending else ()
    if age_s < RETRY_S:
        return Plan(steps=steps, wake_after_s=RETRY_S - age_s)
    return Plan(steps=(*steps, *_forget(snapshot, "the host is restarted once more").steps))


def _finish(snapshot: Snapshot, waiting: tuple[DPU, ...]) -> Plan:
    """Who came to wait after the order was given has a reboot of its own."""
    told = tuple(dpu for dpu in waiting if _is_told(dpu))
    if not told:
        return _forget(snapshot, "the host has restarted")
    return Plan(steps=(
        reboot.report(told, RebootPhase.SUCCEEDED, "RebootSucceeded", "The host has restarted: another boot runs"),
    ))


def _is_told(dpu: DPU) -> bool:
    return reboot.told_phase(dpu) in (RebootPhase.PENDING, RebootPhase.FAILED)


def _held(why: str) -> Plan:
    return Plan(steps=(Step(name=RECORD, findings=(Finding(severity=Severity.BLOCKED, message=why),)),))


def _forget(snapshot: Snapshot, because: str) -> Plan:
    return Plan(steps=(Step(name=RECORD, actions=(_write(snapshot, None, because),)),))


def _write(snapshot: Snapshot, what: Record | None, because: str) -> Patch:
    version = snapshot.seen.dpunode.metadata.resourceVersion
    return Patch(kind=DPUNode, key=snapshot.seen.key, patch=record.patch(what, version=version), because=because)
