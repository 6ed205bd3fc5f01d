"""What triggers a pass beside the DPUCluster itself: the objects that were made for it. Called by the controller.

TenantControlPlanes are not among them: a cache of a kind that nobody serves never becomes complete, and would hold up
every controller that waits for it. ConfigMaps are not either: few rights are worth those of every namespace to be told
of an edit some seconds earlier. Both are looked at on a timer.
"""

from __future__ import annotations

from collections.abc import Iterable

from dpf.api import core
from dpf.api.meta import Key, Object
from dpf.provisioning.clustermanager.kamaji import build
from dpf.runtime.reconciler import Watch


def watches() -> tuple[Watch, ...]:
    """Watches on what carries our label."""
    kinds: tuple[type[Object], ...] = (core.Service, core.DaemonSet)
    return tuple(Watch(kind=kind, labels=build.TENANT_LABEL, maps=_clusters) for kind in kinds)


def _clusters(*objects: Object | None) -> Iterable[Key]:
    """The DPUClusters that the label names, before and after the change."""
    return {
        Key(obj.metadata.namespace or "", name)
        for obj in objects if obj is not None
        for name in [(obj.metadata.labels or {}).get(build.TENANT_LABEL)] if name
    }
