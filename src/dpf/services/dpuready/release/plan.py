"""Decides which requestors leave one DPUNodeMaintenance (behaviour-service.md 6.11).

Pure: a Snapshot in, a Plan out. Called by the controller, and by the observation, which asks the servers once more
before anybody leaves. A requestor leaves when the revision that it stands for works on every DPU of the host that is to
run it, or when nobody waits for that revision any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from dpf.api import names
from dpf.api.dpu import DPU, Phase
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.meta import object_key
from dpf.runtime.plan import Action, Finding, Patch, Plan, Severity, Step
from dpf.services.dpudeployment import naming, revisions
from dpf.services.dpuready import workloads
from dpf.services.dpuready.release import requestors
from dpf.services.dpuready.release.snapshot import Card, Claim, Snapshot
from dpf.services.dpuready.workloads import NodeView, Silent
from dpf.services.dpuservice import daemonset

SETTLES_S: Final = 2.0
"""How soon it is looked again at a DPU cluster that was not asked yet: no watch tells of an empty list."""
_UNBEGUN: Final = frozenset({Phase.INITIALIZING, Phase.PENDING})


class StepName(StrEnum):
    """The one step of a pass."""

    REQUESTORS = "requestors"


def plan(snapshot: Snapshot) -> Plan:
    """What a pass has to do, and what it waits for."""
    leaving: set[str] = set()
    waiting: list[Finding] = []
    for claim in snapshot.claims:
        held_by = list(holds(snapshot, claim))
        if not held_by:
            leaving.add(claim.requestor.text)
        else:
            text = f"requestor {claim.requestor.text}: {'; '.join(held_by)}"
            waiting.append(Finding(severity=Severity.WAITING, message=text))
    step = Step(name=StepName.REQUESTORS, actions=tuple(_leave(snapshot, leaving)), findings=tuple(waiting))
    return Plan(steps=(step,), wake_after_s=SETTLES_S if _settles(snapshot) else None)


def releases(snapshot: Snapshot) -> bool:
    """Whether somebody would leave on account of what the snapshot says."""
    return any(not any(True for _ in holds(snapshot, claim)) for claim in snapshot.claims)


def holds(snapshot: Snapshot, claim: Claim) -> Iterator[str]:
    """Why the requestor has to stay, in words; nothing when it may leave."""
    if claim.why_unknown is not None:
        yield claim.why_unknown
        return
    if not requestors.is_applied(snapshot.maintenance) and any(map(_is_alive, snapshot.cards)):
        # Without DPUs nobody waits for a drain that may take for ever: a deployment was deleted in the middle of it.
        yield "the host is not out of service yet"
        return
    for card in snapshot.cards:
        if _asks_now(card.dpu, claim):
            yield f"DPU {card.dpu.metadata.name} is asking for it at this moment"
    if claim.service is not None:
        yield from _service_holds(snapshot, claim.service)
    if claim.chain is not None:
        yield from _chain_holds(snapshot, claim.chain)


def is_elsewhere(service: DPUService) -> bool:
    """Whether it runs in the host cluster, where the labels of host Nodes are the business of `dpudeploymentnode`."""
    return service.spec is not None and bool(service.spec.deployInCluster)


def _service_holds(snapshot: Snapshot, service: DPUService) -> Iterator[str]:
    if is_elsewhere(service):
        yield f"DPUService {object_key(service)} runs in the host cluster"
        return
    if _is_retired(service):
        return
    for card in _concerned(snapshot, _node_label(service), service.metadata.name):
        view = card.view
        yield from _node_holds(card, _node_label(service), service.metadata.name)
        if isinstance(view, NodeView):
            yield from _lacks(view, service)


def _lacks(view: NodeView, service: DPUService) -> Iterator[str]:
    """What the service lacks on the Node; one that has no pods of its own there has to be ready as a whole."""
    found = daemonset.service_id(service)
    yield from workloads.lacking(view, found)
    if not workloads.expects(view, found) and not revisions.is_ready(service):
        yield f"DPUService {object_key(service)} is not ready"


def _chain_holds(snapshot: Snapshot, chain: DPUServiceChain) -> Iterator[str]:
    """The chain is ready as a whole; which nodes have it, nobody tells yet."""
    if chain.metadata.deletionTimestamp is not None:
        return
    key, name = names.DPUSERVICECHAIN_NODE_LABEL, chain.metadata.name
    cards = list(_concerned(snapshot, key, name))
    for card in cards:
        yield from _node_holds(card, key, name)
    if cards and not revisions.is_ready(chain):
        yield f"DPUServiceChain {object_key(chain)} is not ready"


def _is_retired(service: DPUService) -> bool:
    """Whether nobody waits for this revision: it goes, or rests while a newer one takes over."""
    return service.metadata.deletionTimestamp is not None or (service.spec is not None and service.spec.paused)


def _node_label(service: DPUService) -> str | None:
    """Key of the node label that steers revisions of the service; its value is the name of the DPUService."""
    found = (service.metadata.labels or {}).get(names.DPUDEPLOYMENT_SERVICE_LABEL)
    return naming.service_key(found) if found else None


def _concerned(snapshot: Snapshot, key: str | None, name: str) -> Iterator[Card]:
    """DPUs of the host that are to run the revision, as far as they can.

    One that has not begun, is going, or has failed without a Node that works is not waited for: it would keep the host
    from its tenants for ever.
    """
    for card in snapshot.cards:
        dpu = card.dpu
        if not _is_alive(card) or dpu.status.phase in _UNBEGUN:
            continue
        if key is not None and workloads.wanted_labels(dpu).get(key) != name:
            continue
        if dpu.status.phase == Phase.ERROR and not isinstance(card.view, Silent) and not _works(card.view):
            continue
        yield card


def _is_alive(card: Card) -> bool:
    return card.dpu.metadata.deletionTimestamp is None


def _node_holds(card: Card, key: str | None, name: str) -> Iterator[str]:
    """What the Node lacks before anything on it counts."""
    dpu = card.dpu.metadata.name
    if card.view is None:
        yield f"DPU {dpu} has not joined its DPUCluster yet"
    elif isinstance(card.view, Silent):
        yield card.view.why
    elif key is not None and (card.view.node.metadata.labels or {}).get(key) != name:
        yield f"Node {card.view.node.metadata.name} of DPU {dpu} does not have label {key}={name} yet"


def _works(view: NodeView | None) -> bool:
    return view is not None and workloads.node_is_ready(view.node)


def _asks_now(dpu: DPU, claim: Claim) -> bool:
    """Whether the DPU would only ask again: it does in every look, as long as it waits for the effect."""
    effect = dpu.spec.nodeEffect if dpu.spec is not None else None
    more = (effect.nodeMaintenanceAdditionalRequestors if effect is not None else None) or ()
    is_asking = dpu.status.phase == Phase.NODE_EFFECT and dpu.metadata.deletionTimestamp is None
    return is_asking and claim.requestor.text in more


def _leave(snapshot: Snapshot, leaving: set[str]) -> Iterator[Action]:
    maintenance = snapshot.maintenance
    if not leaving:
        return
    kept = [requestor for requestor in requestors.asking(maintenance) if requestor not in leaving]
    yield Patch(
        kind=DPUNodeMaintenance, key=object_key(maintenance),
        patch={"metadata": {"resourceVersion": maintenance.metadata.resourceVersion}, "spec": {"requestor": kept}},
        because=f"{', '.join(sorted(leaving))}: in place on the DPUs of this host, or not waited for any more",
    )


def _settles(snapshot: Snapshot) -> bool:
    return any(isinstance(card.view, Silent) and card.view.settles for card in snapshot.cards)
