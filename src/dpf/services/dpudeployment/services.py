"""The DPUServices of a DPUDeployment: which revision of each is wanted, and what it looks like.

Pure. Called by `plan`. Sources: behaviour-service.md 6.5-6.7 and resolutions.md rows 1, 43 and 44. `resolve` decides
about all services without writing anything, because interfaces, chain and DPUSets need to know; `plan_step` makes the
step of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from dpf.api import names
from dpf.api.dpuservice import DPUService, DPUServiceSpec, HelmChart, Security, ServiceDaemonSet
from dpf.api.dpuserviceconfiguration import (
    ConfigurationDaemonSet,
    DPUServiceConfiguration,
    DPUServiceConfigurationSpec,
    ServiceConfiguration,
)
from dpf.api.dpuservicetemplate import DPUServiceTemplateSpec
from dpf.api.meta import Key, object_key
from dpf.runtime.plan import Action, Finding, Patch, Severity, Step
from dpf.services import values
from dpf.services.dpudeployment import (
    children,
    digests,
    interfaces,
    naming,
    ordering,
    revisions,
    selectors,
    templating,
)
from dpf.services.dpudeployment.children import Parent
from dpf.services.dpudeployment.dpusets import Progress
from dpf.services.dpudeployment.revisions import Decision, Move
from dpf.services.dpudeployment.rollout import ServiceRollout
from dpf.services.dpudeployment.steps import StepName


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Rollouts in the order in which they are made, and what is wrong with the services that have none."""

    rollouts: tuple[ServiceRollout, ...] = ()
    problems: tuple[str, ...] = ()


class _InvalidError(ValueError):
    """A service cannot be made; the message is for the user."""


def resolve(parent: Parent, nodes: Progress) -> Resolved:
    """What becomes of each service. A service that depends on one with a problem has one too."""
    order = ordering.sort(parent.spec.services)
    found: dict[str, ServiceRollout] = {}
    problems = list(order.problems)
    owned = _by_service(parent)
    reserved: set[str] = set()
    for service in order.services:
        try:
            found[service] = _rollout(parent, nodes, service, owned.get(service, ()), found, reserved)
        except _InvalidError as error:
            problems.append(str(error))
        except RecursionError:
            problems.append(f"service {service}: its values are nested too deeply; make them flatter")
    return Resolved(rollouts=tuple(found.values()), problems=tuple(problems))


def plan_step(parent: Parent, resolved: Resolved) -> Step:
    """Old revisions are paused, then the wanted ones written; what is left over goes in a pass that writes nothing."""
    actions: list[Action] = []
    for rollout in resolved.rollouts:
        actions += (_pause(old, True) for old in rollout.decision.kept if not _is_paused(old))
        actions += _wanted(parent, rollout)
    return Step(
        name=StepName.SERVICES,
        actions=children.without_writes(actions, _removals(parent, resolved), problems=bool(resolved.problems)),
        findings=tuple(Finding(severity=Severity.INVALID, message=text) for text in resolved.problems),
    )


def plan_unpause(services: Sequence[DPUService]) -> Iterator[Action]:
    """Wakes paused ones that are being deleted: until then their finalizer hangs."""
    for service in services:
        if service.metadata.deletionTimestamp is not None and _is_paused(service):
            yield _pause(service, False)


def plan_removal(service: DPUService, *, because: str) -> Iterator[Action]:
    """Deletes, and only then unpauses: the other way round it would run for a moment.

    One without a finalizer is gone at once.
    """
    if service.metadata.deletionTimestamp is None:
        yield children.remove(service, because=because)
    if _is_paused(service) and service.metadata.finalizers:
        yield _pause(service, False)


def service_of(service: DPUService) -> str | None:
    """Key of the service in the deployment; from its pods' label or its node selector if its own label is lost."""
    label = names.DPUDEPLOYMENT_SERVICE_LABEL
    daemonset = service.spec.serviceDaemonSet if service.spec is not None else None
    pods = (daemonset.labels or {}).get(label) if daemonset is not None else None
    found = (service.metadata.labels or {}).get(label) or pods
    if found is not None or daemonset is None or daemonset.nodeSelector is None:
        return found
    keys = (e.key for term in daemonset.nodeSelector.nodeSelectorTerms for e in term.matchExpressions or ())
    return next(filter(None, map(naming.service_of_key, keys)), None)


def is_disruptive(spec: DPUServiceConfigurationSpec) -> bool:
    """Whether an update takes nodes out of service (resolutions.md row 1)."""
    said = spec.upgradePolicy.applyNodeEffect
    return bool(spec.nodeEffect if said is None else said)


def _rollout(
    parent: Parent, nodes: Progress, service: str, owned: Sequence[DPUService], others: Mapping[str, ServiceRollout],
    reserved: set[str],
) -> ServiceRollout:
    template, configuration = _parts(parent, service, others)
    digest = digests.service(configuration, template)
    disruptive = is_disruptive(configuration)
    in_cluster = bool(configuration.serviceConfiguration and configuration.serviceConfiguration.deployInCluster)
    key = naming.in_cluster_key(parent.key, service) if in_cluster else naming.service_key(service)

    def settled(current: DPUService) -> bool:
        return revisions.is_ready(current) and nodes.carries(key, current.metadata.name)

    decision = revisions.decide(
        revisions.alive(owned), digest=digest, version=_version, limit=parent.limit, disruptive=disruptive,
        settled=settled,
    )
    name, service_id = _identity(parent, service, digest, owned, decision, reserved)
    reserved.add(name)
    return ServiceRollout(
        service=service, digest=digest, key=key, name=name, service_id=service_id, configuration=configuration,
        template=template, decision=decision, disruptive=disruptive,
        rolling=disruptive and (decision.is_update or nodes.lacks(key, name)),
        settled=decision.target is not None and decision.move is Move.KEEP and settled(decision.target),
        interfaces=interfaces.resolve(
            parent, service, configuration, digest=digest, disruptive=disruptive, service=decision, settled=..., 
        ),
    )
