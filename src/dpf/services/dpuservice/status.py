"""Computes the conditions of a DPUService (behaviour-service.md 3.2, 3.7, 3.8).

Pure: what was seen, planned and done in; states out. A condition whose step did not run, or whose predecessor failed,
keeps its old value. `Ready` is the summary, which the runtime adds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from dpf.api import core
from dpf.api.argocd import Application
from dpf.api.dpuservice import ConditionType
from dpf.api.meta import Object, object_key
from dpf.runtime.conditions import Reason, State, false, true
from dpf.runtime.plan import HOST, Applied, Apply, Delete, Outcome, Patch, StepResult
from dpf.runtime.reconciler import Verdict
from dpf.services.dpuservice import applications, configports, daemonset, readiness, targets
from dpf.services.dpuservice.plan import StepName
from dpf.services.dpuservice.snapshot import Snapshot

_PREREQ_PREFIX: Final[Mapping[type[Object], str]] = {
    core.Namespace: "cluster namespaces: ", core.Secret: "ImagePullSecrets: ",
}


def compute(snapshot: Snapshot, applied: Applied, now: datetime) -> Verdict:
    """Everything the pass says about the DPUService. The status fields are always fresh.

    So is ApplicationsReady, unless the spec does not say where Applications have to be: then it grows stale.
    """
    snapshot = _with_made(snapshot, applied)
    states: dict[str, State] = {}
    if targets.problem(snapshot.service) is None:
        states[ConditionType.APPLICATIONS_READY] = readiness.state(snapshot.installed, now)
    if snapshot.service.metadata.deletionTimestamp is not None:
        states |= _teardown(applied.step(StepName.APPLICATIONS))
    else:
        states |= _progress(snapshot, applied)
    return Verdict(states=states | _spiffe(snapshot), fields=_fields(snapshot))


def _with_made(snapshot: Snapshot, applied: Applied) -> Snapshot:
    """The snapshot with the Applications that this pass made: the next one would say the same in other words."""
    known = {object_key(app) for app in snapshot.applications}
    done = (outcome.action for outcome in applied.step(StepName.APPLICATIONS).outcomes if outcome.error is None)
    made = [action.object for action in done if isinstance(action, Apply) and isinstance(action.object, Application)]
    new = tuple(app for app in made if object_key(app) not in known)
    return dataclasses.replace(snapshot, applications=(*snapshot.applications, *new)) if new else snapshot


def _progress(snapshot: Snapshot, applied: Applied) -> dict[str, State]:
    """States of the steps, up to and including the first that did not succeed.

    A condition about which it is too early to say anything keeps its value, and so do the later ones.
    """
    interfaces = [r for r in applied.results if r.name.split(" ")[0] in (StepName.INTERFACES, StepName.CLAIM)]
    argocd, prereqs = applied.step(StepName.ARGOCD), applied.step(StepName.PREREQS)
    ports = applied.step(StepName.CONFIG_PORTS)
    stages: tuple[tuple[ConditionType, bool, tuple[str, ...], str], ...] = (
        (ConditionType.DPU_SERVICE_INTERFACE_RECONCILED, any(r.ran for r in interfaces),
         tuple(error for result in interfaces for error in result.errors), "Unable to reconcile interfaces for "),
        (ConditionType.APPLICATION_PREREQS_RECONCILED, argocd.ran and (prereqs.ran or not argocd.succeeded),
         (*argocd.errors, *_prereq_errors(snapshot, prereqs)), "Unable to reconcile application prereq for "),
        (ConditionType.APPLICATIONS_RECONCILED, applied.step(StepName.APPLICATIONS).ran,
         applied.step(StepName.APPLICATIONS).errors, "Unable to reconcile Applications: "),
        (ConditionType.CONFIG_PORTS_RECONCILED, ports.ran, ports.errors, "Unable to reconcile Config Ports: "),
    )
    early = _too_early(snapshot)
    states: dict[str, State] = {}
    for type_, ran, errors, prefix in stages:
        if errors and ran:
            states[type_] = false(Reason.ERROR, prefix + "; ".join(errors))
        if errors or not ran or type_ is early:
            break
        states[type_] = true()
    return _with_notes(snapshot, states)


def _spiffe(snapshot: Snapshot) -> dict[str, State]:
    """Holds while no identity is asked for (resolutions.md row 32)."""
    security = snapshot.service.spec.security if snapshot.service.spec else None
    if security is None or security.spiffe is None:
        return {ConditionType.SPIFFE_ENTRIES_READY: true()}
    text = "SPIFFE identities are not supported yet; remove spec.security.spiffe"
    return {ConditionType.SPIFFE_ENTRIES_READY: false(Reason.ERROR, text)}


def _too_early(snapshot: Snapshot) -> ConditionType | None:
    """The first condition whose time has not come: the next pass knows more."""
    if snapshot.is_connecting:
        return ConditionType.APPLICATION_PREREQS_RECONCILED
    if snapshot.awaiting_namespace:
        return ConditionType.APPLICATIONS_RECONCILED
    return None


def _with_notes(snapshot: Snapshot, states: dict[str, State]) -> dict[str, State]:
    """A name that had to differ from the documented one is told where nothing else is wrong."""
    told = " ".join(applications.notes(snapshot))
    if told and states.get(ConditionType.APPLICATIONS_RECONCILED) == true():
        states[ConditionType.APPLICATIONS_RECONCILED] = true(message=told)
    return states


def _teardown(result: StepResult) -> dict[str, State]:
    failed = [o.error for o in result.outcomes if o.error is not None]
    if failed:
        text = f"Error occurred: {'; '.join(failed)}"
    elif result.findings:
        text = result.findings[0].message
    else:
        return {}
    return {ConditionType.APPLICATIONS_RECONCILED: false(Reason.AWAITING_DELETION, text)}


def _prereq_errors(snapshot: Snapshot, result: StepResult) -> Iterable[str]:
    """What failed in clusters that the service goes to. Others are prepared as well, but nothing depends on them."""
    chosen = {HOST, *(view.key for view in snapshot.chosen)}
    yield from (finding.message for finding in result.findings)
    for outcome in result.outcomes:
        if outcome.error is not None and _cluster(outcome) in chosen:
            yield f"{_prefix(outcome)}{outcome.error}"


def _cluster(outcome: Outcome) -> object:
    match outcome.action:
        case Apply() | Patch() | Delete() as action:
            return action.cluster
        case _:
            return HOST


def _prefix(outcome: Outcome) -> str:
    match outcome.action:
        case Apply(object=obj):
            return _PREREQ_PREFIX.get(type(obj), "")
        case Delete(kind=kind) | Patch(kind=kind):
            return _PREREQ_PREFIX.get(kind, "")
        case _:
            return ""


def _fields(snapshot: Snapshot) -> dict[str, Any]:
    ports = configports.observed(snapshot)
    return {
        "serviceID": daemonset.service_id(snapshot.service),
        "configPorts": msgspec.to_builtins(ports) if ports else None,
    }
