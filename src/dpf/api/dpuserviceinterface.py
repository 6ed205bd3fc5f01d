"""svc.dpu.nvidia.com/v1alpha1 DPUServiceInterface: a port on DPU nodes that chains can use (api-svc.md section 6).

The nested specs are those of ServiceInterfaceSet and ServiceInterface. Rules about a block stand where the block is
used, so that a kind with other rules can use the same types.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from dpf.api.dpuservicechain import TemplateMetadata
from dpf.api.meta import Condition, LabelSelector, Model, Object, Resource
from dpf.api.schema import AGE, CRD, READY_REASON, READY_STATUS, Column, Rule, Schema, name_length_rule


class ConditionType(StrEnum):
    """Conditions of a DPUServiceInterface, in the order in which they are written."""

    READY = "Ready"
    """All of the others hold."""
    SERVICE_INTERFACE_SET_RECONCILED = "ServiceInterfaceSetReconciled"
    """Each targeted DPUCluster holds the ServiceInterfaceSet as it should be, and no other does."""
    SERVICE_INTERFACE_SET_READY = "ServiceInterfaceSetReady"
    """Every ServiceInterfaceSet reports that its interfaces are in place on their nodes."""
    SERVICE_INTERFACE_PREREQS_READY = "ServiceInterfacePreReqsReady"
    """What the interface refers to exists."""


class InterfaceType(StrEnum):
    """What an interface is; the block of the same name says the rest."""

    VLAN = "vlan"
    PHYSICAL = "physical"
    PF = "pf"
    VF = "vf"
    OVN = "ovn"
    PATCH = "patch"
    SERVICE = "service"


_FunctionID = Annotated[int, Schema(minimum=0, maximum=255)]
_VirtualNetwork = Annotated[str, Schema(description="DPUVirtualNetwork that it is attached to.")]


class Physical(Model):
    """A physical port of the DPU."""

    interfaceName: Annotated[str, Schema(description="Name of the port, such as p0.")]


class VLAN(Model):
    """A VLAN on top of another interface."""

    vlanID: Annotated[int, Schema(description="VLAN number.")]
    parentInterfaceRef: Annotated[str, Schema(description="Interface below the VLAN.")]


class PCI(Model):
    """A place on the PCI bus."""

    address: Annotated[
        str,
        Schema(pattern=r"^[0-9a-f]{4}:[0-9a-f]{2}:[0-1][0-9a-f]\.[0-7]{1}$", description="Address of the NIC's PF."),
    ]


class NICSelector(Model):
    """Which network card a function belongs to."""

    schema: ClassVar[Schema] = Schema(
        rules=(Rule(rule="self.type != 'pci' || has(self.pci)", message="for type=pci, pci must be set"),)
    )

    type: Annotated[str, Schema(enum=("dpu", "pci"), description="The DPU itself, or a card by address.")]
    pci: Annotated[PCI | None, Schema(description="The card, for type pci.")] = None
    controllerNumber: Annotated[
        int | None, Schema(format="int32", minimum=0, maximum=255, description="Controller of the representor.")
    ] = None


class VF(Model):
    """A virtual function of the host."""

    vfID: Annotated[_FunctionID, Schema(description="Number of the virtual function.")]
    pfID: Annotated[_FunctionID, Schema(description="Number of the physical function.")]
    parentInterfaceRef: Annotated[str | None, Schema(description="Interface below the function.")] = None
    virtualNetwork: _VirtualNetwork | None = None
    nicSelector: Annotated[NICSelector | None, Schema(description="Network card; absent means the DPU.")] = None


class PF(Model):
    """A physical function of the host."""

    pfID: Annotated[_FunctionID, Schema(description="Number of the physical function.")]
    virtualNetwork: _VirtualNetwork | None = None
    nicSelector: Annotated[NICSelector | None, Schema(description="Network card; absent means the DPU.")] = None


class ServiceDef(Model):
    """An interface inside the pods of a DPUService."""

    serviceID: Annotated[str, Schema(description="The service, as DPUService.spec.serviceID.")]
    network: Annotated[str, Schema(description="Network attachment: name or namespace/name.")]
    interfaceName: Annotated[str, Schema(min_length=1, max_length=15, description="Its name inside the pod.")]
    virtualNetwork: _VirtualNetwork | None = None


class OVN(Model):
    """A port to the bridge of OVN."""

    externalBridge: Annotated[
        str, Schema(default="br-ovn", required=False, description="Bridge that the port leads to.")
    ] = "br-ovn"


class Patch(Model):
    """A patch port to another bridge."""

    peerBridge: Annotated[str, Schema(description="The other bridge; it must exist.")]
    peerPatchName: Annotated[str | None, Schema(description="Name of the port there; made up when absent.")] = None
    peerExternalIDs: Annotated[dict[str, str] | None, Schema(description="External ids of the port there.")] = None


_NETWORK_IMMUTABLE: Final = Rule(
    rule="has(self.virtualNetwork) == has(oldSelf.virtualNetwork) && "
         "(!has(self.virtualNetwork) || self.virtualNetwork == oldSelf.virtualNetwork)",
    message="virtualNetwork is immutable",
)


class ServiceInterfaceSpec(Model):
    """One interface: its type and the block of that name."""

    interfaceType: Annotated[str, Schema(enum=tuple(InterfaceType), description="What the interface is.")]
    physical: Annotated[Physical | None, Schema(description="For interfaceType physical.")] = None
    vlan: Annotated[VLAN | None, Schema(description="For interfaceType vlan.")] = None
    vf: Annotated[VF | None, Schema(rules=(_NETWORK_IMMUTABLE,), description="For interfaceType vf.")] = None
    pf: Annotated[PF | None, Schema(rules=(_NETWORK_IMMUTABLE,), description="For interfaceType pf.")] = None
    service: Annotated[
        ServiceDef | None, Schema(rules=(_NETWORK_IMMUTABLE,), description="For interfaceType service.")
    ] = None
    ovn: Annotated[OVN | None, Schema(description="For interfaceType ovn; may be absent.")] = None
    patch: Annotated[Patch | None, Schema(description="For interfaceType patch.")] = None
    node: Annotated[str | None, Schema(description="Node of the interface; set by the controller.")] = None


INTERFACE_TYPE_RULE: Final = Rule(
    rule=" || ".join(
        ["self.interfaceType == 'ovn'"]
        + [f"(self.interfaceType == '{t}' && has(self.{t}))" for t in InterfaceType if t != InterfaceType.OVN]
    ),
    message_expression="'for interfaceType=' + self.interfaceType + ', ' + self.interfaceType + ' must be set'",
)
"""The block named like the type must be there; `ovn` needs none (api-svc.md section 6)."""


class ServiceInterfaceTemplate(Model):
    """The ServiceInterface that each selected node gets."""

    spec: Annotated[
        ServiceInterfaceSpec, Schema(rules=(INTERFACE_TYPE_RULE,), description="Spec of the ServiceInterface.")
    ]
    metadata: Annotated[TemplateMetadata | None, Schema(description="Metadata of the ServiceInterface.")] = None


class ServiceInterfaceSetSpec(Model):
    """Which nodes of one DPUCluster get the interface."""

    template: Annotated[ServiceInterfaceTemplate, Schema(description="ServiceInterface for each node.")]
    nodeSelector: Annotated[LabelSelector | None, Schema(description="DPU nodes; absent means all.")] = None


class ServiceInterfaceSetTemplate(Model):
    """The ServiceInterfaceSet that each selected DPUCluster gets."""

    spec: Annotated[ServiceInterfaceSetSpec, Schema(description="Spec of the ServiceInterfaceSet.")]
    metadata: Annotated[TemplateMetadata | None, Schema(description="Metadata of the ServiceInterfaceSet.")] = None


class DPUServiceInterfaceSpec(Model):
    """What the interface is, and in which DPUClusters."""

    template: Annotated[ServiceInterfaceSetTemplate, Schema(description="ServiceInterfaceSet for each DPUCluster.")]
    dpuClusterSelector: Annotated[LabelSelector | None, Schema(description="DPUClusters; absent means all.")] = None
    clusterSelector: Annotated[LabelSelector | None, Schema(description="Old name of dpuClusterSelector.")] = None


class DPUServiceInterfaceStatus(Model):
    """What was observed."""

    conditions: list[Condition] | None = None
    observedGeneration: Annotated[
        int | None, Schema(format="int64", description="Generation that the conditions are about.")
    ] = None


_SPEC: Final = ".spec.template.spec.template.spec"


class DPUServiceInterface(Object):
    """An interface on the DPU nodes of the selected DPUClusters, for service chains to connect."""

    resource: ClassVar[Resource] = Resource(
        "svc.dpu.nvidia.com", "v1alpha1", "DPUServiceInterface", "dpuserviceinterfaces"
    )
    crd: ClassVar[CRD] = CRD(
        columns=(
            Column(name="IfType", path=f"{_SPEC}.interfaceType"),
            Column(name="IfName", path=f"{_SPEC}['service','physical'].interfaceName"),
            Column(name="Ready", path=READY_STATUS),
            Column(name="Phase", path=READY_REASON),
            AGE,
        ),
        rules=(name_length_rule(63),),
    )
    spec: DPUServiceInterfaceSpec | None = None
    status: DPUServiceInterfaceStatus = DPUServiceInterfaceStatus()
