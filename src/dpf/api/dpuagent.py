"""What the agent on a DPU reports, in `status.agentStatus` of its DPU object (api-provisioning.md section 3)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from dpf.api import provisioning
from dpf.api.meta import Model
from dpf.api.schema import Rule, Schema


class ConditionType(StrEnum):
    """Conditions that the agent reports."""

    NV_CONFIG_APPLIED = "NVConfigApplied"
    """The firmware settings of the flavor are written."""
    SPIRE_WORKLOAD_ATTESTOR_ENABLED = "SPIREWorkloadAttestorEnabled"
    """The DPU can vouch for the identity of its pods."""
    READY_FOR_REBOOT = "ReadyForReboot"
    """Nothing on the DPU speaks against a reboot."""
    REBOOT_METHOD_DISCOVERY = "RebootMethodDiscovery"
    """It is known what has to restart."""
    EW_NIC_FIRMWARE_INSTALLED = "EWNicFirmwareInstalled"
    """The east-west card has its firmware."""
    EW_NIC_NV_CONFIG_APPLIED = "EWNICNVConfigApplied"
    """The firmware settings of the east-west card are written."""
    EW_NIC_CONFIGURED = "EWNICConfigured"
    """The east-west card is set up."""


class PendingNVConfigEntry(Model):
    """A firmware setting that differs after the next boot."""

    name: Annotated[str | None, Schema(description="Name of the setting.")] = None
    default: Annotated[str | None, Schema(description="Value of the factory.")] = None
    current: Annotated[str | None, Schema(description="Value in use.")] = None
    next_boot: Annotated[str | None, Schema(description="Value after the next boot.")] = None


class PendingNVConfigDevice(Model):
    """Firmware settings of one device that differ after the next boot."""

    entries: Annotated[list[PendingNVConfigEntry], Schema(description="The settings.")]
    device: Annotated[str | None, Schema(description="The device.")] = None


class PendingNVConfig(Model):
    """Firmware settings that differ after the next boot."""

    bootID: Annotated[str | None, Schema(description="Boot in which they were read.")] = None
    devices: Annotated[list[PendingNVConfigDevice] | None, Schema(description="The devices.")] = None


class PreInstall(Model):
    """What the agent reports before the installation."""

    agentReported: Annotated[
        str | None, Schema(format="date-time", description="When the agent reported for the first time.")
    ] = None
    conditions: Annotated[provisioning.ConditionMap, Schema(description="Conditions before the installation.")] = None


class Clock(Model):
    """The DPU's clock beside the host cluster's, both read at the same moment."""

    dpuTime: Annotated[str, Schema(format="date-time", description="Clock of the DPU.")]
    hostTime: Annotated[str, Schema(format="date-time", description="Clock of the host cluster.")]


class SPIFFEProbe(Model):
    """The last attempt to get an identity."""

    lastProbeTime: Annotated[str | None, Schema(format="date-time", description="When.")] = None
    lastProbeMessage: Annotated[str | None, Schema(max_length=256, description="How it went.")] = None


class HostOSInitSkipped(Model):
    """The host was released without waiting."""

    reason: Annotated[str | None, Schema(description="Why, one word.")] = None
    message: Annotated[str | None, Schema(description="Details for people.")] = None


class HostOSInitSucceeded(Model):
    """The host was released after waiting."""

    gate: Annotated[str | None, Schema(description="What was waited for.")] = None


class HostOSInit(Model):
    """How the host was allowed to start."""

    schema: ClassVar[Schema] = Schema(rules=(Rule(
        rule="has(self.skipped) != has(self.succeeded)", message="exactly one of skipped or succeeded must be set"
    ),))

    skipped: Annotated[HostOSInitSkipped | None, Schema(description="Without waiting.")] = None
    succeeded: Annotated[HostOSInitSucceeded | None, Schema(description="After waiting.")] = None


class AgentStatus(Model):
    """What the DPU reports about itself."""

    lastStartupTime: Annotated[str | None, Schema(format="date-time", description="When the agent started.")] = None
    initialBootID: Annotated[str | None, Schema(description="Boot in which the agent reported first.")] = None
    rebootMethod: Annotated[
        str | None, Schema(enum=tuple(provisioning.RebootMethod), description="What has to restart.")
    ] = None
    lastObservedPendingNvconfig: Annotated[
        PendingNVConfig | None, Schema(description="Firmware settings that differ after the next boot.")
    ] = None
    rebootSequenceCount: Annotated[
        int | None, Schema(format="int32", minimum=0, description="How many reboots the installation took.")
    ] = None
    kubeletVersion: Annotated[str | None, Schema(description="Version of its kubelet.")] = None
    preInstall: Annotated[PreInstall | None, Schema(description="What it reported before the installation.")] = None
    trustBundleHash: Annotated[str | None, Schema(description="Digest of the CAs that it trusts.")] = None
    trustBundleLastUpdateTime: Annotated[
        str | None, Schema(format="date-time", description="When the CAs changed last.")
    ] = None
    clock: Annotated[Clock | None, Schema(description="Its clock beside the host cluster's.")] = None
    conditions: Annotated[provisioning.Conditions, Schema(description="What it has done.")] = None
    spiffe: Annotated[SPIFFEProbe | None, Schema(description="Its last attempt to get an identity.")] = None
    hostOSInit: Annotated[HostOSInit | None, Schema(description="How the host was allowed to start.")] = None
