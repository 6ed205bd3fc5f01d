"""What triggers a pass over a host Node, and the indexes by which its observation finds things (6.11).

Called by the controller and the observation. The runtime follows the Nodes themselves, heartbeats included: a pass over
a node that has nothing to do with DPUs is one look into an index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from dpf.api import core
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuservice import DPUService
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, Object
from dpf.runtime.reconciler import Watch
from dpf.services.dpudeployment import watches as deployments
from dpf.services.dpudeploymentnode import claims, plan

BY_VERSION_LABEL: Final = "dpudeploymentnode-label"
"""Nodes by the version labels that they carry."""
BY_KUBE_NODE: Final = "dpudeploymentnode-dpunode"
"""DPUNodes by the Node of the host cluster."""
BY_DPU_NODE: Final = "dpudeploymentnode-maintenance"
"""DPUNodeMaintenances by `namespace/name` of the DPUNode."""
BY_CLAIM: Final = "dpudeploymentnode-claim"
"""DPUServices by the version labels that they wait for."""
IN_NAMESPACE: Final = "dpudeploymentnode-namespace"
"""DPUServices that wait for version labels, by their namespace."""
BY_OWNER: Final = "dpudeploymentnode-owner"
"""DPUServices that wait for version labels, by their DPUDeployment (`owner_value`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookups:
    """Reads of the host cluster's cache.

    `keys(kind, index, value)` are the objects filed under a value, `dpunode(key)` is one DPUNode, and
    `dpunodes(namespace)` are all of a namespace.
    """

    keys: Callable[[type[Object], str, str], Iterable[Key]]
    dpunode: Callable[[Key], DPUNode | None]
    dpunodes: Callable[[str], Iterable[DPUNode]]


def build(lookups: Lookups) -> list[Watch]:
    """All watches."""
    maps = _Mappings(lookups)
    return [
        Watch(kind=core.Node, maps=_nobody, indexes={BY_VERSION_LABEL: _by_version_label}),
        Watch(kind=DPUNode, maps=maps.of_dpunode, indexes={BY_KUBE_NODE: _by_kube_node}),
        Watch(kind=DPUNodeMaintenance, maps=maps.of_maintenance, indexes={BY_DPU_NODE: _by_dpu_node}),
        Watch(kind=DPUDeployment, maps=maps.of_deployment, indexes={
            deployments.BY_OWNER_VALUE: deployments.by_owner_value,
        }),
        Watch(kind=DPUService, maps=maps.of_service, indexes={
            BY_CLAIM: _by_claim, IN_NAMESPACE: _in_namespace, BY_OWNER: _by_owner,
        }),
        Watch(kind=DPUSet, maps=maps.of_dpuset, indexes={deployments.BY_OWNER: deployments.owner_index}),
    ]


class _Mappings:
    """From a change to the Nodes that it concerns; none when nothing changed that a decision could depend on."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups

    def of_dpunode(self, old: DPUNode | None, new: DPUNode | None) -> Iterable[Key]:
        if _dpunode_facts(old) == _dpunode_facts(new):
            return ()
        return _nodes(dpunode for dpunode in (old, new) if dpunode is not None)

    def of_maintenance(self, old: DPUNodeMaintenance | None, new: DPUNodeMaintenance | None) -> Iterable[Key]:
        if _maintenance_facts(old) == _maintenance_facts(new):
            return ()
        keys = {_dpunode_key(maintenance) for maintenance in (old, new) if maintenance is not None}
        return _nodes(d for key in sorted(keys) if (d := self._lookups.dpunode(key)) is not None)

    def of_deployment(self, old: DPUDeployment | None, new: DPUDeployment | None) -> Iterable[Key]:
        deployment = new if new is not None else old
        if deployment is None or _deployment_facts(old) == _deployment_facts(new):
            return ()
        return self._of_owner(deployments.by_owner_value(deployment), deployment.metadata.namespace)

    def of_dpuset(self, old: DPUSet | None, new: DPUSet | None) -> Iterable[Key]:
        dpuset = new if new is not None else old
        if dpuset is None or _dpuset_facts(old) == _dpuset_facts(new):
            return ()
        return self._of_owner(deployments.owner_index(dpuset), dpuset.metadata.namespace)

    def of_service(self, old: DPUService | None, new: DPUService | None) -> Iterable[Key]:
        service = new if new is not None else old
        before, after = (claims.of_service(s) if s is not None else () for s in (old, new))
        if service is None or before == after:
            return ()
        dropped = sorted({claim.key for claim in before} - {claim.key for claim in after})
        carrying = (key for label in dropped for key in self._lookups.keys(core.Node, BY_VERSION_LABEL, label))
        return chain(self._of_namespace(service.metadata.namespace), carrying)

    def _of_owner(self, owners: Iterable[str], namespace: str | None) -> Iterable[Key]:
        """Nodes of the namespace, if one of the DPUDeployments has in-cluster services."""
        in_cluster = any(True for owner in owners for _ in self._lookups.keys(DPUService, BY_OWNER, owner))
        return self._of_namespace(namespace) if in_cluster else ()

    def _of_namespace(self, namespace: str | None) -> Iterator[Key]:
        return _nodes(self._lookups.dpunodes(namespace or ""))


def _nobody(old: Object | None, new: Object | None) -> Iterable[Key]:  # noqa: ARG001 - the contract of mappings
    """The runtime follows the root kind itself; this watch only declares an index."""
    return ()


def _nodes(dpunodes: Iterable[DPUNode]) -> Iterator[Key]:
    return (Key("", d.status.kubeNodeRef) for d in dpunodes if d.status.kubeNodeRef)


def _by_version_label(node: core.Node) -> Iterable[str]:
    return tuple(key for key in node.metadata.labels or {} if claims.is_version_label(key))


def _by_kube_node(dpunode: DPUNode) -> Iterable[str]:
    return (dpunode.status.kubeNodeRef,) if dpunode.status.kubeNodeRef else ()


def _by_dpu_node(maintenance: DPUNodeMaintenance) -> Iterable[str]:
    return (str(_dpunode_key(maintenance)),)


def _by_claim(service: DPUService) -> Iterable[str]:
    return tuple(claim.key for claim in claims.of_service(service))


def _in_namespace(service: DPUService) -> Iterable[str]:
    return (service.metadata.namespace or "",) if claims.of_service(service) else ()


def _by_owner(service: DPUService) -> Iterable[str]:
    return tuple(deployments.owner_index(service)) if claims.of_service(service) else ()


def _dpunode_key(maintenance: DPUNodeMaintenance) -> Key:
    name = maintenance.spec.dpuNodeName if maintenance.spec is not None else ""
    return Key(maintenance.metadata.namespace or "", name)


def _dpunode_facts(dpunode: DPUNode | None) -> object:
    return None if dpunode is None else (dpunode.status.kubeNodeRef, dpunode.metadata.labels)


def _maintenance_facts(maintenance: DPUNodeMaintenance | None) -> object:
    return None if maintenance is None else (maintenance.spec, plan.is_applied(maintenance))


def _deployment_facts(deployment: DPUDeployment | None) -> object:
    if deployment is None:
        return None
    sets = deployment.spec.dpus.dpuSets if deployment.spec is not None else None
    return deployment.metadata.deletionTimestamp is None, sets, plan.has_services(deployment)


def _dpuset_facts(dpuset: DPUSet | None) -> object:
    effect = dpuset.spec.dpuTemplate.spec.nodeEffect if dpuset is not None and dpuset.spec is not None else None
    return None if effect is None else (effect.applyOnLabelChange, effect.nodeMaintenanceAdditionalRequestors)
