"""svc.dpu.nvidia.com/v1alpha1 DPUDeployment: DPUs, the services on them and their chain (api-svc.md section 2).

`serviceChains` is either the list of switches that the documents write or the newer object (skew 1). Its schema has no
type, so that even a scalar may be stored there; the Python type takes that too, for the controller to report it.
`nodeEffect` and `dpuSetStrategy` are optional (skew 3).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from dpf.api import names
from dpf.api.dpuservicechain import IPAMRef, ServiceIfc, ServiceMTU
from dpf.api.dpuserviceconfiguration import UpgradePolicy
from dpf.api.dpuset import RollingUpdate
from dpf.api.meta import Condition, LabelSelector, Model, Object, Resource
from dpf.api.provisioning import Taint
from dpf.api.schema import CRD, READY_PHASE_AGE, Rule, Schema, name_length_rule


class ConditionType(StrEnum):
    """Conditions of a DPUDeployment, in the order in which they are written."""

    READY = "Ready"
    """All of the others hold."""
    PREREQUISITES_READY = "PrerequisitesReady"
    """Everything that it refers to exists, fits and is marked as in use."""
    RESOURCE_FITTING_READY = "ResourceFittingReady"
    """The services fit into what the flavor leaves for them."""
    VERSION_MATCHING_READY = "VersionMatchingReady"
    """The charts accept the version of the software on the DPUs."""
    DPU_SETS_RECONCILED = "DPUSetsReconciled"
    """The DPUSets are as they should be."""
    DPU_SETS_READY = "DPUSetsReady"
    """The DPUs of all DPUSets are provisioned."""
    DPU_SERVICES_RECONCILED = "DPUServicesReconciled"
    """The DPUServices are as they should be."""
    DPU_SERVICES_READY = "DPUServicesReady"
    """The DPUServices run."""
    DPU_SERVICE_CHAINS_RECONCILED = "DPUServiceChainsReconciled"
    """The DPUServiceChain is as it should be."""
    DPU_SERVICE_CHAINS_READY = "DPUServiceChainsReady"
    """The DPUServiceChain is in place on the nodes."""
    DPU_SERVICE_INTERFACES_RECONCILED = "DPUServiceInterfacesReconciled"
    """The DPUServiceInterfaces are as they should be."""
    DPU_SERVICE_INTERFACES_READY = "DPUServiceInterfacesReady"
    """The DPUServiceInterfaces are in place on the nodes."""


_Name = Annotated[str, Schema(min_length=1)]


class DeploymentNodeEffect(Model):
    """What happens to the host node while its DPU is provisioned: exactly one action.

    Unlike the block of the same name in a DPUSet, an action that is present but false counts as absent.
    """

    taint: Annotated[Taint | None, Schema(description="Put this taint on the node.")] = None
    noEffect: Annotated[bool | None, Schema(description="Leave the node alone.")] = None
    customLabel: Annotated[dict[str, str] | None, Schema(description="Put these labels on the node.")] = None
    drain: Annotated[bool | None, Schema(description="Drain the node.")] = None
    customAction: Annotated[str | None, Schema(description="ConfigMap with a pod to run for the node.")] = None
    hold: Annotated[bool | None, Schema(description="Wait until somebody gives the node free.")] = None
    force: Annotated[
        bool, Schema(default=False, required=False, description="Apply it even where it is not needed.")
    ] = False


class DPUSetStrategy(Model):
    """How generated DPUSets replace DPUs."""

    type: Annotated[str, Schema(enum=("OnDelete", "RollingUpdate"), description="Who starts a replacement.")]
    rollingUpdate: Annotated[RollingUpdate | None, Schema(description="For type RollingUpdate.")] = None


class DPUSetEntry(Model):
    """One DPUSet: which DPUs belong to the deployment."""

    nameSuffix: Annotated[str, Schema(min_length=1, max_length=24, description="Suffix of the DPUSet's name.")]
    nodeSelector: Annotated[LabelSelector | None, Schema(description="Older name of dpuNodeSelector.")] = None
    dpuSelector: Annotated[
        dict[str, str] | None, Schema(description="DPUs by label; the key pciAddr is the PCI address.")
    ] = None
    dpuNodeSelector: Annotated[LabelSelector | None, Schema(description="DPUNodes to target.")] = None
    dpuDeviceSelector: Annotated[LabelSelector | None, Schema(description="DPUDevices to target.")] = None
    dpuClusterSelector: Annotated[
        dict[str, str] | None, Schema(description="Labels of the DPUCluster that its DPUs join.")
    ] = None
    dpuAnnotations: Annotated[
        dict[str, str] | None,
        Schema(
            max_properties=50, description="Annotations of the DPUs.",
            rules=(Rule(
                rule="self.all(key, key.startsWith('noderesources.dpu.nvidia.com') || "
                     f"key == '{names.FORCE_FW_UPDATE_ANNOTATION}' || "
                     "!(key.contains('dpu.nvidia.com/') || key.endsWith('dpu.nvidia.com')))",
                message="should not contain dpu.nvidia.com/ and should not end with dpu.nvidia.com",
            ),),
        ),
    ] = None


ENTRY_RULES: Final = (
    Rule(rule="!(has(self.nodeSelector) && has(self.dpuNodeSelector))",
         message="only one of nodeSelector or dpuNodeSelector can be specified"),
    Rule(rule="!(has(self.dpuSelector) && has(self.dpuDeviceSelector))",
         message="only one of dpuSelector or dpuDeviceSelector can be specified"),
)

NODE_EFFECT_RULE: Final = Rule(
    rule="[has(self.taint), has(self.noEffect) && self.noEffect, has(self.drain) && self.drain, "
         "has(self.customLabel) && self.customLabel.size() > 0, "
         "has(self.customAction) && self.customAction != '', has(self.hold) && self.hold].filter(set, set).size() == 1",
    message="exactly one of taint, noEffect=true, drain=true, non-empty customLabel, non-empty customAction, hold=true "
            "must be set",
)


class DPUs(Model):
    """The DPUs of the deployment and what is installed on them."""

    bfb: Annotated[_Name | None, Schema(description="BFB to install.")] = None
    blueFieldSoftware: Annotated[
        _Name | None, Schema(description="BlueFieldSoftware to install, instead of bfb.")
    ] = None
    flavor: Annotated[_Name | None, Schema(description="DPUFlavor to install with.")] = None
    flavorTemplate: Annotated[_Name | None, Schema(description="DPUFlavorTemplate, instead of flavor.")] = None
    astraEnabled: Annotated[bool | None, Schema(description="Configure the east-west network cards.")] = None
    secureBoot: Annotated[bool | None, Schema(description="UEFI Secure Boot.")] = None
    nodeEffect: Annotated[
        DeploymentNodeEffect | None, Schema(rules=(NODE_EFFECT_RULE,), description="Effect on host nodes meanwhile.")
    ] = None
    dpuSetStrategy: Annotated[
        DPUSetStrategy | None, Schema(description="Rollout of the DPUSets; RollingUpdate when absent.")
    ] = None
    dpuSets: Annotated[
        list[Annotated[DPUSetEntry, Schema(rules=ENTRY_RULES)]] | None,
        Schema(
            min_items=1, max_items=50, description="One DPUSet each.",
            rules=(Rule(rule="self.all(a, self.exists_one(b, b.nameSuffix == a.nameSuffix))",
                        message="DPUSet.NameSuffix values must be unique"),),
        ),
    ] = None


DPUS_RULES: Final = (
    Rule(rule="has(self.bfb) != has(self.blueFieldSoftware)",
         message="exactly one of bfb or blueFieldSoftware must be specified"),
    Rule(rule="has(self.flavor) != has(self.flavorTemplate)",
         message="exactly one of flavor or flavorTemplate must be set"),
)


class ServiceDependency(Model):
    """Another service of the deployment that must exist first."""

    name: Annotated[str, Schema(description="Key of the other service.")]
    wait: Annotated[bool | None, Schema(description="Accepted from older manifests; has no effect.")] = None


class ServiceReferences(Model):
    """The two halves of one service."""

    serviceTemplate: Annotated[str, Schema(description="DPUServiceTemplate of the service.")]
    serviceConfiguration: Annotated[str, Schema(description="DPUServiceConfiguration of the service.")]
    dependsOn: Annotated[
        list[ServiceDependency] | None, Schema(min_items=1, description="Services that must exist first.")
    ] = None


class DeploymentServicePort(Model):
    """A port that leads to an interface of a deployed service."""

    name: Annotated[str, Schema(min_length=1, max_length=28, description="Key of the service.")]
    interface: Annotated[
        str, Schema(min_length=1, max_length=15, description="Interface of its DPUServiceConfiguration.")
    ]
    ipam: Annotated[IPAMRef | None, Schema(description="Its addresses.")] = None


class DeploymentPort(Model):
    """One port of a switch: a deployed service or an interface that exists."""

    # The server cannot run CEL below the untyped `serviceChains`.
    schema: ClassVar[Schema] = Schema(one_of_required=(("service",), ("serviceInterface",)))

    service: Annotated[DeploymentServicePort | None, Schema(description="Interface of a deployed service.")] = None
    serviceInterface: Annotated[ServiceIfc | None, Schema(description="Interface that exists, by labels.")] = None


class DeploymentSwitch(Model):
    """Ports that reach each other."""

    ports: Annotated[list[DeploymentPort], Schema(min_items=1, max_items=50, description="Ports of the switch.")]
    serviceMTU: ServiceMTU = 1500


class ServiceChains(Model):
    """The chain of the deployment, and what an update of it may do."""

    switches: Annotated[
        list[DeploymentSwitch], Schema(min_items=1, max_items=50, description="Switches, in their order.")
    ]
    upgradePolicy: Annotated[
        UpgradePolicy, Schema(default={}, required=False, description="What an update may do.")
    ] = UpgradePolicy()


class DPUDeploymentSpec(Model):
    """DPUs, services and chain of the deployment."""

    dpus: Annotated[DPUs, Schema(rules=DPUS_RULES, description="DPUs and what is installed on them.")]
    services: Annotated[
        dict[str, ServiceReferences],
        Schema(
            min_properties=1, max_properties=50, description="Services by key.",
            rules=(Rule(rule="self.all(key, key.size() <= 28)",
                        message="service names can't be bigger than 28 chars"),),
        ),
    ]
    serviceChains: Annotated[
        list[DeploymentSwitch] | ServiceChains | str | int | float | bool | None,
        Schema(list_or_map=True, min_items=1, max_items=50,
               description="The chain: an object with `switches`, or just the list of switches."),
    ] = None
    revisionHistoryLimit: Annotated[
        int,
        Schema(format="int32", minimum=1, default=10, required=False,
               description="How many revisions of a service, interface or chain are kept."),
    ] = 10


class DPUDeploymentStatus(Model):
    """What was observed."""

    conditions: list[Condition] | None = None
    observedGeneration: Annotated[
        int | None, Schema(format="int64", description="Generation that the conditions are about.")
    ] = None


class DPUDeployment(Object):
    """DPUs, the services on them and the chain between them, as one object."""

    resource: ClassVar[Resource] = Resource("svc.dpu.nvidia.com", "v1alpha1", "DPUDeployment", "dpudeployments")
    crd: ClassVar[CRD] = CRD(columns=READY_PHASE_AGE, rules=(name_length_rule(20),))
    spec: DPUDeploymentSpec | None = None
    status: DPUDeploymentStatus = DPUDeploymentStatus()
