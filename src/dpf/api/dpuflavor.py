"""provisioning.dpu.nvidia.com/v1alpha1 DPUFlavor: settings of an installed DPU (api-provisioning.md section 6).

Every field is optional. The fields that decide about the installation are immutable one by one (resolutions.md row 14).
The network settings and the lists of functions are in `dpuflavornetwork`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from dpf.api import provisioning
from dpf.api.dpuflavornetwork import (
    UNIQUE_PORT_RULES,
    EWNICConfiguration,
    HostNetworkInterfaceConfig,
    ScalableFunctions,
    VirtualFunctions,
)
from dpf.api.meta import Model, Object, Resource
from dpf.api.schema import CRD, Rule, Schema

ResourceList = provisioning.ResourceList


class FileOperation(StrEnum):
    """How a file is written."""

    OVERRIDE = "override"
    APPEND = "append"


class FileType(StrEnum):
    """When a file is written."""

    CLOUD_INIT = "cloud-init"
    """At the first boot; what an absent type means."""
    AGENT_APPLIED = "agent-applied"
    """By the agent on the DPU, also later."""


class ServiceReadinessGate(StrEnum):
    """What an installation waits for before the host is released."""

    DPU_SERVICE_CRITICAL_PODS_READY = "DPUServiceCriticalPodsReady"
    OPERATIONAL_READY = "OperationalReady"


class Grub(Model):
    """Boot loader."""

    kernelParameters: Annotated[list[str] | None, Schema(description="Parameters of the kernel.")] = None


class Sysctl(Model):
    """Kernel settings."""

    parameters: Annotated[list[str] | None, Schema(description="Lines key=value.")] = None


class NVConfig(Model):
    """Firmware settings of one port, or of all."""

    device: Annotated[
        str | None, Schema(enum=("*", "p0", "p1", "P0", "P1"), description="Port; absent or * means all.")
    ] = None
    parameters: Annotated[
        list[Annotated[str, Schema(max_length=200, pattern=r"^[^=\s]+=[^\s]*$")]] | None,
        Schema(min_items=1, max_items=64, description="Settings KEY=VALUE."),
    ] = None
    hostPowerCycleRequired: Annotated[bool | None, Schema(description="Accepted from older objects, not used.")] = None
    force: Annotated[bool | None, Schema(description="Set it although the firmware objects.")] = None


class OVS(Model):
    """Open vSwitch."""

    rawConfigScript: Annotated[str | None, Schema(description="Shell script that runs once for each boot.")] = None


class ConfigMapKeyRef(Model):
    """A key of a ConfigMap."""

    key: Annotated[str, Schema(description="Key of the ConfigMap.")]
    name: Annotated[str | None, Schema(description="Name of the ConfigMap.")] = None
    optional: Annotated[bool | None, Schema(description="It may be missing.")] = None


class ContentFrom(Model):
    """Content that is kept elsewhere."""

    configMapKeyRef: Annotated[ConfigMapKeyRef | None, Schema(description="Key of a ConfigMap.")] = None


class ConfigFile(Model):
    """A file on the DPU."""

    schema: ClassVar[Schema] = Schema(rules=(
        Rule(rule="has(self.raw) != has(self.contentFrom)",
             message="exactly one of raw or contentFrom must be specified"),
        Rule(rule="!has(self.contentFrom) || has(self.contentFrom.configMapKeyRef)",
             message="contentFrom.configMapKeyRef must be specified"),
        Rule(rule="!has(self.type) || self.type != 'cloud-init' || !has(self.contentFrom)",
             message="type cloud-init supports raw only"),
        Rule(rule="!has(self.type) || self.type != 'agent-applied' || !has(self.raw)",
             message="type agent-applied supports contentFrom only"),
        Rule(rule="has(self.type) || !has(self.contentFrom)",
             message="type defaults to cloud-init, which requires raw content"),
    ))

    path: Annotated[str, Schema(required=True, description="Absolute path on the DPU.")] = ""
    operation: Annotated[
        str | None, Schema(enum=tuple(FileOperation), description="Replace the file or append to it.")
    ] = None
    type: Annotated[
        str | None, Schema(enum=tuple(FileType), description="When it is written; absent means cloud-init.")
    ] = None
    raw: Annotated[str | None, Schema(description="Content.")] = None
    contentFrom: Annotated[ContentFrom | None, Schema(description="Where the content is.")] = None
    permissions: Annotated[str | None, Schema(description="Mode, e.g. 0644.")] = None


class PackageVersion(Model):
    """Wanted version of a package."""

    value: Annotated[str, Schema(min_length=1, description="Version.")]
    matchPolicy: Annotated[
        str,
        Schema(enum=("Exact", "AtLeast"), default="AtLeast", required=False,
               description="Whether a newer version will do."),
    ] = "AtLeast"


class Package(Model):
    """A package of the operating system."""

    name: Annotated[str, Schema(min_length=1, max_length=253, description="Name of the package.")]
    version: Annotated[PackageVersion | None, Schema(description="Wanted version; absent means any.")] = None
    repoFileRef: Annotated[object, Schema(preserve_unknown=True, description="Where the package comes from.")] = None


class SystemdService(Model):
    """A systemd unit."""

    name: Annotated[str, Schema(min_length=1, max_length=253, description="Name of the unit.")]
    operation: Annotated[
        str, Schema(enum=("Start", "Enable", "EnableAndStart"), description="What is done with it.")
    ]


class ContainerdConfig(Model):
    """Container runtime."""

    registryEndpoint: Annotated[str | None, Schema(description="Registry that images come from.")] = None


class ServiceReadiness(Model):
    """What an installation waits for at its end."""

    gate: Annotated[
        str | None, Schema(enum=tuple(ServiceReadinessGate), description="Condition of the DPU; absent means none.")
    ] = None


class DMA(Model):
    """Direct memory access for storage (BlueField-4)."""

    enabled: Annotated[bool | None, Schema(description="Whether it is on.")] = None


NVCONFIG_RULES: Final = (
    Rule(rule="self.size() <= 1 || !self.exists(c, has(c.device) && c.device == '*')",
         message="when device is '*', it must be the only nvconfig entry"),
    Rule(rule="self.size() <= 1 || self.all(c, has(c.device))",
         message="when device is unspecified (defaults to '*'), it must be the only nvconfig entry"),
    Rule(rule="self.filter(c, !has(c.device) || c.device == '*').size() <= 1 && "
              "self.filter(c, has(c.device) && c.device in ['p0', 'P0']).size() <= 1 && "
              "self.filter(c, has(c.device) && c.device in ['p1', 'P1']).size() <= 1",
         message="each nvconfig.device (including unspecified as '*') must be unique (case-insensitive)"),
)


class DPUFlavorSpec(Model):
    """How the DPU is set up."""

    schema: ClassVar[Schema] = Schema(rules=(Rule(
        rule="!has(self.systemReservedResources) || self.systemReservedResources.size() == 0 || "
             "(has(self.dpuResources) && self.dpuResources.size() > 0)",
        message="resources are misconfigured: spec.systemReservedResources must not be specified if spec.dpuResources "
                "are not specified",
    ),))

    grub: Annotated[Grub | None, Schema(description="Boot loader.")] = None
    sysctl: Annotated[Sysctl | None, Schema(description="Kernel settings.")] = None
    nvconfig: Annotated[
        list[NVConfig] | None,
        Schema(list_type="atomic", max_items=3, rules=NVCONFIG_RULES, description="Firmware settings."),
    ] = None
    ovs: Annotated[OVS | None, Schema(description="Open vSwitch.")] = None
    bfcfgParameters: Annotated[list[str] | None, Schema(description="Lines of bf.cfg.")] = None
    configFiles: Annotated[list[ConfigFile] | None, Schema(description="Files on the DPU.")] = None
    packages: Annotated[
        list[Package] | None,
        Schema(
            max_items=64, description="Packages to install.",
            rules=(Rule(rule="self.all(a, self.exists_one(b, a.name == b.name))",
                        message="package names must be unique"),),
        ),
    ] = None
    systemdServices: Annotated[
        list[SystemdService] | None,
        Schema(
            max_items=64, description="Units to start or enable.",
            rules=(Rule(rule="self.all(a, self.exists_one(b, a.name == b.name))",
                        message="systemd service names must be unique"),),
        ),
    ] = None
    containerdConfig: Annotated[ContainerdConfig | None, Schema(description="Container runtime.")] = None
    dpuResources: Annotated[
        ResourceList | None, Schema(description="What a DPU must have: for the system and for services.")
    ] = None
    systemReservedResources: Annotated[
        ResourceList | None, Schema(description="The part of dpuResources that services do not get.")
    ] = None
    dpuMode: Annotated[
        str | None, Schema(enum=tuple(provisioning.DPUMode), description="Deprecated. What the DPU does for its host.")
    ] = None
    hostNetworkInterfaceConfigs: Annotated[
        list[HostNetworkInterfaceConfig] | None,
        Schema(rules=UNIQUE_PORT_RULES, description="Ports as the host uses them."),
    ] = None
    ewNicConfigurations: Annotated[
        list[EWNICConfiguration] | None,
        Schema(list_type="atomic", max_items=16, description="East-west network cards; only the first counts."),
    ] = None
    serviceReadiness: Annotated[
        ServiceReadiness | None, Schema(description="What an installation waits for at its end.")
    ] = None
    scalableFunctions: Annotated[
        list[ScalableFunctions] | None,
        Schema(list_type="atomic", max_items=16, description="Scalable functions to make."),
    ] = None
    virtualFunctions: Annotated[
        list[VirtualFunctions] | None,
        Schema(list_type="atomic", max_items=16, description="Virtual functions to make."),
    ] = None
    dma: Annotated[DMA | None, Schema(description="Direct memory access for storage.")] = None


def _immutable(field: str) -> Rule:
    return provisioning.never_changed(f".spec.{field}", f"{field} is immutable")


_IS_CLOUD_INIT: Final = "!has(f.type) || f.type == 'cloud-init'"


def _cloud_init_files(root: str) -> str:
    return (f"({provisioning.has_path(root, '.spec.configFiles')} ? "
            f"{root}.spec.configFiles.filter(f, {_IS_CLOUD_INIT}) : [])")


IMMUTABLE_RULES: Final = (
    _immutable("dpuMode"),
    _immutable("bfcfgParameters"),
    _immutable("dpuResources"),
    _immutable("systemReservedResources"),
    _immutable("hostNetworkInterfaceConfigs"),
    Rule(
        rule=f"{_cloud_init_files('oldSelf')} == {_cloud_init_files('self')}",
        message="configFiles with type cloud-init (the default) are immutable",
        field_path=".spec.configFiles",
    ),
)


class DPUFlavor(Object):
    """Settings of a DPU that stand before its installation: firmware, boot, files, resources."""

    resource: ClassVar[Resource] = Resource(provisioning.GROUP, provisioning.VERSION, "DPUFlavor", "dpuflavors")
    crd: ClassVar[CRD] = CRD(rules=IMMUTABLE_RULES, status_subresource=False)
    spec: DPUFlavorSpec | None = None
