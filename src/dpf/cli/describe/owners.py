"""Which object hangs below which: by controller reference, by label, or because the one above names it.

Pure; declared into the tree by `kinds`. Source: behaviour-service.md 6.5 and 10.1.
"""

from __future__ import annotations

from collections.abc import Collection

from dpf.api import dpudeployment, dpuset, names
from dpf.api.meta import Key, ObjectMeta, Resource
from dpf.cli.describe.views import DPUDeploymentView, DPUNodeMaintenanceView, DPUNodeView, DPUSetView, DPUView, View, at
from dpf.services.dpudeployment import naming


def service_of(metadata: ObjectMeta) -> Key | None:
    """The DPUService that an Application was made for, by its labels."""
    return _labelled(metadata, names.DPUSERVICE_NAMESPACE_LABEL, names.DPUSERVICE_NAME_LABEL)


def deployment_of(metadata: ObjectMeta) -> str | None:
    """The owner value of the DPUDeployment above a child; the reference counts more than the label."""
    owner = _controller(metadata, dpudeployment.DPUDeployment.resource)
    if owner is not None:
        return naming.owner_value(owner)
    return (metadata.labels or {}).get(names.OWNED_BY_DPUDEPLOYMENT_LABEL)


def dpuset_of(metadata: ObjectMeta) -> Key | None:
    """The DPUSet that a DPU belongs to."""
    return _controller(metadata, dpuset.DPUSet.resource) or _labelled(
        metadata, names.DPUSET_NAMESPACE_LABEL, names.DPUSET_NAME_LABEL
    )


def templates_of(view: DPUDeploymentView) -> Collection[Key]:
    """The DPUServiceTemplates that a DPUDeployment names."""
    services = at(view.spec, "services")
    entries = services.values() if isinstance(services, dict) else ()
    return {
        Key(view.metadata.namespace or "", name) for entry in entries
        if isinstance(name := at(entry, "serviceTemplate"), str)
    }


def bfbs_of(view: DPUSetView) -> Collection[Key]:
    """The BFB that a DPUSet names; none or one."""
    name = at(view.spec, "dpuTemplate", "spec", "bfb", "name")
    return {Key(view.metadata.namespace or "", name)} if isinstance(name, str) else ()


def dpunodes_of(view: DPUView) -> Collection[Key]:
    """The host that a DPU names."""
    return _neighbours(view, at(view.spec, "dpuNodeName"))


def devices_of(view: DPUNodeView) -> Collection[Key]:
    """The cards that a host lists."""
    listed = at(view.spec, "dpus")
    return _neighbours(view, *(at(entry, "name") for entry in (listed if isinstance(listed, list) else ())))


def host_of(view: DPUNodeMaintenanceView) -> Key | None:
    """The host that an effect is on."""
    return next(iter(_neighbours(view, at(view.spec, "dpuNodeName"))), None)


def cluster_of(view: DPUView) -> Key | None:
    """The DPUCluster that a DPU is assigned to."""
    cluster = at(view.spec, "cluster")
    name, namespace = at(cluster, "name"), at(cluster, "namespace")
    if not isinstance(name, str) or not name:
        return None
    return Key(namespace if isinstance(namespace, str) and namespace else view.metadata.namespace or "", name)


def _neighbours(view: View, *names: object) -> Collection[Key]:
    """Objects of the same namespace; what is no name is left out."""
    return {Key(view.metadata.namespace or "", name): None for name in names if isinstance(name, str) and name}


def _controller(metadata: ObjectMeta, resource: Resource) -> Key | None:
    for owner in metadata.ownerReferences or ():
        if owner.controller and owner.kind == resource.kind and owner.apiVersion.startswith(f"{resource.group}/"):
            return Key(metadata.namespace or "", owner.name)
    return None


def _labelled(metadata: ObjectMeta, namespace: str, name: str) -> Key | None:
    labels = metadata.labels or {}
    return Key(labels.get(namespace, ""), labels[name]) if labels.get(name) else None
