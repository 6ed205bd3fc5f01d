"""The table of phases: every way is taken, and nothing else is one."""

from __future__ import annotations

import itertools

import pytest

from dpf.api.bfb import Phase
from dpf.provisioning.bfb import phases
from dpf.provisioning.bfb.phases import Facts

EVERYTHING = [
    Facts(accepted=a, usable=u, bad=b, missing=m, failing=f)
    for a, u, b, m, f in itertools.product((False, True), repeat=5)
]


@pytest.mark.parametrize(("current", "facts", "following"), [
    (Phase.INITIALIZING, Facts(accepted=False), Phase.INITIALIZING),
    (Phase.INITIALIZING, Facts(accepted=True), Phase.DOWNLOADING),
    (Phase.INITIALIZING, Facts(accepted=True, usable=True), Phase.DOWNLOADING),
    (Phase.DOWNLOADING, Facts(accepted=True, missing=True), Phase.DOWNLOADING),
    (Phase.DOWNLOADING, Facts(accepted=True, usable=True), Phase.READY),
    (Phase.DOWNLOADING, Facts(accepted=True, bad=True, failing=True), Phase.ERROR),
    (Phase.DOWNLOADING, Facts(accepted=False), Phase.INITIALIZING),
    (Phase.READY, Facts(accepted=True, usable=True), Phase.READY),
    (Phase.READY, Facts(accepted=True, missing=True), Phase.DOWNLOADING),
    (Phase.READY, Facts(accepted=True, bad=True, failing=True), Phase.ERROR),
    (Phase.READY, Facts(accepted=True, failing=True), Phase.READY),
    (Phase.ERROR, Facts(accepted=True, missing=True, failing=True), Phase.ERROR),
    (Phase.ERROR, Facts(accepted=True, missing=True), Phase.DOWNLOADING),
    (Phase.ERROR, Facts(accepted=False), Phase.INITIALIZING),
    ("", Facts(accepted=True), Phase.DOWNLOADING),
    ("Unheard-of", Facts(accepted=False), Phase.INITIALIZING),
    (Phase.DELETING, Facts(accepted=True), Phase.DOWNLOADING),
])
def test_next(current: str, facts: Facts, following: Phase) -> None:
    assert phases.next_phase(current, facts) is following


def test_every_transition_is_taken_by_something() -> None:
    taken = {
        (t.source, t.target) for t in phases.TRANSITIONS for f in EVERYTHING
        if phases.next_phase(t.source, f) is t.target and t.guard(f)
    }
    assert taken == {(t.source, t.target) for t in phases.TRANSITIONS}


@pytest.mark.parametrize("facts", EVERYTHING, ids=str)
def test_phases_do_not_go_in_circles(facts: Facts) -> None:
    """With facts that stay, a phase is reached that stays, but where no facts can be so."""
    if (facts.usable and (facts.bad or facts.missing or facts.failing)) or (facts.bad and not facts.failing):
        return
    for start in (Phase.INITIALIZING, Phase.DOWNLOADING, Phase.READY, Phase.ERROR):
        phase = start
        for _ in range(4):
            phase = phases.next_phase(phase, facts)
        assert phases.next_phase(phase, facts) is phase
