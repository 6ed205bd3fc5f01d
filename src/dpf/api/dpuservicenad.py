"""svc.dpu.nvidia.com/v1alpha1 DPUServiceNAD: a network attachment for services (api-svc.md section 8).

`mtu` is what the documentation of the original writes for `serviceMTU` (skew 12). Neither has a schema default, so that
a reader can tell which of them the user set.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from dpf.api.dpuservicechain import TemplateMetadata
from dpf.api.meta import Condition, FreeForm, LabelSelector, Model, Object, Resource
from dpf.api.schema import CRD, Schema, name_length_rule


class ConditionType(StrEnum):
    """Conditions of a DPUServiceNAD, in the order in which they are written."""

    READY = "Ready"
    """All of the others hold."""
    DPU_NAD_OBJECT_RECONCILED = "DPUNADObjectReconciled"
    """Each targeted DPUCluster holds the NetworkAttachmentDefinition as it should be, and no other does."""
    DPU_NAD_OBJECT_READY = "DPUNADObjectReady"
    """Every NetworkAttachmentDefinition can be used."""


class ResourceType(StrEnum):
    """What a pod's end of the attachment is made of."""

    VF = "vf"
    SF = "sf"
    VETH = "veth"


class ChainedCNI(Model):
    """A plugin that is called after the one that makes the port."""

    type: Annotated[str, Schema(enum=("rdma",), description="Plugin.")]
    config: Annotated[FreeForm | None, Schema(preserve_unknown=True, description="Its configuration.")] = None


class DPUServiceNADSpec(Model):
    """What a pod gets that asks for this network."""

    resourceType: Annotated[str, Schema(enum=tuple(ResourceType), description="Device behind the interface.")]
    bridge: Annotated[str | None, Schema(description="Bridge of Open vSwitch; it must exist.")] = None
    serviceMTU: Annotated[
        int | None,
        Schema(minimum=1280, maximum=9216, description="MTU of the interface; a chain's MTU goes before it."),
    ] = None
    mtu: Annotated[int | None, Schema(minimum=1280, maximum=9216, description="Another name of serviceMTU.")] = None
    ipam: Annotated[bool | None, Schema(description="Hand out addresses.")] = None
    chainedCNIs: Annotated[list[ChainedCNI] | None, Schema(description="Plugins to call afterwards.")] = None
    dpuClusterSelector: Annotated[LabelSelector | None, Schema(description="DPUClusters; absent means all.")] = None
    metadata: Annotated[
        TemplateMetadata | None, Schema(description="Metadata of the NetworkAttachmentDefinition.")
    ] = None


class DPUServiceNADStatus(Model):
    """What was observed."""

    conditions: list[Condition] | None = None


class DPUServiceNAD(Object):
    """A NetworkAttachmentDefinition in the selected DPUClusters."""

    resource: ClassVar[Resource] = Resource("svc.dpu.nvidia.com", "v1alpha1", "DPUServiceNAD", "dpuservicenads")
    crd: ClassVar[CRD] = CRD(rules=(name_length_rule(63),))
    spec: DPUServiceNADSpec | None = None
    status: DPUServiceNADStatus = DPUServiceNADStatus()
