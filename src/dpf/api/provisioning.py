"""What several kinds of provisioning.dpu.nvidia.com share (api-provisioning.md sections 0, 3, 4 and 12).

No kind is here. `once_set` and `never_changed` are the rules for immutable fields: they stand at the root of a kind,
because a rule further down is skipped when its field, or the parent of its field, comes or goes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final

import msgspec

from dpf.api import core
from dpf.api.meta import Condition, FreeForm, LabelSelector, Model
from dpf.api.schema import Quantity, Rule, Schema

GROUP: Final = "provisioning.dpu.nvidia.com"
VERSION: Final = "v1alpha1"

VALUE_IMMUTABLE: Final = "Value is immutable"

ResourceList = dict[str, Quantity]
"""Resource name to amount."""

Conditions = Annotated[
    list[Condition] | None, Schema(description="Current state of the object, one entry for each aspect.")
]
ConditionMap = Annotated[list[Condition] | None, Schema(list_type="map", list_map_keys=("type",))]
"""Conditions that the API server merges by type."""

ObservedGeneration = Annotated[
    int | None, Schema(format="int64", description="Generation that the conditions are about.")
]


def once_set(path: str, message: str = VALUE_IMMUTABLE) -> Rule:
    """Root rule: the field at `path`, e.g. `.spec.url`, may be added, and neither changed nor removed afterwards."""
    old, new = has_path("oldSelf", path), has_path("self", path)
    return Rule(rule=f"!({old}) || ({new} && {_unchanged(path)})", message=message, field_path=path)


def never_changed(path: str, message: str) -> Rule:
    """Root rule: the field at `path` keeps what it was created with, also its absence."""
    old, new = has_path("oldSelf", path), has_path("self", path)
    return Rule(rule=f"({old}) == ({new}) && (!({old}) || {_unchanged(path)})", message=message, field_path=path)


def never_removed(path: str, message: str) -> Rule:
    """Root rule: the field at `path` stays once it is there."""
    return Rule(
        rule=f"!({has_path('oldSelf', path)}) || ({has_path('self', path)})", message=message, field_path=path
    )


def has_path(root: str, path: str) -> str:
    """CEL: every part of `path` is there. Optional selection (`.?`) would hide the sizes that bound a rule's cost."""
    parts = _cel_names(path)
    return " && ".join(f"has({'.'.join([root, *parts[:n]])})" for n in range(1, len(parts) + 1))


def _unchanged(path: str) -> str:
    names = ".".join(_cel_names(path))
    return f"self.{names} == oldSelf.{names}"


def _cel_names(path: str) -> list[str]:
    """The parts of `path` as CEL spells them: the API server escapes words that CEL reserves."""
    return ["__namespace__" if part == "namespace" else part for part in path.removeprefix(".").split(".")]


class DPUType(StrEnum):
    """Hardware of a DPU."""

    UNKNOWN = "Unknown"
    BLUEFIELD_2 = "BlueField2"
    BLUEFIELD_3 = "BlueField3"
    BLUEFIELD_4 = "BlueField4"


class DPUMode(StrEnum):
    """What a DPU does for its host."""

    DPU = "dpu"
    """It runs its own system, and the host may manage it."""
    ZERO_TRUST = "zero-trust"
    """It runs its own system, and the host has no access to it."""
    NIC = "nic"
    """It is a plain network card."""


class InstallInterface(StrEnum):
    """The way in which DPUs are installed."""

    GNOI = "gNOI"
    """Deprecated name of hostAgent."""
    HOST_AGENT = "hostAgent"
    """By an agent on the host."""
    REDFISH = "redfish"
    """Through the BMC."""


class RebootMethod(StrEnum):
    """What has to restart so that a DPU runs with its new settings."""

    UNKNOWN = "Unknown"
    NO_ACTION = "NoAction"
    POWER_CYCLE = "PowerCycle"
    SYSTEM_REBOOT = "SystemReboot"
    SYSTEM_LEVEL_RESET = "SystemLevelReset"
    FIRMWARE_RESET = "FirmwareReset"
    DPU_WARM_REBOOT = "DPUWarmReboot"
    HOSTLESS_DPU_REBOOT = "HostlessDPUReboot"


class BMCFactoryResetPolicy(StrEnum):
    """Whether the BMC of a DPU is wiped before its first use."""

    ON_INITIALIZATION = "OnInitialization"
    NEVER = "Never"


class Taint(core.Taint):
    """A taint of a Node."""

    key: Annotated[str, Schema(description="Key of the taint.")]
    effect: Annotated[str, Schema(description="NoSchedule, PreferNoSchedule or NoExecute.")]
    value: Annotated[str | None, Schema(description="Value of the taint.")] = None
    timeAdded: Annotated[str | None, Schema(format="date-time", description="When the taint was added.")] = None


class NodeEffect(Model):
    """What happens to the host while its DPU is installed: exactly one of the actions, and how it is carried out."""

    # By presence: `noEffect: false` is an action that was named (api-provisioning.md section 4, resolutions.md row 23).
    schema: ClassVar[Schema] = Schema(rules=(Rule(
        rule="[has(self.taint), has(self.noEffect), has(self.drain), has(self.customLabel), has(self.customAction), "
             "has(self.hold)].filter(named, named).size() == 1",
        message="only one of taint, noEffect, drain, customLabel, customAction, hold can be set",
    ),))

    taint: Annotated[Taint | None, Schema(description="Put this taint on the Node.")] = None
    noEffect: Annotated[bool | None, Schema(description="Leave the host alone.")] = None
    drain: Annotated[bool | FreeForm | None, Schema(json_type="boolean", description="Drain the Node.")] = None
    customLabel: Annotated[dict[str, str] | None, Schema(description="Put these labels on the Node.")] = None
    customAction: Annotated[str | None, Schema(description="ConfigMap with a pod to run for the host.")] = None
    hold: Annotated[bool | None, Schema(description="Wait until somebody releases the host by annotation.")] = None
    force: Annotated[
        bool,
        Schema(default=False, required=False,
               description="Do not wait for the other DPUs of the host, nor for the limit of unavailable hosts."),
    ] = False
    applyOnLabelChange: Annotated[
        bool,
        Schema(default=False, required=False, description="Also when only the labels of the DPU's Node change."),
    ] = False
    nodeMaintenanceAdditionalRequestors: Annotated[
        list[str] | None, Schema(description="Further requestors of the maintenance of the Node.")
    ] = None

    def __post_init__(self) -> None:
        """An object under `drain`, as 24.10 stored it, reads as true (section 14)."""
        if isinstance(self.drain, dict):
            msgspec.structs.force_setattr(self, "drain", True)


class NodeMetadata(Model):
    """Labels and annotations of a DPU's Node."""

    nodeLabels: Annotated[dict[str, str] | None, Schema(description="Labels of the Node in the DPU cluster.")] = None
    nodeAnnotations: Annotated[
        dict[str, str] | None, Schema(description="Annotations of the Node in the DPU cluster.")
    ] = None


class ClusterTemplate(NodeMetadata):
    """How a DPU joins a DPU cluster."""

    selector: Annotated[
        LabelSelector | None, Schema(description="DPUClusters that the DPU may join; absent means all.")
    ] = None


class SecureBootStatus(Model):
    """UEFI Secure Boot as it was observed."""

    enabled: Annotated[bool | None, Schema(description="Whether it is on.")] = None
