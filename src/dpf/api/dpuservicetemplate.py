"""svc.dpu.nvidia.com/v1alpha1 DPUServiceTemplate: what the author of a service says about it (api-svc.md section 3)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from dpf.api.dpuservice import HelmChart, Security
from dpf.api.meta import Condition, Model, Object, Resource
from dpf.api.schema import CRD, Quantity, Schema

DeploymentServiceName = Annotated[
    str, Schema(min_length=1, max_length=28, description="Key of the service in DPUDeployment.spec.services.")
]


class ConditionType(StrEnum):
    """Conditions of a DPUServiceTemplate, in the order in which they are written."""

    READY = "Ready"
    """All of the others hold."""
    DPU_SERVICE_TEMPLATE_RECONCILED = "DPUServiceTemplateReconciled"
    """The chart was read and its version constraints are in the status."""


class DPUServiceTemplateSpec(Model):
    """The chart of a service and what it needs on a DPU."""

    deploymentServiceName: DeploymentServiceName
    helmChart: Annotated[HelmChart, Schema(description="Chart of the service, with the author's values.")]
    resourceRequirements: Annotated[
        dict[str, Quantity] | None, Schema(description="What the service takes of each DPU node.")
    ] = None
    security: Annotated[Security | None, Schema(description="Security settings of the service.")] = None


class DPUServiceTemplateStatus(Model):
    """What was observed."""

    conditions: list[Condition] | None = None
    observedGeneration: Annotated[
        int | None, Schema(format="int64", description="Generation that the conditions are about.")
    ] = None
    versions: Annotated[
        dict[str, str] | None, Schema(description="Version constraints that the chart states, by annotation.")
    ] = None
    sourceDigest: Annotated[
        str | None, Schema(description="Digest of the spec.helmChart.source that `versions` were read from.")
    ] = None


class DPUServiceTemplate(Object):
    """The author's half of a service that DPUDeployments use: its chart and its needs."""

    resource: ClassVar[Resource] = Resource(
        "svc.dpu.nvidia.com", "v1alpha1", "DPUServiceTemplate", "dpuservicetemplates"
    )
    crd: ClassVar[CRD] = CRD()
    spec: DPUServiceTemplateSpec | None = None
    status: DPUServiceTemplateStatus = DPUServiceTemplateStatus()
