"""Which node labels an in-cluster DPUService waits for: read from its own node selector.

Pure. Called by the observation, the planner and the watches. The selector is what makes a pod start or not, so it is
asked rather than the rule by which the DPUDeployment's planner made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dpf.api import names
from dpf.api.dpuservice import DPUService
from dpf.api.meta import Key


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Claim:
    """A DPUService runs on nodes whose label `key` has `value`. The order puts the current revision last."""

    key: str
    is_current: bool
    """Old revisions are paused."""
    created: str
    value: str
    service: Key


def of_service(service: DPUService) -> tuple[Claim, ...]:
    """The claims of a DPUService; none when it does not run in the host cluster."""
    spec = service.spec
    if spec is None or not spec.deployInCluster:
        return ()
    namespace, name = service.metadata.namespace or "", service.metadata.name
    return tuple(sorted({
        Claim(key=key, is_current=not spec.paused, created=service.metadata.creationTimestamp or "", value=value,
              service=Key(namespace, name))
        for key, value in _expressions(service)
    }))


def current(claims: Iterable[Claim]) -> dict[str, Claim]:
    """For each label the claim that counts: of the revision that is not paused, else of the youngest."""
    return {claim.key: claim for claim in sorted(claims)}


def is_version_label(key: str) -> bool:
    """Whether a node label says which revision of an in-cluster service the node runs."""
    return key.startswith(names.IN_CLUSTER_NODE_LABEL_PREFIX)


def _expressions(service: DPUService) -> Iterator[tuple[str, str]]:
    daemon_set = service.spec.serviceDaemonSet if service.spec is not None else None
    selector = daemon_set.nodeSelector if daemon_set is not None else None
    for term in selector.nodeSelectorTerms if selector is not None else ():
        for expression in term.matchExpressions or ():
            if is_version_label(expression.key) and expression.operator == "In" and expression.values:
                yield expression.key, expression.values[0]
