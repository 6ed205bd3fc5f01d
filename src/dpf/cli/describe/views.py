"""What is read of each object: identity, conditions, and the little else that a row or its place needs.

Pure; declared into kinds by `kinds`. What lies outside identity and conditions is taken as it comes (`Any`), so that an
object whose spec or status another version wrote is still shown; `verdicts` and `owners` look into it with care.
"""

from __future__ import annotations

from typing import Any, ClassVar

from dpf.api import (
    argocd,
    bfb,
    dpfoperatorconfig,
    dpu,
    dpucluster,
    dpudeployment,
    dpudevice,
    dpunode,
    dpunodemaintenance,
    dpuservice,
    dpuservicechain,
    dpuservicecredentialrequest,
    dpuserviceinterface,
    dpuservicetemplate,
    dpuset,
)
from dpf.api.meta import Condition, Model, Object, Resource


class ViewStatus(Model):
    """Conditions of any kind that follows metav1.Condition."""

    conditions: list[Condition] | None = None


class View(Object):
    """What is read of an object of any of our kinds."""

    status: ViewStatus = ViewStatus()


class DPFOperatorConfigView(View):
    """The root of every tree."""

    resource: ClassVar[Resource] = dpfoperatorconfig.DPFOperatorConfig.resource


class PhaseStatus(ViewStatus):
    """A phase beside the conditions."""

    phase: str | None = None


class DPUClusterView(View):
    """A cluster of DPUs; its spec says how many it takes."""

    resource: ClassVar[Resource] = dpucluster.DPUCluster.resource
    spec: Any = None
    status: PhaseStatus = PhaseStatus()


class DPUDeploymentView(View):
    """DPUs with services and a chain; its spec names the templates."""

    resource: ClassVar[Resource] = dpudeployment.DPUDeployment.resource
    spec: Any = None


class DPUServiceView(View):
    """A service on the DPUs; its spec says whether it is paused."""

    resource: ClassVar[Resource] = dpuservice.DPUService.resource
    spec: Any = None


class DPUServiceTemplateView(View):
    """What a DPUDeployment makes a DPUService from."""

    resource: ClassVar[Resource] = dpuservicetemplate.DPUServiceTemplate.resource


class DPUServiceChainView(View):
    """How services are wired on each DPU."""

    resource: ClassVar[Resource] = dpuservicechain.DPUServiceChain.resource


class DPUServiceInterfaceView(View):
    """An interface on each DPU."""

    resource: ClassVar[Resource] = dpuserviceinterface.DPUServiceInterface.resource


class DPUServiceCredentialRequestView(View):
    """Access of a service to a cluster."""

    resource: ClassVar[Resource] = dpuservicecredentialrequest.DPUServiceCredentialRequest.resource


class DPUSetViewStatus(ViewStatus):
    """How many DPUs are in which phase, besides the conditions."""

    dpuStatistics: Any = None


class DPUSetView(View):
    """The same software on several DPUs; its spec names the BFB."""

    resource: ClassVar[Resource] = dpuset.DPUSet.resource
    spec: Any = None
    status: DPUSetViewStatus = DPUSetViewStatus()


class DPUViewStatus(PhaseStatus):
    """What the platform and the agent on the DPU say, besides the conditions of the installation."""

    operationalConditions: list[Condition] | None = None
    agentStatus: Any = None


class DPUView(View):
    """One DPU; its spec names its host, its device and its cluster."""

    resource: ClassVar[Resource] = dpu.DPU.resource
    spec: Any = None
    status: DPUViewStatus = DPUViewStatus()


class DPUNodeView(View):
    """A host; its spec lists its devices."""

    resource: ClassVar[Resource] = dpunode.DPUNode.resource
    spec: Any = None


class DPUDeviceView(View):
    """A card."""

    resource: ClassVar[Resource] = dpudevice.DPUDevice.resource


class DPUNodeMaintenanceView(View):
    """An effect on a host; its spec names the host and who needs the effect."""

    resource: ClassVar[Resource] = dpunodemaintenance.DPUNodeMaintenance.resource
    spec: Any = None


class BFBViewStatus(PhaseStatus):
    """A BFB says by its phase whether it is ready."""

    fileName: str | None = None
    versions: Any = None


class BFBView(View):
    """A software bundle."""

    resource: ClassVar[Resource] = bfb.BFB.resource
    spec: Any = None
    status: BFBViewStatus = BFBViewStatus()


class ApplicationHealth(Model):
    """Argo CD's verdict, and since when it holds."""

    status: str | None = None
    message: str | None = None
    lastTransitionTime: str | None = None


class ApplicationViewStatus(Model):
    """Argo CD's status, which follows no condition convention."""

    sync: argocd.SyncStatus = argocd.SyncStatus()
    health: ApplicationHealth = ApplicationHealth()
    conditions: list[argocd.ApplicationCondition] | None = None
    resources: list[argocd.ResourceStatus] | None = None
    reconciledAt: str | None = None


class ApplicationView(Object):
    """What Argo CD installs for a DPUService in one cluster."""

    resource: ClassVar[Resource] = argocd.Application.resource
    status: ApplicationViewStatus = ApplicationViewStatus()


AnyView = View | ApplicationView


def at(data: object, *path: str) -> Any:  # noqa: ANN401 - whatever the user wrote
    """What stands in nested maps under `path`, or None where a step has no such key or is no map."""
    for key in path:
        if not isinstance(data, dict):
            return None
        data = data.get(key)
    return data
