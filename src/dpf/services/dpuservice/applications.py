"""The Applications of a DPUService: wanted, stale, paused, to be removed (behaviour-service.md 3.5 and 3.8).

Pure. Called by this kind's planner. Applications are found by labels; a name is chosen once, when one is created.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from dpf.api import names
from dpf.api.argocd import RESOURCES_FINALIZER, SKIP_RECONCILE_ANNOTATION, Application
from dpf.api.dpuservice import DPUService, DPUServiceSpec, HelmChartSource
from dpf.api.meta import Key, object_key
from dpf.runtime.plan import Action, Apply, Delete, Patch
from dpf.services import values
from dpf.services.argocd import build
from dpf.services.dpuservice import daemonset, naming, targets
from dpf.services.dpuservice.networks import Attachments
from dpf.services.dpuservice.snapshot import Snapshot
from dpf.services.helm import sources

_SORTED: Final = msgspec.msgpack.Encoder(order="deterministic").encode


def plan_wanted(
    snapshot: Snapshot, spec: DPUServiceSpec, destinations: Iterable[build.Destination], attachments: Attachments
) -> Iterator[Action]:
    """Creates or corrects the Application at each destination, and wakes one that a pause put to sleep.

    One that is being deleted is left alone: it is made again when it is gone.
    """
    source = _source(snapshot, spec)
    for destination, actual in targets.installed(snapshot.applications, destinations):
        if actual is not None and actual.metadata.deletionTimestamp is not None:
            yield from plan_removal((actual,), because="it is made again when it is gone")
            continue
        key = _new_key(snapshot, destination) if actual is None else object_key(actual)
        wanted = build.application(
            key, service=snapshot.key, destination=destination, chart=source,
            release_name=naming.release_name(key.name, source.releaseName),
            values=daemonset.compute_values(snapshot.service, spec, destination, attachments),
        )
        because = f"DPUService is installed in cluster {destination.name}"
        if actual is None or _is_stripped(actual, wanted):
            yield Apply(object=wanted, because=because)
        if actual is not None and not _same_spec(actual, wanted):
            yield _replace_spec(actual, wanted, because=because)
        if actual is not None and SKIP_RECONCILE_ANNOTATION in (actual.metadata.annotations or {}):
            yield _annotate(actual, None, because="DPUService is not paused")


def stale(snapshot: Snapshot) -> tuple[Application, ...]:
    """Applications of the service at places where it no longer belongs, and second ones at the same place.

    Everything that is not the Application of a destination is stale; an unusable cluster is a destination nevertheless.
    """
    unknown = (build.Destination(name=key.name, cluster=key) for key in snapshot.fleet.unreadable)
    found = targets.installed(snapshot.applications, (*snapshot.destinations, *unknown))
    kept = {object_key(app) for _, app in found if app is not None}
    return tuple(app for app in snapshot.applications if object_key(app) not in kept)


def plan_pause(applications: Iterable[Application]) -> Iterator[Action]:
    """Makes Argo CD leave the Applications alone."""
    for app in applications:
        if _skip(app) != "true":
            yield _annotate(app, "true", because="DPUService is paused")


def plan_removal(applications: Iterable[Application], *, because: str) -> Iterator[Action]:
    """Deletes Applications. A paused one must be woken, or Argo CD never carries out its finalizer."""
    for app in applications:
        if _skip(app) == "true":
            yield _annotate(app, "false", because="Argo CD must finish the deletion")
        if app.metadata.deletionTimestamp is None:
            yield Delete(kind=Application, key=object_key(app), uid=app.metadata.uid, because=because)


def names_to_look_up(snapshot: Snapshot) -> tuple[str, ...]:
    """Names that Applications to be created would like to have. The observation asks the server who holds them."""
    return tuple(
        naming.application_name(destination.name, snapshot.service.metadata.name)
        for destination, actual in snapshot.installed if actual is None
    )


def keys(applications: Iterable[Application]) -> list[str]:
    """Namespace and name of each Application, sorted, for messages."""
    return sorted(str(object_key(app)) for app in applications)


def notes(snapshot: Snapshot) -> Iterator[str]:
    """For each Application that could not have the documented name: its name, and why."""
    for destination, actual in snapshot.installed:
        cluster = destination.cluster.name if destination.cluster else destination.name
        documented = naming.application_name(cluster, snapshot.service.metadata.name)
        if actual is not None and actual.metadata.name != documented:
            yield f"Application {object_key(actual)} is not called {documented}, because that name was taken."


def _new_key(snapshot: Snapshot, destination: build.Destination) -> Key:
    """The documented name, unless somebody else has it or an older DPUService of the same name may still want it."""
    namespace = snapshot.fleet.dpf_namespace
    documented = naming.application_name(destination.name, snapshot.service.metadata.name)
    older = [n for n in snapshot.namesakes if naming.seniority(n) < naming.seniority(snapshot.service)]
    rivals = [n for n in older if _wants(n, snapshot, destination)]
    if documented in snapshot.name_holders or rivals:
        return Key(namespace, naming.unique(documented, snapshot.key))
    return Key(namespace, documented)


def _wants(namesake: DPUService, snapshot: Snapshot, destination: build.Destination) -> bool:
    if destination.cluster is None:
        return bool(namesake.spec and namesake.spec.deployInCluster)
    clusters = targets.selected(namesake, (view.cluster for view in snapshot.clusters))
    return any(object_key(cluster) == destination.cluster for cluster in clusters)


def _source(snapshot: Snapshot, spec: DPUServiceSpec) -> HelmChartSource:
    """The chart as Argo CD has to ask for it: from the mirror of its repository, if there is one.

    A DPUDeployment's services come from templates, whose charts are in Helm repositories: there, a source with a path
    alone means the chart that the path ends with (seed 003).
    """
    source = spec.helmChart.source
    mirrored = msgspec.structs.replace(source, repoURL=snapshot.mirrors.apply(source.repoURL))
    of_template = names.OWNED_BY_DPUDEPLOYMENT_LABEL in (snapshot.service.metadata.labels or {})
    chart = sources.chart_name(source) if of_template else source.chart
    return msgspec.structs.replace(mirrored, chart=chart or None)


def _is_stripped(actual: Application, wanted: Application) -> bool:
    """Whether a label or the finalizer of ours is missing."""
    labels = actual.metadata.labels or {}
    return (
        any(labels.get(key) != value for key, value in (wanted.metadata.labels or {}).items())
        or RESOURCES_FINALIZER not in (actual.metadata.finalizers or ())
    )


def _same_spec(actual: Application, wanted: Application) -> bool:
    # Equal bytes, which most passes find, say so sooner; others may still mean the same (1 and 1.0).
    if _SORTED(actual.spec) == _SORTED(wanted.spec):
        return True
    return values.same(msgspec.to_builtins(actual.spec), msgspec.to_builtins(wanted.spec))


def _replace_spec(actual: Application, wanted: Application, *, because: str) -> Patch:
    """The whole spec: server-side apply would leave what somebody else added, at every pass anew."""
    replacement = {"op": "replace", "path": "/spec", "value": msgspec.to_builtins(wanted.spec)}
    return Patch(kind=Application, key=object_key(actual), patch=(replacement,), because=because)


def _skip(app: Application) -> str | None:
    return (app.metadata.annotations or {}).get(SKIP_RECONCILE_ANNOTATION)


def _annotate(app: Application, value: str | None, *, because: str) -> Patch:
    return Patch(
        kind=Application, key=object_key(app), because=because,
        patch={"metadata": {"annotations": {SKIP_RECONCILE_ANNOTATION: value}}},
    )
