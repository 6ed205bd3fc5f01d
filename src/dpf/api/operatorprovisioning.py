"""Settings of the provisioning controller in a DPFOperatorConfig (api-provisioning.md section 13.3).

Durations are Go durations as strings. Where the sheet gives a default "in code", the schema has none.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from dpf.api.meta import FreeForm, Model
from dpf.api.operatorcomponents import Container, Disable, OldImage, Replicas, either_image_rule
from dpf.api.schema import Rule, Schema

DURATION_PATTERN: Final = "^([0-9]+(h|m|s|ms|us|µs|ns))+$"
_URL_PATTERN: Final = "^https?://"

Duration = Annotated[str, Schema(format="duration", pattern=DURATION_PATTERN)]
Port = Annotated[int, Schema(minimum=1, maximum=65535)]


class BFBRegistry(Model):
    """Deprecated: see `registry` of the controller."""

    disable: Disable = None
    port: Annotated[Port | None, Schema(description="Port of the registry.")] = None


class InstallViaRedfish(Model):
    """Install through the BMC of the DPU."""

    bfbRegistryAddress: Annotated[
        str | None, Schema(min_length=1, description="Deprecated: see `registry` of the controller.")
    ] = None
    bfbRegistry: BFBRegistry | None = None
    skipDPUNodeDiscovery: Annotated[
        bool, Schema(default=True, description="Do not make DPUNodes for the DPUs that a scan finds.")
    ] = True
    discoveredDPUDeviceBMCFactoryResetPolicy: Annotated[
        str | None,
        Schema(enum=("OnInitialization", "Never"), description="Whether a DPU that a scan finds gets its BMC reset."),
    ] = None


class InstallInterface(Model):
    """The way DPUs are installed."""

    schema: ClassVar[Schema] = Schema(rules=(Rule(
        rule="has(self.installViaRedfish) != (has(self.installViaHostAgent) || has(self.installViaGNOI))",
        message="exactly one of installViaHostAgent, installViaGNOI or installViaRedfish must be set",
    ),))

    installViaGNOI: Annotated[FreeForm | None, Schema(description="Deprecated name of installViaHostAgent.")] = None
    installViaHostAgent: Annotated[FreeForm | None, Schema(description="Install by an agent on the host.")] = None
    installViaRedfish: InstallViaRedfish | None = None


class Registry(Model):
    """Where DPUs fetch their software."""

    address: Annotated[
        str | None, Schema(pattern=_URL_PATTERN, description="Deprecated: set loadBalancerAddress.")
    ] = None
    port: Annotated[Port | None, Schema(description="Deprecated: set loadBalancerAddress.")] = None
    loadBalancerAddress: Annotated[
        str | None, Schema(pattern=_URL_PATTERN, description="Address in front of the registry's pods.")
    ] = None


class ProvisioningController(Model):
    """Controller that installs DPUs; on by default."""

    schema: ClassVar[Schema] = Schema(rules=(
        either_image_rule("controller"),
        Rule(
            rule="!has(self.bfCFGTemplateConfigMap) || !self.?enableDynamicBFCFGTemplates.orValue(false)",
            message="bfCFGTemplateConfigMap and enableDynamicBFCFGTemplates are mutually exclusive",
        ),
    ))

    disable: Disable = None
    replicas: Replicas = 2
    image: OldImage = None
    controller: Container | None = None
    bfbPVCName: Annotated[
        str | None, Schema(min_length=1, description="Volume claim for BFBs; absent means a folder of the node.")
    ] = None
    dmsTimeout: Annotated[int | None, Schema(minimum=1, description="Seconds that one DMS call may take.")] = None
    bfCFGTemplateConfigMap: Annotated[
        str | None, Schema(description="Deprecated: ConfigMap with the template of bf.cfg.")
    ] = None
    enableDynamicBFCFGTemplates: Annotated[
        bool | None, Schema(description="Choose the template of bf.cfg for each DPU.")
    ] = None
    customCASecretName: Annotated[str | None, Schema(description="Secret with a CA that DPUs trust.")] = None
    installInterface: InstallInterface | None = None
    registry: Registry | None = None
    maxDPUParallelInstallations: Annotated[
        int, Schema(format="int32", minimum=1, default=50, description="DPUs that are installed at the same time.")
    ] = 50
    multiDPUOperationsSyncWaitTime: Annotated[
        Duration, Schema(default="30s", description="How long to wait for the other DPUs of a host.")
    ] = "30s"
    maxUnavailableDPUNodes: Annotated[
        int, Schema(format="int32", minimum=1, default=50, description="Hosts that may be out of service at once.")
    ] = 50
    osInstallRetries: Annotated[
        int | None, Schema(format="int32", minimum=1, description="Attempts to install a DPU; absent means 2.")
    ] = None
    osInstallTimeout: Annotated[
        Duration | None, Schema(description="Time for one installation; absent means 60m.")
    ] = None
    firmwareUpdateTimeout: Annotated[
        Duration | None, Schema(description="Time for a firmware update; absent means 45m.")
    ] = None
    preInstallAgentRegistrationTimeout: Annotated[
        Duration, Schema(default="30s", description="Time for the agent to report before an installation.")
    ] = "30s"
    nodeEffectRemovalTimeout: Annotated[
        Duration | None, Schema(description="Time to remove the effect on the host; absent or 0s means no limit.")
    ] = None
    bmcServerCertRenewBefore: Annotated[
        Duration | None, Schema(description="Renew a BMC's certificate so long before it ends; absent means 720h.")
    ] = None
    hostAgentDNSPolicy: Annotated[
        str | None,
        Schema(enum=("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"),
               description="DNS policy of the host agent; absent means ClusterFirstWithHostNet."),
    ] = None
