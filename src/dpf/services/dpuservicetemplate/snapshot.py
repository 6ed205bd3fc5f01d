"""All that one pass over a DPUServiceTemplate knows: pure values that `observe` makes for `plan` and `status`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from dpf.api import names
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.runtime import digest as digests
from dpf.services.helm.port import ChartError

KEPT: Final[tuple[str, ...]] = (names.DOCA_VERSION_ANNOTATION,)
"""Annotations of a chart that state versions (behaviour-service.md section 4)."""
_MAX_CONSTRAINT: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """The chart was read by this process; `versions` are the annotations of `KEPT` that it has."""

    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The repository was asked `since_s` seconds ago, for the first time about this source."""

    since_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The repository could not be read. `retry_in_s`: when to look again, or ask; `again`: it is being asked now."""

    why: str
    retry_in_s: float
    again: bool = False


Outcome = Read | Reading | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`digest` is that of spec.helmChart.source. `problem` says why it cannot be asked for at all.

    `outcome` is None when nothing was asked: there is a problem, or the object is being deleted.
    """

    template: DPUServiceTemplate
    digest: str
    problem: str | None = None
    outcome: Outcome | None = None

    @property
    def is_current(self) -> bool:
        """Whether the versions in the status were read from this very source, by whichever process."""
        return bool(self.digest) and self.template.status.sourceDigest == self.digest


def source_digest(template: DPUServiceTemplate) -> str:
    """The digest of spec.helmChart.source; empty when there is none."""
    if template.spec is None:
        return ""
    return digests.short(msgspec.to_builtins(template.spec.helmChart.source))


def versions(annotations: Mapping[str, str]) -> dict[str, str]:
    """What is kept of a chart's annotations. Raises ChartError for a constraint that cannot be one."""
    kept = {key: annotations[key] for key in KEPT if key in annotations}
    for key, value in kept.items():
        if len(value) > _MAX_CONSTRAINT:
            raise ChartError(f"the chart's annotation {key} is longer than {_MAX_CONSTRAINT} characters")
    return kept
