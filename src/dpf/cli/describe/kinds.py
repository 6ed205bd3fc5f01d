"""Which kinds `describe` shows and which object hangs below which: declarations only.

Pure; read by `discover` and `tree`. A new kind is one view, one `Kind` and its place in a `Branch`. A kind whose CRD is
not installed has no objects. Source: behaviour-service.md 10.1; the documents' tables do not split off system
components (resolutions.md row 47).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dpf.api import names
from dpf.api.meta import Condition, Key, ObjectMeta
from dpf.cli.describe import owners, verdicts, views
from dpf.cli.describe.views import AnyView, DPFOperatorConfigView
from dpf.services.dpudeployment import naming


def by_key(key: Key) -> Hashable:
    """How most objects are referred to."""
    return key


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Objects that are counted for the note of another kind.

    `of` tells, of an object of the counted kind, the one that it counts for. `told` takes that one and the number.
    """

    kind: Kind
    of: Callable[[Any], Key | None]
    told: Callable[[Any, int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How one kind is read and shown.

    `conditions_of` and `note_of` take an object of type `view`; the note stands beside the message of its row. `labels`
    narrows the list. `identity` is what children call their parent by. A `silent` kind may have no Ready condition and
    is nevertheless well. `bad_news` are conditions that are good when they do not hold; those whose type begins with
    `remarks` matter only while the object is not Ready. `counts` adds to the note.
    """

    view: type[Any]
    conditions_of: Callable[[Any], Sequence[Condition]] = verdicts.own_conditions
    note_of: Callable[[Any], str] = verdicts.stale_note
    labels: str | None = None
    groups: bool = True
    identity: Callable[[Key], Hashable] = by_key
    silent: bool = False
    bad_news: frozenset[str] = frozenset()
    remarks: str | None = None
    counts: Count | None = None

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
    """A place of a kind in the tree.

    An object is here because it says what is above it (`parent_of` its metadata or `above` the object: the identity of
    that object, or None), or because the object above names it (`named_by`). Without any of these, everything is here
    that has no other place in this tree. `on_demand` shows them only when the object above is not Ready or was asked to
    be expanded, `quiet` only those that are not well or were asked for. `headed` puts a heading above them.
    """

    kind: Kind
    headed: bool = True
    on_demand: bool = False
    quiet: bool = False
    parent_of: Callable[[ObjectMeta], Hashable | None] | None = None
    above: Callable[[Any], Hashable | None] | None = None
    named_by: Callable[[Any], Collection[Key]] | None = None
    below: tuple[Branch | Section, ...] = ()

    @property
    def takes_the_rest(self) -> bool:
        """Whether it shows what has no other place."""
        return self.parent_of is None and self.above is None and self.named_by is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading of its own above several branches."""

    heading: str
    branches: tuple[Branch, ...]


Branches = Sequence[Branch | Section]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Everything that was read: the root, the objects by kind name, and one text per object that could not be read."""

    root: DPFOperatorConfigView
    objects: Mapping[str, Sequence[AnyView]]
    unreadable: Sequence[str] = ()


ROOT: Final = Kind(view=views.DPFOperatorConfigView)
APPLICATION: Final = Kind(
    view=views.ApplicationView, conditions_of=verdicts.application_conditions, note_of=verdicts.no_note,
    labels=names.DPUSERVICE_NAME_LABEL,
)
BFB: Final = Kind(view=views.BFBView, conditions_of=verdicts.bfb_conditions, bad_news=verdicts.BAD_OF_BFB)
CREDENTIAL_REQUEST: Final = Kind(view=views.DPUServiceCredentialRequestView)
DPU: Final = Kind(
    view=views.DPUView, conditions_of=verdicts.dpu_conditions, note_of=verdicts.dpu_note,
    bad_news=verdicts.BAD_OF_DPU,
)
DPU_CLUSTER: Final = Kind(
    view=views.DPUClusterView, groups=False, note_of=verdicts.cluster_note,
    counts=Count(kind=DPU, of=owners.cluster_of, told=verdicts.members),
)
DPU_DEVICE: Final = Kind(view=views.DPUDeviceView, bad_news=verdicts.BAD_OF_DEVICE)
DPU_NODE: Final = Kind(
    view=views.DPUNodeView, conditions_of=verdicts.looked_at, bad_news=verdicts.BAD_OF_NODE
)
DPU_NODE_MAINTENANCE: Final = Kind(
    view=views.DPUNodeMaintenanceView, conditions_of=verdicts.maintenance_conditions, remarks=verdicts.REQUESTOR
)
DPU_DEPLOYMENT: Final = Kind(view=views.DPUDeploymentView, identity=naming.owner_value)
DPU_SERVICE: Final = Kind(
    view=views.DPUServiceView, conditions_of=verdicts.service_conditions, note_of=verdicts.service_note
)
DPU_SET: Final = Kind(view=views.DPUSetView, note_of=verdicts.dpuset_note, groups=False)
SERVICE_CHAIN: Final = Kind(view=views.DPUServiceChainView)
SERVICE_INTERFACE: Final = Kind(view=views.DPUServiceInterfaceView)
SERVICE_TEMPLATE: Final = Kind(view=views.DPUServiceTemplateView, silent=True)

_UNDER_SERVICE: Final = (Branch(kind=APPLICATION, headed=False, on_demand=True, parent_of=owners.service_of),)
_UNDER_HOST: Final = (
    Branch(kind=DPU_DEVICE, headed=False, quiet=True, named_by=owners.devices_of),
    Branch(kind=DPU_NODE_MAINTENANCE, headed=False, quiet=True, above=owners.host_of),
)
_UNDER_DPU: Final = (
    Branch(kind=DPU_NODE, headed=False, quiet=True, named_by=owners.dpunodes_of, below=_UNDER_HOST),
)
_UNDER_SET: Final = (
    Branch(kind=BFB, headed=False, named_by=owners.bfbs_of),
    Branch(kind=DPU, parent_of=owners.dpuset_of, below=_UNDER_DPU),
)
_UNDER_DEPLOYMENT: Final = (
    Branch(kind=SERVICE_CHAIN, parent_of=owners.deployment_of),
    Branch(kind=SERVICE_INTERFACE, parent_of=owners.deployment_of),
    Branch(kind=DPU_SET, parent_of=owners.deployment_of, below=_UNDER_SET),
    Section(heading="Services", branches=(
        Branch(kind=SERVICE_TEMPLATE, named_by=owners.templates_of),
        Branch(kind=DPU_SERVICE, parent_of=owners.deployment_of, below=_UNDER_SERVICE),
    )),
)

_CLUSTERS: Final[tuple[Branch, ...]] = (Branch(kind=DPU_CLUSTER),)
_DEPLOYMENTS: Final[tuple[Branch, ...]] = (Branch(kind=DPU_DEPLOYMENT, below=_UNDER_DEPLOYMENT),)
_SERVICES: Final[tuple[Branch, ...]] = (
    Branch(kind=DPU_SERVICE, below=_UNDER_SERVICE), Branch(kind=CREDENTIAL_REQUEST),
)
_SETS: Final[tuple[Branch, ...]] = (
    Branch(kind=DPU_SET, below=_UNDER_SET), Branch(kind=DPU, below=_UNDER_DPU),
    Branch(kind=DPU_NODE, below=_UNDER_HOST), Branch(kind=DPU_DEVICE), Branch(kind=DPU_NODE_MAINTENANCE),
    Branch(kind=BFB), Branch(kind=SERVICE_CHAIN), Branch(kind=SERVICE_INTERFACE),
)

TARGETS: Final[Mapping[str, tuple[Branch, ...]]] = {
    "all": _CLUSTERS + _DEPLOYMENTS + _SERVICES + _SETS,
    "dpuclusters": _CLUSTERS,
    "dpudeployments": _DEPLOYMENTS,
    "dpuservices": _SERVICES,
    "dpusets": _SETS,
}
"""What can be described, by the word that is typed."""


def walk(branches: Branches, above: str = "") -> Iterator[tuple[str, Branch]]:
    """Every branch with the name of the kind above it, which is empty directly below the root."""
    for branch in branches:
        if isinstance(branch, Section):
            yield from walk(branch.branches, above)
        else:
            yield above, branch
            yield from walk(branch.below, branch.kind.name)


def needed(branches: Branches) -> Mapping[str, Kind]:
    """Every kind that has to be read for `branches`, by name."""
    shown = {branch.kind.name: branch.kind for _, branch in walk(branches)}
    counted = (kind.counts.kind for kind in shown.values() if kind.counts is not None)
    return shown | {kind.name: kind for kind in counted}


def filter_words() -> frozenset[str]:
    """Kinds that a filter may name, whatever is described: a script may use one filter for several targets."""
    return frozenset({ROOT.name, *(b.kind.name for branches in TARGETS.values() for _, b in walk(branches))})
