"""What a DPUNode takes over from its Node: labels, so that selectors of Nodes select it, and annotations. Pure.

An annotation remembers which keys were copied, so that what goes from the Node goes here, and nothing else does. What
is ours on either object is its own matter. Sources: behaviour-provisioning.md section 4, resolutions.md rows 40 and 48.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from dpf.api import core, names
from dpf.api.dpunode import DPUNode

COPIED_ANNOTATION: Final = "provisioning.dpu.nvidia.com/copied-from-node"
_OWN: Final = "provisioning.dpu.nvidia.com/"
_COMMANDS: Final = frozenset({names.POWERCYCLE_COMMAND_ANNOTATION, names.REBOOT_COMMAND_ANNOTATION})
_PRIVATE: Final = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})


def patch(dpunode: DPUNode, node: core.Node) -> dict[str, Any] | None:
    """A merge patch of the DPUNode's metadata; None when it says all that already."""
    labels, annotations = _labels(node), _annotations(node)
    have = dpunode.metadata.annotations or {}
    before = _before(have.get(COPIED_ANNOTATION))
    changes = {
        "labels": _changes(dpunode.metadata.labels or {}, labels, before["labels"]),
        "annotations": _changes(have, annotations, before["annotations"]),
    }
    mark = json.dumps({"annotations": sorted(annotations), "labels": sorted(labels)}, separators=(",", ":"))
    if have.get(COPIED_ANNOTATION) != mark:
        changes["annotations"][COPIED_ANNOTATION] = mark
    kept = {name: change for name, change in changes.items() if change}
    return {"metadata": kept} if kept else None


def _changes(have: Mapping[str, str], want: Mapping[str, str], before: list[str]) -> dict[str, str | None]:
    changes: dict[str, str | None] = {key: value for key, value in want.items() if have.get(key) != value}
    return changes | {key: None for key in before if key in have and key not in want}


def _labels(node: core.Node) -> dict[str, str]:
    return {key: value for key, value in (node.metadata.labels or {}).items() if not key.startswith(_OWN)}


def _annotations(node: core.Node) -> dict[str, str]:
    return {
        key: value for key, value in (node.metadata.annotations or {}).items()
        if key in _COMMANDS or not (key.startswith(_OWN) or key in _PRIVATE)
    }


def _before(mark: str | None) -> dict[str, list[str]]:
    """What the mark says, as far as it can be read; it stands where anybody may write."""
    try:
        found = json.loads(mark or "{}")
    except ValueError:
        found = {}
    found = found if isinstance(found, dict) else {}
    return {
        name: [key for key in keys if isinstance(key, str)] if isinstance(keys := found.get(name), list) else []
        for name in ("labels", "annotations")
    }
