"""Which kinds `describe` shows, what it reads of them and which object hangs below which: declarations only.

Pure; read by `discover` and `tree`. A new kind is one view, one `Kind` and its place in a `Branch`. Views hold identity
and conditions and nothing else, so an object whose spec another version wrote is still shown. A kind whose CRD is not
installed has no objects. Source: behaviour-service.md 10.1; the documents' tables do not split off system components
(resolutions.md row 47).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from dpf.api import argocd, dpfoperatorconfig, dpucluster, dpuservice, names
from dpf.api.meta import Condition, Key, Model, Object, ObjectMeta, Resource
from dpf.runtime import conditions


class ViewStatus(Model):
    """Conditions of any kind that follows metav1.Condition."""

    conditions: list[Condition] | None = None


class View(Object):
    """What is read of an object of any of our kinds."""

    status: ViewStatus = ViewStatus()


class DPFOperatorConfigView(View):
    """The root of every tree."""

    resource: ClassVar[Resource] = dpfoperatorconfig.DPFOperatorConfig.resource


class DPUClusterView(View):
    """A cluster of DPUs."""

    resource: ClassVar[Resource] = dpucluster.DPUCluster.resource


class DPUServiceView(View):
    """A service on the DPUs."""

    resource: ClassVar[Resource] = dpuservice.DPUService.resource


class DPUServiceCredentialRequestView(View):
    """Access of a service to a cluster."""

    resource: ClassVar[Resource] = Resource(
        "svc.dpu.nvidia.com", "v1alpha1", "DPUServiceCredentialRequest", "dpuservicecredentialrequests"
    )


class ApplicationHealth(Model):
    """Argo CD's verdict, and since when it holds."""

    status: str | None = None
    message: str | None = None
    lastTransitionTime: str | None = None


class ApplicationViewStatus(Model):
    """Argo CD's status, which follows no condition convention."""

    sync: argocd.SyncStatus = argocd.SyncStatus()
    health: ApplicationHealth = ApplicationHealth()
    conditions: list[argocd.ApplicationCondition] | None = None
    resources: list[argocd.ResourceStatus] | None = None
    reconciledAt: str | None = None


class ApplicationView(Object):
    """What Argo CD installs for a DPUService in one cluster."""

    resource: ClassVar[Resource] = argocd.Application.resource
    status: ApplicationViewStatus = ApplicationViewStatus()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How one kind is read and shown. `conditions_of` takes an object of type `view`; `labels` narrows the list."""

    view: type[Any]
    conditions_of: Callable[[Any], Sequence[Condition]]
    labels: str | None = None
    groups: bool = True

    @property
    def name(self) -> str:
        """The API name."""
        return self.view.resource.kind  # type: ignore[no-any-return]

    @property
    def heading(self) -> str:
        """What stands above several objects."""
        return f"{self.name}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """The place of a kind in the tree.

    `parent_of` names the object above, or None for an object that hangs nowhere; without it every object belongs here.
    `on_demand` shows them only when the object above is not Ready or was asked to be expanded. `headed` puts a heading
    above them.
    """

    kind: Kind
    headed: bool = True
    on_demand: bool = False
    parent_of: Callable[[ObjectMeta], Key | None] | None = None
    below: tuple[Branch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Everything that was read: the root, the objects by kind name, and one text per object that could not be read."""

    root: DPFOperatorConfigView
    objects: Mapping[str, Sequence[View | ApplicationView]]
    unreadable: Sequence[str] = ()


WORKLOADS: Final = frozenset({"DaemonSet", "Deployment", "StatefulSet", "ReplicaSet", "Job", "CronJob", "Pod"})
HEALTHY: Final = "Healthy"


def own_conditions(view: View) -> Sequence[Condition]:
    """The conditions that the object itself has."""
    return view.status.conditions or ()


def service_conditions(view: View) -> Sequence[Condition]:
    """The conditions of a DPUService without the one about SPIFFE while it holds: the documents' tables lack it."""
    unused = dpuservice.ConditionType.SPIFFE_ENTRIES_READY
    return [c for c in own_conditions(view) if c.type != unused or c.status != conditions.Status.TRUE]


