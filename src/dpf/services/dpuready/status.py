"""The operational conditions of a DPU: whether it works, and in words why not. Pure.

Called by the controller. Source: api-provisioning.md section 3, behaviour-service.md 10.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from dpf.api import core, names
from dpf.api.dpu import ConditionReason
from dpf.api.dpu import OperationalConditionType as Type
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.meta import Condition, object_key
from dpf.api.serviceworkloads import ServiceDaemonSet, ServicePod
from dpf.runtime import conditions
from dpf.runtime.clock import rfc3339
from dpf.runtime.conditions import Reason, State, Status
from dpf.runtime.reconciler import Verdict
from dpf.services.dpudeployment import revisions
from dpf.services.dpuready import plan, workloads
from dpf.services.dpuready.snapshot import Snapshot, is_installed
from dpf.services.dpuready.workloads import NodeView, Silent
from dpf.services.dpuservice import daemonset

CRITICAL: Final = frozenset({"system-node-critical", "system-cluster-critical"})
"""Priority classes of pods that the DPU cannot do without; pods of system DPUServices are the others."""
NODE_PROBLEM: Final = "NodeProblem"
_GOOD: Final = ("Ready", "Healthy", "Available")
"""Conditions of a Node whose types end so are well when they hold; all the others name a problem."""
_PARTS: Final[tuple[Type, ...]] = tuple(type_ for type_ in Type if type_ is not Type.OPERATIONAL_READY)
_OF_PROVISIONING: Final = ("provisioning.dpu.nvidia.com/", "operator.dpu.nvidia.com/")
"""Labels that steer no service."""
_TOLD: Final = 10


def compute(snapshot: Snapshot, now: datetime) -> Verdict:
    """The conditions after this pass. Of a DPU that is not installed there are none."""
    if plan.settles(snapshot):
        return Verdict(states={})
    if snapshot.cluster is None or not is_installed(snapshot.dpu):
        return Verdict(states={}, fields={"operationalConditions": None})
    parts = _states(snapshot)
    found = {Type.OPERATIONAL_READY: summary(parts), **parts}
    return Verdict(states={}, fields={"operationalConditions": _merged(snapshot, found, now)})


def summary(parts: Mapping[Type, State]) -> State:
    """The state of OperationalReady."""
    failing = [type_ for type_, state in parts.items() if state.status != Status.TRUE]
    if not failing:
        return _holds(Type.OPERATIONAL_READY)
    message = f"The following conditions are not ready: {', '.join(failing)}"
    if any(parts[type_].status == Status.FALSE for type_ in failing):
        return conditions.false(Reason.PENDING, message)
    return State(status=Status.UNKNOWN, reason=parts[failing[0]].reason, message=message)


def node_problems(node: core.Node) -> Iterator[str]:
    """What the Node complains of."""
    name, found = node.metadata.name, node.status.conditions or ()
    if not any(c.type == "Ready" for c in found):
        yield f"Node {name} has not said yet that it is ready"
    for told in found:
        wanted = "True" if told.type.endswith(_GOOD) else "False"
        if told.status != wanted:
            why = told.message or told.reason
            yield f"Node {name}: {told.type} is {told.status}" + (f": {why}" if why else "")


def _states(snapshot: Snapshot) -> dict[Type, State]:
    view = snapshot.view
    if isinstance(view, Silent):
        reason = str(ConditionReason.DPU_CLUSTER_CLIENT_GET_ERROR)
        return dict.fromkeys(_PARTS, State(status=Status.UNKNOWN, reason=reason, message=view.why))
    if view is None:
        why = f"DPUCluster {snapshot.cluster} has no Node {snapshot.dpu.metadata.name}"
        lost = State(status=Status.UNKNOWN, reason=str(ConditionReason.DPU_NODE_GET_ERROR), message=why)
        return {**dict.fromkeys(_PARTS, lost), Type.NODE_PROBLEMS_READY: conditions.false(NODE_PROBLEM, why)}
    pods = list(_pod_problems(snapshot, view))
    critical, others = ([text for is_critical, text in pods if is_critical is wanted] for wanted in (True, False))
    return {
        Type.NODE_PROBLEMS_READY: _state(Type.NODE_PROBLEMS_READY, list(node_problems(view.node)), NODE_PROBLEM),
        Type.DPU_SERVICE_CRITICAL_PODS_READY: _state(Type.DPU_SERVICE_CRITICAL_PODS_READY, critical),
        Type.DPU_SERVICE_NON_CRITICAL_PODS_READY: _state(Type.DPU_SERVICE_NON_CRITICAL_PODS_READY, others),
        Type.DPU_SERVICE_INTERFACES_READY: _wired(Type.DPU_SERVICE_INTERFACES_READY, snapshot.interfaces),
        Type.DPU_SERVICE_CHAINS_READY: _wired(Type.DPU_SERVICE_CHAINS_READY, snapshot.chains),
    }


def _pod_problems(snapshot: Snapshot, view: NodeView) -> Iterator[tuple[bool, str]]:
    """Whether something critical is missing, and what."""
    system = {daemonset.service_id(s) for s in snapshot.services if names.COMPONENT_LABEL in (s.metadata.labels or {})}

    def is_critical(obj: ServicePod | ServiceDaemonSet) -> bool:
        spec = obj.spec if isinstance(obj, ServicePod) else obj.spec.template.spec
        return spec.priorityClassName in CRITICAL or workloads.service_id(obj) in system

    if _lacks_labels(snapshot, view.node):
        # Before it has them, no new revision is meant for the Node, and nothing would be missing on it.
        text = f"Node {view.node.metadata.name} does not have the labels of its DPU yet"
        yield from ((True, text), (False, text))
    for service in snapshot.services:
        found = daemonset.service_id(service)
        if found not in view.installed and not revisions.is_ready(service):
            yield found in system, f"DPUService {object_key(service)} is not installed in {snapshot.cluster} yet"
    for daemon_set in view.daemon_sets:
        yield from ((is_critical(daemon_set), text) for text in workloads.missing(view, daemon_set))
    for pod in view.pods:
        yield from ((is_critical(pod), text) for text in workloads.unready(view, (pod,)))


def _lacks_labels(snapshot: Snapshot, node: core.Node) -> bool:
    have = node.metadata.labels or {}
    wanted = workloads.wanted_labels(snapshot.dpu).items()
    return any(have.get(key) != value for key, value in wanted if not key.startswith(_OF_PROVISIONING))


def _wired(type_: Type, parts: Sequence[DPUServiceInterface] | Sequence[DPUServiceChain]) -> State:
    """Ready as a whole; which nodes have them, nobody tells yet."""
    unready = [part for part in parts if not revisions.is_ready(part)]
    return _state(type_, [f"{part.resource.kind} {object_key(part)} is not ready" for part in unready])


def _state(type_: Type, problems: Sequence[str], reason: str = Reason.PENDING) -> State:
    if not problems:
        return _holds(type_)
    more = f"; and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
    return conditions.false(reason, "; ".join(sorted(problems)[:_TOLD]) + more)


def _holds(type_: Type) -> State:
    """A condition of a DPU that holds has its own type as the reason."""
    return conditions.true(str(type_))


def _merged(snapshot: Snapshot, found: Mapping[Type, State], now: datetime) -> list[Condition]:
    dpu = snapshot.dpu
    old = dpu.status.operationalConditions or ()
    states = {str(type_): state for type_, state in found.items()}
    types = [str(type_) for type_ in Type]
    return conditions.merge(types, old, states, generation=dpu.metadata.generation or 0, now=rfc3339(now))
