"""Objects that an effect consists of: the maintenance operator's NodeMaintenance, a Job for a customAction. Pure."""

from __future__ import annotations

from typing import Any, Final

from dpf.api import core, names
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import ObjectMeta, OwnerReference
from dpf.api.upkeep import DrainSpec, Job, NodeMaintenance, NodeMaintenanceSpec
from dpf.provisioning.maintenance import drain

REQUESTOR_ID: Final = "provisioning.dpu.nvidia.com"
"""Who we are for the maintenance operator (resolutions.md row 11)."""
ACTION_TIMEOUT_S: Final = 600
EXCEEDED: Final = "MaxUnavailableExceeded"


def node_maintenance(maintenance: DPUNodeMaintenance, node: str) -> NodeMaintenance:
    """Named after the Node, so that everybody who wants it drained meets at one object."""
    selector = f"{names.PROVISIONING_COMPONENT_LABEL}!={drain.HOST_AGENT}"
    return NodeMaintenance(
        metadata=ObjectMeta(name=node, namespace=maintenance.metadata.namespace),
        spec=NodeMaintenanceSpec(
            requestorID=REQUESTOR_ID, nodeName=node,
            drainSpec=DrainSpec(force=True, deleteEmptyDir=True, podSelector=selector),
        ),
    )


def job(maintenance: DPUNodeMaintenance, template: dict[str, Any]) -> Job:
    """One attempt of ten minutes; it goes with its owner."""
    dpunode = maintenance.spec.dpuNodeName if maintenance.spec is not None else ""
    metadata = maintenance.metadata
    return Job(
        metadata=ObjectMeta(
            name=metadata.name, namespace=metadata.namespace, labels={names.DPUNODE_NAME_LABEL: dpunode},
            ownerReferences=[OwnerReference(
                apiVersion=DPUNodeMaintenance.resource.api_version, kind=DPUNodeMaintenance.resource.kind,
                name=metadata.name, uid=metadata.uid or "", controller=True,
            )],
        ),
        spec={"backoffLimit": 0, "activeDeadlineSeconds": ACTION_TIMEOUT_S, "template": template},
    )


def exceeded_event(maintenance: DPUNodeMaintenance, message: str, now: str) -> core.Event:
    """One Event per maintenance, however often it is told."""
    metadata, resource = maintenance.metadata, DPUNodeMaintenance.resource
    return core.Event(
        metadata=ObjectMeta(name=f"{metadata.name}.max-unavailable-exceeded", namespace=metadata.namespace),
        involvedObject=core.ObjectReference(
            apiVersion=resource.api_version, kind=resource.kind, namespace=metadata.namespace, name=metadata.name,
            uid=metadata.uid,
        ),
        type="Warning", reason=EXCEEDED, message=message, count=1, firstTimestamp=now, lastTimestamp=now,
        source=core.EventSource(component="dpunodemaintenance"), reportingComponent="dpunodemaintenance",
    )
