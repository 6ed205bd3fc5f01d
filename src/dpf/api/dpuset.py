"""provisioning.dpu.nvidia.com/v1alpha1 DPUSet: the same software on every selected DPU (api-provisioning.md section 4).

Objects of every release load (section 14): `nodeSelector` is another name of `dpuNodeSelector`, the strategy `Recreate`
of `OnDelete`, and `automaticNodeReboot` is accepted and not used. An absent `nodeEffect` stays absent (resolutions.md
row 3).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final

import msgspec

from dpf.api import names, provisioning
from dpf.api.meta import LabelSelector, Model, Object, Resource
from dpf.api.schema import AGE, CRD, READY_STATUS, Column, Rule, Schema, name_length_rule

IntOrString = Annotated[int | str, Schema(int_or_string=True)]


class ConditionType(StrEnum):
    """Conditions of a DPUSet, in the order in which they are written."""

    READY = "Ready"
    """The prerequisites hold and every DPU is Ready."""
    DPUSET_PREREQS_RECONCILED = "DPUSetPrereqsReconciled"
    """There is one DPU for each selected device, and none for another."""


class StrategyType(StrEnum):
    """How DPUs get a changed template."""

    ON_DELETE = "OnDelete"
    """When somebody deletes the DPU."""
    ROLLING_UPDATE = "RollingUpdate"
    """By themselves, some at a time."""
    RECREATE = "Recreate"
    """The old name of OnDelete."""


class RollingUpdate(Model):
    """Pace of a rolling update."""

    maxUnavailable: Annotated[
        IntOrString | None,
        Schema(description="How many DPUs may be out of service at a time, as a number or in percent."),
    ] = None


MAX_UNAVAILABLE_PERCENT: Final = (
    "the value range of maxUnavailable must be greater than 0% and less than or equal to 100%"
)
MAX_UNAVAILABLE_NUMBER: Final = "the value range of maxUnavailable must be greater 0"
_MAX_UNAVAILABLE: Final = "self.rollingUpdate.maxUnavailable"
_NOT_ROLLING: Final = (
    "self.type != 'RollingUpdate' || !has(self.rollingUpdate) || !has(self.rollingUpdate.maxUnavailable)"
)


class Strategy(Model):
    """How DPUs get a changed template."""

    schema: ClassVar[Schema] = Schema(rules=(
        Rule(
            rule=f"{_NOT_ROLLING} || type({_MAX_UNAVAILABLE}) != string || "
                 f"{_MAX_UNAVAILABLE}.matches('^0*([1-9][0-9]?|100)%$')",
            message=MAX_UNAVAILABLE_PERCENT,
        ),
        Rule(
            rule=f"{_NOT_ROLLING} || type({_MAX_UNAVAILABLE}) != int || {_MAX_UNAVAILABLE} > 0",
            message=MAX_UNAVAILABLE_NUMBER,
        ),
    ))

    type: Annotated[
        str,
        Schema(enum=tuple(StrategyType), default=StrategyType.ON_DELETE, required=False,
               description="When a DPU gets a changed template."),
    ] = StrategyType.ON_DELETE
    rollingUpdate: Annotated[RollingUpdate | None, Schema(description="Pace of a rolling update.")] = None


class BFBReference(Model):
    """A BFB of the same namespace."""

    schema: ClassVar[Schema] = Schema(rules=(
        Rule(rule="has(self.name) && self.name != ''", message="bfb.name must be non-empty"),
    ))

    name: Annotated[str, Schema(required=False, description="Name of the BFB.")] = ""


class BlueFieldSoftwareReference(Model):
    """A BlueFieldSoftware of the same namespace."""

    name: Annotated[str, Schema(min_length=1, description="Name of the BlueFieldSoftware.")]


class DPUTemplateSpec(Model):
    """What every DPU of the set gets."""

    bfb: Annotated[BFBReference | None, Schema(description="Software bundle to install.")] = None
    blueFieldSoftware: Annotated[
        BlueFieldSoftwareReference | None, Schema(description="Software to install (BlueField-4).")
    ] = None
    dpuFlavor: Annotated[str | None, Schema(min_length=1, description="DPUFlavor of the same namespace.")] = None
    dpuFlavorTemplate: Annotated[
        str | None, Schema(min_length=1, description="DPUFlavorTemplate from which each device gets its own flavor.")
    ] = None
    nodeEffect: Annotated[
        provisioning.NodeEffect | None,
        Schema(description="What happens to the host meanwhile; absent: drain in Kubernetes, else hold."),
    ] = None
    cluster: Annotated[
        provisioning.ClusterTemplate | None, Schema(description="How the DPU joins a DPU cluster.")
    ] = None
    automaticNodeReboot: Annotated[bool | None, Schema(description="Accepted from older objects, not used.")] = None
    astraEnabled: Annotated[bool | None, Schema(description="Configure the east-west cards too.")] = None
    secureBoot: Annotated[bool | None, Schema(description="Whether UEFI Secure Boot is wanted.")] = None


_POWER_CYCLE: Final = f"self.annotations['{names.HOST_POWER_CYCLE_REQUIRED_ANNOTATION}']"


class DPUTemplate(Model):
    """What every DPU of the set is made from."""

    # The rules about `spec` stand here because they also refuse a template without one.
    schema: ClassVar[Schema] = Schema(rules=(
        Rule(rule="has(self.spec) && has(self.spec.bfb) != has(self.spec.blueFieldSoftware)",
             message="exactly one of bfb or blueFieldSoftware must be set", field_path=".spec"),
        Rule(rule="has(self.spec) && has(self.spec.dpuFlavor) != has(self.spec.dpuFlavorTemplate)",
             message="exactly one of dpuFlavor or dpuFlavorTemplate must be set", field_path=".spec"),
        Rule(
            rule=f"!has(self.annotations) || !('{names.HOST_POWER_CYCLE_REQUIRED_ANNOTATION}' in self.annotations) || "
                 f"{_POWER_CYCLE} in ['1', 't', 'T', 'true', 'TRUE', 'True', '0', 'f', 'F', 'false', 'FALSE', 'False']",
            message_expression=f"'invalid value \"' + {_POWER_CYCLE} + '\" for "
                               f"\"{names.HOST_POWER_CYCLE_REQUIRED_ANNOTATION}\"'",
            field_path=".annotations",
        ),
    ))

    annotations: Annotated[dict[str, str] | None, Schema(description="Annotations of the DPUs.")] = None
    spec: Annotated[DPUTemplateSpec, Schema(description="What every DPU gets.")] = DPUTemplateSpec()


class DPUSetSpec(Model):
    """Which DPUs, and what they get."""

    strategy: Annotated[
        Strategy, Schema(default={"type": StrategyType.ON_DELETE}, description="How DPUs get a changed template.")
    ] = Strategy()
    nodeSelector: Annotated[LabelSelector | None, Schema(description="Old name of dpuNodeSelector.")] = None
    dpuNodeSelector: Annotated[
        LabelSelector | None, Schema(description="DPUNodes whose DPUs are meant; absent means all.")
    ] = None
    dpuSelector: Annotated[
        dict[str, str] | None, Schema(description="Deprecated: labels of the DPUDevices that are meant.")
    ] = None
    dpuDeviceSelector: Annotated[
        LabelSelector | None, Schema(description="DPUDevices that are meant; absent means all of a DPUNode.")
    ] = None
    dpuTemplate: Annotated[
        DPUTemplate, Schema(required=True, description="What every DPU is made from.")
    ] = msgspec.field(default_factory=DPUTemplate)


SPEC_RULES: Final = (
    Rule(rule="!(has(self.dpuSelector) && has(self.dpuDeviceSelector))",
         message="only one of dpuSelector or dpuDeviceSelector can be specified"),
    Rule(rule="!(has(self.nodeSelector) && has(self.dpuNodeSelector))",
         message="only one of nodeSelector or dpuNodeSelector can be specified"),
)


class DPUSetStatus(Model):
    """What was observed."""

    dpuStatistics: Annotated[dict[str, int] | None, Schema(description="How many DPUs are in which phase.")] = None
    conditions: provisioning.Conditions = None
    observedGeneration: provisioning.ObservedGeneration = None


class DPUSet(Object):
    """The same software and settings on every selected DPU."""

    resource: ClassVar[Resource] = Resource(provisioning.GROUP, provisioning.VERSION, "DPUSet", "dpusets")
    crd: ClassVar[CRD] = CRD(columns=(Column(name="Ready", path=READY_STATUS), AGE), rules=(name_length_rule(63),))
    spec: Annotated[DPUSetSpec | None, Schema(rules=SPEC_RULES)] = None
    status: DPUSetStatus = DPUSetStatus()
