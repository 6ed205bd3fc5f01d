"""All that one pass over a DPUSet knows: pure values that `observe` makes for `plan` and `status`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dpf.api import names
from dpf.api.dpu import DPU, Phase
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuset import DPUSet, DPUSetSpec, DPUTemplate
from dpf.api.meta import Key, object_key
from dpf.provisioning.dpuset import naming
from dpf.provisioning.dpuset.selection import Candidate
from dpf.runtime import conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """How DPUs are installed, from the DPFOperatorConfig, and what this process is."""

    version: str
    """Version of the platform, as a label of Nodes."""
    redfish: bool = False
    zero_trust: bool = False


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One look at the world around `dpuset`. (Without slots, for what is computed once.)

    `candidates` are the selected devices in the order of their DPUs' names; `dpus` those that belong to the set, also
    on their way out, in the order of names. `rivals` are, by device, DPUs of others for selected devices. `obstacles`
    say, by name, why a DPU cannot be made. `marked` are DPUs with the set's collision label. `clusters` are DPUClusters
    that the DPUs are in, as far as they matter. `retained` names DPUs that must not be removed although nothing in the
    caches selects them. `is_behind` says that the DPUSet has changed since the cache was filled; `rests_s`, that
    nothing was looked at because the pass can wait for so long.
    """

    dpuset: DPUSet
    platform: Platform
    candidates: tuple[Candidate, ...] = ()
    dpus: tuple[DPU, ...] = ()
    rivals: Mapping[str, DPU] = field(default_factory=dict)
    obstacles: Mapping[str, str] = field(default_factory=dict)
    marked: tuple[DPU, ...] = ()
    clusters: Mapping[Key, DPUCluster] = field(default_factory=dict)
    retained: frozenset[str] = frozenset()
    is_behind: bool = False
    rests_s: float = 0.0

    @cached_property
    def key(self) -> Key:
        """Namespace and name of the DPUSet."""
        return object_key(self.dpuset)

    @property
    def spec(self) -> DPUSetSpec:
        """What is asked for; nothing, when the object has no spec."""
        return self.dpuset.spec or DPUSetSpec()

    @property
    def template(self) -> DPUTemplate:
        """What the DPUs are made from."""
        return self.spec.dpuTemplate

    @cached_property
    def hash(self) -> str:
        """Digest of the template. As long as the object does not change, it is the one that was written before.

        A release that computes it differently must not touch every DPU (behaviour-provisioning.md 3.1, step 2).
        """
        metadata = self.dpuset.metadata
        written = (metadata.labels or {}).get(names.DPUSET_TEMPLATE_HASH_LABEL)
        if written and self.dpuset.status.observedGeneration == metadata.generation:
            return written
        return naming.template_hash(self.template)

    @cached_property
    def by_device(self) -> Mapping[str, tuple[DPU, ...]]:
        """DPUs of the set by the device that they name. There are two only while one of them is on its way out."""
        found: dict[str, list[DPU]] = {}
        for dpu in self.dpus:
            if device_of(dpu):
                found.setdefault(device_of(dpu), []).append(dpu)
        return {device: tuple(dpus) for device, dpus in found.items()}

    @cached_property
    def matched(self) -> Mapping[str, DPU]:
        """DPUs of selected devices, by their own names. One that is for the same device in another host is not."""
        return {dpu.metadata.name: dpu for _, dpu in self.pairs if dpu is not None}

    @cached_property
    def pairs(self) -> tuple[tuple[Candidate, DPU | None], ...]:
        """Each selected device, with its DPU if the set has it."""
        return tuple((candidate, self._dpu_of(candidate)) for candidate in self.candidates)

    @cached_property
    def unselected(self) -> tuple[DPU, ...]:
        """Living DPUs of the set whose device is not selected any more.

        A DPU that names no device was made by a release that knew none; what it is for cannot be told, so it stays.
        """
        return tuple(
            dpu for dpu in self.dpus
            if dpu.metadata.name not in self.matched and not is_going(dpu) and device_of(dpu)
        )

    def _dpu_of(self, candidate: Candidate) -> DPU | None:
        dpus = self.by_device.get(candidate.device.metadata.name, ())
        return min((dpu for dpu in dpus if _is_for(dpu, candidate)), key=is_going, default=None)


def device_of(dpu: DPU) -> str:
    """Name of the DPUDevice; empty for a DPU of a release that knew none."""
    return dpu.spec.dpuDeviceName if dpu.spec is not None else ""


def phase(dpu: DPU) -> str:
    """Where it is; a new one has not said anything yet."""
    return dpu.status.phase or Phase.INITIALIZING


def is_going(dpu: DPU) -> bool:
    """Whether it is on its way out."""
    return dpu.metadata.deletionTimestamp is not None


def is_available(dpu: DPU) -> bool:
    """Whether it works and stays."""
    return not is_going(dpu) and conditions.is_true(dpu.status.conditions, conditions.READY)


def is_noticed(dpu: DPU) -> bool:
    """Whether its controller has seen the last change of it."""
    observed, generation = dpu.status.observedGeneration, dpu.metadata.generation
    return observed is None or generation is None or observed >= generation


def is_settled(dpu: DPU, template_hash: str) -> bool:
    """Whether it is Ready with this template, for certain (behaviour-provisioning.md 3.1, step 10)."""
    return (
        not is_going(dpu) and dpu.status.observedGeneration == dpu.metadata.generation
        and dpu.status.phase == Phase.READY
        and (dpu.metadata.labels or {}).get(names.DPUSET_TEMPLATE_HASH_LABEL) == template_hash
    )


def _is_for(dpu: DPU, candidate: Candidate) -> bool:
    spec = dpu.spec
    return (
        spec is not None and spec.dpuNodeName == candidate.node.metadata.name
        and spec.serialNumber in ("", candidate.serial_number)
    )
