"""The DPUServices of a DPUDeployment: which revision of each is wanted, and what happens to the others.

Pure. Called by `plan`. Sources: behaviour-service.md 6.5-6.7 and resolutions.md rows 1, 43 and 44. `resolve` decides
about all services without writing anything, because interfaces, chain and DPUSets need to know; `plan_step` makes the
step of it. What a DPUService looks like is in `dpuservices`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from dpf.api import names
from dpf.api.dpuservice import DPUService
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration, DPUServiceConfigurationSpec
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicetemplate import DPUServiceTemplateSpec
from dpf.api.meta import Key, object_key
from dpf.runtime.plan import Action, Finding, Patch, Severity, Step
from dpf.services.dpudeployment import (
    children,
    digests,
    dpuservices,
    interfaces,
    naming,
    ordering,
    revisions,
    templating,
)
from dpf.services.dpudeployment.children import Identity, Parent
from dpf.services.dpudeployment.dpusets import Progress
from dpf.services.dpudeployment.revisions import Decision, Move
from dpf.services.dpudeployment.rollout import ServiceRollout
from dpf.services.dpudeployment.steps import StepName


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Rollouts in the order in which they are made, and what is wrong with the services that have none."""

    rollouts: tuple[ServiceRollout, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """The deployment's own services by key, and interfaces by service and interface; None where that is unknown."""

    services: Mapping[str | None, Sequence[DPUService]]
    interfaces: Mapping[interfaces.Role, Sequence[DPUServiceInterface]]


class _InvalidError(ValueError):
    """A service cannot be made; the message is for the user."""


def resolve(parent: Parent, nodes: Progress) -> Resolved:
    """What becomes of each service. A service that depends on one with a problem has one too."""
    order = ordering.sort(parent.spec.services)
    found: dict[str, ServiceRollout] = {}
    problems = list(order.problems)
    owned = _owned(parent)
    reserved: set[Identity] = set()
    for service in order.services:
        try:
            found[service] = _rollout(parent, nodes, service, owned, found, reserved)
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
    """Key of the service in the deployment.

    Node selector and pods say it as well as the label does, and are less easily edited by hand: a label that was
    changed or taken off must not cost a running service.
    """
    label = names.DPUDEPLOYMENT_SERVICE_LABEL
    daemonset = service.spec.serviceDaemonSet if service.spec is not None else None
    if daemonset is not None:
        terms = daemonset.nodeSelector.nodeSelectorTerms if daemonset.nodeSelector is not None else ()
        keys = (expression.key for term in terms for expression in term.matchExpressions or ())
        found = next(filter(None, map(naming.service_of_key, keys)), None) or (daemonset.labels or {}).get(label)
        if found is not None:
            return found
    return (service.metadata.labels or {}).get(label)


def is_disruptive(spec: DPUServiceConfigurationSpec) -> bool:
    """Whether an update takes nodes out of service (resolutions.md row 1)."""
    said = spec.upgradePolicy.applyNodeEffect
    return bool(spec.nodeEffect if said is None else said)


def _rollout(
    parent: Parent, nodes: Progress, service: str, owned: Owned, others: Mapping[str, ServiceRollout],
    reserved: set[Identity],
) -> ServiceRollout:
    template, configuration = _parts(parent, service, others)
    digest = digests.service(configuration, template)
    disruptive = is_disruptive(configuration)
    key = naming.in_cluster_key(parent.key, service) if _in_cluster(configuration) else naming.service_key(service)

    def settled(current: DPUService) -> bool:
        return revisions.is_ready(current) and nodes.carries(key, current.metadata.name)

    mine = owned.services.get(service, ())
    decision = revisions.decide(
        revisions.alive(mine), digest=digest, version=_version, limit=parent.limit, disruptive=disruptive,
        settled=settled,
    )
    name, service_id = _identity(parent, service, digest, mine, decision, reserved)
    has_taken_over = decision.target is not None and settled(decision.target)
    return ServiceRollout(
        service=service, digest=digest, key=key, name=name, service_id=service_id, configuration=configuration,
        template=template, decision=decision,
        rolling=disruptive and (decision.is_update or nodes.lacks(key, name)),
        interfaces=() if _in_cluster(configuration) else interfaces.resolve(
            parent, interfaces.Wanted(
                service=service, digest=digest, disruptive=disruptive, settled=has_taken_over,
                in_use=frozenset(_interfaces_of(decision.target)),
                templates=tuple(configuration.interfaces or ()),
            ), owned.interfaces, reserved,
        ),
    )


def _parts(
    parent: Parent, service: str, others: Mapping[str, ServiceRollout],
) -> tuple[DPUServiceTemplateSpec, DPUServiceConfigurationSpec]:
    """What the service is made from, the configuration rendered. Raises _InvalidError."""
    references = parent.spec.services[service]
    template = parent.snapshot.templates.get(references.serviceTemplate)
    configuration = parent.snapshot.configurations.get(references.serviceConfiguration)
    if template is None or template.spec is None:
        raise _InvalidError(f"service {service}: there is no DPUServiceTemplate {references.serviceTemplate}")
    if configuration is None or configuration.spec is None:
        raise _InvalidError(f"service {service}: there is no DPUServiceConfiguration {references.serviceConfiguration}")
    listed = [interface.name for interface in configuration.spec.interfaces or ()]
    twice = next((name for name in listed if listed.count(name) > 1), None)
    if twice is not None:
        raise _InvalidError(f"DPUServiceConfiguration {object_key(configuration)} lists the interface {twice} twice")
    depends_on = ordering.dependencies(references)
    absent = next((dependency for dependency in depends_on if dependency not in others), None)
    if absent is not None:
        raise _InvalidError(f"DPUService {absent} not found in patched services")
    known = {name: Key(parent.key.namespace, others[name].name) for name in depends_on}
    return template.spec, _rendered(configuration, configuration.spec, known) if known else configuration.spec


def _rendered(
    configuration: DPUServiceConfiguration, spec: DPUServiceConfigurationSpec, known: Mapping[str, Key],
) -> DPUServiceConfigurationSpec:
    settings = spec.serviceConfiguration
    if settings is None or settings.helmChart is None or not settings.helmChart.values:
        return spec
    annotation = (configuration.metadata.annotations or {}).get(names.TEMPLATE_DELIMITER_ANNOTATION)
    delimiters = templating.parse_delimiters(annotation)
    if delimiters is None:
        raise _InvalidError(
            f"annotation {names.TEMPLATE_DELIMITER_ANNOTATION} of DPUServiceConfiguration {object_key(configuration)}"
            f" is {annotation!r:.60}; write two delimiters with a comma between them, such as [[,]]"
        )
    try:
        rendered = templating.render(settings.helmChart.values, known, delimiters)
    except templating.TemplateError as error:
        raise _InvalidError(
            f"service {spec.deploymentServiceName}: failed to render the values of DPUServiceConfiguration"
            f" {object_key(configuration)}: {error}"
        ) from None
    chart = msgspec.structs.replace(settings.helmChart, values=rendered)
    return msgspec.structs.replace(spec, serviceConfiguration=msgspec.structs.replace(settings, helmChart=chart))


def _identity(
    parent: Parent, service: str, digest: str, owned: Sequence[DPUService], decision: Decision[DPUService],
    reserved: set[Identity],
) -> tuple[str, str]:
    """Name and service id of the wanted revision. Both stay for the life of an object, also when it is changed."""
    plain = naming.service_name(parent.key.name, service)
    if decision.target is not None:
        name = decision.target.metadata.name
        service_id = decision.target.spec.serviceID if decision.target.spec is not None else None
        if service_id is not None and naming.is_service_id(service_id, parent.key.name, service):
            return name, service_id
        return name, naming.service_id(parent.key.name, service, None if name == plain else digest)
    is_first = not revisions.alive(owned)
    name = parent.new_name(DPUService, plain, service, digest, is_first=is_first, reserved=reserved)
    plain_id = naming.service_id(parent.key.name, service)
    in_use = {old.spec.serviceID for old in owned if old.spec is not None}
    return name, plain_id if is_first and plain_id not in in_use else naming.service_id(
        parent.key.name, service, digest
    )


def _wanted(parent: Parent, rollout: ServiceRollout) -> Iterator[Action]:
    live = rollout.decision.target
    because = {
        Move.CREATE: f"revision {rollout.digest} of service {rollout.service} has to run",
        Move.ADOPT: f"service {rollout.service} is updated in place to revision {rollout.digest}",
        Move.KEEP: f"service {rollout.service} is not as its DPUDeployment says",
    }[rollout.decision.move]
    yield from children.put_right(live, dpuservices.build(parent, rollout), because=because)
    if live is not None and _is_paused(live):
        yield _pause(live, False)


def _removals(parent: Parent, resolved: Resolved) -> Iterator[Action]:
    """Old revisions that are not needed any more, and services that are not in the deployment any more."""
    decisions = [rollout.decision for rollout in resolved.rollouts]
    kept = {object_key(obj) for d in decisions for obj in (d.target, *d.kept) if obj is not None}
    for service in revisions.alive(parent.snapshot.children.services):
        if object_key(service) in kept:
            continue
        is_old = service_of(service) in parent.spec.services
        yield from plan_removal(
            service, because="a newer revision has taken over" if is_old else "the DPUDeployment has no such service"
        )


def _owned(parent: Parent) -> Owned:
    by_service: dict[str | None, list[DPUService]] = {}
    for service in parent.snapshot.children.services:
        by_service.setdefault(service_of(service), []).append(service)
    return Owned(services=by_service, interfaces=interfaces.by_role(parent.snapshot.children.interfaces))


def _version(service: DPUService) -> str | None:
    return (service.metadata.annotations or {}).get(names.DPUSERVICE_VERSION_ANNOTATION)


def _in_cluster(configuration: DPUServiceConfigurationSpec) -> bool:
    return bool(configuration.serviceConfiguration and configuration.serviceConfiguration.deployInCluster)


def _interfaces_of(service: DPUService | None) -> Sequence[str]:
    return (service.spec.interfaces if service is not None and service.spec is not None else None) or ()


def _is_paused(service: DPUService) -> bool:
    return service.spec is not None and service.spec.paused


def _pause(service: DPUService, paused: bool) -> Patch:
    because = "a newer revision takes over" if paused else "it must be reconciled"
    return Patch(kind=DPUService, key=object_key(service), patch={"spec": {"paused": paused}}, because=because)
