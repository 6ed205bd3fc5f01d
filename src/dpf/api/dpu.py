"""provisioning.dpu.nvidia.com/v1alpha1 DPU: one device with its software (api-provisioning.md section 3).

DPUs are made by the DPUSet controller. What the DPU reports about itself is in `dpuagent`. Fields that an older release
did not have are demanded of new objects and read as empty from old ones.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from dpf.api import provisioning
from dpf.api.dpfoperatorconfig import DeploymentMode
from dpf.api.dpuagent import AgentStatus
from dpf.api.meta import Model, Object, Resource
from dpf.api.schema import AGE, CRD, READY_STATUS, Column, Rule, Schema


class Phase(StrEnum):
    """Where the installation of a DPU is, in the order in which a DPU passes; not every DPU passes every phase."""

    INITIALIZING = "Initializing"
    PENDING = "Pending"
    NODE_EFFECT = "Node Effect"
    INITIALIZE_INTERFACE = "Initialize Interface"
    PERFORM_ARM_FORCE_RESTART = "Perform ARM Force Restart"
    CONFIG_FW_PARAMETERS = "Config FW Parameters"
    UPDATE_FIRMWARE = "Update Firmware"
    PREPARE_BFB = "Prepare BFB"
    OS_INSTALLING = "OS Installing"
    DPU_CONFIG = "DPU Config"
    REBOOTING = "Rebooting"
    HOST_NETWORK_CONFIGURATION = "Host Network Configuration"
    DPU_CLUSTER_CONFIG = "DPU Cluster Config"
    SERVICE_READINESS = "Service Readiness"
    NODE_EFFECT_REMOVAL = "Node Effect Removal"
    READY = "Ready"
    ERROR = "Error"
    DELETING = "Deleting"
    CHECKING_HOST_REBOOT_REQUIRED = "Checking Host Reboot Required"
    """Only in objects of older releases."""
    DMS_DEPLOYMENT = "DMS Deployment"
    """Only in objects of older releases."""


class ConditionType(StrEnum):
    """Conditions of a DPU: the steps of its installation, and what may interrupt it."""

    INITIALIZED = "Initialized"
    """Its host, device and cluster are known."""
    BFB_READY = "BFBReady"
    """Its BFB can be installed."""
    NODE_EFFECT_READY = "NodeEffectReady"
    """The effect is on the host."""
    OS_INSTALLED = "OSInstalled"
    """The operating system is on the DPU."""
    REBOOTED = "Rebooted"
    """Host and DPU run with the new settings."""
    HOST_NETWORK_READY = "HostNetworkReady"
    """The host's network uses the DPU."""
    READY = "Ready"
    """The DPU works."""
    PENDING = "Pending"
    """It waits for what it refers to."""
    BFB_PREPARED = "BFBPrepared"
    """Its own configuration of the installation is written."""
    INTERFACE_INITIALIZED = "InterfaceInitialized"
    """The installation reaches the DPU."""
    FW_CONFIGURED = "FWConfigured"
    """The firmware is set up."""
    DPU_CLUSTER_READY = "DPUClusterReady"
    """Its Node in the DPU cluster is ready."""
    DELETING = "Deleting"
    """What was made for it is being removed."""
    ERROR = "Error"
    """The installation failed; the message says why."""
    BLUEFIELD_SOFTWARE_READY = "BlueFieldSoftwareReady"
    """Its BlueFieldSoftware can be installed."""
    DPU_FLAVOR_EXISTS = "DPUFlavorExists"
    """Its DPUFlavor is there."""
    DPU_FLAVOR_RENDERED = "DPUFlavorRendered"
    """Its DPUFlavor was made from a template."""
    FW_ARM_RESTARTED = "FWArmRestarted"
    """The Arm cores restarted with the firmware."""
    FW_BUNDLE_SUBMITTED = "FwBundleSubmitted"
    """The BMC has the firmware bundle."""
    FW_BUNDLE_UPDATED = "FwBundleUpdated"
    """The firmware bundle is written."""
    FW_BUNDLE_ACTIVATED = "FwBundleActivated"
    """The firmware bundle is in use."""
    FW_BUNDLE_ARM_SHUTDOWN = "FwBundleArmShutdown"
    """The Arm cores are off for the firmware bundle."""
    BFB_TRANSFERRED = "BFBTransferred"
    """The DPU has the BFB."""
    ISO_TRANSFERRED = "IsoTransferred"
    """The DPU has the image of the operating system."""
    CONFIG_TRANSFERRED = "ConfigTransferred"
    """The DPU has its configuration of the installation."""
    VIRTUAL_MEDIA_INSERTED = "VirtualMediaInserted"
    """The image is in the DPU's virtual drive."""
    CHANGE_BOOT_TARGET = "ChangeBootTarget"
    """The DPU boots from its virtual drive next."""
    CHASSIS_RESET = "ChassisReset"
    """The DPU was reset."""
    DPU_CONFIG = "DPUConfig"
    """The agent has set up the DPU."""
    SERVICE_READINESS = "ServiceReadiness"
    """The services that the flavor waits for work."""
    NODE_EFFECT_REMOVED = "NodeEffectRemoved"
    """The effect is off the host."""
    ARM_FORCE_RESTARTED = "ArmForceRestarted"
    """The Arm cores were restarted by force."""


