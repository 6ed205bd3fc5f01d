"""Kinds of others with which a host is taken out of service: Jobs, disruption budgets, NodeMaintenances.

Only the fields that this project reads or writes. NodeMaintenance is NVIDIA's maintenance operator's (v1alpha1), which
need not be installed.
"""

from __future__ import annotations

from typing import ClassVar

from dpf.api.core import NodeCondition
from dpf.api.meta import Condition, FreeForm, LabelSelector, Model, Object, Resource


class JobStatus(Model):
    """batch/v1 JobStatus; conditions Complete and Failed are final."""

    conditions: list[NodeCondition] | None = None
    active: int | None = None
    succeeded: int | None = None
    failed: int | None = None


class Job(Object):
    """batch/v1 Job; `spec` is written whole, with a pod that somebody else described."""

    resource: ClassVar[Resource] = Resource("batch", "v1", "Job", "jobs")
    spec: FreeForm | None = None
    status: JobStatus = JobStatus()


class PodDisruptionBudgetSpec(Model):
    """policy/v1 PodDisruptionBudgetSpec; no selector selects nothing."""

    selector: LabelSelector | None = None


class PodDisruptionBudgetStatus(Model):
    """policy/v1 PodDisruptionBudgetStatus."""

    disruptionsAllowed: int = 0
    currentHealthy: int = 0
    desiredHealthy: int = 0
    expectedPods: int = 0
    observedGeneration: int | None = None


class PodDisruptionBudget(Object):
    """policy/v1 PodDisruptionBudget."""

    resource: ClassVar[Resource] = Resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()


class DrainSpec(Model):
    """How the maintenance operator empties a Node."""

    force: bool | None = None
    deleteEmptyDir: bool | None = None
    podSelector: str | None = None
    timeoutSeconds: int | None = None


class NodeMaintenanceSpec(Model):
    """Who asks for which Node. The operator cordons it, and uncordons it when the object goes."""

    requestorID: str = ""
    nodeName: str = ""
    additionalRequestors: list[str] | None = None
    cordon: bool | None = None
    drainSpec: DrainSpec | None = None


class NodeMaintenanceStatus(Model):
    """Condition Ready says that the Node is empty, Failed that it could not be emptied."""

    conditions: list[Condition] | None = None


class NodeMaintenance(Object):
    """maintenance.nvidia.com/v1alpha1 NodeMaintenance."""

    resource: ClassVar[Resource] = Resource(
        "maintenance.nvidia.com", "v1alpha1", "NodeMaintenance", "nodemaintenances"
    )
    spec: NodeMaintenanceSpec = NodeMaintenanceSpec()
    status: NodeMaintenanceStatus = NodeMaintenanceStatus()