def application_conditions(view: ApplicationView) -> Sequence[Condition]:
    """Argo CD's verdicts as conditions: Ready, each error that it reports as False, and the state of each workload.

    A workload's status is its sync state and its reason its health (behaviour-service.md 10.1).
    """
    status = view.status
    return [_application_ready(status), *map(_reported, status.conditions or ()), *map(_workload, _workloads(status))]


def service_of(metadata: ObjectMeta) -> Key | None:
    """The DPUService that an Application was made for, by its labels."""
    labels = metadata.labels or {}
    name = labels.get(names.DPUSERVICE_NAME_LABEL)
    return Key(labels.get(names.DPUSERVICE_NAMESPACE_LABEL, ""), name) if name else None


ROOT: Final = Kind(view=DPFOperatorConfigView, conditions_of=own_conditions)
APPLICATION: Final = Kind(
    view=ApplicationView, conditions_of=application_conditions, labels=names.DPUSERVICE_NAME_LABEL
)
DPU_CLUSTER: Final = Kind(view=DPUClusterView, conditions_of=own_conditions, groups=False)
DPU_SERVICE: Final = Kind(view=DPUServiceView, conditions_of=service_conditions)
CREDENTIAL_REQUEST: Final = Kind(view=DPUServiceCredentialRequestView, conditions_of=own_conditions)

_CLUSTERS: Final = (Branch(kind=DPU_CLUSTER),)
_SERVICES: Final = (
    Branch(kind=DPU_SERVICE, below=(
        Branch(kind=APPLICATION, headed=False, on_demand=True, parent_of=service_of),
    )),
    Branch(kind=CREDENTIAL_REQUEST),
)

TARGETS: Final[Mapping[str, tuple[Branch, ...]]] = {
    "all": _CLUSTERS + _SERVICES,
    "dpuclusters": _CLUSTERS,
    "dpuservices": _SERVICES,
}
"""What can be described, by the word that is typed."""


def walk(branches: Sequence[Branch], above: str = "") -> Iterator[tuple[str, Branch]]:
    """Every branch with the name of the kind above it, which is empty directly below the root."""
    for branch in branches:
        yield above, branch
        yield from walk(branch.below, branch.kind.name)


def filter_words() -> frozenset[str]:
    """Kinds that a filter may name, whatever is described: a script may use one filter for several targets."""
    return frozenset({ROOT.name, *(b.kind.name for branches in TARGETS.values() for _, b in walk(branches))})


def _application_ready(status: ApplicationViewStatus) -> Condition:
    """Ready when Argo CD calls it Healthy and reports no error; what is not in sync is told in the message."""
    ready = status.health.status == HEALTHY and not status.conditions
    sync = status.sync.status or "Unknown"
    notes = [f"Sync: {sync}" if sync != "Synced" else "", status.health.message or ""]
    return Condition(
        type=conditions.READY, status=conditions.Status.TRUE if ready else conditions.Status.FALSE,
        reason=conditions.Reason.SUCCESS if ready else status.health.status or "Unknown",
        message=". ".join(note for note in notes if note),
        lastTransitionTime=status.health.lastTransitionTime or status.reconciledAt,
    )


def _reported(condition: argocd.ApplicationCondition) -> Condition:
    return Condition(
        type=condition.type, status=conditions.Status.FALSE, message=condition.message,
        lastTransitionTime=condition.lastTransitionTime,
    )


def _workloads(status: ApplicationViewStatus) -> Iterator[argocd.ResourceStatus]:
    return (resource for resource in status.resources or () if resource.kind in WORKLOADS)


def _workload(resource: argocd.ResourceStatus) -> Condition:
    health = resource.health or argocd.HealthStatus()
    return Condition(
        type=f"{resource.kind}/{resource.name}", status=resource.status or "Unknown", reason=health.status or "",
        message=health.message or "",
    )
