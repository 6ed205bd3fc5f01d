"""provisioning.dpu.nvidia.com/v1alpha1 DPUNodeMaintenance: an effect on a host, and who asks for it (section 10)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from dpf.api import provisioning
from dpf.api.meta import Model, Object, Resource
from dpf.api.schema import CRD, Schema, name_length_rule


class ConditionType(StrEnum):
    """Conditions of a DPUNodeMaintenance, in the order in which they are written."""

    NODE_EFFECT_APPLIED = "NodeEffectApplied"
    """The effect is on the host."""
    NODE_EFFECT_REMOVED = "NodeEffectRemoved"
    """The effect is off the host again."""


class DPUNodeMaintenanceSpec(Model):
    """Which host, which effect, for whom."""

    dpuNodeName: Annotated[str, Schema(description="Name of the DPUNode.")]
    nodeEffect: Annotated[provisioning.NodeEffect | None, Schema(description="What happens to the host.")] = None
    requestor: Annotated[
        list[str] | None, Schema(description="Who needs the effect; it goes when nobody is left.")
    ] = None


class DPUNodeMaintenanceStatus(Model):
    """What was observed."""

    conditions: provisioning.Conditions = None
    nodeEffectSyncStartTime: Annotated[
        str | None, Schema(format="date-time", description="Since when the other DPUs of the host are waited for.")
    ] = None
    multiDPUOperationsSyncWaitTime: Annotated[
        str | None, Schema(format="duration", description="How long they are waited for.")
    ] = None
    maxUnavailableDPUNodes: Annotated[
        int | None, Schema(format="int32", minimum=1, description="How many hosts may be out of service at a time.")
    ] = None


class DPUNodeMaintenance(Object):
    """An effect on a host while something is done to its DPUs."""

    resource: ClassVar[Resource] = Resource(
        provisioning.GROUP, provisioning.VERSION, "DPUNodeMaintenance", "dpunodemaintenances"
    )
    crd: ClassVar[CRD] = CRD(rules=(name_length_rule(63),))
    spec: DPUNodeMaintenanceSpec | None = None
    status: DPUNodeMaintenanceStatus = DPUNodeMaintenanceStatus()
