"""Decides which revisions of in-cluster services a host Node runs (behaviour-service.md 6.11).

Pure: a Snapshot in, a Plan out. Called by the controller. A label is set before the requestor that held the node free
for it is taken off, so that a crash between the two repeats the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from dpf.api import core
from dpf.api.dpudeployment import ConditionType, DPUDeployment
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import ConditionType as MaintenanceCondition
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Key, object_key
from dpf.kube import selectors
from dpf.runtime import conditions
from dpf.runtime.plan import Action, Patch, Plan, Step
from dpf.services.dpudeployment import naming
from dpf.services.dpudeployment.selectors import node_selector
from dpf.services.dpudeploymentnode import claims
from dpf.services.dpudeploymentnode.claims import Claim
from dpf.services.dpudeploymentnode.snapshot import Deployment, Snapshot


class StepName(StrEnum):
    """The steps of a pass, in their order."""

    LABELS = "labels"
    MAINTENANCES = "maintenances"


def plan(snapshot: Snapshot) -> Plan:
    """What a pass has to do: nothing at all, for most nodes at most times."""
    return Plan(steps=(
        Step(name=StepName.LABELS, actions=tuple(_relabel(snapshot))),
        Step(name=StepName.MAINTENANCES, actions=tuple(_give_free(snapshot))),
    ))


def wanted_labels(snapshot: Snapshot) -> dict[str, str | None]:
    """Version labels that have to change; None takes one off. Later rules stand above earlier ones."""
    wanted: dict[str, str | None] = dict.fromkeys(snapshot.unused)
    for deployment in snapshot.deployments:
        if _is_terminating(deployment.object):
            wanted |= dict.fromkeys(claim.key for claim in deployment.claims)
            continue
        wanted |= {claim.key: claim.value for claim in _startable(snapshot, deployment)}
        wanted |= {claim.key: claim.value for claim in _maintained(snapshot, deployment)}
    have = snapshot.node.metadata.labels or {}
    return {key: value for key, value in wanted.items() if have.get(key) != value}


def matches(deployment: DPUDeployment, dpunode: DPUNode) -> bool:
    """Whether one of the deployment's DPUSets is for this host. A selector that means nothing selects nothing."""
    spec = deployment.spec
    for entry in (spec.dpus.dpuSets if spec is not None else None) or ():
        try:
            if selectors.matches(node_selector(entry), dpunode.metadata.labels):
                return True
        except selectors.SelectorError:
            continue
    return False


def has_services(deployment: DPUDeployment) -> bool:
    """Whether the DPUServices are as the spec of the deployment wants them."""
    found = conditions.find(deployment.status.conditions, ConditionType.DPU_SERVICES_RECONCILED)
    if found is None or found.status != conditions.Status.TRUE:
        return False
    return found.observedGeneration in {None, deployment.metadata.generation}


def is_applied(maintenance: DPUNodeMaintenance) -> bool:
    """Whether the host is free for what the requestors are waiting for."""
    return conditions.is_true(maintenance.status.conditions, MaintenanceCondition.NODE_EFFECT_APPLIED)


def _relabel(snapshot: Snapshot) -> Iterator[Action]:
    labels = wanted_labels(snapshot)
    if labels:
        yield Patch(
            kind=core.Node, key=object_key(snapshot.node), patch={"metadata": {"labels": labels}},
            because="in-cluster services of a DPUDeployment have to start or stop on this node",
        )


def _give_free(snapshot: Snapshot) -> Iterator[Action]:
    """Takes the requestors of in-cluster services off, which have what they waited for."""
    ours = {_requestor(d, claim) for d in snapshot.deployments for claim in d.claims}
    for maintenance in snapshot.maintenances:
        requestors = (maintenance.spec.requestor if maintenance.spec is not None else None) or []
        kept = [requestor for requestor in requestors if requestor not in ours]
        if is_applied(maintenance) and kept != requestors:
            version = {"resourceVersion": maintenance.metadata.resourceVersion}
            yield Patch(
                kind=DPUNodeMaintenance, key=object_key(maintenance),
                patch={"metadata": version, "spec": {"requestor": kept}},
                because="in-cluster services have moved on to their new revision on this node",
            )


def _startable(snapshot: Snapshot, deployment: Deployment) -> Iterator[Claim]:
    """Claims that no node effect has to precede: nothing of the service runs on the node."""
    matched = any(matches(deployment.object, dpunode) for dpunode in _of_namespace(snapshot, deployment))
    if not matched or not has_services(deployment.object):
        return
    have = snapshot.node.metadata.labels or {}
    alive = {claim.value for claim in deployment.claims}
    for claim in claims.current(deployment.claims).values():
        if claim.key not in have or (have[claim.key] not in alive and _is_peaceful(deployment, claim)):
            yield claim


def _maintained(snapshot: Snapshot, deployment: Deployment) -> Iterator[Claim]:
    """Claims for which a maintenance has made the node free. Whatever revision asked, the current one may start."""
    requested = {
        requestor for maintenance in snapshot.maintenances if is_applied(maintenance) and maintenance.spec is not None
        for requestor in maintenance.spec.requestor or ()
    }
    keys = {claim.key for claim in deployment.claims if _requestor(deployment, claim) in requested}
    return (claim for key, claim in claims.current(deployment.claims).items() if key in keys)


def _is_peaceful(deployment: Deployment, claim: Claim) -> bool:
    """Whether every DPUSet knows of this revision and asks for no node effect because of it.

    Then nobody is going to add a requestor, and a node whose label names a DPUService that is gone would wait for ever.
    """
    effects = [d.spec.dpuTemplate.spec.nodeEffect for d in deployment.dpusets if d.spec is not None]
    return bool(effects) and all(
        effect is not None and not effect.applyOnLabelChange
        and _requestor(deployment, claim) in (effect.nodeMaintenanceAdditionalRequestors or ())
        for effect in effects
    )


def _requestor(deployment: Deployment, claim: Claim) -> str:
    return naming.requestor(_key(deployment), claim.value)


def _key(deployment: Deployment) -> Key:
    return object_key(deployment.object)


def _of_namespace(snapshot: Snapshot, deployment: Deployment) -> list[DPUNode]:
    return [d for d in snapshot.dpunodes if (d.metadata.namespace or "") == _key(deployment).namespace]


def _is_terminating(deployment: DPUDeployment) -> bool:
    return deployment.metadata.deletionTimestamp is not None
