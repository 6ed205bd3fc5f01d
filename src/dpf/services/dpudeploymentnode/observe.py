"""Reads everything that a decision about the version labels of one host Node needs (Snapshot).

Called by the controller at the start of each pass. Reads the cache only, by index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dpf.api import core
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuservice import DPUService
from dpf.api.dpuset import DPUSet
from dpf.api.meta import object_key
from dpf.kube.cache import Cache
from dpf.services.dpudeployment import watches as deployments
from dpf.services.dpudeploymentnode import claims, watches
from dpf.services.dpudeploymentnode.snapshot import Deployment, Snapshot


def snapshot(cache: Cache, node: core.Node) -> Snapshot:
    """One look at the world around `node`. Raises kube.errors.NotSynced when the cache cannot tell."""
    dpunodes = cache.by_index(DPUNode, watches.BY_KUBE_NODE, node.metadata.name)
    return Snapshot(
        node=node, dpunodes=dpunodes, unused=frozenset(_unused(cache, node)),
        maintenances=tuple(
            maintenance for dpunode in dpunodes
            for maintenance in cache.by_index(DPUNodeMaintenance, watches.BY_DPU_NODE, str(object_key(dpunode)))
        ),
        deployments=tuple(_deployments(cache, {dpunode.metadata.namespace or "" for dpunode in dpunodes})),
    )


def _deployments(cache: Cache, namespaces: Iterable[str]) -> Iterator[Deployment]:
    """DPUDeployments with in-cluster services."""
    found: dict[str, list[claims.Claim]] = {}
    for namespace in sorted(namespaces):
        for service in cache.by_index(DPUService, watches.IN_NAMESPACE, namespace):
            for owner in deployments.owner_index(service):
                found.setdefault(owner, []).extend(claims.of_service(service))
    for owner, claimed in found.items():
        for deployment in cache.by_index(DPUDeployment, deployments.BY_OWNER_VALUE, owner):
            yield Deployment(
                object=deployment, claims=tuple(sorted(claimed)),
                dpusets=cache.by_index(DPUSet, deployments.BY_OWNER, owner),
            )


def _unused(cache: Cache, node: core.Node) -> Iterator[str]:
    """Version labels that no DPUService claims. One that cannot be read might claim any of them."""
    if cache.store(DPUService).unreadable:
        return
    for key in node.metadata.labels or {}:
        if claims.is_version_label(key) and not cache.by_index(DPUService, watches.BY_CLAIM, key):
            yield key
