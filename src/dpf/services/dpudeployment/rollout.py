"""What a pass has decided about each service and about the chain, before anything is written.

Pure values. Made by `services`, `interfaces` and `chains`; what is decided about a service is needed by all of them,
and by `dpusets`, which tells the nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfigurationSpec, ServiceInterfaceTemplate
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicetemplate import DPUServiceTemplateSpec
from dpf.services.dpudeployment.revisions import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceRollout:
    """One interface of a service. `name` is that of its DPUServiceInterface, also of one that has to be made."""

    template: ServiceInterfaceTemplate
    name: str
    decision: Decision[DPUServiceInterface]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The wanted revision of something that nodes are told about: they carry the label `key` with the value `name`.

    `rolling` says that nodes are taken out of service for it, one after the other, and that this is not over.
    """

    digest: str
    key: str
    name: str
    rolling: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRollout(Rollout):
    """One service. `configuration` has its values rendered."""

    service: str
    service_id: str
    configuration: DPUServiceConfigurationSpec
    template: DPUServiceTemplateSpec
    decision: Decision[DPUService]
    interfaces: tuple[InterfaceRollout, ...] = ()

    @property
    def is_under_way(self) -> bool:
        """Whether revisions of the service or of one of its interfaces change places."""
        moved = any(interface.decision.is_update for interface in self.interfaces)
        return self.rolling or self.decision.is_update or moved

    @property
    def in_cluster(self) -> bool:
        """Whether it runs in the host cluster."""
        settings = self.configuration.serviceConfiguration
        return bool(settings is not None and settings.deployInCluster)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRollout(Rollout):
    """The chain of the deployment."""

    decision: Decision[DPUServiceChain]

    @property
    def is_under_way(self) -> bool:
        """Whether revisions of the chain change places."""
        return self.rolling or self.decision.is_update
