"""The controllers of this domain: the one list, and how they are made."""

from __future__ import annotations

from typing import Any, Final

from dpf.provisioning.bfb.controller import BFBController
from dpf.provisioning.clustermanager.local.controller import LocalClusterManager
from dpf.provisioning.clustermanager.local.driver import ControlPlane
from dpf.provisioning.clustermanager.static.controller import StaticClusterManager
from dpf.provisioning.dpucluster.controller import DPUClusterController
from dpf.provisioning.dpucluster.httpprober import HTTPProber
from dpf.provisioning.dpudevice.controller import DPUDeviceController
from dpf.provisioning.dpunode.controller import DPUNodeController
from dpf.provisioning.dpunode.registration.controller import DPURegistrationController
from dpf.provisioning.dpuset.controller import DPUSetController
from dpf.provisioning.maintenance.controller import DPUNodeMaintenanceController
from dpf.runtime.process import World
from dpf.runtime.reconciler import Reconciler

CONTROLLERS: Final = (DPUClusterController, StaticClusterManager, LocalClusterManager)
NOT_IN_SERVICE: Final = (
    BFBController, DPUSetController, DPURegistrationController, DPUNodeController, DPUDeviceController,
    DPUNodeMaintenanceController,
)
"""Written and tested, run by no process yet: they begin together with the phases of a DPU, for which they prepare."""


def build(world: World) -> list[Reconciler[Any, Any]]:
    """The controllers that are no cluster managers."""
    return [DPUClusterController(host=world.host, prober=HTTPProber())]


def build_static_manager(world: World) -> list[Reconciler[Any, Any]]:  # noqa: ARG001 - as all builders
    """The cluster manager `static`."""
    return [StaticClusterManager()]


def build_local_manager(world: World, control_plane: ControlPlane) -> list[Reconciler[Any, Any]]:
    """The cluster manager `dpf/local` over `control_plane`."""
    return [LocalClusterManager(host=world.host, control_plane=control_plane)]
