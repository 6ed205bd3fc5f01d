"""The DPUServiceChain of a DPUDeployment (behaviour-service.md 6.9).

Pure. Called by `plan`, once all services are resolved: a port that names a service leads to the interface of the wanted
revision of it. Where a service is replaced node by node, the chain is too, so that both change together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dpf.api import names
from dpf.api.dpudeployment import DeploymentPort, DeploymentSwitch, ServiceChains
from dpf.api.dpuservicechain import (
    DPUServiceChain,
    DPUServiceChainSpec,
    Port,
    ServiceChainSetSpec,
    ServiceChainSetTemplate,
    ServiceChainSpec,
    ServiceChainTemplate,
    ServiceIfc,
    Switch,
)
from dpf.api.meta import object_key
from dpf.runtime.plan import Action, Finding, Severity, Step
from dpf.services.dpudeployment import children, digests, naming, revisions, selectors
from dpf.services.dpudeployment.children import Parent
from dpf.services.dpudeployment.dpusets import Progress
from dpf.services.dpudeployment.revisions import Move
from dpf.services.dpudeployment.rollout import ChainRollout, ServiceRollout
from dpf.services.dpudeployment.steps import StepName

NEITHER_LIST_NOR_OBJECT = (
    "spec.serviceChains is neither an object with switches nor a list of switches; write one of them, or leave it out"
)
PORT_RULE = "either service or serviceInterface must be specified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The rollout of the chain, None without a chain; or what is wrong with it."""

    rollout: ChainRollout | None = None
    switches: tuple[Switch, ...] = ()
    problems: tuple[str, ...] = ()


def resolve(parent: Parent, nodes: Progress, services: Sequence[ServiceRollout]) -> Resolved:
    """What becomes of the chain."""
    given = parent.spec.serviceChains
    if given is None:
        return Resolved()
    if not isinstance(given, ServiceChains | list):
        return Resolved(problems=(NEITHER_LIST_NOR_OBJECT,))
    switches = given.switches if isinstance(given, ServiceChains) else given
    by_key = {rollout.service: rollout for rollout in services}
    problems = tuple(dict.fromkeys(_problems(switches, by_key)))
    if problems:
        return Resolved(problems=problems)
    ids = {key: rollout.service_id for key, rollout in by_key.items()}
    named = {port.service.name for switch in switches for port in switch.ports if port.service is not None}
    own = isinstance(given, ServiceChains) and bool(given.upgradePolicy.applyNodeEffect)
    return Resolved(
        switches=tuple(_switch(switch, ids) for switch in switches),
        rollout=_rollout(
            parent, nodes, digests.chain(switches, ids), disruptive=own or any(by_key[n].rolling for n in named)
        ),
    )


def plan_step(parent: Parent, resolved: Resolved) -> Step:
    """The wanted revision is written; others go in a pass that writes nothing."""
    actions: list[Action] = []
    if resolved.rollout is not None:
        wanted = _build(parent, resolved.rollout, resolved.switches)
        because = _because(resolved.rollout)
        actions += children.put_right(resolved.rollout.decision.target, wanted, because=because)
    return Step(
        name=StepName.CHAINS,
        actions=children.without_writes(
            actions, _removals(parent, resolved.rollout), problems=bool(resolved.problems)
        ),
        findings=tuple(Finding(severity=Severity.INVALID, message=text) for text in resolved.problems),
    )


def _problems(switches: Sequence[DeploymentSwitch], services: Mapping[str, ServiceRollout]) -> Iterator[str]:
    for port in (port for switch in switches for port in switch.ports):
        if (port.service is None) == (port.serviceInterface is None):
            yield PORT_RULE
        elif port.service is not None and port.service.name not in services:
            yield (
                f"failed to resolve service chain switches: service {port.service.name} not found in patched services"
            )


def _rollout(parent: Parent, nodes: Progress, digest: str, *, disruptive: bool) -> ChainRollout:
    key = names.DPUSERVICECHAIN_NODE_LABEL
    alive = revisions.alive(parent.snapshot.children.chains)
    decision = revisions.decide(
        alive, digest=digest, version=_version, limit=parent.limit, disruptive=disruptive,
        settled=lambda chain: revisions.is_ready(chain) and nodes.carries(key, chain.metadata.name),
    )
    if decision.target is not None:
        name = decision.target.metadata.name
    else:
        plain = naming.chain_name(parent.key.name)
        name = parent.new_name(DPUServiceChain, plain, digest, is_first=not alive, reserved=set())
    rolling = disruptive and (decision.is_update or nodes.lacks(key, name))
    return ChainRollout(digest=digest, key=key, name=name, decision=decision, rolling=rolling)


def _switch(switch: DeploymentSwitch, service_ids: Mapping[str, str]) -> Switch:
    return Switch(ports=[_port(port, service_ids) for port in switch.ports], serviceMTU=switch.serviceMTU)


def _port(port: DeploymentPort, service_ids: Mapping[str, str]) -> Port:
    if port.service is None:
        return Port(serviceInterface=port.serviceInterface or ServiceIfc(matchLabels={}))
    labels = {names.SERVICE_LABEL: service_ids[port.service.name], names.INTERFACE_LABEL: port.service.interface}
    return Port(serviceInterface=ServiceIfc(matchLabels=labels, ipam=port.service.ipam))


def _build(parent: Parent, rollout: ChainRollout, switches: Sequence[Switch]) -> DPUServiceChain:
    nodes = selectors.revision_nodes(rollout.key, rollout.name, parent.owner)
    template = ServiceChainTemplate(spec=ServiceChainSpec(switches=list(switches)))
    return DPUServiceChain(
        metadata=parent.metadata(
            rollout.name, annotations={names.DPUSERVICECHAIN_VERSION_ANNOTATION: rollout.digest}
        ),
        spec=DPUServiceChainSpec(
            dpuClusterSelector=parent.cluster_selector,
            template=ServiceChainSetTemplate(spec=ServiceChainSetSpec(nodeSelector=nodes, template=template)),
        ),
    )


def _because(rollout: ChainRollout) -> str:
    return {
        Move.CREATE: f"revision {rollout.digest} of the chain has to be in place",
        Move.ADOPT: f"the chain is updated in place to revision {rollout.digest}",
        Move.KEEP: "the chain is not as its DPUDeployment says",
    }[rollout.decision.move]


def _removals(parent: Parent, rollout: ChainRollout | None) -> Iterator[Action]:
    decision = rollout.decision if rollout is not None else None
    kept = {object_key(obj) for obj in (decision.target, *decision.kept) if obj is not None} if decision else set()
    because = "a newer revision has taken over" if rollout is not None else "the DPUDeployment has no chain"
    for chain in revisions.alive(parent.snapshot.children.chains):
        if object_key(chain) not in kept:
            yield children.remove(chain, because=because)


def _version(chain: DPUServiceChain) -> str | None:
    return (chain.metadata.annotations or {}).get(names.DPUSERVICECHAIN_VERSION_ANNOTATION)
