"""Which nodes and which DPUClusters the children of a DPUDeployment are for (behaviour-service.md 6.6, 6.8-6.10).

Pure. Called by the planners of the children.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from dpf.api import names
from dpf.api.dpudeployment import DPUSetEntry
from dpf.api.meta import LabelSelector, LabelSelectorRequirement, NodeSelector, NodeSelectorTerm

_IN: Final = "In"


def revision_nodes(key: str, value: str, owner: str) -> LabelSelector:
    """DPU nodes on which a revision runs: `key` has `value`, and the node belongs to the deployment (`owner` label)."""
    return LabelSelector(matchExpressions=_revision(key, value, owner))


def revision_node_terms(key: str, value: str, owner: str) -> NodeSelector:
    """The same as a selector of Nodes."""
    return NodeSelector(nodeSelectorTerms=[NodeSelectorTerm(matchExpressions=_revision(key, value, owner))])


def host_node_terms(key: str, value: str, entries: Iterable[DPUSetEntry]) -> NodeSelector:
    """Nodes of the host cluster on which a revision runs.

    One term for each DPUSet, holding everything that its selector asks of a node (race 10 of behaviour-service.md
    section 11). A DPUSet that selects every node, or no DPUSet at all, leaves only the version.
    """
    version = _in(key, [value])
    terms: list[NodeSelectorTerm] = []
    for selector in (node_selector(entry) for entry in entries):
        wanted = _requirements(selector)
        if not wanted:
            terms = []
            break
        term = NodeSelectorTerm(matchExpressions=[version, *wanted])
        if term not in terms:
            terms.append(term)
    return NodeSelector(nodeSelectorTerms=terms or [NodeSelectorTerm(matchExpressions=[version])])


def node_selector(entry: DPUSetEntry) -> LabelSelector | None:
    """The DPUNodes of a DPUSet, under its newer or its older name."""
    return entry.dpuNodeSelector if entry.dpuNodeSelector is not None else entry.nodeSelector


def clusters(entries: Sequence[DPUSetEntry]) -> LabelSelector | None:
    """DPUClusters that the DPUs of any DPUSet may join; None when one of the DPUSets may join any.

    A superset: a key counts only if every DPUSet asks for it, with all the values that are asked for.
    """
    wanted = [entry.dpuClusterSelector for entry in entries]
    labels = [selector for selector in wanted if selector]
    if len(labels) < len(wanted) or not labels:
        return None
    keys = set(labels[0]).intersection(*labels[1:])
    expressions = [_in(key, sorted({selector[key] for selector in labels})) for key in sorted(keys)]
    return LabelSelector(matchExpressions=expressions) if expressions else None


def _revision(key: str, value: str, owner: str) -> list[LabelSelectorRequirement]:
    return [_in(key, [value]), _in(names.OWNED_BY_DPUDEPLOYMENT_LABEL, [owner])]


def _requirements(selector: LabelSelector | None) -> list[LabelSelectorRequirement]:
    if selector is None:
        return []
    pairs = sorted((selector.matchLabels or {}).items())
    return [*(_in(key, [value]) for key, value in pairs), *(selector.matchExpressions or ())]


def _in(key: str, values: list[str]) -> LabelSelectorRequirement:
    return LabelSelectorRequirement(key=key, operator=_IN, values=values)
