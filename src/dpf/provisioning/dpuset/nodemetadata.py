"""Labels and annotations that the Node of a DPU gets, from the template, the device and what we say ourselves. Pure.

Called by `build` for a new DPU and by `inplace` for one that is there.
Source: behaviour-provisioning.md section 3.1, step 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dpf.api import names
from dpf.api.provisioning import NodeMetadata
from dpf.provisioning.dpuset.naming import label_value
from dpf.provisioning.dpuset.selection import Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the DPUSet gives the Node. Others may add to it."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """Template and device want different values under one key."""

    message: str


def merge(template: NodeMetadata | None, candidate: Candidate, version: str) -> Wanted | Clash:
    """What the Node of this device gets. `version` is that of the platform that installs the DPU."""
    mine = template or NodeMetadata()
    theirs = (candidate.device.spec.cluster if candidate.device.spec is not None else None) or NodeMetadata()
    clashes = [
        *_clashes("node label", mine.nodeLabels, theirs.nodeLabels),
        *_clashes("node annotation", mine.nodeAnnotations, theirs.nodeAnnotations),
    ]
    if clashes:
        return Clash(message=f"DPUDevice {candidate.device.metadata.name}: {'; '.join(clashes)}")
    ours = {
        names.DPUNODE_NAME_LABEL: label_value(candidate.node.metadata.name),
        names.DPUNODE_NAMESPACE_LABEL: candidate.node.metadata.namespace or "",
        names.DPF_VERSION_LABEL: version,
    }
    return Wanted(
        labels={**(mine.nodeLabels or {}), **(theirs.nodeLabels or {}), **ours},
        annotations={**(mine.nodeAnnotations or {}), **(theirs.nodeAnnotations or {})},
    )


def _clashes(what: str, mine: Mapping[str, str] | None, theirs: Mapping[str, str] | None) -> Iterator[str]:
    for key, value in sorted((mine or {}).items()):
        other = (theirs or {}).get(key, value)
        if other != value:
            yield f"{what} {key} is {value!r} in the DPUSet's template and {other!r} in the DPUDevice"
