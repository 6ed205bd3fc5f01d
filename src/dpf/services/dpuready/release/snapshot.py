"""Every fact that decides which requestors leave one DPUNodeMaintenance, as plain values.

Pure. Filled by `observe`, read by `plan`.
"""

from __future__ import annotations

from dataclasses import dataclass

from dpf.api.dpu import DPU
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.services.dpuready.release.requestors import Requestor
from dpf.services.dpuready.workloads import NodeView, Silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A DPU of the host, and what is on its Node; None while there is no such Node."""

    dpu: DPU
    view: NodeView | Silent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A requestor of a DPUDeployment, and the revision that it stands for: what there is of that name.

    `why_unknown` says why that cannot be told.
    """

    requestor: Requestor
    service: DPUService | None = None
    chain: DPUServiceChain | None = None
    why_unknown: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look. `cards` are all DPUs of the host, `claims` those of the requestors that are a DPUDeployment's."""

    maintenance: DPUNodeMaintenance
    cards: tuple[Card, ...] = ()
    claims: tuple[Claim, ...] = ()
