"""provisioning.dpu.nvidia.com/v1alpha1 DPUNode: a host with DPUs (api-provisioning.md section 8)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from dpf.api import provisioning
from dpf.api.meta import FreeForm, Model, Object, Resource
from dpf.api.schema import CRD, Rule, Schema, name_length_rule


class ConditionType(StrEnum):
    """Conditions of a DPUNode, in the order in which they are written."""

    READY = "Ready"
    """The host can be used: nothing is being done to it."""
    INVALID_DPU_DETAILS = "InvalidDPUDetails"
    """A listed DPUDevice is missing or belongs to another host."""
    DPU_NODE_REBOOT_IN_PROGRESS = "DPUNodeRebootInProgress"
    """The host is being rebooted."""
    DPU_UPDATE_IN_PROGRESS = "DPUUpdateInProgress"
    """A DPU of the host is being installed."""
    NEED_HOST_AGENT_UPGRADE = "NeedHostAgentUpgrade"
    """The agent on the host is of another version."""
    OOB_BRIDGE_CONFIGURED = "OOBBridgeConfigured"
    """The host has the bridge to the out-of-band ports."""
    RSHIM_AVAILABLE = "RshimAvailable"
    """The host reaches its DPUs through rshim."""
    DPU_NODE_NODE_EFFECT_IN_PROGRESS = "DPUNodeNodeEffectInProgress"
    """The effect of an installation is on the host."""


class RebootScript(Model):
    """A script that reboots the host."""

    name: Annotated[str, Schema(min_length=1, description="ConfigMap with a pod under the key pod-template.")]


class NodeRebootMethod(Model):
    """How the host is rebooted: exactly one, where gNOI is the old name of hostAgent."""

    schema: ClassVar[Schema] = Schema(rules=(Rule(
        rule="[has(self.hostAgent) || has(self.gNOI), has(self.external), has(self.script)]"
             ".filter(named, named).size() == 1",
        message="only one of hostAgent, external, script can be set",
    ),))

    gNOI: Annotated[FreeForm | None, Schema(description="Deprecated name of hostAgent.")] = None
    hostAgent: Annotated[FreeForm | None, Schema(description="By the agent on the host.")] = None
    external: Annotated[FreeForm | None, Schema(description="By somebody else, who watches an annotation.")] = None
    script: Annotated[RebootScript | None, Schema(description="By a script.")] = None


class NodeDMSAddress(Model):
    """Where the host's management service listens."""

    ip: Annotated[str, Schema(format="ipv4", description="IP address.")]
    port: Annotated[int, Schema(minimum=1, description="Port.")]


class DPURef(Model):
    """A DPUDevice of the same namespace."""

    name: Annotated[str, Schema(min_length=1, description="Name of the DPUDevice.")]


class DPUNodeSpec(Model):
    """The host."""

    nodeRebootMethod: Annotated[
        NodeRebootMethod, Schema(default={"hostAgent": {}}, description="How the host is rebooted.")
    ] = NodeRebootMethod(hostAgent={})
    nodeDMSAddress: Annotated[
        NodeDMSAddress | None, Schema(description="Deprecated: where the management service listens.")
    ] = None
    dpus: Annotated[list[DPURef] | None, Schema(description="DPUDevices in the host.")] = None


class DPUNodeStatus(Model):
    """What was observed."""

    conditions: provisioning.Conditions = None
    dpuInstallInterface: Annotated[
        str | None,
        Schema(enum=tuple(provisioning.InstallInterface), description="The way in which its DPUs are installed."),
    ] = None
    kubeNodeRef: Annotated[str | None, Schema(description="Node of the host cluster, if the host is one.")] = None
    rebootMethod: Annotated[str | None, Schema(description="What the last reboot needs.")] = None
    rebootInProgress: Annotated[bool | None, Schema(description="The host is being rebooted.")] = None


class DPUNode(Object):
    """A host with DPUs, whether it is a Node of the host cluster or not."""

    resource: ClassVar[Resource] = Resource(provisioning.GROUP, provisioning.VERSION, "DPUNode", "dpunodes")
    crd: ClassVar[CRD] = CRD(
        rules=(name_length_rule(48), provisioning.once_set(".status.kubeNodeRef", "KubeNodeRef is immutable"))
    )
    spec: DPUNodeSpec | None = None
    status: DPUNodeStatus = DPUNodeStatus()
