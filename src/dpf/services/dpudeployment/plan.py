"""Decides what has to be done for one DPUDeployment (behaviour-service.md section 6).

Pure: a Snapshot and the time in, a Plan out. Called by the controller, and by whoever wants to know what a change would
do. Bad input is a finding; it never raises. The order of the steps is the order in which children may exist: services
before the interfaces that they own, and nodes hear of a revision (DPUSets) when all of it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from dpf.api.dpudeployment import DPUDeploymentSpec
from dpf.runtime.plan import Action, Finding, Plan, Severity, Step
from dpf.services.dpudeployment import (
    chains,
    children,
    dependencies,
    dpusets,
    interfaces,
    resources,
    revisions,
    services,
    versions,
)
from dpf.services.dpudeployment.children import Child
from dpf.services.dpudeployment.snapshot import Snapshot
from dpf.services.dpudeployment.steps import StepName

RECHECK_S: Final = 30.0
"""While an upgrade or a deletion is under way."""

_CHECKS: Final[tuple[Callable[[Snapshot], Step], ...]] = (
    dependencies.plan_step, versions.plan_step, resources.plan_step,
)
_DELETION: Final = "the DPUDeployment is being deleted"


def plan(snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG001 - the contract of planners
    """What a pass over a DPUDeployment that is not being deleted has to do.

    It ends with the first step that has a finding: what comes after could not be told, or must not happen.
    """
    steps = list(_unpause(snapshot))
    for check in _CHECKS:
        steps.append(check(snapshot))
        if steps[-1].findings:
            return Plan(steps=tuple(steps))
    spec = snapshot.deployment.spec
    return _rollout(snapshot, spec, steps) if spec is not None else Plan(steps=tuple(steps))


def changes_revisions(snapshot: Snapshot) -> bool:
    """Whether a pass over this snapshot would touch children while one revision takes the place of another.

    Then it must not be wrong about which revisions there are, nor about what the DPUSets tell the nodes. Costs little
    as long as nothing changes.
    """
    spec = snapshot.deployment.spec
    if spec is None or any(check(snapshot).findings for check in _CHECKS):
        return False
    parent = children.parent(snapshot, spec)
    nodes = dpusets.progress(parent)
    rollouts = services.resolve(parent, nodes).rollouts
    chain = chains.resolve(parent, nodes, rollouts).rollout
    under_way = [rollout for rollout in (*rollouts, chain) if rollout is not None and rollout.is_under_way]
    return bool(under_way) and any(step.actions for step in _rollout(snapshot, spec, []).steps)


def plan_teardown(snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG001 - the contract of planners
    """What has to happen before the finalizer may go.

    The DPUSets stay until everything else is gone: what runs on the DPUs is taken down there (6.12).
    """
    found = snapshot.children
    steps = [
        _removal(StepName.CHAINS, found.chains), _removal(StepName.INTERFACES, found.interfaces),
        _service_removal(snapshot),
    ]
    if any(step.findings for step in steps):
        return Plan(steps=tuple(steps), wake_after_s=RECHECK_S)
    steps.append(_removal(StepName.DPUSETS, found.dpusets))
    if found.dpusets:
        return Plan(steps=tuple(steps), wake_after_s=RECHECK_S)
    return Plan(steps=(*steps, dependencies.plan_release(snapshot)), release=True)


def _rollout(snapshot: Snapshot, spec: DPUDeploymentSpec, checked: list[Step]) -> Plan:
    """The steps that write children.

    While a DPUService is still to be made, nothing follows: its interfaces need its identity as their owner. The pass
    that its creation triggers goes on from there.
    """
    parent = children.parent(snapshot, spec)
    nodes = dpusets.progress(parent)
    resolved = services.resolve(parent, nodes)
    steps = [*checked, services.plan_step(parent, resolved)]
    is_updating = any(rollout.is_under_way for rollout in resolved.rollouts)
    if not resolved.problems and all(rollout.decision.target is not None for rollout in resolved.rollouts):
        steps.append(interfaces.plan_step(parent, resolved.rollouts))
        chain = chains.resolve(parent, nodes, resolved.rollouts)
        steps.append(chains.plan_step(parent, chain))
        if not chain.problems:
            rollouts = (*resolved.rollouts, *((chain.rollout,) if chain.rollout else ()))
            steps.append(dpusets.plan_step(parent, rollouts, nodes))
            is_updating |= chain.rollout is not None and chain.rollout.is_under_way
    return Plan(steps=tuple(steps), wake_after_s=RECHECK_S if is_updating else None)


def _unpause(snapshot: Snapshot) -> Iterator[Step]:
    """Before anything that may stop the pass: what is being deleted must be able to go."""
    actions = tuple(services.plan_unpause(snapshot.children.services))
    if actions:
        yield Step(name=StepName.UNPAUSE, actions=actions, blocks=False)


def _service_removal(snapshot: Snapshot) -> Step:
    found = snapshot.children.services
    actions = [action for service in found for action in services.plan_removal(service, because=_DELETION)]
    return _awaiting(StepName.SERVICES, found, actions)


def _removal(name: StepName, found: tuple[Child, ...]) -> Step:
    return _awaiting(name, found, [children.remove(child, because=_DELETION) for child in revisions.alive(found)])


def _awaiting(name: StepName, found: tuple[Child, ...], actions: list[Action]) -> Step:
    """Does not stop the other kinds: all of them go at the same time."""
    if not found:
        return Step(name=name, blocks=False)
    kind = type(found[0]).resource.kind
    text = f"There are still {len(found)} {kind}s that are not completely deleted"
    finding = Finding(severity=Severity.WAITING, message=text)
    return Step(name=name, actions=tuple(actions), findings=(finding,), blocks=False)
