"""svc.dpu.nvidia.com/v1alpha1 DPUServiceChain: switches between interfaces on DPU nodes (api-svc.md section 5).

The nested specs are those of ServiceChainSet and ServiceChain. `ServiceIfc` and `IPAMRef` also stand in the ports of a
DPUDeployment; they carry no CEL rule on purpose: below its untyped `serviceChains` there must be none.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from dpf.api.meta import Condition, LabelSelector, Model, Object, Resource
from dpf.api.schema import CRD, READY_PHASE_AGE, Schema, name_length_rule

SelectingLabels = Annotated[dict[str, str], Schema(min_properties=1, max_properties=50)]
ServiceMTU = Annotated[
    int, Schema(minimum=1280, maximum=9216, default=1500, required=False, description="MTU of the switch's ports.")
]


class ConditionType(StrEnum):
    """Conditions of a DPUServiceChain, in the order in which they are written."""

    READY = "Ready"
    """All of the others hold."""
    SERVICE_CHAIN_SET_RECONCILED = "ServiceChainSetReconciled"
    """Each targeted DPUCluster holds the ServiceChainSet as it should be, and no other does."""
    SERVICE_CHAIN_SET_READY = "ServiceChainSetReady"
    """Every ServiceChainSet reports that its chains are in place on their nodes."""


class TemplateMetadata(Model):
    """Labels and annotations of the object that is made from a template."""

    labels: Annotated[dict[str, str] | None, Schema(description="Labels of the object.")] = None
    annotations: Annotated[dict[str, str] | None, Schema(description="Annotations of the object.")] = None


class IPAMRef(Model):
    """The pool that an interface gets its addresses from."""

    matchLabels: Annotated[SelectingLabels, Schema(description="Labels of the pool.")]
    defaultGateway: Annotated[bool | None, Schema(description="Hand out the pool's gateway too.")] = None
    setDefaultRoute: Annotated[bool | None, Schema(description="Route everything else through the gateway.")] = None
    requiredIPFamilies: Annotated[
        list[Annotated[str, Schema(enum=("IPv4", "IPv6"))]] | None,
        Schema(min_items=1, list_type="set", description="Address families that the pools must cover."),
    ] = None


class ServiceIfc(Model):
    """Selects one ServiceInterface of each node by its labels."""

    matchLabels: Annotated[SelectingLabels, Schema(description="Labels that one ServiceInterface of the node has.")]
    ipam: Annotated[IPAMRef | None, Schema(description="Its addresses; for interfaces of services only.")] = None


class Port(Model):
    """One port of a switch."""

    serviceInterface: Annotated[ServiceIfc, Schema(description="Interface behind the port.")]


class Switch(Model):
    """Ports that reach each other."""

    ports: Annotated[list[Port], Schema(min_items=1, max_items=50, description="Ports of the switch.")]
    serviceMTU: ServiceMTU = 1500


class ServiceChainSpec(Model):
    """The switches of one node."""

    switches: Annotated[list[Switch], Schema(min_items=1, max_items=50, description="Switches, in their order.")]
    node: Annotated[str | None, Schema(description="Node that the chain is for; set by the controller.")] = None


class ServiceChainTemplate(Model):
    """The ServiceChain that each selected node gets."""

    spec: Annotated[ServiceChainSpec, Schema(description="Spec of the ServiceChain.")]
    metadata: Annotated[TemplateMetadata | None, Schema(description="Metadata of the ServiceChain.")] = None


class ServiceChainSetSpec(Model):
    """Which nodes of one DPUCluster get the chain."""

    template: Annotated[ServiceChainTemplate, Schema(description="ServiceChain for each node.")]
    nodeSelector: Annotated[LabelSelector | None, Schema(description="DPU nodes; absent means all.")] = None


class ServiceChainSetTemplate(Model):
    """The ServiceChainSet that each selected DPUCluster gets."""

    spec: Annotated[ServiceChainSetSpec, Schema(description="Spec of the ServiceChainSet.")]
    metadata: Annotated[TemplateMetadata | None, Schema(description="Metadata of the ServiceChainSet.")] = None


class DPUServiceChainSpec(Model):
    """What is wired to what, and in which DPUClusters."""

    template: Annotated[ServiceChainSetTemplate, Schema(description="ServiceChainSet for each DPUCluster.")]
    dpuClusterSelector: Annotated[LabelSelector | None, Schema(description="DPUClusters; absent means all.")] = None
    clusterSelector: Annotated[LabelSelector | None, Schema(description="Old name of dpuClusterSelector.")] = None


class DPUServiceChainStatus(Model):
    """What was observed."""

    conditions: list[Condition] | None = None
    observedGeneration: Annotated[
        int | None, Schema(format="int64", description="Generation that the conditions are about.")
    ] = None


class DPUServiceChain(Object):
    """Switches that connect interfaces on the DPU nodes of the selected DPUClusters."""

    resource: ClassVar[Resource] = Resource("svc.dpu.nvidia.com", "v1alpha1", "DPUServiceChain", "dpuservicechains")
    crd: ClassVar[CRD] = CRD(columns=READY_PHASE_AGE, rules=(name_length_rule(63),))
    spec: DPUServiceChainSpec | None = None
    status: DPUServiceChainStatus = DPUServiceChainStatus()
