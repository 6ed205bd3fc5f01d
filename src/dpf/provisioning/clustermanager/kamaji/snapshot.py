"""What a pass of the Kamaji cluster manager has seen, and whose each object is.

Pure. `observe` fills it; `plan` and `status` read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dpf.api import core
from dpf.api.dpucluster import DPUCluster, Keepalived
from dpf.api.kamaji import TenantControlPlane, VersionStatus
from dpf.api.meta import Object, ObjectMeta

SERVING: Final = frozenset({
    VersionStatus.READY, VersionStatus.UPGRADING, VersionStatus.MIGRATING, VersionStatus.CA_ROTATING,
    VersionStatus.WRITE_LIMITED,
})
"""States in which the API server of a control plane that was Ready before goes on answering."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything by the documented names, fresh from the API server; None is what does not exist.

    `installed`: Kamaji's kind is served. `secret` is the metadata of the administrator's kubeconfig, without its data.
    """

    cluster: DPUCluster
    installed: bool = True
    control_plane: TenantControlPlane | None = None
    service: core.Service | None = None
    config: core.ConfigMap | None = None
    daemonset: core.DaemonSet | None = None
    secret: ObjectMeta | None = None

    @property
    def keepalived(self) -> Keepalived | None:
        """The virtual address that is asked for; one without an address asks for nothing."""
        endpoint = self.cluster.spec.clusterEndpoint
        asked = endpoint.keepalived if endpoint is not None else None
        return asked if asked is not None and asked.vip else None

    @property
    def handed_over(self) -> bool:
        """Whether spec.kubeconfig is written."""
        return bool(self.cluster.spec.kubeconfig)

    @property
    def word(self) -> str:
        """Kamaji's word for the control plane; "" while it has none."""
        control_plane = self.control_plane
        return (control_plane.status.kubernetesResources.version.status if control_plane else None) or ""

    @property
    def serves(self) -> bool:
        """Ready; or, once handed over, in a state in which its API server goes on answering."""
        return self.word == VersionStatus.READY or (self.handed_over and self.word in SERVING)


def is_ours(obj: Object, snapshot: Snapshot) -> bool:
    """Whether `obj` belongs to the DPUCluster, or to the TenantControlPlane that does.

    The second holds for a Service that Kamaji made anew. A namesake of an earlier DPUCluster has another uid.
    """
    control_plane = snapshot.control_plane
    if has_owner(obj, snapshot.cluster):
        return True
    if control_plane is None or obj is control_plane:
        return False
    return has_owner(obj, control_plane) and has_owner(control_plane, snapshot.cluster)


def has_owner(obj: Object, owner: Object) -> bool:
    """Whether `owner` is among the owners of `obj`."""
    uid = owner.metadata.uid
    return uid is not None and any(
        o.uid == uid and o.kind == owner.resource.kind for o in obj.metadata.ownerReferences or ()
    )
