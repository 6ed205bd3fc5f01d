"""Reads everything that tells whether one DPU works (Snapshot). Called by the controller; caches only."""

from __future__ import annotations

from dataclasses import replace

from dpf.api.dpu import DPU
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.meta import object_key
from dpf.kube.clusters import ClusterRegistry
from dpf.services.dpuready import nodeviews, placement
from dpf.services.dpuready.snapshot import Snapshot, is_installed
from dpf.services.dpuready.workloads import NodeView, Silent


def snapshot(clusters: ClusterRegistry, dpu: DPU) -> Snapshot:
    """One look. Raises kube.errors.NotSynced when the host cluster cannot tell."""
    key = nodeviews.cluster_key(dpu)
    found = Snapshot(dpu=dpu, cluster=key)
    if key is None or not is_installed(dpu):
        return found
    cache = clusters.host.cache
    cluster = cache.get(DPUCluster, key)
    if cluster is None:
        return replace(found, view=Silent(why=f"DPUCluster {key} does not exist"))
    view = nodeviews.cached(clusters, key, dpu.metadata.name)
    if not isinstance(view, NodeView):
        return replace(found, view=view)
    services = (s for s in cache.list(DPUService) if placement.goes_to(s, cluster, view.node))
    interfaces = (i for i in cache.list(DPUServiceInterface) if placement.wires(i, cluster, view.node))
    chains = (c for c in cache.list(DPUServiceChain) if placement.wires(c, cluster, view.node))
    return replace(
        found, view=view, services=tuple(sorted(services, key=object_key)),
        interfaces=tuple(sorted(interfaces, key=object_key)), chains=tuple(sorted(chains, key=object_key)),
    )
