"""The DPUSets of a DPUDeployment: one for each entry, and what they tell the nodes (behaviour-service.md 6.10).

Pure. Called by `plan`; `services` and `chains` ask here how far the nodes are. A new revision is steered by node
labels: a DPUSet carries key and name of every wanted revision, its DPUs get the labels once the node effect is in
place, and only then the old revision stops there and the new one starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dpf.api import names, provisioning
from dpf.api.dpfoperatorconfig import DeploymentMode, DPFOperatorConfig
from dpf.api.dpudeployment import NODE_EFFECT_RULE, DeploymentNodeEffect, DPUs, DPUSetEntry
from dpf.api.dpuset import (
    MAX_UNAVAILABLE_NUMBER,
    MAX_UNAVAILABLE_PERCENT,
    BFBReference,
    BlueFieldSoftwareReference,
    DPUSet,
    DPUSetSpec,
    DPUTemplate,
    DPUTemplateSpec,
    RollingUpdate,
    Strategy,
    StrategyType,
)
from dpf.api.meta import LabelSelector
from dpf.runtime.plan import Action, Finding, Severity, Step
from dpf.services.dpudeployment import children, naming, revisions, selectors
from dpf.services.dpudeployment.children import Parent
from dpf.services.dpudeployment.rollout import ChainRollout, Rollout
from dpf.services.dpudeployment.steps import StepName

PCI_ADDRESS_ALIAS: Final = "pciAddr"
_PCI_ADDRESS: Final = re.compile(r"((?:[0-9a-fA-F]{4}[:-])?[0-9a-fA-F]{2}[:-][0-9a-fA-F]{2})(?:\.[0-7])?")
_PERCENT: Final = re.compile(r"0*(?:[1-9][0-9]?|100)%")
_LABEL_VALUE: Final = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """What one DPUSet says about its nodes."""

    labels: Mapping[str, str]
    is_ready: bool
    follows_labels: bool
    """It has applyOnLabelChange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the nodes are.

    `wanted` are DPUSets that are there and have an entry; `others` are on their way out, and their nodes still run
    something. `missing` says that an entry has no DPUSet yet.
    """

    wanted: Sequence[_View] = ()
    others: Sequence[_View] = ()
    missing: bool = False

    def carries(self, key: str, value: str) -> bool:
        """Whether every DPUSet is ready with this label on its nodes."""
        views = (*self.wanted, *self.others)
        return not self.missing and all(view.is_ready and view.labels.get(key) == value for view in views)

    def lacks(self, key: str, value: str) -> bool:
        """Whether a DPUSet that stays does not have this label yet."""
        return any(view.labels.get(key) != value for view in self.wanted)

    @property
    def is_under_way(self) -> bool:
        """Whether a DPUSet is still giving its nodes new labels under the node effect."""
        return any(view.follows_labels and not view.is_ready for view in self.wanted)


def progress(parent: Parent) -> Progress:
    """How far the nodes of the deployment are, as its DPUSets say."""
    held = _held(parent)
    mine = {dpuset.metadata.name for dpuset in held.values() if dpuset is not None}
    found = parent.snapshot.children.dpusets
    return Progress(
        wanted=[_view(dpuset) for dpuset in found if dpuset.metadata.name in mine],
        others=[_view(dpuset) for dpuset in found if dpuset.metadata.name not in mine],
        missing=any(dpuset is None for dpuset in held.values()),
    )


def plan_step(parent: Parent, rollouts: Iterable[Rollout], state: Progress) -> Step:
    """Every entry gets its DPUSet; one without an entry goes."""
    revisions_ = sorted(rollouts, key=lambda rollout: rollout.key)
    effect = _node_effect(parent, revisions_, state)
    problems = [*_strategy_faults(parent.spec.dpus), *(() if effect is not None else (NODE_EFFECT_RULE.message,))]
    can_be_made = not problems
    held = _held(parent)
    actions: list[Action] = []
    for entry in parent.spec.dpus.dpuSets or ():
        faults = list(_faults(entry))
        problems += faults
        live = held[entry.nameSuffix]
        is_going = live is not None and live.metadata.deletionTimestamp is not None
        if effect is None or not can_be_made or faults or is_going:
            continue  # one that is being deleted is made again when it is gone
        name = live.metadata.name if live is not None else _free_name(parent, entry)
        wanted = _build(parent, entry, name, revisions_, effect)
        actions += children.put_right(live, wanted, because="the DPUDeployment asks for these DPUs")
    return Step(
        name=StepName.DPUSETS,
        actions=children.without_writes(actions, _removals(parent, held), problems=bool(problems)),
        findings=tuple(Finding(severity=Severity.INVALID, message=text) for text in problems),
    )


def is_zero_trust(config: DPFOperatorConfig | None) -> bool:
    """Whether hosts are not trusted in this installation, so that DPUs are held instead of drained."""
    return config is not None and config.spec is not None and config.spec.deploymentMode == DeploymentMode.ZERO_TRUST


def device_labels(selector: Mapping[str, str]) -> dict[str, str]:
    """Labels of DPUDevices for the older `dpuSelector`: `pciAddr` becomes the label that devices carry.

    The label's value has dashes and no function: `0000:0e:00.0` is `0000-0e-00` (resolutions.md row 4).
    """
    labels = {key: value for key, value in selector.items() if key != PCI_ADDRESS_ALIAS}
    address = selector.get(PCI_ADDRESS_ALIAS)
    if address is not None:
        match = _PCI_ADDRESS.fullmatch(address)
        labels[names.DPUDEVICE_PCI_ADDRESS_LABEL] = match.group(1).replace(":", "-").lower() if match else address
    return labels


def _faults(entry: DPUSetEntry) -> Iterator[str]:
    for key, value in sorted(device_labels(entry.dpuSelector or {}).items()):
        if not _LABEL_VALUE.fullmatch(value):
            written = PCI_ADDRESS_ALIAS if key == names.DPUDEVICE_PCI_ADDRESS_LABEL else key
            yield (
                f"dpuSet {entry.nameSuffix}: dpuSelector {written}: {value!r:.80} cannot be the value of a label;"
                " select the DPUs by labels that DPUDevices carry"
            )


def _strategy_faults(dpus: DPUs) -> Iterator[str]:
    """A DPUSet would be refused for it, with a path that is none of the DPUDeployment."""
    wanted = dpus.dpuSetStrategy
    pace = wanted.rollingUpdate.maxUnavailable if wanted is not None and wanted.rollingUpdate is not None else None
    if wanted is None or wanted.type != StrategyType.ROLLING_UPDATE or pace is None:
        return
    where = "spec.dpus.dpuSetStrategy.rollingUpdate.maxUnavailable"
    if isinstance(pace, str) and not _PERCENT.fullmatch(pace):
        yield f"{where} is {pace!r:.80}: {MAX_UNAVAILABLE_PERCENT}"
    elif isinstance(pace, int) and pace <= 0:
        yield f"{where} is {pace}: {MAX_UNAVAILABLE_NUMBER}"


def _held(parent: Parent) -> dict[str, DPUSet | None]:
    """The DPUSet of each entry, by name suffix, if there is one.

    Nothing on a DPUSet says which entry it is for but its name: the plain one, or the other if that was taken.
    """
    by_name = {dpuset.metadata.name: dpuset for dpuset in parent.snapshot.children.dpusets}
    return {
        entry.nameSuffix: next((by_name[name] for name in _names(parent, entry) if name in by_name), None)
        for entry in parent.spec.dpus.dpuSets or ()
    }


def _names(parent: Parent, entry: DPUSetEntry) -> Iterator[str]:
    plain = naming.dpuset_name(parent.key.name, entry.nameSuffix)
    yield plain
    yield next(naming.candidates(plain, parent.uid, DPUSet.__name__, entry.nameSuffix))


def _free_name(parent: Parent, entry: DPUSetEntry) -> str:
    plain, other = _names(parent, entry)
    return other if parent.is_foreign(DPUSet, plain) else plain


def _build(
    parent: Parent, entry: DPUSetEntry, name: str, rollouts: Sequence[Rollout], effect: provisioning.NodeEffect,
) -> DPUSet:
    dpus = parent.spec.dpus
    template = DPUTemplateSpec(
        bfb=BFBReference(name=dpus.bfb) if dpus.bfb else None,
        blueFieldSoftware=BlueFieldSoftwareReference(name=dpus.blueFieldSoftware) if dpus.blueFieldSoftware else None,
        dpuFlavor=dpus.flavor, dpuFlavorTemplate=dpus.flavorTemplate, nodeEffect=effect,
        astraEnabled=dpus.astraEnabled, secureBoot=dpus.secureBoot,
        cluster=provisioning.ClusterTemplate(
            nodeLabels={
                names.OWNED_BY_DPUDEPLOYMENT_LABEL: parent.owner,
                **{rollout.key: rollout.name for rollout in rollouts},
            },
            selector=LabelSelector(matchLabels=entry.dpuClusterSelector) if entry.dpuClusterSelector else None,
        ),
    )
    return DPUSet(
        metadata=parent.metadata(name),
        spec=DPUSetSpec(
            strategy=_strategy(dpus), dpuNodeSelector=selectors.node_selector(entry),
            dpuDeviceSelector=_device_selector(entry),
            dpuTemplate=DPUTemplate(annotations=entry.dpuAnnotations or None, spec=template),
        ),
    )


def _strategy(dpus: DPUs) -> Strategy:
    wanted = dpus.dpuSetStrategy
    if wanted is None:
        return Strategy(type=StrategyType.ROLLING_UPDATE)
    rolling = wanted.rollingUpdate
    return Strategy(
        type=wanted.type, rollingUpdate=RollingUpdate(maxUnavailable=rolling.maxUnavailable) if rolling else None
    )


def _device_selector(entry: DPUSetEntry) -> LabelSelector | None:
    if entry.dpuDeviceSelector is not None:
        return entry.dpuDeviceSelector
    return LabelSelector(matchLabels=device_labels(entry.dpuSelector)) if entry.dpuSelector else None


def _node_effect(parent: Parent, rollouts: Sequence[Rollout], state: Progress) -> provisioning.NodeEffect | None:
    """The node effect of all DPUSets; None when the deployment's own is not exactly one action.

    Absent means drain, or hold where hosts are not trusted (api-svc.md section 12).
    """
    given = parent.spec.dpus.nodeEffect or _default_effect(parent)
    actions = (given.taint, given.noEffect, given.customLabel, given.drain, given.customAction, given.hold)
    if sum(map(bool, actions)) != 1:
        return None
    return provisioning.NodeEffect(
        taint=given.taint, noEffect=given.noEffect or None, customLabel=given.customLabel or None,
        drain=given.drain or None, customAction=given.customAction or None, hold=given.hold or None,
        force=given.force, applyOnLabelChange=state.is_under_way or any(rollout.rolling for rollout in rollouts),
        nodeMaintenanceAdditionalRequestors=_requestors(parent, rollouts) or None,
    )


def _default_effect(parent: Parent) -> DeploymentNodeEffect:
    return DeploymentNodeEffect(hold=True) if parent.snapshot.zero_trust else DeploymentNodeEffect(drain=True)


def _requestors(parent: Parent, rollouts: Sequence[Rollout]) -> list[str]:
    annotations = parent.snapshot.deployment.metadata.annotations or {}
    skips_chain = names.SKIP_CHAIN_REQUESTOR_ANNOTATION in annotations
    counted = (rollout for rollout in rollouts if not (skips_chain and isinstance(rollout, ChainRollout)))
    return sorted({naming.requestor(parent.key, rollout.name) for rollout in counted})


def _removals(parent: Parent, held: Mapping[str, DPUSet | None]) -> Iterator[Action]:
    kept = {dpuset.metadata.name for dpuset in held.values() if dpuset is not None}
    for dpuset in revisions.alive(parent.snapshot.children.dpusets):
        if dpuset.metadata.name not in kept:
            yield children.remove(dpuset, because="the DPUDeployment does not ask for these DPUs any more")


def _view(dpuset: DPUSet) -> _View:
    template = dpuset.spec.dpuTemplate.spec if dpuset.spec is not None else DPUTemplateSpec()
    return _View(
        labels=(template.cluster.nodeLabels or {}) if template.cluster else {},
        is_ready=dpuset.metadata.deletionTimestamp is None and revisions.is_ready(dpuset),
        follows_labels=bool(template.nodeEffect and template.nodeEffect.applyOnLabelChange),
    )
