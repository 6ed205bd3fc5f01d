"""What one pass over a DPUNodeMaintenance decides. Pure.

First the host gets a place among those that may be out of service; that it has one is written to the status, and only
the pass after that touches the host. What is on the host stays until nobody needs it. Source:
behaviour-provisioning.md section 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final, assert_never

from dpf.api import core, names
from dpf.api.dpunodemaintenance import ConditionType, DPUNodeMaintenance
from dpf.api.meta import Key, object_key
from dpf.api.provisioning import NodeEffect
from dpf.api.upkeep import Job, NodeMaintenance
from dpf.provisioning.maintenance import build, drain, naming, nodeedits, podtemplate
from dpf.provisioning.maintenance import snapshot as values
from dpf.provisioning.maintenance.drain import Evict, Victim
from dpf.provisioning.maintenance.naming import Effect
from dpf.provisioning.maintenance.snapshot import Snapshot, Tenancy
from dpf.runtime import conditions
from dpf.runtime.clock import rfc3339
from dpf.runtime.plan import Action, Apply, Delete, Drive, Finding, Patch, Plan, Severity, Step

SELF: Final = "Self"
TARGET: Final = "Target"
PLACE: Final = "Place"
SYNC: Final = "Sync"
EFFECT: Final = "Effect"
USERS: Final = "Users"
REMOVAL: Final = "Removal"

AT_ONCE_S: Final = 0.0
PLACE_EVERY_S: Final = 30.0
PROCESSING_EVERY_S: Final = 10.0
DRAIN_EVERY_S: Final = 5.0
EVICTIONS_PER_PASS: Final = 20
RELEASED: Final = "false"
_HELD: Final = "true"
_NO_LONGER: Final = "nobody needs the effect on the host any more"


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """The next thing to do for the effect, and when to look again."""
    maintenance = snapshot.maintenance
    if not values.requestors(maintenance):
        gone = Delete(
            kind=DPUNodeMaintenance, key=snapshot.key, uid=maintenance.metadata.uid,
            # Whoever has joined meanwhile relies on the effect from that moment on.
            version=maintenance.metadata.resourceVersion, because="it has no requestor left",
        )
        return Plan(steps=(Step(name=SELF, actions=(gone,)),))
    if values.is_applied(maintenance):
        return Plan()
    why = refusal(snapshot)
    if why is not None:
        return Plan(steps=(Step(name=TARGET, findings=(Finding(severity=Severity.INVALID, message=why),)),))
    if values.is_committed(maintenance) or values.is_harmless(maintenance):
        return _carry_out(snapshot)
    if not values.is_forced(maintenance):
        if snapshot.full:
            return _wait_for_place(snapshot, now)
        left_s = values.sync_left_s(snapshot, now)
        if left_s > 0:
            return _waiting(SYNC, syncing(snapshot), left_s)
    return Plan(steps=(Step(name=EFFECT),), wake_after_s=AT_ONCE_S)


def plan_teardown(snapshot: Snapshot) -> Plan:
    """Take the effect off, unless a DPU relies on it at this moment; then let go."""
    if snapshot.busy:
        finding = Finding(severity=Severity.BLOCKED, message=still_needed(snapshot))
        return Plan(steps=(Step(name=USERS, findings=(finding,)),))
    findings = tuple(_still_there(snapshot))
    return Plan(
        steps=(Step(name=REMOVAL, actions=tuple(_undo(snapshot)), findings=findings),),
        wake_after_s=PROCESSING_EVERY_S if findings else None, release=True,
    )


def refusal(snapshot: Snapshot) -> str | None:
    """Why the effect cannot be put on the host at all."""
    if snapshot.dpunode is None:
        return f"DPUNode {values.dpunode_key(snapshot.maintenance)} does not exist"
    return naming.refusal(snapshot.effect, in_kubernetes=snapshot.node_name is not None)


def exceeded(snapshot: Snapshot) -> str:
    """Why it has to wait for a place; the same text as long as it waits."""
    return (
        f"{build.EXCEEDED}: at most {snapshot.limits.max_unavailable} DPUNodes may be out of service at a time; "
        "waiting for one of them to come back"
    )


def syncing(snapshot: Snapshot) -> str:
    """Why it waits for the other DPUs of the host."""
    return f"Waiting up to {snapshot.limits.sync_wait} for the other DPUs of DPUNode {_dpunode_name(snapshot)}"


def still_needed(snapshot: Snapshot) -> str:
    """Which requestors must not lose the effect now."""
    users = ", ".join(f"DPU {dpu.metadata.name} ({dpu.status.phase})" for dpu in snapshot.busy)
    return f"The effect on DPUNode {_dpunode_name(snapshot)} is still needed by {users}"


def is_own_job(snapshot: Snapshot) -> bool:
    """Whether the Job of that name was made for this maintenance, not for a former one of the same name."""
    owners = (snapshot.job.metadata.ownerReferences if snapshot.job is not None else None) or ()
    return any(owner.uid == snapshot.maintenance.metadata.uid for owner in owners)


def wanted(snapshot: Snapshot) -> NodeEffect:
    """The effect as it was asked for."""
    spec = snapshot.maintenance.spec
    return (spec.nodeEffect if spec is not None else None) or NodeEffect()


def _wait_for_place(snapshot: Snapshot, now: datetime) -> Plan:
    message = exceeded(snapshot)
    found = conditions.find(snapshot.maintenance.status.conditions, ConditionType.NODE_EFFECT_APPLIED)
    told = found is not None and found.message == message
    event = Apply(object=build.exceeded_event(snapshot.maintenance, message, rfc3339(now)), because=message)
    finding = Finding(severity=Severity.WAITING, message=message)
    step = Step(name=PLACE, actions=() if told else (event,), findings=(finding,))
    return Plan(steps=(step,), wake_after_s=PLACE_EVERY_S)


def _carry_out(snapshot: Snapshot) -> Plan:
    match snapshot.effect:
        case Effect.NO_EFFECT:
            return Plan(steps=(Step(name=EFFECT),))
        case Effect.TAINT | Effect.CUSTOM_LABEL:
            return _edit(snapshot)
        case Effect.HOLD:
            return _hold(snapshot)
        case Effect.CUSTOM_ACTION:
            return _act(snapshot)
        case Effect.DRAIN:
            return _drain(snapshot)
        case _:
            assert_never(snapshot.effect)


def _edit(snapshot: Snapshot) -> Plan:
    if snapshot.node is None:
        return _no_node(snapshot)
    patch = nodeedits.put(snapshot.node, wanted(snapshot))
    return Plan(steps=(Step(name=EFFECT, actions=(patch,) if patch is not None else ()),))


def _hold(snapshot: Snapshot) -> Plan:
    """Released by "false", on the maintenance or on a DPU that asks for it; a key that is missing is put back."""
    if _is_released(snapshot):
        return Plan(steps=(Step(name=EFFECT),))
    key = names.WAIT_FOR_EXTERNAL_NODE_EFFECT_ANNOTATION
    message = f"Waiting for somebody to prepare the host; when it is done, set annotation {key} to {RELEASED!r}"
    missing = key not in (snapshot.maintenance.metadata.annotations or {})
    mark = Patch(
        kind=DPUNodeMaintenance, key=snapshot.key, patch={"metadata": {"annotations": {key: _HELD}}},
        because="somebody has to say when the host is prepared",
    )
    finding = Finding(severity=Severity.WAITING, message=message)
    return Plan(steps=(Step(name=EFFECT, actions=(mark,) if missing else (), findings=(finding,)),))


def _is_released(snapshot: Snapshot) -> bool:
    key = names.WAIT_FOR_EXTERNAL_NODE_EFFECT_ANNOTATION
    return any((o.metadata.annotations or {}).get(key) == RELEASED for o in (snapshot.maintenance, *snapshot.dpus))


def _act(snapshot: Snapshot) -> Plan:
    if snapshot.job is not None:
        if not is_own_job(snapshot):
            return _waiting(EFFECT, f"Waiting for another Job {snapshot.key} to go", PROCESSING_EVERY_S)
        return _follow_job(snapshot.job)
    if snapshot.action is None:
        name = Key(snapshot.key.namespace, wanted(snapshot).customAction or "")
        return _waiting(EFFECT, f"ConfigMap {name} with the pod to run does not exist", PROCESSING_EVERY_S)
    template = podtemplate.read(snapshot.action)
    if isinstance(template, podtemplate.Unusable):
        return _waiting(EFFECT, template.why, PROCESSING_EVERY_S, severity=Severity.INVALID)
    job = Apply(object=build.job(snapshot.maintenance, template), because="the host's own action has to run")
    finding = Finding(severity=Severity.WAITING, message=f"Job {snapshot.key} is running")
    return Plan(steps=(Step(name=EFFECT, actions=(job,), findings=(finding,)),))


def _follow_job(job: Job) -> Plan:
    ended = {c.type: c for c in job.status.conditions or () if c.status == "True"}
    if "Complete" in ended:
        return Plan(steps=(Step(name=EFFECT),))
    if "Failed" in ended:
        why = ended["Failed"].message or ended["Failed"].reason or "no reason given"
        message = f"Job {object_key(job)} failed: {why}. Next step: correct its ConfigMap and delete the Job"
        return Plan(steps=(Step(name=EFFECT, findings=(Finding(severity=Severity.INVALID, message=message),)),))
    return Plan(steps=(Step(name=EFFECT, findings=(
        Finding(severity=Severity.WAITING, message=f"Job {object_key(job)} is running"),
    )),))


def _drain(snapshot: Snapshot) -> Plan:
    """By the operator where it is there, unless we have begun ourselves."""
    if snapshot.node is None:
        return _no_node(snapshot)
    tenancy = snapshot.tenancy or Tenancy(operator_served=False)
    if tenancy.operator_served and not drain.is_cordoned_by(snapshot.node, snapshot.key):
        return _by_operator(snapshot, snapshot.node.metadata.name, tenancy.node_maintenance)
    return _by_eviction(snapshot, snapshot.node, tenancy)


def _by_operator(snapshot: Snapshot, node: str, found: NodeMaintenance | None) -> Plan:
    waiting = f"Waiting for NodeMaintenance {snapshot.key.namespace}/{node} to be ready"
    if found is None:
        order = Apply(object=build.node_maintenance(snapshot.maintenance, node), because="the host has to be drained")
        return _waiting(EFFECT, waiting, PROCESSING_EVERY_S, order)
    if found.metadata.deletionTimestamp is not None:
        return _waiting(EFFECT, f"{waiting}: the former one is being deleted", PROCESSING_EVERY_S)
    if found.spec.requestorID != build.REQUESTOR_ID and build.REQUESTOR_ID not in _joined(found):
        because = f"{found.spec.requestorID} has the host drained already"
        join = _join(found, [*_joined(found), build.REQUESTOR_ID], because)
        return _waiting(EFFECT, waiting, PROCESSING_EVERY_S, join)
    if conditions.is_true(found.status.conditions, "Ready"):
        return Plan(steps=(Step(name=EFFECT),))
    failed = conditions.find(found.status.conditions, "Failed")
    if failed is not None and failed.status == conditions.Status.TRUE:
        message = f"NodeMaintenance {object_key(found)} failed: {failed.message or failed.reason}"
        return _waiting(EFFECT, message, PROCESSING_EVERY_S, severity=Severity.INVALID)
    return _waiting(EFFECT, waiting, PROCESSING_EVERY_S)


def _by_eviction(snapshot: Snapshot, node: core.Node, tenancy: Tenancy) -> Plan:
    cordon = drain.cordon(node, snapshot.key)
    if cordon is not None:
        return _waiting(EFFECT, f"Draining Node {node.metadata.name}", AT_ONCE_S, cordon)
    found = drain.left(tenancy.pods, tenancy.budgets)
    if found.is_empty:
        return Plan(steps=(Step(name=EFFECT),))
    victims = tuple(
        Victim(key=object_key(pod), uid=pod.metadata.uid or "") for pod in found.movable[:EVICTIONS_PER_PASS]
    )
    because = f"Node {node.metadata.name} has to be drained"
    evict = (Drive(intent=Evict(pods=victims), because=because),) if victims else ()
    return _waiting(EFFECT, drain.describe(node.metadata.name, found), DRAIN_EVERY_S, *evict)


def _undo(snapshot: Snapshot) -> Iterator[Action]:
    """Everything that this object may have put on the host, by whatever way."""
    node, found = snapshot.node, snapshot.tenancy.node_maintenance if snapshot.tenancy is not None else None
    edits = [nodeedits.take(node, wanted(snapshot)), drain.uncordon(node, snapshot.key)] if node is not None else []
    yield from (edit for edit in edits if edit is not None and values.is_committed(snapshot.maintenance))
    if snapshot.job is not None and is_own_job(snapshot):
        yield Delete(kind=Job, key=object_key(snapshot.job), uid=snapshot.job.metadata.uid, because=_NO_LONGER)
    if found is not None and found.metadata.deletionTimestamp is None:
        yield from _leave(found)


def _leave(found: NodeMaintenance) -> Iterator[Action]:
    """Ours goes, without additional requestors, for the operator waits for those; of another's we leave the list."""
    if found.spec.requestorID != build.REQUESTOR_ID:
        if build.REQUESTOR_ID in _joined(found):
            yield _join(found, [r for r in _joined(found) if r != build.REQUESTOR_ID], _NO_LONGER)
        return
    if _joined(found):
        yield Patch(
            kind=NodeMaintenance, key=object_key(found), patch={"spec": {"additionalRequestors": []}},
            because=_NO_LONGER,
        )
    yield Delete(kind=NodeMaintenance, key=object_key(found), uid=found.metadata.uid, because=_NO_LONGER)


