"""Which node labels an in-cluster DPUService waits for: read from its own node selector.

Pure. Called by the observation, the planner and the watches. The selector is what makes a pod start or not, so it is
asked rather than the rule by which the DPUDeployment's planner made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dpf.api import names
from dpf.api.dpuservice import DPUService


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Claim:
    """A DPUService runs on nodes whose label `key` has `value`. The order puts the current revision last."""

    key: str
    is_current: bool
    """Old revisions are paused or on their way out."""
    created: str
    value: str


def of_service(service: DPUService) -> tuple[Claim, ...]:
    """The claims of a DPUService; none when it does not run in the host cluster."""
    spec = service.spec
    if spec is None or not spec.deployInCluster:
        return ()
    is_current = not spec.paused and service.metadata.deletionTimestamp is None
    created = service.metadata.creationTimestamp or ""
    return tuple(sorted({
        Claim(key=key, is_current=is_current, created=created, value=value) for key, value in _expressions(service)
    }))


def current(claims: Iterable[Claim]) -> dict[str, Claim]:
    """For each label the claim of the current revision, of several the youngest; none where only old ones are left."""
    return {claim.key: claim for claim in sorted(claims) if claim.is_current}


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
