"""What becomes of each selected device and of each DPU of the set. Pure.

Called by `plan`, which makes actions of it, and by `observe`, which asks the API server itself before anything is
deleted. Source: behaviour-provisioning.md section 3.1, steps 4 to 9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dpf.api.dpu import DPU
from dpf.provisioning.dpuset import drift, inplace, nodemetadata, rolling, settings
from dpf.provisioning.dpuset.drift import Difference
from dpf.provisioning.dpuset.nodemetadata import Clash, Wanted
from dpf.provisioning.dpuset.rolling import Standing
from dpf.provisioning.dpuset.selection import Candidate
from dpf.provisioning.dpuset.snapshot import Snapshot, is_going


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A DPU stays and is changed; `patch` is a merge patch."""

    dpu: DPU
    patch: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """All of it. `differences` are those of DPUs that stay for now, by name; `clashes` and `skipped` are texts.

    `collisions` are DPUs of others for selected devices.
    """

    remove: tuple[DPU, ...] = ()
    create: tuple[tuple[Candidate, Wanted], ...] = ()
    replace: tuple[DPU, ...] = ()
    update: tuple[Update, ...] = ()
    differences: Mapping[str, tuple[Difference, ...]]
    collisions: tuple[DPU, ...] = ()
    clashes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def victims(self) -> tuple[DPU, ...]:
        """DPUs that would be deleted."""
        return (*self.remove, *self.replace)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A selected device with its DPU, which is not on its way out, and what its Node gets."""

    candidate: Candidate
    dpu: DPU
    node: Wanted
    differences: tuple[Difference, ...]
    has_left_cluster: bool

    @property
    def is_drifted(self) -> bool:
        """Whether only another installation helps."""
        return bool(self.differences) or self.has_left_cluster


def may_delete(snapshot: Snapshot) -> bool:
    """Whether `decide` might have a victim: much cheaper to tell, and false for a set with which all is well."""
    template = snapshot.template.spec
    return bool(snapshot.unselected) or any(
        drift.differences(dpu, template) or drift.has_left_cluster(dpu, template, snapshot.clusters)
        for dpu in snapshot.matched.values() if not is_going(dpu)
    )


def decide(snapshot: Snapshot) -> Decision:
    """Of a DPUSet with which nothing is wrong (`settings.problems`)."""
    wanted, clashes = _node_metadata(snapshot)
    pairs = [(candidate, dpu) for candidate, dpu in snapshot.pairs if candidate.name in wanted]
    free = [candidate for candidate, dpu in pairs if dpu is None]
    held = [_held(snapshot, candidate, dpu, wanted[candidate.name])
            for candidate, dpu in pairs if dpu is not None and not is_going(dpu)]
    collisions = tuple(
        snapshot.rivals[device] for candidate in free if (device := candidate.device.metadata.name) in snapshot.rivals
    )
    update = _updates(snapshot, held)
    replace = _replacements(snapshot, held, update, selected=len(snapshot.candidates) - len(collisions))
    gone = {dpu.metadata.name for dpu in replace}
    create, skipped = _creations(snapshot, free, wanted)
    return Decision(
        remove=tuple(dpu for dpu in snapshot.unselected if dpu.metadata.name not in snapshot.retained),
        create=create, replace=replace, update=tuple(u for u in update if u.dpu.metadata.name not in gone),
        differences={h.dpu.metadata.name: h.differences for h in held if h.dpu.metadata.name not in gone},
        collisions=collisions, clashes=clashes, skipped=skipped,
    )


def _node_metadata(snapshot: Snapshot) -> tuple[dict[str, Wanted], tuple[str, ...]]:
    """What the Node of each DPU gets, by the DPU's name, and where that cannot be told."""
    wanted: dict[str, Wanted] = {}
    clashes: list[str] = []
    for candidate in snapshot.candidates:
        merged = nodemetadata.merge(snapshot.template.spec.cluster, candidate, snapshot.platform.version)
        if isinstance(merged, Clash):
            clashes.append(merged.message)
        else:
            wanted[candidate.name] = merged
    return wanted, tuple(clashes)


def _held(snapshot: Snapshot, candidate: Candidate, dpu: DPU, node: Wanted) -> _Held:
    template = snapshot.template.spec
    return _Held(
        candidate=candidate, dpu=dpu, node=node, differences=drift.differences(dpu, template),
        has_left_cluster=drift.has_left_cluster(dpu, template, snapshot.clusters),
    )


def _updates(snapshot: Snapshot, held: Sequence[_Held]) -> tuple[Update, ...]:
    """A DPU that is going to be replaced by itself is not taken out of service for a label before."""
    spared = rolling.is_rolling(snapshot.spec.strategy) and _disturbs(snapshot)
    found: list[Update] = []
    for one in held:
        if one.is_drifted and spared:
            continue
        patch = inplace.change(snapshot, one.candidate, one.dpu, one.node, drifted=one.is_drifted)
        if patch is not None:
            found.append(Update(dpu=one.dpu, patch=patch))
    return tuple(found)


def _disturbs(snapshot: Snapshot) -> bool:
    """Whether another label of its Node takes a DPU out of service."""
    effect = snapshot.template.spec.nodeEffect
    return effect is not None and effect.applyOnLabelChange


def _replacements(
    snapshot: Snapshot, held: Sequence[_Held], updates: Sequence[Update], *, selected: int
) -> tuple[DPU, ...]:
    """A DPU with a clash stays as it is; like one on its way out, it counts."""
    disturbed = {u.dpu.metadata.name for u in updates if "spec" in u.patch} if _disturbs(snapshot) else set()
    known = {one.dpu.metadata.name: one for one in held}
    standings = [
        Standing(
            dpu=dpu, differs=name in known and bool(known[name].differences), is_disturbed=name in disturbed,
            has_left_cluster=name in known and known[name].has_left_cluster,
        )
        for name, dpu in snapshot.matched.items()
    ]
    return rolling.choose(snapshot.spec.strategy, standings, selected=selected)


def _creations(
    snapshot: Snapshot, free: Sequence[Candidate], wanted: Mapping[str, Wanted]
) -> tuple[tuple[tuple[Candidate, Wanted], ...], tuple[str, ...]]:
    """New DPUs, and why there is none for other devices. A device never has two DPUs: that would be two installations.

    Of a device whose old DPU is still on its way out nothing is told; it is waited for.
    """
    create: list[tuple[Candidate, Wanted]] = []
    skipped: list[str] = []
    for candidate in free:
        device = candidate.device.metadata.name
        if device in snapshot.rivals or device in snapshot.by_device:
            continue
        problem = settings.device_problem(candidate, snapshot.template.spec) or snapshot.obstacles.get(candidate.name)
        if problem is not None:
            skipped.append(problem)
        else:
            create.append((candidate, wanted[candidate.name]))
    return tuple(create), tuple(skipped)
