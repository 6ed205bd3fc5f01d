"""Turns changes in caches into keys in queues, as the reconcilers' `watches` declare.

`manager` calls `declare` before the caches are filled. One kind is watched once per cluster, whoever asked for it: a
watch that asks for labelled objects only is given only those here as well. A mapping that fails, or cannot answer
because a cache is not complete, makes the controller look at all its roots: a trigger is never lost.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from dpf.api.meta import Key, LabelSelector, Object
from dpf.kube import errors, selectors
from dpf.kube.clusters import HOST, ClusterRegistry, Connected, Connecting, Health
from dpf.runtime.controller import Controller
from dpf.runtime.reconciler import Watch

_log = structlog.get_logger()

Callback = Callable[[Any, Any], None]


def declare(clusters: ClusterRegistry, controller: Controller) -> None:
    """Have everything cached that `controller` needs, and its queue fed."""
    reconciler = controller.reconciler
    cache = clusters.host.cache
    cache.register(reconciler.kind, fields=reconciler.root_fields)
    cache.subscribe(reconciler.kind, controller.root_changed)
    watches = tuple(reconciler.watches)
    for watch in watches:
        callback = build_callback(controller, watch)
        if watch.everywhere:
            clusters.register_everywhere(watch.kind, labels=watch.labels, indexes=watch.indexes)
            clusters.subscribe_everywhere(watch.kind, partial(_in_any_cluster, callback))
        else:
            cache.register(watch.kind, labels=watch.labels, indexes=watch.indexes)
            cache.subscribe(watch.kind, callback)
    if any(watch.everywhere for watch in watches):
        clusters.subscribe_health(partial(_on_health, controller))


def build_callback(controller: Controller, watch: Watch) -> Callback:
    """The cache callback of one declared watch; never raises."""
    selector = selectors.parse(watch.labels) if watch.labels else None

    def tell(old: Object | None, new: Object | None) -> None:
        before, after = _selected(selector, old), _selected(selector, new)
        if before is None and after is None:
            return
        try:
            controller.enqueue(watch.maps(before, after))
        except errors.Error:
            controller.enqueue_all()
        except Exception:  # noqa: BLE001 - a broken mapping must not stop the reflector that calls it
            _log.exception(
                "mapping failed because of a bug", controller=controller.reconciler.name, kind=watch.kind.resource.kind
            )
            controller.enqueue_all()

    return tell


def _in_any_cluster(callback: Callback, _cluster: Key, old: Object | None, new: Object | None) -> None:
    callback(old, new)


def _selected(selector: LabelSelector | None, obj: Object | None) -> Object | None:
    if obj is None or selector is None or selectors.matches(selector, obj.metadata.labels):
        return obj
    return None


def _on_health(controller: Controller, cluster: Key, old: Health, new: Health | None) -> None:
    """Every root may stand differently when a DPU cluster comes or goes; why it is away does not matter.

    So may whoever waited for the first answer of a cluster, also when there is none.
    """
    if cluster != HOST and (isinstance(old, Connecting) or isinstance(old, Connected) != isinstance(new, Connected)):
        controller.enqueue_all()
