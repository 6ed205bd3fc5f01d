"""The controllers of this domain: the one list, and how they are made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dpf
from dpf.api.provisioning import InstallInterface
from dpf.kube.client import Endpoint
from dpf.provisioning.agentcsr.controller import AgentCSRController
from dpf.provisioning.bfb.controller import BFBController
from dpf.provisioning.bfb.download import Downloads
from dpf.provisioning.bfb.files import Volume
from dpf.provisioning.bfb.serving import BFBRegistry
from dpf.provisioning.certificates import issuer as certificates
from dpf.provisioning.certificates.issuer import Issuer
from dpf.provisioning.clustermanager.kamaji.controller import KamajiClusterManager
from dpf.provisioning.clustermanager.local.controller import LocalClusterManager
from dpf.provisioning.clustermanager.local.driver import ControlPlane
from dpf.provisioning.clustermanager.static.controller import StaticClusterManager
from dpf.provisioning.dpu.apply import Driver
from dpf.provisioning.dpu.controller import DPUController
from dpf.provisioning.dpu.snapshot import Settings
from dpf.provisioning.dpucluster.controller import DPUClusterController
from dpf.provisioning.dpucluster.httpprober import HTTPProber
from dpf.provisioning.dpudevice.controller import DPUDeviceController
from dpf.provisioning.dpudevice.driver import BMCs, identity_source
from dpf.provisioning.dpudiscovery.controller import DPUDiscoveryController
from dpf.provisioning.dpudiscovery.scanning import Scans
from dpf.provisioning.dpunode.controller import DPUNodeController
from dpf.provisioning.dpunode.registration.controller import DPURegistrationController
from dpf.provisioning.dpuset.controller import DPUSetController
from dpf.provisioning.hostpods.driver import HostPods
from dpf.provisioning.install.gnoi.installer import GNOIInstaller
from dpf.provisioning.install.port import Installer
from dpf.provisioning.install.redfish.installer import RedfishInstaller
from dpf.provisioning.install.redfish.transport import Transport
from dpf.provisioning.join.joiner import Joiner
from dpf.provisioning.maintenance.controller import DPUNodeMaintenanceController
from dpf.runtime.mirrors import NONE, Mirrors
from dpf.runtime.process import World
from dpf.runtime.reconciler import Reconciler

CONTROLLERS: Final = (
    DPUClusterController, StaticClusterManager, LocalClusterManager, KamajiClusterManager, BFBController,
    DPUSetController, DPUController, DPURegistrationController, DPUNodeController, DPUDeviceController,
    DPUNodeMaintenanceController, DPUDiscoveryController, AgentCSRController,
)


SERVERS: Final = (BFBRegistry,)
"""Processes that are no controllers, and have rights all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says about installations.

    `folder` is the volume with the BFBs. The registry is reached at `registry_address` (host and port) unless the
    DPFOperatorConfig says otherwise. `agent_server` is the URL of the
    host's API server as DPUs reach it; without it they are told what `cluster-info` says, or what we use ourselves.
    """

    folder: Path = Path("/bfb")
    registry_address: str = ""
    agent_server: str = ""
    mirrors: Mirrors = NONE


def build(world: World, options: Options | None = None) -> list[Reconciler[Any, Any]]:
    """The controllers that are no cluster managers."""
    chosen, clusters = options or Options(), world.clusters
    issuer = Issuer(world.host, world.namespace, world.clock, cache=clusters.host.cache)
    downloads = Downloads(Volume(chosen.folder), world.clock, mirrors=chosen.mirrors)
    return [
        DPUClusterController(clusters=clusters, prober=HTTPProber()),
        BFBController(clusters=clusters, downloads=downloads),
        DPUSetController(clusters=clusters, clock=world.clock, version=dpf.__version__, dpf_namespace=world.namespace),
        _dpus(world, chosen, issuer),
        DPURegistrationController(clusters=clusters, namespace=world.namespace),
        DPUNodeController(clusters=clusters, clock=world.clock),
        DPUDeviceController(clusters=clusters, bmcs=BMCs(issuer, world.clock)),
        DPUDiscoveryController(clusters=clusters, scans=Scans(world.clock)),
        DPUNodeMaintenanceController(clusters=clusters, limits=None),
        AgentCSRController(clusters=clusters),
    ]


def build_static_manager(world: World) -> list[Reconciler[Any, Any]]:  # noqa: ARG001 - as all builders
    """The cluster manager `static`."""
    return [StaticClusterManager()]


def build_kamaji_manager(world: World) -> list[Reconciler[Any, Any]]:
    """The cluster manager `kamaji`; it does nothing where Kamaji is not installed."""
    return [KamajiClusterManager(host=world.host)]


def build_local_manager(world: World, control_plane: ControlPlane) -> list[Reconciler[Any, Any]]:
    """The cluster manager `dpf/local` over `control_plane`."""
    return [LocalClusterManager(host=world.host, control_plane=control_plane)]


def _dpus(world: World, options: Options, issuer: Issuer) -> DPUController:
    transport = Transport(identity_source(issuer))
    gnoi = GNOIInstaller(identity_source(issuer, certificates.DMS_CLIENT_SECRET))
    installers: dict[InstallInterface, Installer] = {
        InstallInterface.REDFISH: RedfishInstaller(transport, clock=world.clock), InstallInterface.GNOI: gnoi,
    }
    driver = Driver(
        clusters=world.clusters, installers=installers, host_pods=HostPods(world.host, issuer), folder=options.folder,
        joiner=Joiner(
            clusters=world.clusters, host=world.host, clock=world.clock, agent_endpoint=_agent_endpoint(world, options),
        ), version=dpf.__version__,
    )
    settings = Settings(version=dpf.__version__, registry=options.registry_address, folder=str(options.folder))
    return DPUController(
        clusters=world.clusters, driver=driver, settings=settings, clock=world.clock,
        closing=(transport.aclose, gnoi.aclose),
    )


def _agent_endpoint(world: World, options: Options) -> Endpoint | None:
    if not options.agent_server:
        return None
    return Endpoint(server=options.agent_server, ca_pem=world.host.endpoint.ca_pem)
