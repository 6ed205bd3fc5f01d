"""Observes the `Fleet`, once for all passes until something in it changes.

Called by this kind's observation. Reads the host cluster's cache only, and remembers nothing but what that cache says:
a cache that cannot answer makes this raise as if it were read in every pass.
"""

from __future__ import annotations

from typing import Any, Final

from dpf.api import core
from dpf.api.argocd import AppProject
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key, Object, object_key
from dpf.kube.cache import Cache
from dpf.runtime import kubeconfigsecret
from dpf.services.argocd import build
from dpf.services.dpuservice import access, naming, watches
from dpf.services.dpuservice.fleet import Fleet, Member, Unusable

_KINDS: Final[tuple[type[Object], ...]] = (DPUCluster, core.Secret, AppProject, DPFOperatorConfig)


class FleetCache:
    """The Fleet as the caches have it. Changes of any of its kinds make the next reader look again.

    `dpf_namespace` is DPF's as long as no DPFOperatorConfig says otherwise.
    """

    def __init__(self, cache: Cache, dpf_namespace: str) -> None:
        self._cache = cache
        self._dpf_namespace = dpf_namespace
        self._fleet: Fleet | None = None
        self._unreadable: tuple[frozenset[Key], ...] = ()
        self._subscribed = False

    def current(self) -> Fleet:
        """The Fleet. Raises kube.errors.NotSynced when it cannot be told."""
        self._subscribe()
        # An object that stops being readable is announced to nobody.
        unreadable = tuple(frozenset(self._cache.store(kind).unreadable) for kind in _KINDS)
        if self._fleet is None or unreadable != self._unreadable or not self._cache.is_synced(*_KINDS):
            self._fleet = _observe(self._cache, self._dpf_namespace)
            self._unreadable = unreadable
        return self._fleet

    def _subscribe(self) -> None:
        """At first use: by then all kinds are registered."""
        if not self._subscribed:
            for kind in _KINDS:
                self._cache.subscribe(kind, self._changed)
            self._subscribed = True

    def _changed(self, _old: Any, _new: Any) -> None:  # noqa: ANN401 - any object of these kinds
        self._fleet = None


def _observe(cache: Cache, dpf_namespace: str) -> Fleet:
    config = _config(cache, dpf_namespace)
    dpf_namespace = (config.metadata.namespace if config else None) or dpf_namespace
    argocd_namespace = watches.argocd_namespace(config) or dpf_namespace
    projects = {name: cache.get(AppProject, Key(argocd_namespace, name))
                for name in (build.DPU_PROJECT, build.HOST_PROJECT)}
    return Fleet(
        dpf_namespace=dpf_namespace, argocd_namespace=argocd_namespace,
        members=tuple(_member(cache, cluster) for cluster in sorted(cache.list(DPUCluster), key=object_key)),
        unreadable=frozenset(cache.store(DPUCluster).unreadable),
        secrets=tuple(cache.by_index(core.Secret, watches.BY_ARGOCD_NAMESPACE, argocd_namespace)),
        projects={name: project for name, project in projects.items() if project is not None},
    )


def _config(cache: Cache, expected: str) -> DPFOperatorConfig | None:
    """The DPFOperatorConfig, wherever it lives: its namespace is DPF's. Of several, the one where it is expected."""
    found = sorted(cache.list(DPFOperatorConfig), key=lambda c: (c.metadata.namespace != expected, naming.seniority(c)))
    return found[0] if found else None


def _member(cache: Cache, cluster: DPUCluster) -> Member:
    key = kubeconfigsecret.secret_key(cluster)
    if key in cache.store(core.Secret).unreadable:
        return Member(cluster=cluster, credentials=Unusable(why=f"secret {key} cannot be read; correct it"))
    secret = cache.get(core.Secret, key) if key else None
    return Member(cluster=cluster, credentials=access.credentials(cluster, secret))
