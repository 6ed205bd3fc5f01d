"""Computes the conditions of a DPUDeployment (behaviour-service.md 6.1 and 6.12).

Pure: what was seen, planned and done in; states out. A condition whose step did not run keeps its old value. `Ready` is
the summary, which the runtime adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dpf.api.dpudeployment import ConditionType
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, Object, object_key
from dpf.runtime import conditions
from dpf.runtime.conditions import Reason, State, false, true
from dpf.runtime.plan import Applied, Apply, Patch, StepResult
from dpf.runtime.reconciler import Verdict
from dpf.services.dpudeployment import revisions
from dpf.services.dpudeployment.snapshot import Children, Snapshot
from dpf.services.dpudeployment.steps import StepName
from dpf.services.dpuservice import readiness

DEPENDENCIES_PREFIX: Final = "error while getting the DPUDeployment dependencies: "

Child = DPUService | DPUServiceInterface | DPUServiceChain | DPUSet


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """One kind of children: who makes them, what is told about them."""

    kind: type[Child]
    step: StepName
    reconciled: ConditionType
    ready: ConditionType
    of: Callable[[Children], Sequence[Child]]


_KINDS: Final = (
    _Kind(kind=DPUService, step=StepName.SERVICES, reconciled=ConditionType.DPU_SERVICES_RECONCILED,
          ready=ConditionType.DPU_SERVICES_READY, of=lambda children: children.services),
    _Kind(kind=DPUServiceInterface, step=StepName.INTERFACES,
          reconciled=ConditionType.DPU_SERVICE_INTERFACES_RECONCILED,
          ready=ConditionType.DPU_SERVICE_INTERFACES_READY, of=lambda children: children.interfaces),
    _Kind(kind=DPUServiceChain, step=StepName.CHAINS, reconciled=ConditionType.DPU_SERVICE_CHAINS_RECONCILED,
          ready=ConditionType.DPU_SERVICE_CHAINS_READY, of=lambda children: children.chains),
    _Kind(kind=DPUSet, step=StepName.DPUSETS, reconciled=ConditionType.DPU_SETS_RECONCILED,
          ready=ConditionType.DPU_SETS_READY, of=lambda children: children.dpusets),
)

_CHECKS: Final = (
    (StepName.DEPENDENCIES, ConditionType.PREREQUISITES_READY, Reason.PENDING, DEPENDENCIES_PREFIX),
    (StepName.VERSIONS, ConditionType.VERSION_MATCHING_READY, Reason.ERROR, ""),
    (StepName.RESOURCES, ConditionType.RESOURCE_FITTING_READY, Reason.FAILURE, ""),
)


def compute(snapshot: Snapshot, applied: Applied) -> Verdict:
    """Everything the pass says about the DPUDeployment."""
    if snapshot.deployment.metadata.deletionTimestamp is not None:
        return Verdict(states=dict(_teardown(snapshot, applied)) | dict(_readiness(snapshot, applied, _KINDS)))
    told = [kind for kind in _KINDS if applied.step(kind.step).ran or _has_failed(applied)]
    return Verdict(states=dict(_progress(applied)) | dict(_readiness(snapshot, applied, told)))


def aggregate(texts: Iterable[str]) -> str:
    """One text as it is, several as `[a, b]`, each once."""
    each = list(dict.fromkeys(texts))
    return each[0] if len(each) == 1 else f"[{', '.join(each)}]"


def is_ready(child: Child) -> bool:
    """Whether the child's controller calls it ready as it is now.

    A paused DPUService is not looked at any more: what was said before counts.
    """
    paused = isinstance(child, DPUService) and child.spec is not None and child.spec.paused
    return revisions.is_ready(child) or (paused and conditions.is_true(child.status.conditions, conditions.READY))


def _progress(applied: Applied) -> Iterator[tuple[str, State]]:
    """States of the steps that ran. One that did not says nothing new."""
    for step, type_, reason, prefix in _CHECKS:
        if applied.step(step).ran:
            yield type_, _outcome(applied.step(step), reason, prefix)
    unpause = applied.step(StepName.UNPAUSE)
    for kind in _KINDS:
        result = applied.step(kind.step)
        if kind.kind is DPUService and unpause.errors:
            result = unpause
        if result.ran:
            yield kind.reconciled, _outcome(result, Reason.ERROR)


def _outcome(result: StepResult, reason: Reason, prefix: str = "") -> State:
    found = [finding.message for finding in result.findings]
    failed = [outcome.error for outcome in result.outcomes if outcome.error is not None]
    texts = [f"{prefix}{aggregate(found)}", *failed] if found else failed
    return false(reason, f"Error occurred: {aggregate(texts)}") if texts else true()


def _has_failed(applied: Applied) -> bool:
    """Whether the pass was stopped. One that only ends early, because the next one knows more, was not."""
    stopping = (result for result in applied.results if result.name != StepName.UNPAUSE)
    return any(result.errors for result in stopping if result.ran)


def _teardown(snapshot: Snapshot, applied: Applied) -> Iterator[tuple[str, State]]:
    """What is still there, kind by kind. DPUSets wait for the others, and until then nothing is said about them."""
    for kind in _KINDS:
        result = applied.step(kind.step)
        failed = [outcome.error for outcome in result.outcomes if outcome.error is not None]
        if failed:
            yield kind.reconciled, false(Reason.AWAITING_DELETION, f"Error occurred: {aggregate(failed)}")
        elif kind.kind is not DPUSet or result.ran:
            text = _remaining(kind.kind.resource.kind, len(kind.of(snapshot.children)))
            yield kind.reconciled, false(Reason.AWAITING_DELETION, text)
    release = applied.step(StepName.RELEASE)
    if release.errors:
        yield ConditionType.PREREQUISITES_READY, _outcome(release, Reason.PENDING)


def _remaining(kind: str, number: int) -> str:
    return f"There are still {number} {kind}s that are not completely deleted" if number else f"All {kind}s are deleted"


def _readiness(snapshot: Snapshot, applied: Applied, kinds: Iterable[_Kind]) -> Iterator[tuple[str, State]]:
    """Whether the children are ready; also old revisions, and those that are on their way out."""
    wanted = _applied(applied)
    for kind in kinds:
        known = {object_key(child): child for child in kind.of(snapshot.children)}
        made = {key: obj for (kind_, key), obj in wanted.items() if kind_ is kind.kind}
        unready = {key for key, child in known.items() if not is_ready(child)}
        unready |= {key for key, obj in made.items() if key not in known or _is_changed(known[key], obj)}
        unready |= {key for kind_, key in _patched(applied) if kind_ is kind.kind and _is_alive(known.get(key))}
        text = readiness.bullets("Objects are not ready", [str(key) for key in sorted(unready)])
        yield kind.ready, false(Reason.PENDING, text) if unready else true()


def _applied(applied: Applied) -> dict[tuple[type[Object], Key], Object]:
    """What this pass wrote, or tried to write: what the snapshot says about it may be out of date."""
    actions = (outcome.action for result in applied.results for outcome in result.outcomes)
    return {(type(a.object), object_key(a.object)): a.object for a in actions if isinstance(a, Apply)}


def _patched(applied: Applied) -> Iterator[tuple[type[Object], Key]]:
    """What this pass gave another spec, or woke. A paused DPUService keeps what was said about it."""
    actions = (outcome.action for result in applied.results for outcome in result.outcomes)
    return ((a.kind, a.key) for a in actions if isinstance(a, Patch) and a.patch != {"spec": {"paused": True}})


def _is_alive(child: Child | None) -> bool:
    return child is not None and child.metadata.deletionTimestamp is None


def _is_changed(known: Child, wanted: Object) -> bool:
    """Whether more was written than labels, annotations or owner references that somebody had taken off."""
    return bool(known.spec != getattr(wanted, "spec", None))
