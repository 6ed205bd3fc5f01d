"""Decides what has to be done for one DPUService (behaviour-service.md 3.2 and 3.8).

Pure: a Snapshot and the time in, a Plan out. Called by the controller, and by whoever wants to know what a change would
do. Bad input is a finding; it never raises.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Final

from dpf.api.dpuservice import DPUServiceSpec
from dpf.runtime.plan import Action, Finding, Plan, Severity, Step
from dpf.services.dpuservice import applications, configports, daemonset, interfaces, prereqs, readiness, targets
from dpf.services.dpuservice.networks import NOTHING, Attachments
from dpf.services.dpuservice.snapshot import ClusterView, Connecting, Remote, Snapshot

RECHECK_DELETION_S: Final = 30.0
RECHECK_NAMESPACE_S: Final = 2.0
RECHECK_CONNECTING_S: Final = 2.0


class StepName(StrEnum):
    """The steps of a pass, in their order."""

    INTERFACES = "interfaces"
    CLAIM = "claim"
    """One step for each interface; its name follows this word."""
    ARGOCD = "argocd"
    PREREQS = "prereqs"
    APPLICATIONS = "applications"
    CONFIG_PORTS = "config-ports"
    PAUSE = "pause"
    PULL_SECRETS = "pull-secrets"


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """What a pass over a DPUService that is not being deleted has to do."""
    spec = snapshot.service.spec
    if spec is None:
        return Plan(steps=(Step(name=StepName.INTERFACES), _argocd(snapshot)))
    if spec.paused:
        return _pause(snapshot)
    attachments = interfaces.resolve(snapshot)
    if isinstance(attachments, str) and interfaces.are_expected(snapshot, now):
        return Plan(paused=True, wake_after_s=interfaces.EXPECTED_FOR_S)
    return Plan(
        steps=(
            *_interfaces(snapshot, spec, attachments),
            _argocd(snapshot),
            _prereqs(snapshot),
            _applications(snapshot, spec, attachments if isinstance(attachments, Attachments) else NOTHING),
            _config_ports(snapshot, spec),
        ),
        wake_after_s=_wake_after_s(snapshot, now),
    )


def plan_teardown(snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG001 - the contract of planners
    """What has to happen before the finalizer may go. A paused DPUService stays until it is resumed."""
    if snapshot.service.spec is not None and snapshot.service.spec.paused:
        return _pause(snapshot)
    if snapshot.applications:
        return Plan(steps=(_removal(snapshot),), wake_after_s=RECHECK_DELETION_S)
    if any(isinstance(view.remote, Connecting) for view in snapshot.clusters):
        return Plan(wake_after_s=RECHECK_CONNECTING_S)
    return Plan(
        steps=(
            Step(name=StepName.INTERFACES, actions=tuple(interfaces.plan_release(snapshot))),
            Step(name=StepName.PULL_SECRETS, actions=tuple(_forgotten_pull_secrets(snapshot)), blocks=False),
            Step(name=StepName.CONFIG_PORTS, actions=tuple(configports.plan_removal(snapshot.ports))),
        ),
        release=True,
    )


def _pause(snapshot: Snapshot) -> Plan:
    actions = tuple(applications.plan_pause(snapshot.applications))
    return Plan(steps=(Step(name=StepName.PAUSE, actions=actions),), paused=True)


def _interfaces(snapshot: Snapshot, spec: DPUServiceSpec, attachments: Attachments | str) -> Iterator[Step]:
    """What the service does not use any more is let go in any case; claims are made only if it can have everything.

    Each claim is a step, because the first that fails has to stop the others.
    """
    problems = [attachments] if isinstance(attachments, str) else []
    released = tuple(interfaces.plan_release(snapshot, keep=spec.interfaces or ()))
    yield dataclasses.replace(_invalid(StepName.INTERFACES, problems), actions=released)
    if not problems:
        for claim in interfaces.plan_claims(snapshot):
            yield Step(name=f"{StepName.CLAIM} {claim.key.name}", actions=(claim,))


def _argocd(snapshot: Snapshot) -> Step:
    problem = targets.problem(snapshot.service)
    if problem is not None:
        return _invalid(StepName.ARGOCD, [problem])
    return Step(name=StepName.ARGOCD, actions=(*snapshot.fleet.wanted, *snapshot.fleet.orphans))


def _prereqs(snapshot: Snapshot) -> Step:
    """Does not stop the later steps: a broken cluster must not keep the service from the others."""
    if snapshot.service.spec is not None and snapshot.service.spec.deployInCluster:
        return Step(name=StepName.PREREQS, actions=tuple(prereqs.plan_host(snapshot)), blocks=False)
    actions: list[Action] = []
    for view in snapshot.clusters:
        if isinstance(view.remote, Remote) and not view.is_deleting:
            actions.extend(prereqs.plan_cluster(snapshot, view, view.remote))
    problems = [text for view in snapshot.chosen if (text := _cluster_problem(snapshot, view)) is not None]
    return Step(
        name=StepName.PREREQS, actions=tuple(actions), blocks=False,
        findings=tuple(Finding(severity=Severity.WAITING, message=text) for text in problems),
    )


def _applications(snapshot: Snapshot, spec: DPUServiceSpec, attachments: Attachments) -> Step:
    """Wanted Applications where the cluster is ready for them, and the removal of stale ones."""
    problems = tuple(daemonset.resource_problems(spec))
    if problems:
        return _invalid(StepName.APPLICATIONS, problems)
    broken = {view.key for view in snapshot.chosen if _cluster_problem(snapshot, view) is not None}
    connecting = {view.key for view in snapshot.clusters if isinstance(view.remote, Connecting)}
    unfit = broken | connecting | snapshot.awaiting_namespace
    fit = [d for d in snapshot.destinations if d.cluster not in unfit]
    stale = applications.stale(snapshot)
    return Step(
        name=StepName.APPLICATIONS,
        actions=(
            *applications.plan_wanted(snapshot, spec, fit, attachments),
            *applications.plan_removal(stale, because="DPUService is no longer installed in that cluster"),
        ),
        findings=_waiting(readiness.bullets(
            "Stale applications still exist for non matching DPUClusters", applications.keys(stale)
        )),
    )


def _config_ports(snapshot: Snapshot, spec: DPUServiceSpec) -> Step:
    actions, problem = configports.plan(snapshot, spec)
    return Step(name=StepName.CONFIG_PORTS, actions=actions, findings=_waiting(problem or ""))


def _removal(snapshot: Snapshot) -> Step:
    """Removes the Applications; cluster Secrets of lost DPUClusters go too, or Argo CD waits for those for ever."""
    actions = (
        *snapshot.fleet.orphans,
        *applications.plan_removal(snapshot.applications, because="DPUService is being deleted"),
    )
    awaited = [f"{key}.argoproj.io" for key in applications.keys(snapshot.applications)]
    text = readiness.bullets("The following applications are awaiting deletion", awaited)
    return Step(name=StepName.APPLICATIONS, actions=actions, findings=_waiting(text))


def _forgotten_pull_secrets(snapshot: Snapshot) -> Iterable[Action]:
    """Mirrored pull secrets, once no DPUService of the namespace is left to need them. What cannot be reached stays."""
    if any(sibling.metadata.deletionTimestamp is None for sibling in snapshot.siblings):
        return
    for view in snapshot.clusters:
        if isinstance(view.remote, Remote):
            yield from prereqs.remove_pull_secrets(
                view.key, view.remote.pull_secrets, because="no DPUService is left in the namespace"
            )


def _cluster_problem(snapshot: Snapshot, view: ClusterView) -> str | None:
    """Why nothing can be installed in a selected cluster now; None when it can."""
    if view.problem is not None:
        return f"cluster namespaces: DPUCluster {view.key}: {view.problem}"
    if isinstance(view.remote, Remote) and prereqs.is_terminating(view.remote.namespace):
        return (
            f"cluster namespaces: namespace {snapshot.key.namespace} is being deleted in DPUCluster {view.key};"
            " it is made again when it is gone"
        )
    return None


def _wake_after_s(snapshot: Snapshot, now: datetime) -> float | None:
    """The next look that no watch triggers: at Applications that Argo CD has ignored too long by then.

    Namespaces that we make are watched, unless the cache of that cluster is not filled yet.
    """
    waits = (readiness.unseen_for_s(app, now) for app in snapshot.applications)
    wakes = [readiness.UNSEEN_AFTER_S - s + 1.0 for s in waits if s is not None and s <= readiness.UNSEEN_AFTER_S]
    if snapshot.awaiting_namespace:
        wakes.append(RECHECK_NAMESPACE_S)
    if snapshot.is_connecting:
        wakes.append(RECHECK_CONNECTING_S)
    return min(wakes, default=None)


def _invalid(name: StepName, problems: Iterable[str]) -> Step:
    first = next(iter(problems), None)
    findings = () if first is None else (Finding(severity=Severity.INVALID, message=first),)
    return Step(name=name, findings=findings)


def _waiting(text: str) -> tuple[Finding, ...]:
    return (Finding(severity=Severity.WAITING, message=text),) if text else ()
