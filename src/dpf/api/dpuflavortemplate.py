"""provisioning.dpu.nvidia.com/v1alpha1 DPUFlavorTemplate: a DPUFlavor with gaps that each device fills (section 7)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from dpf.api import provisioning
from dpf.api.meta import Model, Object, Resource
from dpf.api.schema import CRD, Schema


class DPUFlavorTemplateSpec(Model):
    """The template, and what is the same for every device."""

    template: Annotated[
        str,
        Schema(min_length=1, description="DPUFlavor in YAML as a Go text/template over the device's `spec.values`."),
    ]
    dpuResources: Annotated[
        provisioning.ResourceList | None, Schema(description="What a DPU must have; stands above the template.")
    ] = None
    systemReservedResources: Annotated[
        provisioning.ResourceList | None,
        Schema(description="The part of dpuResources that services do not get; stands above the template."),
    ] = None


class DPUFlavorTemplate(Object):
    """A DPUFlavor with gaps, from which each device gets a flavor of its own."""

    resource: ClassVar[Resource] = Resource(
        provisioning.GROUP, provisioning.VERSION, "DPUFlavorTemplate", "dpuflavortemplates"
    )
    crd: ClassVar[CRD] = CRD(status_subresource=False)
    spec: DPUFlavorTemplateSpec | None = None