def _still_there(snapshot: Snapshot) -> Iterator[Finding]:
    """The operator takes its time to give the Node free."""
    found = snapshot.tenancy.node_maintenance if snapshot.tenancy is not None else None
    if found is not None and found.spec.requestorID == build.REQUESTOR_ID:
        message = f"Waiting for NodeMaintenance {object_key(found)} to go"
        yield Finding(severity=Severity.WAITING, message=message)


def _join(found: NodeMaintenance, requestors: list[str], because: str) -> Patch:
    version = {"resourceVersion": found.metadata.resourceVersion}
    patch = {"metadata": version, "spec": {"additionalRequestors": requestors}}
    return Patch(kind=NodeMaintenance, key=object_key(found), patch=patch, because=because)


def _joined(found: NodeMaintenance) -> list[str]:
    return found.spec.additionalRequestors or []


def _no_node(snapshot: Snapshot) -> Plan:
    message = f"Node {snapshot.node_name} of DPUNode {_dpunode_name(snapshot)} does not exist"
    return Plan(steps=(Step(name=EFFECT, findings=(Finding(severity=Severity.BLOCKED, message=message),)),))


def _waiting(
    step: str, message: str, wake_after_s: float, *actions: Action, severity: Severity = Severity.WAITING
) -> Plan:
    finding = Finding(severity=severity, message=message)
    return Plan(steps=(Step(name=step, actions=actions, findings=(finding,)),), wake_after_s=wake_after_s)


def _dpunode_name(snapshot: Snapshot) -> str:
    return values.dpunode_key(snapshot.maintenance).name
