"""Labels and annotations of a DPU's Node in its DPU cluster: what we give, and what we take back. Pure.

What was given stands on the Node itself, in an annotation, so that a key that is dropped can be told from somebody
else's. Source: behaviour-provisioning.md 5.12 and 5.15.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from dpf.api import core, names
from dpf.provisioning.dpu.snapshot import Snapshot

_OURS: Final = ("provisioning.dpu.nvidia.com/", "operator.dpu.nvidia.com/")
_VALUE: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_ENCODE: Final = msgspec.json.Encoder(order="sorted").encode
_DECODE: Final = msgspec.json.Decoder(dict[str, str]).decode


def node_labels(snapshot: Snapshot) -> dict[str, str]:
    """All labels that we give the Node."""
    cluster = snapshot.dpu.spec.cluster if snapshot.dpu.spec is not None else None
    given = {**((cluster.nodeLabels if cluster is not None else None) or {}), names.DPU_NODE_LABEL: "true"}
    if snapshot.interface is not None and not snapshot.is_redfish:
        given |= _of_older_releases(snapshot)
    return given


def node_annotations(snapshot: Snapshot) -> dict[str, str]:
    """All annotations that we give the Node, without our own note."""
    cluster = snapshot.dpu.spec.cluster if snapshot.dpu.spec is not None else None
    return dict((cluster.nodeAnnotations if cluster is not None else None) or {})


def patch(snapshot: Snapshot, node: core.Node) -> dict[str, Any] | None:
    """A merge patch that puts the Node right; None when it is."""
    wanted_labels, wanted_annotations = node_labels(snapshot), node_annotations(snapshot)
    have = node.metadata.annotations or {}
    changes = {
        "labels": _changes(node.metadata.labels, _noted(have, names.LAST_APPLIED_LABELS_ANNOTATION), wanted_labels),
        "annotations": {
            **_changes(have, _noted(have, names.LAST_APPLIED_ANNOTATIONS_ANNOTATION), wanted_annotations),
            **_note(have, names.LAST_APPLIED_LABELS_ANNOTATION, wanted_labels),
            **_note(have, names.LAST_APPLIED_ANNOTATIONS_ANNOTATION, wanted_annotations),
        },
    }
    metadata = {name: change for name, change in changes.items() if change}
    return {"metadata": metadata} if metadata else None


def is_drifted(snapshot: Snapshot) -> bool:
    """Whether the Node is there and lacks something of what we give it, or has something that we take back."""
    return isinstance(snapshot.node, core.Node) and patch(snapshot, snapshot.node) is not None


def is_users_change(snapshot: Snapshot) -> bool:
    """Whether a label or an annotation differs that a user chose, and not only one of ours (BP 5.15)."""
    if not isinstance(snapshot.node, core.Node):
        return False
    found = (patch(snapshot, snapshot.node) or {}).get("metadata", {})
    keys = {*found.get("labels", {}), *found.get("annotations", {})}
    return any(not key.startswith(_OURS) for key in keys)


def _of_older_releases(snapshot: Snapshot) -> dict[str, str]:
    """Labels that the flow through the host has always given (BP section 8)."""
    found = {}
    host = (snapshot.dpunode.status.kubeNodeRef if snapshot.dpunode is not None else None) or ""
    if _VALUE.fullmatch(host):
        found[names.HOST_LABEL] = host
    url = snapshot.bfb.spec.url if snapshot.bfb is not None and snapshot.bfb.spec is not None else ""
    name = PurePosixPath(urlsplit(url).path).stem
    if _VALUE.fullmatch(name):
        found[names.DOCA_BFB_VERSION_LABEL] = name
    return found


def _changes(
    have: Mapping[str, str] | None, noted: Mapping[str, str], wanted: Mapping[str, str],
) -> dict[str, str | None]:
    present = have or {}
    missing: dict[str, str | None] = {key: value for key, value in wanted.items() if present.get(key) != value}
    return {**missing, **{key: None for key in noted if key not in wanted and key in present}}


def _note(have: Mapping[str, str], name: str, wanted: Mapping[str, str]) -> dict[str, str]:
    note = _ENCODE(dict(wanted)).decode()
    if have.get(name) == note or (not wanted and name not in have):
        return {}
    return {name: note}


def _noted(have: Mapping[str, str], name: str) -> dict[str, str]:
    try:
        return _DECODE(have.get(name, "{}"))
    except msgspec.MsgspecError:
        return {}
