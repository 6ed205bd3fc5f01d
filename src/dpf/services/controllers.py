"""The controllers of this domain: the one list, and how they are made."""

from __future__ import annotations

from typing import Any, Final

from dpf.runtime.mirrors import NONE, Mirrors
from dpf.runtime.process import World
from dpf.runtime.reconciler import Reconciler
from dpf.services.credentialrequest.controller import DPUServiceCredentialRequestController
from dpf.services.dpudeployment.controller import DPUDeploymentController
from dpf.services.dpudeploymentnode.controller import DPUDeploymentNodeController
from dpf.services.dpuready.controller import DPUReadyController
from dpf.services.dpuready.release.controller import RequestorController
from dpf.services.dpuservice.controller import DPUServiceController
from dpf.services.dpuservice.leftovers import LeftoverController
from dpf.services.dpuservicetemplate.controller import DPUServiceTemplateController
from dpf.services.helm.repositories import Repositories

CONTROLLERS: Final = (
    DPUServiceController, LeftoverController, DPUServiceTemplateController, DPUDeploymentController,
    DPUDeploymentNodeController, DPUServiceCredentialRequestController, DPUReadyController,
    RequestorController,
)


def build(world: World, mirrors: Mirrors = NONE) -> list[Reconciler[Any, Any]]:
    """Every controller of `CONTROLLERS`, ready to be run. Charts are asked for at `mirrors`."""
    clusters, namespace = world.clusters, world.namespace
    return [
        DPUServiceController(clusters=clusters, dpf_namespace=namespace, mirrors=mirrors),
        LeftoverController(clusters=clusters),
        DPUServiceTemplateController(
            clusters=clusters, charts=Repositories(), clock=world.clock, mirrors=mirrors, dpf_namespace=namespace
        ),
        DPUDeploymentController(clusters=clusters),
        DPUDeploymentNodeController(clusters=clusters),
        DPUServiceCredentialRequestController(clusters=clusters),
        DPUReadyController(clusters=clusters),
        RequestorController(clusters=clusters),
    ]
