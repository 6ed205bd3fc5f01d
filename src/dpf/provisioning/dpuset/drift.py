"""In what a DPU differs from its DPUSet's template so that only another installation helps. Pure.

Called by `rolling`, which replaces such DPUs, and by `plan`, which marks them. What can be changed on a DPU that stays
is the business of `inplace`. Source: behaviour-provisioning.md section 3.1, steps 7 and 9.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dpf.api.dpu import DPU, DPUSpec, Outdated, OutdatedReason
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuset import DPUTemplateSpec
from dpf.api.meta import Key
from dpf.kube import selectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that differs, and how, for people."""

    reason: OutdatedReason
    text: str


def differences(dpu: DPU, template: DPUTemplateSpec) -> tuple[Difference, ...]:
    """All that differ, the one that gives the reason first."""
    return tuple(_differences(dpu.spec or DPUSpec(), template))


def outdated(dpu: DPU, found: Sequence[Difference], now: str) -> Outdated | None:
    """What the DPU's status says about it; None when nothing differs. `now` is RFC 3339 UTC."""
    if not found:
        return None
    reason, old = str(found[0].reason), dpu.status.outdated
    since = old.timeStamp if old is not None and old.reason == reason else now
    return Outdated(timeStamp=since, reason=reason, message="; ".join(f"{d.reason}: {d.text}" for d in found))


def cluster_of(dpu: DPU) -> Key | None:
    """The DPUCluster that the DPU was given; None as long as it has none."""
    cluster = dpu.spec.cluster if dpu.spec is not None else None
    if cluster is None or not cluster.name:
        return None
    return Key(cluster.namespace or dpu.metadata.namespace or "", cluster.name)


def has_left_cluster(dpu: DPU, template: DPUTemplateSpec, clusters: Mapping[Key, DPUCluster]) -> bool:
    """Whether the template's selector does not select the DPU's cluster any more.

    A cluster that is not there says nothing about that. Raises SelectorError for what `selection.problem` tells.
    """
    selector = template.cluster.selector if template.cluster is not None else None
    key = cluster_of(dpu)
    cluster = clusters.get(key) if key is not None else None
    return selector is not None and cluster is not None and not selectors.matches(selector, cluster.metadata.labels)


def _differences(spec: DPUSpec, template: DPUTemplateSpec) -> Iterator[Difference]:
    bfb = template.bfb.name if template.bfb is not None else None
    if (spec.bfb or None) != (bfb or None):
        yield Difference(reason=OutdatedReason.BFB, text=_text("BFB", spec.bfb, bfb))
    if template.dpuFlavorTemplate is None and (spec.dpuFlavor or None) != (template.dpuFlavor or None):
        text = _text("DPUFlavor", spec.dpuFlavor, template.dpuFlavor)
        yield Difference(reason=OutdatedReason.DPU_FLAVOR, text=text)
    if spec.secureBoot != template.secureBoot:
        text = _text("secureBoot", _flag(spec.secureBoot), _flag(template.secureBoot))
        yield Difference(reason=OutdatedReason.SECURE_BOOT, text=text)
    software = template.blueFieldSoftware.name if template.blueFieldSoftware is not None else None
    if (spec.blueFieldSoftware or None) != (software or None):
        text = _text("BlueFieldSoftware", spec.blueFieldSoftware, software)
        yield Difference(reason=OutdatedReason.BLUEFIELD_SOFTWARE, text=text)


def _text(what: str, has: str | None, wants: str | None) -> str:
    return f"the DPU has {what} {has or 'none'}, its DPUSet wants {wants or 'none'}"


def _flag(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()
