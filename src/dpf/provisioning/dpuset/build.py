"""The DPU that a DPUSet makes for a selected device. Pure; called by `plan`.

Source: behaviour-provisioning.md section 3.1, "DPU made".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from dpf.api import names
from dpf.api.dpu import DPU, DPUClusterAssignment, DPUSpec
from dpf.api.dpuset import DPUSet
from dpf.api.meta import ObjectMeta, OwnerReference
from dpf.provisioning.dpuset import naming, selection
from dpf.provisioning.dpuset.nodemetadata import Wanted
from dpf.provisioning.dpuset.selection import Candidate
from dpf.provisioning.dpuset.snapshot import Snapshot

_ENCODE: Final = msgspec.json.Encoder(order="sorted").encode


def dpu(snapshot: Snapshot, candidate: Candidate, node: Wanted) -> DPU:
    """The DPU as it is created; `node` is what its Node gets."""
    dpuset, template = snapshot.dpuset, snapshot.template
    labels = {
        **(dpuset.metadata.labels or {}), **(candidate.device.metadata.labels or {}),
        **identity_labels(dpuset, candidate), names.DPUSET_TEMPLATE_HASH_LABEL: snapshot.hash,
    }
    return DPU(
        metadata=ObjectMeta(
            name=candidate.name, namespace=snapshot.key.namespace, labels=labels,
            annotations={**(template.annotations or {}), **applied(node)}, ownerReferences=[reference(dpuset)],
        ),
        spec=_spec(snapshot, candidate, node),
    )


def identity_labels(dpuset: DPUSet, candidate: Candidate) -> dict[str, str]:
    """Whose DPU it is, and what for."""
    return {
        names.DPUSET_NAME_LABEL: naming.label_value(dpuset.metadata.name),
        names.DPUSET_NAMESPACE_LABEL: dpuset.metadata.namespace or "",
        names.DPUDEVICE_NAME_LABEL: naming.label_value(candidate.device.metadata.name),
        names.DPUNODE_NAME_LABEL: naming.label_value(candidate.node.metadata.name),
    }


def applied(node: Wanted) -> dict[str, str]:
    """Annotations that remember what the DPUSet gave the Node, so that a key that it drops can be told from others'."""
    return {
        names.LAST_APPLIED_LABELS_ANNOTATION: record(node.labels),
        names.LAST_APPLIED_ANNOTATIONS_ANNOTATION: record(node.annotations),
    }


def record(given: Mapping[str, str]) -> str:
    """Labels or annotations as one of these annotations holds them: a JSON object with sorted keys."""
    return _ENCODE(given).decode()


def reference(dpuset: DPUSet) -> OwnerReference:
    """The DPUSet as the controller of its DPUs."""
    resource = DPUSet.resource
    return OwnerReference(
        apiVersion=resource.api_version, kind=resource.kind, name=dpuset.metadata.name, uid=dpuset.metadata.uid or "",
        controller=True, blockOwnerDeletion=True,
    )


def _spec(snapshot: Snapshot, candidate: Candidate, node: Wanted) -> DPUSpec:
    template = snapshot.template.spec
    return DPUSpec(
        dpuNodeName=candidate.node.metadata.name, dpuDeviceName=candidate.device.metadata.name,
        serialNumber=candidate.serial_number, pciAddress=selection.pci_address(candidate.device.status.pciAddress),
        bfb=template.bfb.name if template.bfb is not None else None, dpuFlavor=template.dpuFlavor or "",
        nodeEffect=template.nodeEffect, secureBoot=template.secureBoot, astraEnabled=template.astraEnabled,
        cluster=DPUClusterAssignment(
            nodeLabels=dict(node.labels) or None, nodeAnnotations=dict(node.annotations) or None,
            selector=template.cluster.selector if template.cluster is not None else None,
        ),
    )
