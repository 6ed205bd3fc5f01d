"""The DPUServiceInterfaces of a DPUDeployment (behaviour-service.md 6.8).

Pure. `resolve` fixes the names before the DPUServices are made, for these list them; `plan_step` makes the step, once
the DPUServices exist, for each interface is also owned by its DPUService. Called by `services` and `plan`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dpf.api import names
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import TemplateMetadata
from dpf.api.dpuserviceconfiguration import ServiceInterfaceTemplate
from dpf.api.dpuserviceinterface import (
    DPUServiceInterface,
    DPUServiceInterfaceSpec,
    InterfaceType,
    ServiceDef,
    ServiceInterfaceSetSpec,
    ServiceInterfaceSetTemplate,
    ServiceInterfaceSpec,
)
from dpf.api.dpuserviceinterface import (
    ServiceInterfaceTemplate as NodeInterfaceTemplate,
)
from dpf.api.meta import object_key
from dpf.runtime.plan import Action, Step
from dpf.services.dpudeployment import children, naming, revisions, selectors
from dpf.services.dpudeployment.children import Identity, Parent
from dpf.services.dpudeployment.revisions import Move
from dpf.services.dpudeployment.rollout import InterfaceRollout, ServiceRollout
from dpf.services.dpudeployment.steps import StepName

Role = tuple[str | None, str | None]
"""Service and interface that a DPUServiceInterface stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The interfaces that the wanted revision of a service has.

    `in_use` are the names that the service's DPUService lists already; `settled` says that it has taken over.
    """

    service: str
    digest: str
    disruptive: bool
    settled: bool
    in_use: frozenset[str]
    templates: tuple[ServiceInterfaceTemplate, ...]


def resolve(
    parent: Parent, wanted: Wanted, owned: Mapping[Role, Sequence[DPUServiceInterface]], reserved: set[Identity],
) -> tuple[InterfaceRollout, ...]:
    """What becomes of each interface of a service, by name."""
    ordered = sorted(wanted.templates, key=lambda template: template.name)
    return tuple(
        _rollout(parent, wanted, template, owned.get((wanted.service, template.name), ()), reserved)
        for template in ordered
    )


def plan_step(parent: Parent, rollouts: Iterable[ServiceRollout]) -> Step:
    """Interfaces of the wanted revisions are written; what nobody needs goes in a pass that writes nothing."""
    rollouts = tuple(rollouts)
    actions: list[Action] = []
    for rollout in rollouts:
        service = rollout.decision.target
        for interface in rollout.interfaces if service is not None else ():
            because = _because(interface, rollout)
            wanted = _build(parent, rollout, interface, service)
            actions += children.put_right(interface.decision.target, wanted, because=because)
    return Step(
        name=StepName.INTERFACES,
        actions=children.without_writes(actions, _removals(parent, rollouts), problems=False),
    )


def by_role(interfaces: Iterable[DPUServiceInterface]) -> dict[Role, list[DPUServiceInterface]]:
    """DPUServiceInterfaces by what they stand for."""
    found: dict[Role, list[DPUServiceInterface]] = {}
    for interface in interfaces:
        found.setdefault(role(interface), []).append(interface)
    return found


def role(interface: DPUServiceInterface) -> Role:
    """What a DPUServiceInterface stands for; the service by its node selector, else by its label.

    See `services.service_of` for why.
    """
    service = (interface.metadata.labels or {}).get(names.DPUDEPLOYMENT_SERVICE_LABEL)
    if interface.spec is None:
        return service, None
    nodes = interface.spec.template.spec
    expressions = nodes.nodeSelector.matchExpressions if nodes.nodeSelector is not None else None
    keys = (expression.key for expression in expressions or ())
    service = next(filter(None, map(naming.service_of_key, keys)), service)
    metadata = nodes.template.metadata
    return service, (metadata.labels or {}).get(names.INTERFACE_LABEL) if metadata is not None else None


def _rollout(
    parent: Parent, wanted: Wanted, template: ServiceInterfaceTemplate, owned: Sequence[DPUServiceInterface],
    reserved: set[Identity],
) -> InterfaceRollout:
    alive = revisions.alive(owned)
    usable = [interface for interface in alive if _virtual_network(interface) == template.virtualNetwork]
    heir = next((i for i in revisions.youngest_first(usable) if i.metadata.name in wanted.in_use), None)
    decision = revisions.decide(
        usable, digest=wanted.digest, version=_version, limit=parent.limit, disruptive=wanted.disruptive,
        settled=lambda _: wanted.settled, heir=heir,
    )
    if decision.target is not None:
        return InterfaceRollout(template=template, name=decision.target.metadata.name, decision=decision)
    name = parent.new_name(
        DPUServiceInterface, naming.interface_name(parent.key.name, wanted.service, template.name), wanted.service,
        template.name, wanted.digest, is_first=not alive, reserved=reserved,
    )
    return InterfaceRollout(template=template, name=name, decision=decision)


def _build(
    parent: Parent, rollout: ServiceRollout, interface: InterfaceRollout, service: DPUService | None,
) -> DPUServiceInterface:
    template = interface.template
    node_interface = NodeInterfaceTemplate(
        metadata=TemplateMetadata(
            labels={names.SERVICE_LABEL: rollout.service_id, names.INTERFACE_LABEL: template.name}
        ),
        spec=ServiceInterfaceSpec(
            interfaceType=InterfaceType.SERVICE,
            service=ServiceDef(
                serviceID=rollout.service_id, network=template.network, interfaceName=template.name,
                virtualNetwork=template.virtualNetwork,
            ),
        ),
    )
    return DPUServiceInterface(
        metadata=parent.metadata(
            interface.name, labels={names.DPUDEPLOYMENT_SERVICE_LABEL: rollout.service},
            annotations={names.DPUSERVICE_VERSION_ANNOTATION: rollout.digest},
            owners=(children.reference(service, controller=False),) if service is not None else (),
        ),
        spec=DPUServiceInterfaceSpec(
            dpuClusterSelector=parent.cluster_selector,
            template=ServiceInterfaceSetTemplate(spec=ServiceInterfaceSetSpec(
                nodeSelector=selectors.revision_nodes(rollout.key, rollout.name, parent.owner),
                template=node_interface,
            )),
        ),
    )


def _because(interface: InterfaceRollout, rollout: ServiceRollout) -> str:
    what = f"interface {interface.template.name} of service {rollout.service}"
    return {
        Move.CREATE: f"revision {rollout.digest} of service {rollout.service} has the interface"
                     f" {interface.template.name}",
        Move.ADOPT: f"{what} is updated in place to revision {rollout.digest}",
        Move.KEEP: f"{what} is not as its DPUDeployment says",
    }[interface.decision.move]


def _removals(parent: Parent, rollouts: Iterable[ServiceRollout]) -> Iterator[Action]:
    """Interfaces that no wanted revision has, unless an old revision that still runs needs them."""
    running = {old.metadata.uid for rollout in rollouts for old in rollout.decision.kept}
    decisions = [interface.decision for rollout in rollouts for interface in rollout.interfaces]
    kept = {object_key(obj) for d in decisions for obj in (d.target, *d.kept) if obj is not None}
    for interface in revisions.alive(parent.snapshot.children.interfaces):
        owners = {owner.uid for owner in interface.metadata.ownerReferences or ()}
        if object_key(interface) not in kept and not owners & running:
            yield children.remove(interface, because="no revision of a service has this interface any more")


def _virtual_network(interface: DPUServiceInterface) -> str | None:
    """It cannot be changed: an interface with another one has to be a new object."""
    service = interface.spec.template.spec.template.spec.service if interface.spec is not None else None
    return service.virtualNetwork if service is not None else None


def _version(interface: DPUServiceInterface) -> str | None:
    return (interface.metadata.annotations or {}).get(names.DPUSERVICE_VERSION_ANNOTATION)
