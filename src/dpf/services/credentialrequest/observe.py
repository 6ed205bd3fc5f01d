"""Reads everything that a decision about one DPUServiceCredentialRequest needs (Snapshot).

Called by the controller at the start of each pass. Reads only. Caches answer for what is settled. The API servers
themselves are asked wherever the answer would lead to a write: a token issued twice is harmless, but a name taken from
somebody else is not, and a ServiceAccount that a cache does not show may only lack our labels.
"""

from __future__ import annotations

import dataclasses
from typing import Final, TypeVar

from dpf.api import core
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservicecredentialrequest import DPUServiceCredentialRequest
from dpf.api.meta import Key, Object, object_key
from dpf.kube import clusters, errors
from dpf.kube.cache import Cache
from dpf.kube.client import Client
from dpf.runtime import kubeconfigsecret
from dpf.runtime.plan import HOST
from dpf.services.credentialrequest import credential, endpoint, wanted, watches
from dpf.services.credentialrequest.snapshot import Connecting, Gone, Place, Snapshot, Unusable
from dpf.services.credentialrequest.wanted import Wanted

T = TypeVar("T", bound=Object)
_Account = core.ServiceAccount | Connecting | Unusable | Gone | None
_NO_UID: Final = ""


async def snapshot(registry: clusters.ClusterRegistry, request: DPUServiceCredentialRequest) -> Snapshot:
    """One look at the world around `request`. Raises kube.errors.Error when the host cluster does not answer."""
    asked = wanted.read(request)
    fresh = request.metadata.deletionTimestamp is not None
    target = await _target(registry, asked, fresh=fresh) if isinstance(asked, Wanted) else None
    found = Snapshot(
        request=request, target=target, recorded=await _recorded(registry, request, target),
        secret=_cached_secret(registry.host.cache, asked), others=await _others(registry.host, request, asked, fresh),
    )
    if not isinstance(asked, Wanted) or (credential.held(found, asked) is not None and not fresh):
        return found
    return dataclasses.replace(found, secret=await _read(registry.host.client, core.Secret, asked.secret))


async def _target(registry: clusters.ClusterRegistry, asked: Wanted, *, fresh: bool) -> Place:
    """Where the spec wants the ServiceAccount."""
    host = registry.host
    if asked.target is None:
        account = await _account(host.cache, host.client, asked.account, fresh=fresh)
        known = endpoint.of_host(host.client.endpoint)
        return Place(cluster=HOST, uid=_NO_UID, name=asked.account, account=account, endpoint=known)
    cluster = _cluster(host.cache, asked.target)
    if not isinstance(cluster, DPUCluster):
        return Place(cluster=asked.target, uid=_NO_UID, name=asked.account, account=cluster)
    return Place(
        cluster=asked.target, uid=cluster.metadata.uid or _NO_UID, name=asked.account,
        account=await _remote_account(registry, asked.target, asked.account, fresh=fresh),
        endpoint=endpoint.of_dpucluster(cluster, _kubeconfig(host.cache, cluster)),
    )


async def _recorded(
    registry: clusters.ClusterRegistry, request: DPUServiceCredentialRequest, target: Place | None
) -> Place | None:
    """Where the status says that a ServiceAccount was made, unless that is the target."""
    status = request.status
    name, key = watches.parse_key(status.serviceAccount), watches.parse_key(status.targetCluster)
    if name is None:
        return None
    if status.targetCluster is None:
        if target is not None and (target.cluster, target.name) == (HOST, name):
            return None
        host = registry.host
        account: _Account = await _account(host.cache, host.client, name, fresh=True)
        return Place(cluster=HOST, uid=_NO_UID, name=name, account=account)
    if key is None:
        return None
    cluster = _cluster(registry.host.cache, key)
    if not isinstance(cluster, DPUCluster):
        return Place(cluster=key, uid=_NO_UID, name=name, account=cluster)
    uid = cluster.metadata.uid or _NO_UID
    if status.targetClusterUID and status.targetClusterUID != uid:
        gone = Gone(why=f"DPUCluster {key} is another one than it was")
        return Place(cluster=key, uid=status.targetClusterUID, name=name, account=gone)
    if target is not None and (target.cluster, target.name) == (key, name):
        return None
    return Place(cluster=key, uid=uid, name=name, account=await _remote_account(registry, key, name, fresh=True))


def _cluster(cache: Cache, key: Key) -> DPUCluster | Gone | Unusable:
    """The DPUCluster; one that cannot be read is there nevertheless."""
    try:
        found = cache.get(DPUCluster, key)
    except errors.NotSynced as error:
        return Unusable(why=str(error))
    return found if found is not None else Gone(why=(
        f'{DPUCluster.resource.qualified_name} "{key.name}" not found in namespace {key.namespace}; '
        "create it, or correct spec.targetCluster"
    ))


def _kubeconfig(cache: Cache, cluster: DPUCluster) -> core.Secret | None:
    key = kubeconfigsecret.secret_key(cluster)
    return cache.get(core.Secret, key) if key else None


async def _remote_account(registry: clusters.ClusterRegistry, cluster: Key, name: Key, *, fresh: bool) -> _Account:
    if isinstance(registry.health(cluster), clusters.Connecting):
        return Connecting()
    connected = registry.get(cluster)
    if isinstance(connected, clusters.Unreachable):
        return Unusable(why=connected.why)
    return await _account(connected.cache, connected.client, name, fresh=fresh)


async def _account(
    cache: Cache, client: Client, name: Key, *, fresh: bool
) -> core.ServiceAccount | Unusable | None:
    """The ServiceAccount. Caches have only those that carry our label."""
    try:
        if not fresh and cache.is_synced(core.ServiceAccount):
            cached = cache.get(core.ServiceAccount, name)
            if cached is not None:
                return cached
        return await _read(client, core.ServiceAccount, name)
    except errors.Error as error:
        return Unusable(why=str(error), passing=True)


def _cached_secret(cache: Cache, asked: Wanted | wanted.Invalid) -> core.Secret | None:
    return cache.get(core.Secret, asked.secret) if isinstance(asked, Wanted) else None


async def _others(
    host: clusters.Cluster, request: DPUServiceCredentialRequest, asked: Wanted | wanted.Invalid, fresh: bool
) -> tuple[core.Secret, ...]:
    """Secrets of the request that have not the name it asks for: by label, and the one that its status names.

    Copies that somebody made of them are none of these.
    """
    key = object_key(request)
    found = {object_key(secret): secret for secret in host.cache.by_index(core.Secret, watches.BY_REQUEST, str(key))}
    if fresh:
        labels = ",".join(f"{name}={value}" for name, value in credential.owner_labels(key).items())
        found = {object_key(secret): secret for secret in (await host.client.list(core.Secret, labels=labels)).items}
    found = {name: secret for name, secret in found.items() if not credential.is_copy(secret)}
    recorded = watches.parse_key(request.status.secret)
    named = host.cache.get(core.Secret, recorded) if recorded else None
    if named is not None and credential.secret_belongs(named, request):
        found[object_key(named)] = named
    if isinstance(asked, Wanted):
        found.pop(asked.secret, None)
    return tuple(found[name] for name in sorted(found))


async def _read(client: Client, kind: type[T], key: Key) -> T | None:
    try:
        return await client.get(kind, key.name, key.namespace)
    except errors.NotFound:
        return None
