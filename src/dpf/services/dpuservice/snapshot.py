"""Every fact that a decision about one DPUService needs, as plain values.

Pure. Filled by `observe`, read by `plan`, `status` and the modules beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dpf.api import core
from dpf.api.argocd import Application
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import DPUService
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicenad import DPUServiceNAD
from dpf.api.meta import Key, object_key
from dpf.runtime.mirrors import NONE, Mirrors
from dpf.services.argocd import build
from dpf.services.dpuservice import targets
from dpf.services.dpuservice.fleet import Fleet, Member, Unusable


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting:
    """Nobody knows yet whether the cluster answers: a process that starts has to find out, which takes seconds at most.

    Until then nothing about it may be concluded, or every restart would make every DPUService unready for a moment.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """What one DPU cluster holds for the DPUService. Nodes are read only for config ports."""

    namespace: core.Namespace | None = None
    pull_secrets: tuple[core.Secret, ...] = ()
    services: tuple[core.Service, ...] = ()
    nodes: tuple[core.Node, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """One DPUCluster, and what it holds for the DPUService."""

    member: Member
    remote: Remote | Connecting | Unusable

    @property
    def cluster(self) -> DPUCluster:
        """The DPUCluster."""
        return self.member.cluster

    @property
    def key(self) -> Key:
        """Namespace and name of the DPUCluster."""
        return self.member.key

    @property
    def is_deleting(self) -> bool:
        """Whether the DPUCluster is on its way out."""
        return self.cluster.metadata.deletionTimestamp is not None

    @property
    def problem(self) -> str | None:
        """Why nothing can be installed in this cluster now; None when it can be."""
        for part in (self.member.credentials, self.remote):
            if isinstance(part, Unusable):
                return part.why
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPorts:
    """Objects in the host cluster that make ports of the service reachable.

    `occupant` is a Service of the same name that carries another owner's labels or none: it is not ours to change.
    """

    services: tuple[core.Service, ...] = ()
    slices: tuple[core.EndpointSlice, ...] = ()
    endpoints: tuple[core.Endpoints, ...] = ()
    occupant: core.Service | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interfaces:
    """DPUServiceInterfaces of the service's namespace that concern it, and what their networks are made of.

    `listed` are those that the spec names, by name, as far as they exist. `claimed` are those that carry the service's
    own claim, listed or not. `departed` are DPUServices that claimed listed interfaces and do not exist any more.
    `nads` are the DPUServiceNADs of the listed interfaces' networks, as far as they exist.
    """

    listed: Mapping[str, DPUServiceInterface | Unusable] = field(default_factory=dict)
    claimed: tuple[DPUServiceInterface, ...] = ()
    departed: frozenset[str] = frozenset()
    nads: Mapping[Key, DPUServiceNAD] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One look at the world around `service`.

    `clusters` are all DPUClusters, `pull_secrets` the labelled ones of the service's namespace. `name_holders` are
    other owners' Applications by a name that the service would like to have. `namesakes` are DPUServices of the same
    name in other namespaces, `siblings` the other ones of the same namespace (read only while the service is being
    deleted). `mirrors` is a setting of the process. (Without slots, for what is computed once.)
    """

    service: DPUService
    fleet: Fleet
    clusters: tuple[ClusterView, ...] = ()
    host_namespace: core.Namespace | None = None
    applications: tuple[Application, ...] = ()
    name_holders: Mapping[str, Application] = field(default_factory=dict)
    namesakes: tuple[DPUService, ...] = ()
    siblings: tuple[DPUService, ...] = ()
    pull_secrets: tuple[core.Secret, ...] = ()
    ports: HostPorts = HostPorts()
    interfaces: Interfaces = Interfaces()
    mirrors: Mirrors = NONE

    @cached_property
    def key(self) -> Key:
        """Namespace and name of the DPUService."""
        return object_key(self.service)

    @cached_property
    def chosen(self) -> tuple[ClusterView, ...]:
        """The selected DPUClusters with what is known about them."""
        selected = targets.selected(self.service, (view.cluster for view in self.clusters))
        keys = {object_key(cluster) for cluster in selected}
        return tuple(view for view in self.clusters if view.key in keys)

    @cached_property
    def is_connecting(self) -> bool:
        """Whether it is not known yet if one of the selected clusters answers."""
        return any(isinstance(view.remote, Connecting) for view in self.chosen)

    @cached_property
    def awaiting_namespace(self) -> frozenset[Key]:
        """Selected clusters that answer, but in which the service's namespace has not been seen yet.

        Argo CD gives up on an Application after a few failed attempts, so none is made before it can work.
        """
        return frozenset(
            view.key for view in self.chosen if isinstance(view.remote, Remote) and view.remote.namespace is None
        )

    @cached_property
    def destinations(self) -> tuple[build.Destination, ...]:
        """Where an Application of the service has to be, the unusable clusters included."""
        if self.service.spec is not None and self.service.spec.deployInCluster:
            return (build.Destination(name=build.IN_CLUSTER),)
        aliases = self.fleet.names.aliases
        return tuple(build.Destination(name=aliases[view.key], cluster=view.key) for view in self.chosen)

    @cached_property
    def installed(self) -> tuple[tuple[build.Destination, Application | None], ...]:
        """The Application at each destination."""
        return targets.installed(self.applications, self.destinations)
