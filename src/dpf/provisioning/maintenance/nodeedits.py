"""Taints and labels of a Node that an effect puts on and takes off. Pure. Called by `plan`.

Patches are conditional on the version that was read: a list of taints can only be written whole.
"""

from __future__ import annotations

from typing import Any

import msgspec

from dpf.api import core
from dpf.api.meta import object_key
from dpf.api.provisioning import NodeEffect
from dpf.runtime.plan import Patch


def put(node: core.Node, wanted: NodeEffect) -> Patch | None:
    """What is still missing; a taint whose key is there, with whatever value, is not added again."""
    change: dict[str, Any] = {}
    if wanted.taint is not None and not _has_taint(node, wanted.taint.key):
        change["spec"] = {"taints": [*_taints(node), msgspec.to_builtins(wanted.taint)]}
    have = node.metadata.labels or {}
    labels = {k: v for k, v in (wanted.customLabel or {}).items() if have.get(k) != v}
    return _patch(node, change, labels, "the host has to be out of service while its DPUs are worked on")


def take(node: core.Node, wanted: NodeEffect) -> Patch | None:
    """What is still there, by key (behaviour-provisioning.md section 6)."""
    change: dict[str, Any] = {}
    if wanted.taint is not None and _has_taint(node, wanted.taint.key):
        change["spec"] = {"taints": [t for t in _taints(node) if t["key"] != wanted.taint.key] or None}
    labels = {k: None for k in wanted.customLabel or {} if k in (node.metadata.labels or {})}
    return _patch(node, change, labels, "nobody needs the effect on the host any more")


def _patch(node: core.Node, change: dict[str, Any], labels: dict[str, Any], because: str) -> Patch | None:
    if not change and not labels:
        return None
    metadata = {"resourceVersion": node.metadata.resourceVersion, **({"labels": labels} if labels else {})}
    return Patch(kind=core.Node, key=object_key(node), patch={"metadata": metadata, **change}, because=because)


def _taints(node: core.Node) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(taint) for taint in node.spec.taints or ()]


def _has_taint(node: core.Node, key: str) -> bool:
    return any(taint.key == key for taint in node.spec.taints or ())
