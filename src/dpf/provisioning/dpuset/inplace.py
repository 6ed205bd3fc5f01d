"""What is changed on a DPU that stays: labels and annotations of its Node, the cluster selector, the node effect. Pure.

Called by `decision`. A key that somebody else has put among the Node's labels is left alone: annotations of the DPU
remember which keys the DPUSet gave. The action of the node effect is changed only on a Ready DPU, because it may be on
the host just now; how it is carried out is changed at any time.
Source: behaviour-provisioning.md section 3.1, steps 5 and 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dpf.api import names, provisioning
from dpf.api.dpu import DPU, DPUClusterAssignment, DPUSpec, Phase
from dpf.api.meta import OwnerReference
from dpf.provisioning.dpuset import build, selection
from dpf.provisioning.dpuset.nodemetadata import Wanted
from dpf.provisioning.dpuset.selection import Candidate
from dpf.provisioning.dpuset.snapshot import Snapshot
from dpf.runtime import diff

_READ: Final = msgspec.json.Decoder(dict[str, str]).decode


def change(
    snapshot: Snapshot, candidate: Candidate, dpu: DPU, node: Wanted, *, drifted: bool
) -> dict[str, Any] | None:
    """A merge patch that puts `dpu` right, conditional on its version; None when it is.

    `drifted`: it has another template's software, so it does not get the template's hash.
    """
    node = _as_installed(dpu, node)
    spec = _spec(snapshot, candidate, dpu, node)
    metadata = _metadata(snapshot, candidate, dpu, node, stamp=not drifted and _has_effect(spec, snapshot))
    patch: dict[str, Any] = {}
    if spec != dpu.spec:
        patch["spec"] = diff.merge_patch(msgspec.to_builtins(dpu.spec) or {}, msgspec.to_builtins(spec))
    if metadata:
        patch["metadata"] = metadata
    return _conditional(patch, dpu) if patch else None


def remembered(dpu: DPU, annotation: str) -> dict[str, str]:
    """What the DPUSet gave the Node the last time; nothing, when that is not known."""
    try:
        return _READ((dpu.metadata.annotations or {}).get(annotation, "{}"))
    except msgspec.MsgspecError:
        return {}


def _conditional(patch: dict[str, Any], dpu: DPU) -> dict[str, Any]:
    version = {"resourceVersion": dpu.metadata.resourceVersion}
    return {**patch, "metadata": {**version, **patch.get("metadata", {})}}


def _as_installed(dpu: DPU, node: Wanted) -> Wanted:
    """The version of the platform is that which made the DPU, whoever works on it now."""
    cluster = dpu.spec.cluster if dpu.spec is not None else None
    made_by = ((cluster.nodeLabels if cluster is not None else None) or {}).get(names.DPF_VERSION_LABEL)
    if made_by is None:
        return node
    return Wanted(labels={**node.labels, names.DPF_VERSION_LABEL: made_by}, annotations=node.annotations)


def _spec(snapshot: Snapshot, candidate: Candidate, dpu: DPU, node: Wanted) -> DPUSpec:
    template, live = snapshot.template.spec, dpu.spec or DPUSpec()
    cluster = live.cluster or DPUClusterAssignment()
    labels = remembered(dpu, names.LAST_APPLIED_LABELS_ANNOTATION)
    annotations = remembered(dpu, names.LAST_APPLIED_ANNOTATIONS_ANNOTATION)
    return msgspec.structs.replace(
        live, astraEnabled=template.astraEnabled,
        pciAddress=selection.pci_address(candidate.device.status.pciAddress) or live.pciAddress,
        nodeEffect=_effect(live.nodeEffect, template.nodeEffect, is_ready=dpu.status.phase == Phase.READY),
        cluster=msgspec.structs.replace(
            cluster, nodeLabels=_given(cluster.nodeLabels, labels, node.labels),
            nodeAnnotations=_given(cluster.nodeAnnotations, annotations, node.annotations),
            selector=template.cluster.selector if template.cluster is not None else None,
        ),
    )


def _given(
    live: Mapping[str, str] | None, before: Mapping[str, str], wanted: Mapping[str, str]
) -> dict[str, str] | None:
    """`live` without what was given before, and with what is wanted now."""
    foreign = {key: value for key, value in (live or {}).items() if key not in before}
    return {**foreign, **wanted} or None


def _effect(
    live: provisioning.NodeEffect | None, wanted: provisioning.NodeEffect | None, *, is_ready: bool
) -> provisioning.NodeEffect | None:
    if is_ready or live is None or wanted is None:
        return wanted if is_ready else live
    return msgspec.structs.replace(
        live, force=wanted.force, applyOnLabelChange=wanted.applyOnLabelChange,
        nodeMaintenanceAdditionalRequestors=wanted.nodeMaintenanceAdditionalRequestors,
    )


def _has_effect(spec: DPUSpec, snapshot: Snapshot) -> bool:
    """Whether nothing of the template is still missing on the DPU."""
    return spec.nodeEffect == snapshot.template.spec.nodeEffect


def _metadata(
    snapshot: Snapshot, candidate: Candidate, dpu: DPU, node: Wanted, *, stamp: bool
) -> dict[str, Any]:
    live = dpu.metadata
    labels: dict[str, str] = build.identity_labels(snapshot.dpuset, candidate)
    annotations: dict[str, str] = build.applied(node)
    is_stamped = (live.labels or {}).get(names.DPUSET_TEMPLATE_HASH_LABEL) == snapshot.hash
    if stamp and not is_stamped:
        # With the template only: its controller takes off an annotation that it has acted on.
        labels[names.DPUSET_TEMPLATE_HASH_LABEL] = snapshot.hash
        annotations = {**(snapshot.template.annotations or {}), **annotations}
    patch: dict[str, Any] = {}
    if missing := _missing(live.labels, labels):
        patch["labels"] = missing
    if missing := _missing(live.annotations, annotations):
        patch["annotations"] = missing
    owners = live.ownerReferences or []
    if build.reference(snapshot.dpuset).uid not in {owner.uid for owner in owners}:
        patch["ownerReferences"] = _references([*owners, build.reference(snapshot.dpuset)])
    return patch


def _missing(live: Mapping[str, str] | None, wanted: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in wanted.items() if (live or {}).get(key) != value}


def _references(owners: list[OwnerReference]) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(owner) for owner in owners]