class OperationalConditionType(StrEnum):
    """Conditions of a DPU that is installed: whether it works."""

    OPERATIONAL_READY = "OperationalReady"
    """All of the others hold."""
    NODE_PROBLEMS_READY = "NodeProblemsReady"
    """Its Node reports no problem."""
    DPU_SERVICE_CRITICAL_PODS_READY = "DPUServiceCriticalPodsReady"
    """The pods that the DPU cannot do without work."""
    DPU_SERVICE_NON_CRITICAL_PODS_READY = "DPUServiceNonCriticalPodsReady"
    """The other pods work."""
    DPU_SERVICE_INTERFACES_READY = "DPUServiceInterfacesReady"
    """Its service interfaces are set up."""
    DPU_SERVICE_CHAINS_READY = "DPUServiceChainsReady"
    """Its service chains are set up."""


class ConditionReason(StrEnum):
    """Reasons beside those that all kinds share; a condition that holds has its own type as the reason."""

    DPU_READY = "DPUReady"
    """The reason of Ready (resolutions.md row 21)."""
    DPU_OOB_BRIDGE_NOT_CONFIGURED = "DPUOOBBridgeNotConfigured"
    """The host lacks the bridge to the out-of-band ports."""
    DPU_CLUSTER_NOT_READY = "DPUClusterNotReady"
    """No DPUCluster that the DPU may join is ready, or its own is not."""
    GET_BFB_FAILED = "GetBFBFailed"
    """The BFB could not be read."""
    EXISTING_RSHIM_INSTALL_DETECTED = "ExistingRshimInstallDetected"
    """Something else on the host uses rshim."""
    INVALID_STATE = "InvalidState"
    """The device is in a state from which it cannot be rebooted."""
    WAITING_FOR_MANUAL_POWER_CYCLE_OR_REBOOT = "WaitingForManualPowerCycleOrReboot"
    """Somebody has to power-cycle or reboot the host."""
    DPU_NODE_READY = "DPUNodeReady"
    """The Node in the DPU cluster is ready."""
    DPU_NODE_NOT_READY = "DPUNodeNotReady"
    """The Node in the DPU cluster is not ready."""
    NODE_EFFECT_ERROR = "NodeEffectError"
    """The effect could not be put on the host or taken off it."""
    DPU_GET_ERROR = "DPUGetError"
    """The DPU could not be read."""
    DPU_NODE_GET_ERROR = "DPUNodeGetError"
    """The Node in the DPU cluster could not be read."""
    DPU_CLUSTER_CLIENT_GET_ERROR = "DPUClusterClientGetError"
    """The DPU cluster cannot be reached."""
    DPF_OPERATOR_UPGRADE_IN_PROGRESS = "DPFOperatorUpgradeInProgress"
    """The platform is being upgraded; the installation begins afterwards."""
    REBOOT_SCRIPT_WAITING = "RebootScriptWaiting"
    """The script that reboots the host has not ended."""
    REBOOT_SCRIPT_FAILED_TO_FETCH_JOB = "RebootScriptFailedToFetchJob"
    """The Job of the script could not be read."""
    REBOOT_SCRIPT_FAILED = "RebootScriptFailed"
    """The script that reboots the host failed."""
    DPU_CLOCK_UNSYNCHRONIZED = "DPUClockUnsynchronized"
    """The DPU's clock is too far from the host cluster's."""
    DELETE_DPU_AGENT_BOOTSTRAP_TOKENS_ERROR = "DeleteDPUAgentBootstrapTokensError"
    """The agent's bootstrap tokens could not be deleted."""
    RENDER_FAILED_ON_CREATE = "RenderFailedOnCreate"
    """The DPUFlavorTemplate could not be filled in, and there is no earlier flavor."""
    RENDER_FAILED_ON_UPDATE = "RenderFailedOnUpdate"
    """The changed DPUFlavorTemplate could not be filled in; the earlier flavor stays."""


