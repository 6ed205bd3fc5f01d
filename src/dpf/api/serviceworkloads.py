"""Pods and DaemonSets of DPU clusters, as much as tells whether a service works on a node.

The same kinds as in `core`. A fleet has tens of thousands of such pods, which are cached, so that everything else about
them is left at the server. Source of the names: the Kubernetes API reference, v1.36.
"""

from __future__ import annotations

from typing import ClassVar

from dpf.api import core
from dpf.api.meta import Model, NodeSelector, Object, ObjectMeta, Resource


class ServicePodCondition(Model):
    """core/v1 PodCondition without the time of the probe."""

    type: str
    status: str
    reason: str | None = None
    message: str | None = None
    lastTransitionTime: str | None = None


class ServicePodSpec(Model):
    """Where the pod runs, and how important it is."""

    nodeName: str | None = None
    priorityClassName: str | None = None


class ServicePodStatus(Model):
    """Whether it works."""

    phase: str | None = None
    conditions: list[ServicePodCondition] | None = None


class ServicePod(Object):
    """core/v1 Pod of a service."""

    resource: ClassVar[Resource] = core.Pod.resource
    spec: ServicePodSpec = ServicePodSpec()
    status: ServicePodStatus = ServicePodStatus()


class NodeAffinity(Model):
    """core/v1 NodeAffinity; what is only preferred decides nothing."""

    requiredDuringSchedulingIgnoredDuringExecution: NodeSelector | None = None


class Affinity(Model):
    """core/v1 Affinity."""

    nodeAffinity: NodeAffinity | None = None


class PodTemplateSpec(Model):
    """Which nodes get a pod, and how important it is."""

    nodeSelector: dict[str, str] | None = None
    affinity: Affinity | None = None
    priorityClassName: str | None = None


class PodTemplate(Model):
    """core/v1 PodTemplateSpec."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodTemplateSpec = PodTemplateSpec()


class ServiceDaemonSetSpec(Model):
    """apps/v1 DaemonSetSpec."""

    template: PodTemplate = PodTemplate()


class ServiceDaemonSet(Object):
    """apps/v1 DaemonSet; how many of its pods work, the pods say themselves."""

    resource: ClassVar[Resource] = core.DaemonSet.resource
    spec: ServiceDaemonSetSpec = ServiceDaemonSetSpec()
