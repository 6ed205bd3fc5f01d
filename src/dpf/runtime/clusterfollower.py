"""Follows DPUCluster objects and their kubeconfig Secrets, and has the cluster registry connect accordingly.

`process` runs one per process, leader or not, so that a standby is warm. Level-based: whatever happened to a DPUCluster
or to the Secret it names, the same function looks at both and says what the registry should do. It writes nothing.

    DPUCluster                                    registry
    gone                                          remove
    phase is neither Ready nor NotReady           refuse: "dpuCluster is not ready"
    no Secret named, Secret missing or malformed  refuse, with the reason
    otherwise                                     ensure; a changed kubeconfig reconnects

Source: behaviour-service.md section 8.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dpf.api.core import Secret
from dpf.api.dpucluster import DPUCluster, Phase
from dpf.api.meta import Key, Object, object_key
from dpf.kube import errors
from dpf.kube.clusters import ClusterRegistry
from dpf.runtime import kubeconfigsecret

NOT_READY: Final = "dpuCluster is not ready"

_BY_SECRET: Final = "kubeconfig-secret"  # noqa: S105 - the name of an index
_CONNECTABLE: Final = frozenset({Phase.READY, Phase.NOT_READY})
"""NotReady is tried too: the health check that said so may be older than the recovery."""


class ClusterFollower:
    """Keeps `clusters` equal to the DPUClusters of the host. Make it before the caches are started."""

    def __init__(self, clusters: ClusterRegistry) -> None:
        self._clusters = clusters
        self._cache = clusters.host.cache
        self._cache.register(DPUCluster, indexes={_BY_SECRET: _secret_of})
        self._cache.register(Secret)

    async def run(self) -> None:
        """Subscribe once both kinds are known completely, and look at every DPUCluster; returns then.

        Not earlier: while the first lists arrive, a Secret that is not there yet only looks as if it were missing.
        """
        await self._cache.wait_synced(DPUCluster, Secret)
        self._cache.subscribe(DPUCluster, self._on_cluster)
        self._cache.subscribe(Secret, self._on_secret)
        for cluster in self._cache.list(DPUCluster):
            self._follow(object_key(cluster))

    def _on_cluster(self, old: Object | None, new: Object | None) -> None:
        changed = new if new is not None else old
        if changed is not None:
            self._follow(object_key(changed))

    def _on_secret(self, old: Object | None, new: Object | None) -> None:
        changed = new if new is not None else old
        if changed is None:
            return
        try:
            affected = self._cache.by_index(DPUCluster, _BY_SECRET, str(object_key(changed)))
        except errors.NotSynced:
            return
        for cluster in affected:
            self._follow(object_key(cluster))

    def _follow(self, key: Key) -> None:
        """Bring the registry up to date about one DPUCluster. What cannot be read now changes nothing."""
        try:
            cluster = self._cache.get(DPUCluster, key)
            if cluster is None:
                self._clusters.remove(key)
                return
            self._clusters.ensure(key, self._kubeconfig(cluster))
        except errors.NotSynced:
            return
        except errors.CredentialsError as error:
            self._clusters.refuse(key, str(error))

    def _kubeconfig(self, cluster: DPUCluster) -> bytes:
        """Raises CredentialsError when there is nothing to connect with, NotSynced when that cannot be told."""
        if cluster.status.phase not in _CONNECTABLE:
            raise errors.CredentialsError(NOT_READY)
        key = kubeconfigsecret.secret_key(cluster)
        if key is None:
            raise errors.CredentialsError(f"{kubeconfigsecret.NOT_NAMED}: it names the Secret with the kubeconfig")
        secret = self._cache.get(Secret, key)
        if secret is None:
            raise errors.CredentialsError(kubeconfigsecret.missing(key).why)
        return kubeconfigsecret.content(secret)


def _secret_of(cluster: DPUCluster) -> Iterable[str]:
    key = kubeconfigsecret.secret_key(cluster)
    return (str(key),) if key else ()