class OutdatedReason(StrEnum):
    """In what a DPU differs from its DPUSet's template; the first that applies."""

    BFB = "OutdatedBFB"
    DPU_FLAVOR = "OutdatedDPUFlavor"
    SECURE_BOOT = "OutdatedSecureBoot"
    BLUEFIELD_SOFTWARE = "OutdatedBlueFieldSoftware"


class RebootPhase(StrEnum):
    """Where a reboot of the host is."""

    WAIT_FOR_SHUTDOWN = "WaitForShutdown"
    PENDING = "Pending"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


class IdentityMode(StrEnum):
    """How the agent on the DPU proves who it is; absent means by bootstrap token."""

    SPIFFE = "spiffe"
    BOOTSTRAP_TOKEN = "bootstrap-token"  # noqa: S105 - the name of a method


class DPUClusterAssignment(provisioning.ClusterTemplate):
    """The DPU cluster that the DPU joins, and how."""

    name: Annotated[str | None, Schema(description="Name of the DPUCluster; set once, by the allocator.")] = None
    namespace: Annotated[
        str | None, Schema(description="Namespace of the DPUCluster; set once, by the allocator.")
    ] = None


class DPUSpec(Model):
    """Which device, and what it gets."""

    dpuNodeName: Annotated[str, Schema(required=True, description="DPUNode that the device is in.")] = ""
    dpuDeviceName: Annotated[str, Schema(required=True, min_length=1, description="DPUDevice that is installed.")] = ""
    serialNumber: Annotated[str, Schema(required=True, min_length=1, description="Serial number of the device.")] = ""
    nodeName: Annotated[
        str | None, Schema(description="Accepted from older objects, not used: Node of the host cluster.")
    ] = None
    bfb: Annotated[str | None, Schema(min_length=1, max_length=253, description="BFB to install.")] = None
    blueFieldSoftware: Annotated[
        str | None, Schema(min_length=1, max_length=253, description="BlueFieldSoftware to install.")
    ] = None
    dpuFlavor: Annotated[str, Schema(required=True, min_length=1, description="DPUFlavor to set it up with.")] = ""
    pciAddress: Annotated[
        str | None,
        Schema(pattern="^([0-9a-fA-F]{4}[-])?[0-9a-fA-F]{2}[-][0-9a-fA-F]{2}$",
               description="PCI address with dashes, e.g. 0000-0e-00."),
    ] = None
    nodeEffect: Annotated[
        provisioning.NodeEffect | None,
        Schema(description="What happens to the host meanwhile; absent: drain in Kubernetes, else hold."),
    ] = None
    cluster: Annotated[DPUClusterAssignment | None, Schema(description="The DPU cluster that it joins.")] = None
    automaticNodeReboot: Annotated[bool | None, Schema(description="Accepted from older objects, not used.")] = None
    astraEnabled: Annotated[bool | None, Schema(description="Configure the east-west cards too.")] = None
    secureBoot: Annotated[bool | None, Schema(description="Whether UEFI Secure Boot is wanted.")] = None
    bmcIP: Annotated[str | None, Schema(description="Deprecated: address of the BMC.")] = None


class Outdated(Model):
    """How the DPU differs from its DPUSet's template."""

    timeStamp: Annotated[str, Schema(format="date-time", description="Since when.")]
    reason: Annotated[str, Schema(description="In what.")]
    message: Annotated[str, Schema(required=True, description="All that differs, for people.")] = ""


class Firmware(Model):
    """Firmware versions."""

    bmc: Annotated[str | None, Schema(description="BMC.")] = None
    nic: Annotated[str | None, Schema(description="Network card.")] = None
    uefi: Annotated[str | None, Schema(description="UEFI.")] = None


class Address(Model):
    """An address of the DPU."""

    type: Annotated[str, Schema(description="InternalIP, Hostname and so on.")]
    address: Annotated[str, Schema(description="The address.")]


class RebootStatus(Model):
    """A reboot of the host for this DPU."""

    phase: Annotated[str | None, Schema(enum=tuple(RebootPhase), description="Where it is.")] = None
    method: Annotated[str | None, Schema(enum=tuple(provisioning.RebootMethod), description="What restarts.")] = None
    reason: Annotated[str | None, Schema(description="Why it is where it is, one word.")] = None
    message: Annotated[str | None, Schema(description="Details for people.")] = None
    lastTransitionTime: Annotated[
        str | None, Schema(format="date-time", description="When the phase changed last.")
    ] = None


