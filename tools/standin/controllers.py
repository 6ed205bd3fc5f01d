"""What provisioning and chains would report, from objects alone: nothing is downloaded, flashed or wired.

A BFB becomes Ready with the DOCA version that stands in its file name. A DPUSet's node labels reach the DPU-cluster
Nodes that carry the labels of its node selector, as a DPU that was provisioned would have them, and the set is Ready. A
chain or an interface is Ready as soon as it is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, Final

from dpf.api import core
from dpf.api.bfb import BFB, Phase
from dpf.api.dpuservicechain import ConditionType as ChainCondition
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceinterface import ConditionType as InterfaceCondition
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuset import ConditionType as DPUSetCondition
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, object_key
from dpf.kube import selectors
from dpf.kube.clusters import ClusterRegistry
from dpf.runtime.conditions import true
from dpf.runtime.plan import Action, Applied, Patch, Plan, Step
from dpf.runtime.process import World
from dpf.runtime.reconciler import Reconciler, Verdict, Watch

_VERSION: Final = re.compile(r"\d+\.\d+(\.\d+)?")
STEP: Final = "labels"


class Spokesman(Reconciler[Any, Any]):
    """Says that every condition of an object holds."""

    field_owner = "standin"

    @property
    def watches(self) -> Sequence[Watch]:
        """Nothing else."""
        return ()

    async def observe(self, root: Any) -> Any:  # noqa: ANN401 - the object itself
        """The object itself."""
        return root

    def plan(self, snapshot: Any, now: datetime) -> Plan:  # noqa: ANN401, ARG002
        """Nothing."""
        return Plan()

    def plan_teardown(self, snapshot: Any, now: datetime) -> Plan:  # noqa: ANN401, ARG002
        """Nothing: it holds nothing up."""
        return Plan(release=True)

    def status(self, snapshot: Any, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ANN401, ARG002
        """All hold."""
        return Verdict(states={type_: true() for type_ in self.condition_types if type_ != "Ready"})


class ChainSpokesman(Spokesman):
    """For DPUServiceChains."""

    kind = DPUServiceChain
    name = "standin-dpuservicechain"
    condition_types: ClassVar[Sequence[str]] = tuple(ChainCondition)


class InterfaceSpokesman(Spokesman):
    """For DPUServiceInterfaces."""

    kind = DPUServiceInterface
    name = "standin-dpuserviceinterface"
    condition_types: ClassVar[Sequence[str]] = tuple(InterfaceCondition)


class BFBSpokesman(Spokesman):
    """For BFBs."""

    kind = BFB
    name = "standin-bfb"

    def status(self, snapshot: BFB, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """Ready, with the version that stands in the file name."""
        name = (snapshot.spec.fileName or snapshot.spec.url.rsplit("/", 1)[-1]) if snapshot.spec else ""
        version = _VERSION.search(name)
        versions = {"doca": version.group()} if version else None
        return Verdict(states={}, fields={"phase": Phase.READY, "fileName": name, "versions": versions})


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """A DPUSet and the Nodes in DPU clusters that its DPUs would be."""

    dpuset: DPUSet
    nodes: tuple[tuple[Key, core.Node], ...]


class DPUSetSpokesman(Spokesman):
    """For DPUSets."""

    kind = DPUSet
    name = "standin-dpuset"
    condition_types: ClassVar[Sequence[str]] = tuple(DPUSetCondition)

    def __init__(self, clusters: ClusterRegistry) -> None:
        self._clusters = clusters

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """Nodes of DPU clusters, when they come or their labels change."""
        return (Watch(kind=core.Node, maps=self._of_node, everywhere=True),)

    async def observe(self, root: DPUSet) -> Selected:
        """The Nodes with the labels that the DPUSet selects hosts by."""
        chosen = (root.spec.dpuNodeSelector or root.spec.nodeSelector) if root.spec else None
        nodes = [
            (key, node)
            for key, cluster in self._clusters.clusters().items() if cluster.cache.is_synced(core.Node)
            for node in cluster.cache.list(core.Node)
            if chosen is not None and selectors.matches(chosen, node.metadata.labels)
        ]
        return Selected(dpuset=root, nodes=tuple(nodes))

    def plan(self, snapshot: Selected, now: datetime) -> Plan:  # noqa: ARG002
        """The labels that the Nodes lack."""
        return Plan(steps=(Step(name=STEP, actions=tuple(_labels(snapshot))),))

    def status(self, snapshot: Selected, plan: Plan, applied: Applied, now: datetime) -> Verdict:
        """Ready, and how many DPUs there are."""
        said = super().status(snapshot, plan, applied, now)
        return Verdict(states=said.states, fields={"dpuStatistics": {"Ready": len(snapshot.nodes)}})

    def _of_node(self, old: core.Node | None, new: core.Node | None) -> Iterable[Key]:
        if old is not None and new is not None and old.metadata.labels == new.metadata.labels:
            return ()
        return self._clusters.host.cache.store(DPUSet).keys()


def _labels(snapshot: Selected) -> Iterable[Action]:
    spec = snapshot.dpuset.spec
    template = spec.dpuTemplate.spec.cluster if spec else None
    wanted = (template.nodeLabels if template else None) or {}
    for cluster, node in snapshot.nodes:
        missing = {key: value for key, value in wanted.items() if (node.metadata.labels or {}).get(key) != value}
        if missing:
            yield Patch(
                cluster=cluster, kind=core.Node, key=object_key(node), patch={"metadata": {"labels": missing}},
                because=f"DPUSet {object_key(snapshot.dpuset)} labels its nodes",
            )


def build(world: World) -> list[Reconciler[Any, Any]]:
    """All of them."""
    return [BFBSpokesman(), ChainSpokesman(), InterfaceSpokesman(), DPUSetSpokesman(world.clusters)]


