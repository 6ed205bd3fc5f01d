"""Read what a pass of the local cluster manager needs: the control plane and the kubeconfig Secret. Reads only."""

from __future__ import annotations

from dpf.api.core import Secret
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key, object_key
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.provisioning.clustermanager.local import plan as planner
from dpf.provisioning.clustermanager.local.driver import ControlPlane
from dpf.provisioning.clustermanager.local.plan import Snapshot
from dpf.provisioning.dpucluster import kubeconfig


async def snapshot(cluster: DPUCluster, *, host: Client, control_plane: ControlPlane) -> Snapshot:
    """Raises kube.errors.Error when the host cluster cannot be read."""
    return Snapshot(
        cluster=cluster,
        control_plane=await control_plane.observe(planner.identity_of(cluster)),
        secret=await _secret(host, object_key(cluster)),
    )


async def _secret(host: Client, cluster: Key) -> Secret | None:
    try:
        return await host.get(Secret, kubeconfig.secret_name(cluster), cluster.namespace)
    except errors.NotFound:
        return None
