"""Every fact that a decision about one DPUService needs, as plain values.

Pure. Filled by `observe`, read by `plan`, `status` and the modules beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dpf.api import core
from dpf.api.argocd import Application, AppProject
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import DPUService
from dpf.api.meta import Key, object_key
from dpf.services.argocd.build import Credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """Something exists but cannot be used now, which is not the same as absent. `why` is for the user."""

    why: str


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
    """One DPUCluster: the object, how Argo CD may reach it, what it holds."""

    cluster: DPUCluster
    credentials: Credentials | Unusable
    remote: Remote | Connecting | Unusable

    @property
    def key(self) -> Key:
        """Namespace and name of the DPUCluster."""
        return object_key(self.cluster)

    @property
    def is_deleting(self) -> bool:
        """Whether the DPUCluster is on its way out."""
        return self.cluster.metadata.deletionTimestamp is not None

    @property
    def problem(self) -> str | None:
        """Why nothing can be installed in this cluster now; None when it can be."""
        for part in (self.credentials, self.remote):
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
class Snapshot:
    """One look at the world around `service`.

    `clusters` are all DPUClusters, `cluster_secrets` all cluster Secrets of Argo CD, `pull_secrets` the labelled ones
    of the service's namespace. `name_holders` are other owners' Applications by a name that the service would like to
    have. `namesakes` are DPUServices of the same name in other namespaces, `siblings` the other ones of the same
    namespace (read only while the service is being deleted). `unreadable_clusters` exist, but their objects do not fit
    our type: nothing of theirs may be taken for left over.
    """

    service: DPUService
    dpf_namespace: str
    argocd_namespace: str
    clusters: tuple[ClusterView, ...] = ()
    unreadable_clusters: frozenset[Key] = frozenset()
    host_namespace: core.Namespace | None = None
    applications: tuple[Application, ...] = ()
    name_holders: Mapping[str, Application] = field(default_factory=dict)
    namesakes: tuple[DPUService, ...] = ()
    siblings: tuple[DPUService, ...] = ()
    projects: Mapping[str, AppProject] = field(default_factory=dict)
    cluster_secrets: tuple[core.Secret, ...] = ()
    pull_secrets: tuple[core.Secret, ...] = ()
    ports: HostPorts = HostPorts()

    @property
    def key(self) -> Key:
        """Namespace and name of the DPUService."""
        return object_key(self.service)
