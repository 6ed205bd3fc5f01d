"""Which services, service interfaces and chains of the host cluster are meant for one Node of a DPU cluster.

Pure. Called by the observation. A selector that means nothing selects nothing; its object says so itself.
"""

from __future__ import annotations

from dpf.api import core
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.kube import selectors
from dpf.services.dpuservice import targets


def goes_to(service: DPUService, cluster: DPUCluster, node: core.Node) -> bool:
    """Whether pods of the service may be on the Node. One that goes, or rests, promises nothing."""
    spec = service.spec
    if spec is None or spec.paused or service.metadata.deletionTimestamp is not None:
        return False
    if not targets.selected(service, (cluster,)):
        return False
    nodes = spec.serviceDaemonSet.nodeSelector if spec.serviceDaemonSet is not None else None
    try:
        return selectors.matches_node(nodes, node.metadata.labels, node.metadata.name)
    except selectors.SelectorError:
        return False


def wires(part: DPUServiceInterface | DPUServiceChain, cluster: DPUCluster, node: core.Node) -> bool:
    """Whether the interface or chain is to be set up on the Node."""
    spec = part.spec
    if spec is None or part.metadata.deletionTimestamp is not None:
        return False
    clusters = spec.dpuClusterSelector if spec.dpuClusterSelector is not None else spec.clusterSelector
    try:
        return (
            selectors.matches(clusters, cluster.metadata.labels)
            and selectors.matches(spec.template.spec.nodeSelector, node.metadata.labels)
        )
    except selectors.SelectorError:
        return False
