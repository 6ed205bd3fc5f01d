"""Read what a pass of the Kamaji cluster manager needs, fresh from the API server. Reads only.

Objects that carry the name and not our label must be seen as well, so the caches, which are filled by label, do not do.
"""

from __future__ import annotations

from typing import TypeVar

from dpf.api import core
from dpf.api.dpucluster import DPUCluster
from dpf.api.kamaji import TenantControlPlane
from dpf.api.meta import Key, Object, ObjectMeta, object_key
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.provisioning.clustermanager.kamaji import keepalived
from dpf.provisioning.clustermanager.kamaji.snapshot import Snapshot
from dpf.provisioning.dpucluster import kubeconfig

T = TypeVar("T", bound=Object)


async def snapshot(cluster: DPUCluster, *, host: Client) -> Snapshot:
    """Raises kube.errors.Error when something cannot be read: that says nothing about whether it exists."""
    key = object_key(cluster)
    control_plane = await _find(host, TenantControlPlane, key)
    addressed = Key(key.namespace, keepalived.name_of(cluster))
    return Snapshot(
        cluster=cluster,
        control_plane=control_plane,
        installed=control_plane is not None or await _is_served(host),
        service=await _find(host, core.Service, key),
        config=await _find(host, core.ConfigMap, addressed),
        daemonset=await _find(host, core.DaemonSet, addressed),
        secret=await _secret(host, Key(key.namespace, kubeconfig.secret_name(key))),
    )


async def _secret(host: Client, key: Key) -> ObjectMeta | None:
    """Its metadata; what it holds is nobody's business here."""
    found = await _find(host, core.Secret, key)
    return found.metadata if found is not None else None


async def _is_served(host: Client) -> bool:
    """Whether Kamaji's kind exists: a 404 on one object cannot tell that from an object that is not there."""
    found = await _find(host, core.CustomResourceDefinition, Key("", TenantControlPlane.resource.qualified_name))
    return found is not None and found.metadata.deletionTimestamp is None


async def _find(host: Client, kind: type[T], key: Key) -> T | None:
    try:
        return await host.get(kind, key.name, key.namespace or None)
    except errors.NotFound:
        return None
