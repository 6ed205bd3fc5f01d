"""Which DPUs are deleted so that they are installed anew, and how many at a time. Pure; called by `decision`.

A DPU counts as out of service when it is not Ready, is being deleted, does not exist yet, or has been told something
that its controller has not noticed yet. One that is out of service and differs from the template costs nothing and goes
at once; one that works goes only while fewer than the limit are out of service. The order is that of names, so that
passes over the same objects choose the same ones, and cards of one host go together.
Source: behaviour-provisioning.md section 3.1, step 7.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dpf.api.dpu import DPU
from dpf.api.dpuset import MAX_UNAVAILABLE_PERCENT, Strategy, StrategyType
from dpf.provisioning.dpuset import snapshot as values

_PERCENT: Final = re.compile(r"([0-9]{1,9})%")
_DEFAULT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One DPU of a selected device.

    `differs`: only another installation helps. `has_left_cluster`: the template's selector does not select its
    DPUCluster any more. `is_disturbed`: this pass changes it in a way that takes it out of service.
    """

    dpu: DPU
    differs: bool = False
    has_left_cluster: bool = False
    is_disturbed: bool = False


def is_rolling(strategy: Strategy) -> bool:
    """Whether DPUs are replaced by themselves."""
    return strategy.type == StrategyType.ROLLING_UPDATE


def problem(strategy: Strategy) -> str | None:
    """What is wrong with the pace; None when nothing is."""
    pace = _pace(strategy)
    if not is_rolling(strategy) or not isinstance(pace, str):
        return None
    match = _PERCENT.fullmatch(pace)
    return None if match is not None and 0 < int(match.group(1)) <= 100 else MAX_UNAVAILABLE_PERCENT


def limit(strategy: Strategy, selected: int) -> int:
    """How many of `selected` DPUs may be out of service: at least one, a share of them rounded up."""
    pace = _pace(strategy)
    match = _PERCENT.fullmatch(pace) if isinstance(pace, str) else None
    if match is not None:
        pace = -(-int(match.group(1)) * selected // 100)
    wanted = pace if isinstance(pace, int) else _DEFAULT
    return max(1, min(wanted, selected))


def choose(strategy: Strategy, standings: Sequence[Standing], *, selected: int) -> tuple[DPU, ...]:
    """The DPUs to delete now. `selected` counts the devices that should have one; those without it are out of service.

    With OnDelete only those that have to change their DPUCluster go: the user deletes the others.
    """
    living = [standing for standing in standings if not values.is_going(standing.dpu)]
    if not is_rolling(strategy):
        return tuple(standing.dpu for standing in living if standing.has_left_cluster)
    allowed = limit(strategy, selected)
    out = selected - len(standings) + sum(_counts(standing) for standing in standings)
    chosen: list[DPU] = []
    for standing in _drifted(living):
        if values.is_available(standing.dpu):
            others = out - _counts(standing)
            if others >= allowed:
                continue
            out = others + 1
        chosen.append(standing.dpu)
    return tuple(chosen)


def _drifted(living: Iterable[Standing]) -> list[Standing]:
    found = [standing for standing in living if standing.differs or standing.has_left_cluster]
    return sorted(found, key=lambda standing: standing.dpu.metadata.name)


def _counts(standing: Standing) -> int:
    """1 when the DPU counts as out of service."""
    works = values.is_available(standing.dpu) and values.is_noticed(standing.dpu)
    return int(not works or standing.is_disturbed)


def _pace(strategy: Strategy) -> int | str | None:
    return strategy.rollingUpdate.maxUnavailable if strategy.rollingUpdate is not None else None
