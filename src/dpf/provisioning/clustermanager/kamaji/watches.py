"""What triggers a pass beside the DPUCluster itself: the objects that were made for it. Called by the controller.

Kamaji need not be installed, so nothing waits for the watch on its kind.
"""

from __future__ import annotations

from collections.abc import Iterable

from dpf.api import core
from dpf.api.kamaji import TenantControlPlane
from dpf.api.meta import Key, Object
from dpf.provisioning.clustermanager.kamaji import build
from dpf.runtime.reconciler import Watch


def watches() -> tuple[Watch, ...]:
    """Watches on what carries our label."""
    kinds: tuple[type[Object], ...] = (core.Service, core.ConfigMap, core.DaemonSet)
    return (
        *(Watch(kind=kind, labels=build.TENANT_LABEL, maps=_clusters) for kind in kinds),
        Watch(kind=TenantControlPlane, labels=build.TENANT_LABEL, maps=_clusters, optional=True),
    )


def _clusters(*objects: Object | None) -> Iterable[Key]:
    """The DPUClusters that the label names, before and after the change."""
    return {
        Key(obj.metadata.namespace or "", name)
        for obj in objects if obj is not None
        for name in [(obj.metadata.labels or {}).get(build.TENANT_LABEL)] if name
    }
