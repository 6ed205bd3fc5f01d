"""Builders for host nodes, their DPUNodes and maintenances, and the in-cluster services that wait for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from tests.support import dpudeployments as some

from dpf.api import core, names
from dpf.api.dpudeployment import ConditionType, DPUDeployment, DPUDeploymentStatus
from dpf.api.dpunode import DPUNode, DPUNodeStatus
from dpf.api.dpunodemaintenance import DPUNodeMaintenance, DPUNodeMaintenanceSpec, DPUNodeMaintenanceStatus
from dpf.api.dpuservice import DPUService, DPUServiceSpec
from dpf.api.dpuset import DPUSet, DPUSetSpec
from dpf.api.meta import Condition, Key, ObjectMeta, OwnerReference
from dpf.services.dpudeployment import naming

NODE = "host-1"
DPUNODE = "worker-1"


def key(deployment: str, service: str, namespace: str = some.TENANT) -> str:
    """The node label of an in-cluster service."""
    return naming.in_cluster_key(Key(namespace, deployment), service)


def a_node(name: str = NODE, *, labels: Mapping[str, str] | None = None) -> core.Node:
    """A Node of the host cluster."""
    return core.Node(metadata=ObjectMeta(name=name, uid=f"uid-{name}", labels=dict(labels) if labels else None))


def a_dpunode(
    name: str = DPUNODE, namespace: str = some.TENANT, *, node: str | None = NODE, rack: str = "a"
) -> DPUNode:
    """The DPUNode that stands for a Node, in a rack."""
    return DPUNode(metadata=some.metadata(name, namespace, labels={"rack": rack}),
                   status=DPUNodeStatus(kubeNodeRef=node))


def a_deployment(
    name: str = "dd", *, selector: Mapping[str, str] | None = None, expressions: Sequence[Mapping[str, Any]] = (),
    field: str = "dpuNodeSelector", sets: bool = True, reconciled: bool = True, observed: int = 1,
    deleting: bool = False,
) -> DPUDeployment:
    """A DPUDeployment whose DPUServices are as it wants them, with one DPUSet."""
    wanted = {k: v for k, v in (("matchLabels", selector), ("matchExpressions", list(expressions))) if v}
    entry = {"nameSuffix": "workers", **({field: wanted} if wanted else {})}
    found = some.a_deployment(
        name, services=("agent",), deleting=deleting, dpus={"dpuSets": [entry] if sets else None}
    )
    condition = Condition(
        type=ConditionType.DPU_SERVICES_RECONCILED, status="True" if reconciled else "False", reason="Success",
        observedGeneration=observed,
    )
    return msgspec.structs.replace(found, status=DPUDeploymentStatus(conditions=[condition]))


def an_agent(
    name: str, *, owner: str = "dd", in_cluster: bool = True, selector: bool = True, paused: bool = False,
    created: str = some.LONG_AGO, deleting: bool = False,
) -> DPUService:
    """A DPUService `agent` of a DPUDeployment, which runs in the host cluster."""
    expressions = [{"key": key(owner, "agent"), "operator": "In", "values": [name]},
                   {"key": "rack", "operator": "In", "values": ["a"]}]
    spec: dict[str, Any] = {
        "helmChart": {"source": {"repoURL": "https://charts.example.com", "version": "1", "chart": "agent"}},
        "deployInCluster": in_cluster, "paused": paused,
    }
    if selector:
        terms = [{"matchExpressions": expressions}, {"matchExpressions": expressions[:1]}]
        spec["serviceDaemonSet"] = {"nodeSelector": {"nodeSelectorTerms": terms}}
    reference = OwnerReference(
        apiVersion="svc.dpu.nvidia.com/v1alpha1", kind="DPUDeployment", name=owner, uid=f"uid-tenant-{owner}",
        controller=True,
    )
    meta = some.metadata(name, deleting=deleting, labels={
        names.OWNED_BY_DPUDEPLOYMENT_LABEL: naming.owner_value(Key(some.TENANT, owner)),
        names.DPUDEPLOYMENT_SERVICE_LABEL: "agent",
    })
    return DPUService(
        metadata=msgspec.structs.replace(meta, creationTimestamp=created, ownerReferences=[reference]),
        spec=msgspec.convert(spec, DPUServiceSpec),
    )


def a_maintenance(*requestors: str, applied: bool = True, dpunode: str = DPUNODE) -> DPUNodeMaintenance:
    """A maintenance of the DPUNode; `applied`: the host is free."""
    condition = Condition(type="NodeEffectApplied", status="True" if applied else "False", reason="NodeEffectApplied")
    meta = msgspec.structs.replace(some.metadata(f"{dpunode}-hold"), resourceVersion="7")
    return DPUNodeMaintenance(
        metadata=meta, spec=DPUNodeMaintenanceSpec(dpuNodeName=dpunode, requestor=list(requestors)),
        status=DPUNodeMaintenanceStatus(conditions=[condition]),
    )


def a_dpuset(*requestors: str, on_label_change: bool = False, owner: str = "dd") -> DPUSet:
    """A DPUSet of a DPUDeployment that adds requestors to maintenances."""
    effect = {"drain": True, "applyOnLabelChange": on_label_change,
              "nodeMaintenanceAdditionalRequestors": list(requestors)}
    spec = {"dpuTemplate": {"spec": {"bfb": {"name": "bfb"}, "dpuFlavor": "flavor", "nodeEffect": effect}}}
    labels = {names.OWNED_BY_DPUDEPLOYMENT_LABEL: naming.owner_value(Key(some.TENANT, owner))}
    return DPUSet(
        metadata=some.metadata(f"{owner}-workers", labels=labels), spec=msgspec.convert(spec, DPUSetSpec)
    )