class DPUStatus(Model):
    """What was observed."""

    phase: Annotated[
        str, Schema(enum=tuple(Phase), default=Phase.INITIALIZING, required=False, description="Where it is.")
    ] = Phase.INITIALIZING
    previousPhase: Annotated[str | None, Schema(enum=tuple(Phase), description="The last other phase.")] = None
    outdated: Annotated[Outdated | None, Schema(description="Present: it differs from its DPUSet's template.")] = None
    conditions: provisioning.Conditions = None
    operationalConditions: Annotated[
        provisioning.ConditionMap, Schema(description="Whether the installed DPU works.")
    ] = None
    observedGeneration: provisioning.ObservedGeneration = None
    bfbFile: Annotated[str | None, Schema(description="File of the bundle.")] = None
    bfCFGFile: Annotated[str | None, Schema(description="File with its configuration of the installation.")] = None
    bfbVersion: Annotated[str | None, Schema(description="Version of the bundle.")] = None
    pciDevice: Annotated[str | None, Schema(description="PCI device as the host sees it.")] = None
    dpfVersion: Annotated[str | None, Schema(description="Version of the platform that installed it.")] = None
    requiredReset: Annotated[bool | None, Schema(description="A reset is pending.")] = None
    firmware: Annotated[Firmware | None, Schema(description="Firmware versions.")] = None
    addresses: Annotated[list[Address] | None, Schema(description="Addresses of its Node.")] = None
    dpuInstallInterface: Annotated[
        str | None,
        Schema(enum=tuple(provisioning.InstallInterface), description="The way in which it is installed."),
    ] = None
    postProvisioningNodeEffect: Annotated[
        bool | None, Schema(description="The effect on the host is for a change of labels.")
    ] = None
    hostless: Annotated[bool | None, Schema(description="Its DPUNode stands for no host.")] = None
    dpuType: Annotated[
        str,
        Schema(enum=tuple(provisioning.DPUType), default=provisioning.DPUType.UNKNOWN, required=False,
               description="Hardware."),
    ] = provisioning.DPUType.UNKNOWN
    dpuMode: Annotated[
        str,
        Schema(enum=tuple(provisioning.DPUMode), default=provisioning.DPUMode.DPU, required=False,
               description="What it does for its host."),
    ] = provisioning.DPUMode.DPU
    deploymentMode: Annotated[
        str | None, Schema(enum=tuple(DeploymentMode), description="Trust in the host, from the DPFOperatorConfig.")
    ] = None
    secureBoot: Annotated[provisioning.SecureBootStatus | None, Schema(description="UEFI Secure Boot.")] = None
    redfishTaskId: Annotated[str | None, Schema(description="Task of the BMC that is waited for.")] = None
    agentLastStartupTime: Annotated[
        str | None, Schema(format="date-time", description="Start of the agent that was acted on last.")
    ] = None
    identityMode: Annotated[
        str | None, Schema(enum=tuple(IdentityMode), description="How the agent proves who it is.")
    ] = None
    rebootStatus: Annotated[RebootStatus | None, Schema(description="A reboot of the host for this DPU.")] = None
    agentStatus: Annotated[AgentStatus | None, Schema(description="What the DPU reports about itself.")] = None


ROOT_RULES = (
    provisioning.once_set(".spec.dpuNodeName"),
    provisioning.once_set(".spec.dpuDeviceName"),
    provisioning.once_set(".spec.serialNumber"),
    provisioning.once_set(".spec.dpuFlavor"),
    provisioning.once_set(".spec.nodeName"),
    provisioning.once_set(".spec.cluster.name"),
    provisioning.once_set(".spec.cluster.namespace"),
    provisioning.once_set(".spec.secureBoot"),
    provisioning.once_set(".status.dpfVersion"),
    provisioning.once_set(
        ".status.identityMode", "identityMode is immutable once set: can only transition from unset to a value"
    ),
)


class DPU(Object):
    """One device with the software that it gets and the state of its installation."""

    resource: ClassVar[Resource] = Resource(provisioning.GROUP, provisioning.VERSION, "DPU", "dpus")
    crd: ClassVar[CRD] = CRD(
        columns=(
            Column(name="Ready", path=READY_STATUS),
            Column(name="Operational",
                   path=".status.operationalConditions[?(@.type=='OperationalReady')].status"),
            Column(name="Phase", path=".status.phase"),
            AGE,
        ),
        rules=ROOT_RULES,
    )
    spec: Annotated[
        DPUSpec | None,
        Schema(rules=(Rule(
            rule="has(self.bfb) != has(self.blueFieldSoftware)",
            message="exactly one of bfb or blueFieldSoftware must be set",
        ),)),
    ] = None
    status: Annotated[DPUStatus, Schema(default={"phase": Phase.INITIALIZING})] = DPUStatus()
