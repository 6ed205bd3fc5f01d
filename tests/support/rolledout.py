"""What the objects of a rolled-out DPUDeployment say, for assertions of end-to-end tests. Reads what it is given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.support.tenants import Manifest, Tenant

from dpf.api import core, names
from dpf.api.dpu import DPU, Phase
from dpf.api.dpuservice import DPUService
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Object


def table(tenant: Tenant, kind: str, *columns: str) -> list[list[str]]:
    """These columns of what `kubectl get` prints, row by row, and AGE after them, of which the values are left out."""
    head, *rows = [line.split() for line in tenant.kubectl("get", kind).splitlines()]
    assert [column for column in head if column in (*columns, "AGE")] == [*columns, "AGE"]
    return [[row[head.index(column)] for column in columns] for row in rows]


def described(tenant: Tenant, kind: str) -> dict[str, str]:
    """What `dpfctl describe dpudeployments` shows of a kind in this namespace, by name and in its order."""
    shown = tenant.platform.dpfctl(
        "describe", "dpudeployments", "--grouping=false",
        "--kubeconfig", tenant.platform.environment["HOST_KUBECONFIG"],
    ).stdout
    return dict(re.findall(rf"\W{kind}/(\S+) +{tenant.namespace}(?: +(.*)|)$", shown, re.MULTILINE))


def environment(pod: core.Pod) -> dict[str, str]:
    """Plain environment of a pod's first container."""
    return {variable.name: variable.value or "" for variable in pod.spec.containers[0].env or ()}


def uids(objects: Mapping[str, Object]) -> set[str | None]:
    """What tells them from others of the same name."""
    return {obj.metadata.uid for obj in objects.values()}


def revision_labels(node: core.Node) -> dict[str, str]:
    """Labels of a node by which revisions are steered."""
    prefix = "svc.dpu.nvidia.com/"
    return {key: value for key, value in (node.metadata.labels or {}).items() if key.startswith(prefix)}


def owner(node: core.Node) -> str | None:
    """The DPUDeployment whose DPU the node is."""
    return revision_labels(node).get(names.OWNED_BY_DPUDEPLOYMENT_LABEL)


def runs(bfb: str) -> Callable[[DPU], bool]:
    """Whether a DPU has been installed from this BFB, and works."""
    return lambda dpu: dpu.spec is not None and dpu.spec.bfb == bfb and dpu.status.phase == Phase.READY


def in_cluster_labels(node: core.Node) -> list[str]:
    """Which revisions of in-cluster services a host node runs."""
    labels = node.metadata.labels or {}
    return [value for key, value in labels.items() if key.startswith(names.IN_CLUSTER_NODE_LABEL_PREFIX)]


def consumers(dependency: Object) -> list[str]:
    """The labels by which DPUDeployments say that they use an object."""
    prefix = names.CONSUMED_BY_DPUDEPLOYMENT_LABEL_PREFIX
    return [key for key in dependency.metadata.labels or {} if key.startswith(prefix)]


def is_held(dependency: Object) -> bool:
    """Whether a DPUDeployment keeps an object from being deleted."""
    return names.DPUDEPLOYMENT_FINALIZER in (dependency.metadata.finalizers or [])


def version(service: Object) -> str | None:
    """Digest of a revision."""
    return (service.metadata.annotations or {}).get(names.DPUSERVICE_VERSION_ANNOTATION)


def interfaces(found: Iterable[DPUServiceInterface], service: str) -> list[str]:
    """Interfaces of a service of the deployment, as its pods know them."""
    of_service = (
        obj.spec.template.spec.template.spec.service for obj in found
        if obj.spec is not None and (obj.metadata.labels or {}).get(names.DPUDEPLOYMENT_SERVICE_LABEL) == service
    )
    return sorted(definition.interfaceName for definition in of_service if definition is not None)


def service_ids(services: Iterable[DPUService]) -> set[str | None]:
    """Service ids that were asked for."""
    return {service.spec.serviceID for service in services if service.spec is not None}


def node_labels(dpuset: DPUSet) -> Mapping[str, str]:
    """What a DPUSet tells its nodes."""
    cluster = dpuset.spec.dpuTemplate.spec.cluster if dpuset.spec is not None else None
    return (cluster.nodeLabels if cluster is not None else None) or {}


def requestors(dpuset: DPUSet) -> Sequence[str]:
    """Who has to be asked before the node effect is taken off again."""
    effect = dpuset.spec.dpuTemplate.spec.nodeEffect if dpuset.spec is not None else None
    return (effect.nodeMaintenanceAdditionalRequestors if effect is not None else None) or ()


def follows_labels(dpuset: DPUSet) -> bool:
    """Whether new labels take nodes out of service first."""
    effect = dpuset.spec.dpuTemplate.spec.nodeEffect if dpuset.spec is not None else None
    return effect is not None and bool(effect.applyOnLabelChange)


def find(manifests: Iterable[Manifest], kind: str, name: str | None = None) -> dict[str, Any]:
    """The manifest of a kind, and of a name where there are several."""
    return next(m for m in manifests if m["kind"] == kind and name in (None, m["metadata"]["name"]))
