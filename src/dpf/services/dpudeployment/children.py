"""What the children of one DPUDeployment have in common: their owner, their labels, how one is put right.

Pure. Called by the planners of the single kinds. It knows none of their specs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from dpf.api import names
from dpf.api.dpudeployment import DPUDeployment, DPUDeploymentSpec
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, LabelSelector, Object, ObjectMeta, OwnerReference, object_key
from dpf.runtime.plan import Action, Apply, Delete, Patch
from dpf.services.dpudeployment import digests, naming, selectors
from dpf.services.dpudeployment.snapshot import Snapshot

Child = DPUService | DPUServiceInterface | DPUServiceChain | DPUSet
C = TypeVar("C", DPUService, DPUServiceInterface, DPUServiceChain, DPUSet)

Identity = tuple[type[Object], str]
"""Kind and name in the namespace of the deployment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The DPUDeployment as its children see it."""

    snapshot: Snapshot
    spec: DPUDeploymentSpec
    owner: str
    """Value of the owner label on children and nodes."""
    cluster_selector: LabelSelector | None
    """DPUClusters of all DPUSets together."""
    names_in_use: Mapping[type[Object], frozenset[str]] = field(default_factory=dict)
    """Names of all children, also of those that are being deleted."""

    @property
    def key(self) -> Key:
        """Namespace and name of the DPUDeployment."""
        return self.snapshot.key

    @property
    def uid(self) -> str:
        """What tells it from another DPUDeployment of the same name."""
        return self.snapshot.deployment.metadata.uid or ""

    @property
    def limit(self) -> int:
        """How many revisions of a child there may be; at least the wanted one."""
        return max(1, self.spec.revisionHistoryLimit)

    def is_taken(self, kind: type[Object], name: str) -> bool:
        """Whether a new child cannot have that name."""
        if name in self.names_in_use.get(kind, ()):
            return True
        return self.is_foreign(kind, name)

    def is_foreign(self, kind: type[Object], name: str) -> bool:
        """Whether the name belongs to somebody else."""
        return (kind, Key(self.key.namespace, name)) in self.snapshot.foreign

    def new_name(
        self, kind: type[Object], plain: str, *seed: str, is_first: bool, reserved: set[Identity],
    ) -> str:
        """Name of a child that has to be made: the plain one for a first revision, if nobody has it.

        `reserved` are names given earlier in this pass; the new one is added.
        """
        def is_taken(name: str) -> bool:
            return self.is_taken(kind, name) or (kind, name) in reserved

        give = naming.unique if is_first else naming.suffixed
        name = give(plain, self.uid, kind.resource.kind, *seed, is_taken=is_taken)
        reserved.add((kind, name))
        return name

    def metadata(
        self, name: str, *, labels: Mapping[str, str] | None = None, annotations: Mapping[str, str] | None = None,
        owners: Iterable[OwnerReference] = (),
    ) -> ObjectMeta:
        """Metadata of a child: owner label and controller reference beside what is given."""
        deployment = self.snapshot.deployment
        return ObjectMeta(
            name=name, namespace=self.key.namespace, annotations=dict(annotations) if annotations else None,
            labels={names.OWNED_BY_DPUDEPLOYMENT_LABEL: self.owner, **(labels or {})},
            ownerReferences=[reference(deployment, controller=True), *owners],
        )


def parent(snapshot: Snapshot, spec: DPUDeploymentSpec) -> Parent:
    """What the planners of the children start from."""
    found = snapshot.children
    return Parent(
        snapshot=snapshot, spec=spec, owner=naming.owner_value(snapshot.key),
        cluster_selector=selectors.clusters(spec.dpus.dpuSets or ()),
        names_in_use={
            DPUService: _names(found.services), DPUServiceInterface: _names(found.interfaces),
            DPUServiceChain: _names(found.chains), DPUSet: _names(found.dpusets),
        },
    )


def reference(owner: DPUDeployment | DPUService, *, controller: bool) -> OwnerReference:
    """An owner reference; only a controller keeps its owner from going first."""
    resource = type(owner).resource
    return OwnerReference(
        apiVersion=resource.api_version, kind=resource.kind, name=owner.metadata.name, uid=owner.metadata.uid or "",
        controller=controller, blockOwnerDeletion=controller,
    )


def put_right(live: C | None, wanted: C, *, because: str) -> Iterator[Action]:
    """Makes `live` what is wanted; nothing when it is.

    Server-side apply cannot take away what somebody else has added to a spec. What is left of that when everything else
    is right is replaced, so that it is not applied again and again.
    """
    if live is None or not _marks_cover(live.metadata, wanted.metadata):
        yield Apply(object=wanted, because=because)
    elif _spec(live) != _spec(wanted):
        is_added_to = _covers(live.spec, wanted.spec)
        yield _replacement(live, wanted) if is_added_to else Apply(object=wanted, because=because)


def remove(child: Child, *, because: str) -> Delete:
    """Deletes exactly this object, not a namesake."""
    return Delete(kind=type(child), key=object_key(child), uid=child.metadata.uid, because=because)


def without_writes(actions: Sequence[Action], removals: Iterable[Action], *, problems: bool) -> tuple[Action, ...]:
    """`actions`, and `removals` only when nothing is to be written and nothing is wrong.

    After any error nothing is deleted (behaviour-service.md 6.7), and whether a write succeeds is known only to the
    next pass: a revision that the API server refuses must not cost the one that works.
    """
    return tuple(actions) if problems or any(map(_is_write, actions)) else (*actions, *removals)


def _is_write(action: Action) -> bool:
    """Whether the action changes what a child is for, rather than that it is paused."""
    return isinstance(action, Apply) or (isinstance(action, Patch) and not isinstance(action.patch, Mapping))


def _marks_cover(live: ObjectMeta, wanted: ObjectMeta) -> bool:
    """Whether no label, annotation or owner reference of ours is missing; others may stand beside them."""
    owners = live.ownerReferences or ()
    return (
        _includes(live.labels, wanted.labels) and _includes(live.annotations, wanted.annotations)
        and all(owner in owners for owner in wanted.ownerReferences or ())
    )


def _includes(live: Mapping[str, str] | None, wanted: Mapping[str, str] | None) -> bool:
    return not wanted or (live is not None and wanted.items() <= live.items())


def _spec(child: Child) -> object:
    """The spec without `paused`, which has its own actions."""
    if isinstance(child, DPUService) and child.spec is not None and child.spec.paused:
        return msgspec.structs.replace(child.spec, paused=False)
    return child.spec


def _covers(live: object, wanted: object) -> bool:
    """Whether everything that `wanted` says is in `live`, whoever filled in the defaults."""
    if isinstance(wanted, msgspec.Struct) and type(live) is type(wanted):
        return all(_covers(getattr(live, name), value) for name, value in digests.fields_set(wanted))
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        return all(key in live and _covers(live[key], value) for key, value in wanted.items())
    return live == wanted


def _replacement(live: Child, wanted: Child) -> Patch:
    return Patch(
        kind=type(wanted), key=object_key(live),
        patch=({"op": "replace", "path": "/spec", "value": msgspec.to_builtins(wanted.spec)},),
        because="its spec says more than its DPUDeployment",
    )


def _names(objects: Iterable[Object]) -> frozenset[str]:
    return frozenset(obj.metadata.name for obj in objects)
