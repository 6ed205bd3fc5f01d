"""The phases of a DPUCluster: one table of transitions. Nothing else assigns `status.phase`.

Pure. Source: behaviour-provisioning.md section 12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dpf.api.dpucluster import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What decides. `healthy` is the answer of this pass's health check, False when none could be made."""

    known_type: bool
    created: bool
    healthy: bool


Guard = Callable[[Facts], bool]


@dataclass(frozen=True, slots=True)
class Transition:
    """From a phase to another when `guard` holds; `because` explains it in documentation."""

    source: Phase
    guard: Guard
    target: Phase
    because: str


def _always(_: Facts) -> bool:
    return True


def _no_manager(facts: Facts) -> bool:
    return not facts.known_type


def _manager_possible(facts: Facts) -> bool:
    return facts.known_type


def _serves(facts: Facts) -> bool:
    return facts.created and facts.healthy


def _created_but_unhealthy(facts: Facts) -> bool:
    return facts.created and not facts.healthy


def _lost(facts: Facts) -> bool:
    return not _serves(facts)


TRANSITIONS: Final = (
    Transition(Phase.PENDING, _no_manager, Phase.FAILED, "spec.type names no cluster manager"),
    Transition(Phase.PENDING, _always, Phase.CREATING, "the cluster manager may start"),
    Transition(Phase.CREATING, _no_manager, Phase.FAILED, "spec.type was changed to one without a cluster manager"),
    Transition(Phase.CREATING, _serves, Phase.READY, "created, and the health check passed"),
    Transition(Phase.CREATING, _created_but_unhealthy, Phase.NOT_READY, "created, but the health check failed"),
    Transition(Phase.READY, _no_manager, Phase.FAILED, "spec.type was changed to one without a cluster manager"),
    Transition(Phase.READY, _lost, Phase.NOT_READY, "Created was lost or the health check failed"),
    Transition(Phase.NOT_READY, _no_manager, Phase.FAILED, "spec.type was changed to one without a cluster manager"),
    Transition(Phase.NOT_READY, _serves, Phase.READY, "created, and the health check passed again"),
    Transition(Phase.FAILED, _manager_possible, Phase.CREATING, "spec.type was corrected"),
)
"""In order: the first transition out of the current phase whose guard holds is taken, one per pass."""


def next_phase(current: str, facts: Facts) -> Phase:
    """The phase after this pass. A phase that we do not know counts as Pending: every way leads on from there."""
    phase = Phase(current) if current in set(Phase) else Phase.PENDING
    for transition in TRANSITIONS:
        if transition.source is phase and transition.guard(facts):
            return transition.target
    return phase
