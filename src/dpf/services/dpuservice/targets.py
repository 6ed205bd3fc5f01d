"""Which clusters a DPUService goes to, and which of its Applications is where (behaviour-service.md 3.5).

Pure. Called by the Snapshot, which remembers the answers for the length of a pass, and by whoever asks the same about
another DPUService.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dpf.api import names
from dpf.api.argocd import Application
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import DPUService
from dpf.kube import selectors
from dpf.services.argocd import build
from dpf.services.dpuservice import naming


def problem(service: DPUService) -> str | None:
    """What is wrong with the spec's choice of clusters, for the user; None when it can be followed."""
    if service.spec is None:
        return "spec: the DPUService has none; set spec.helmChart"
    try:
        selectors.matches(service.spec.dpuClusterSelector, {})
    except selectors.SelectorError as error:
        return f"spec.dpuClusterSelector: {error}"
    return None


def selected(service: DPUService, clusters: Iterable[DPUCluster]) -> tuple[DPUCluster, ...]:
    """DPUClusters that the service goes to: selected and not being deleted. None for `deployInCluster`."""
    spec = service.spec
    if spec is None or spec.deployInCluster or problem(service):
        return ()
    return tuple(
        cluster for cluster in clusters
        if cluster.metadata.deletionTimestamp is None
        and selectors.matches(spec.dpuClusterSelector, cluster.metadata.labels)
    )


def installed(
    applications: Iterable[Application], places: Iterable[build.Destination]
) -> tuple[tuple[build.Destination, Application | None], ...]:
    """The Application at each place, found by its labels and never by its name. Of two, the older counts."""
    found: dict[_Place, Application] = {}
    for application in sorted(applications, key=naming.seniority, reverse=True):
        found[_place(application.metadata.labels or {})] = application
    return tuple((destination, found.get(_place(destination.labels))) for destination in places)


_Place = tuple[str | None, str | None]


def _place(labels: Mapping[str, str]) -> _Place:
    return labels.get(names.CLUSTER_LABEL), labels.get(names.CLUSTER_NAMESPACE_LABEL)
