"""Empties a Node without the maintenance operator: what is evicted, and what an eviction has to wait for. Pure.

The Node is cordoned first, with a mark that says who did it: one that somebody else has cordoned is never uncordoned.
Pods go through the eviction subresource only, so that budgets hold whatever was read here. Called by `plan`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dpf.api import core, names
from dpf.api.meta import Key, object_key
from dpf.api.upkeep import PodDisruptionBudget
from dpf.kube import selectors
from dpf.runtime.plan import Patch

CORDONED_BY_ANNOTATION: Final = "provisioning.dpu.nvidia.com/cordoned-by"
"""On a Node: `namespace/name` of the DPUNodeMaintenance that has cordoned it."""
MIRROR_ANNOTATION: Final = "kubernetes.io/config.mirror"
HOST_AGENT: Final = "hostagent"
"""Value of the component label of the pods through which the host is worked on."""
_FINISHED: Final = frozenset({"Succeeded", "Failed"})
_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """A pod to evict; the uid protects a namesake."""

    key: Key
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evict:
    """Intent: evict these pods. The answer is a tuple of `Refusal`."""

    pods: tuple[Victim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The API server did not evict a pod now."""

    pod: Key
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What is left on a Node: to be evicted, on its way out, and held by budgets (pod and budget)."""

    movable: tuple[core.Pod, ...] = ()
    leaving: tuple[core.Pod, ...] = ()
    held: tuple[tuple[core.Pod, PodDisruptionBudget], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the Node is drained."""
        return not (self.movable or self.leaving or self.held)


def left(pods: Iterable[core.Pod], budgets: Sequence[PodDisruptionBudget]) -> Left:
    """Sort what has to go."""
    movable, leaving, held = [], [], []
    for pod in sorted((p for p in pods if _has_to_go(p)), key=object_key):
        budget = _forbidding(pod, budgets)
        if pod.metadata.deletionTimestamp is not None:
            leaving.append(pod)
        elif budget is not None:
            held.append((pod, budget))
        else:
            movable.append(pod)
    return Left(movable=tuple(movable), leaving=tuple(leaving), held=tuple(held))


def describe(node: str, found: Left) -> str:
    """What a drain waits for, in words that stay the same as long as nothing changes."""
    parts = [
        f"PodDisruptionBudget {object_key(budget)} allows no eviction of pod {object_key(pod)} now"
        for pod, budget in found.held[:_NAMED]
    ]
    if len(found.held) > _NAMED:
        parts.append(f"{len(found.held) - _NAMED} more pods are held by PodDisruptionBudgets")
    moving = [*found.movable, *found.leaving]
    if moving:
        parts.append(f"waiting for {_listed(moving)} to end")
    step = ". Next step: give the budget room, e.g. by more replicas" if found.held else ""
    return f"Draining Node {node}: {'; '.join(parts)}{step}"


def cordon(node: core.Node, owner: Key) -> Patch | None:
    """None when it is cordoned already, by whomever."""
    if node.spec.unschedulable:
        return None
    patch = _patch(node, str(owner), unschedulable=True)
    return Patch(kind=core.Node, key=object_key(node), patch=patch, because="the host has to be drained")


def uncordon(node: core.Node, owner: Key) -> Patch | None:
    """None when it was not this owner who has cordoned it."""
    if not is_cordoned_by(node, owner):
        return None
    patch = _patch(node, None, unschedulable=None)
    return Patch(kind=core.Node, key=object_key(node), patch=patch, because="nobody needs the node drained any more")


def is_cordoned_by(node: core.Node, owner: Key) -> bool:
    """Whether the mark on the Node is this owner's."""
    return (node.metadata.annotations or {}).get(CORDONED_BY_ANNOTATION) == str(owner)


def _patch(node: core.Node, mark: str | None, *, unschedulable: bool | None) -> dict[str, Any]:
    """Conditional: who has cordoned it may have changed since it was read."""
    metadata = {"resourceVersion": node.metadata.resourceVersion, "annotations": {CORDONED_BY_ANNOTATION: mark}}
    return {"metadata": metadata, "spec": {"unschedulable": unschedulable}}


def _has_to_go(pod: core.Pod) -> bool:
    """Not: what has ended, what its node runs by itself, what a DaemonSet would start again, and our own agent."""
    metadata = pod.metadata
    if pod.status.phase in _FINISHED or MIRROR_ANNOTATION in (metadata.annotations or {}):
        return False
    if any(owner.controller and owner.kind == "DaemonSet" for owner in metadata.ownerReferences or ()):
        return False
    return (metadata.labels or {}).get(names.PROVISIONING_COMPONENT_LABEL) != HOST_AGENT


def _forbidding(pod: core.Pod, budgets: Sequence[PodDisruptionBudget]) -> PodDisruptionBudget | None:
    """A budget that is known to refuse. Pods that are not ready may be evicted against one: the server decides."""
    if not _is_ready(pod):
        return None
    return next((b for b in budgets if b.status.disruptionsAllowed <= 0 and selects(b, pod)), None)


def selects(budget: PodDisruptionBudget, pod: core.Pod) -> bool:
    """Whether the budget is about the pod; one that cannot be understood is about none."""
    if budget.spec.selector is None or budget.metadata.namespace != pod.metadata.namespace:
        return False
    try:
        return selectors.matches(budget.spec.selector, pod.metadata.labels)
    except selectors.SelectorError:
        return False


def _is_ready(pod: core.Pod) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ())


def _listed(pods: Sequence[core.Pod]) -> str:
    named = ", ".join(str(object_key(pod)) for pod in pods[:_NAMED])
    more = f" and {len(pods) - _NAMED} more" if len(pods) > _NAMED else ""
    return f"{'pods' if len(pods) > 1 else 'pod'} {named}{more}"
