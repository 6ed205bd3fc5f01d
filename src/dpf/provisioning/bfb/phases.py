"""The phases of a BFB: one table of transitions. Nothing else assigns `status.phase`.

Pure. Source: behaviour-provisioning.md section 2, resolutions.md row 6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dpf.api.bfb import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What decides, as this pass has seen it.

    `usable`: the file is under its name and its versions are known. `bad`: it is there, complete, and no usable bundle.
    `missing`: it has to be downloaded. `failing`: it cannot be, for now or for good.
    """

    accepted: bool
    usable: bool = False
    bad: bool = False
    missing: bool = False
    failing: bool = False


Guard = Callable[[Facts], bool]


@dataclass(frozen=True, slots=True)
class Transition:
    """From a phase to another when `guard` holds; `because` explains it in documentation."""

    source: Phase
    guard: Guard
    target: Phase
    because: str


def _accepted(facts: Facts) -> bool:
    return facts.accepted


def _refused(facts: Facts) -> bool:
    return not facts.accepted


def _usable(facts: Facts) -> bool:
    return facts.usable


def _bad(facts: Facts) -> bool:
    return facts.bad


def _missing(facts: Facts) -> bool:
    return facts.missing


def _failing(facts: Facts) -> bool:
    return facts.failing


def _not_failing(facts: Facts) -> bool:
    return not facts.failing


TRANSITIONS: Final = (
    Transition(Phase.INITIALIZING, _accepted, Phase.DOWNLOADING, "the object is complete and its file name is its own"),
    Transition(Phase.DOWNLOADING, _refused, Phase.INITIALIZING, "an older BFB has the same file name"),
    Transition(Phase.DOWNLOADING, _usable, Phase.READY, "the file is there and its versions are known"),
    Transition(Phase.DOWNLOADING, _failing, Phase.ERROR, "the attempts are used up, or no further one can help"),
    Transition(Phase.READY, _refused, Phase.INITIALIZING, "an older BFB has the same file name"),
    Transition(Phase.READY, _bad, Phase.ERROR, "the file was replaced by one that cannot be used"),
    Transition(Phase.READY, _missing, Phase.DOWNLOADING, "the file has gone or was changed"),
    Transition(Phase.ERROR, _refused, Phase.INITIALIZING, "an older BFB has the same file name"),
    Transition(Phase.ERROR, _not_failing, Phase.DOWNLOADING, "the next attempt is due, or what failed was mended"),
)
"""In order: the first transition out of the current phase whose guard holds is taken, one per pass."""


def next_phase(current: str, facts: Facts) -> Phase:
    """The phase after this pass. A phase that we do not know, or Deleting without a deletion, begins anew."""
    known = current in set(Phase) and current != Phase.DELETING
    phase = Phase(current) if known else Phase.INITIALIZING
    for transition in TRANSITIONS:
        if transition.source is phase and transition.guard(facts):
            return transition.target
    return phase
