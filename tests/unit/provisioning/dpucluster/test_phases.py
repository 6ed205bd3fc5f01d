"""The transition table of DPUCluster phases."""

from __future__ import annotations

import itertools

import pytest

from dpf.api.dpucluster import Phase
from dpf.provisioning.dpucluster import phases
from dpf.provisioning.dpucluster.phases import Facts


def facts(*, known_type: bool = True, created: bool = False, healthy: bool = False) -> Facts:
    return Facts(known_type=known_type, created=created, healthy=healthy)


@pytest.mark.parametrize(("current", "seen", "expected"), [
    pytest.param("Pending", facts(), "Creating", id="accepted"),
    pytest.param("Pending", facts(known_type=False), "Failed", id="no manager for it"),
    pytest.param("Creating", facts(), "Creating", id="the manager is at work"),
    pytest.param("Creating", facts(created=True, healthy=True), "Ready", id="created and healthy"),
    pytest.param("Creating", facts(created=True), "NotReady", id="created, but no answer"),
    pytest.param("Creating", facts(known_type=False), "Failed", id="type changed while creating"),
    pytest.param("Ready", facts(created=True, healthy=True), "Ready", id="stays ready"),
    pytest.param("Ready", facts(created=True), "NotReady", id="health check fails"),
    pytest.param("Ready", facts(), "NotReady", id="Created lost"),
    pytest.param("Ready", facts(healthy=True), "NotReady", id="Created lost, though it answers"),
    pytest.param("NotReady", facts(created=True, healthy=True), "Ready", id="recovered"),
    pytest.param("NotReady", facts(created=True), "NotReady", id="still no answer"),
    pytest.param("NotReady", facts(), "NotReady", id="still not created"),
    pytest.param("Failed", facts(known_type=False), "Failed", id="nothing was corrected"),
    pytest.param("Failed", facts(), "Creating", id="type corrected"),
    pytest.param("", facts(), "Creating", id="no phase yet"),
    pytest.param("Upgrading", facts(), "Creating", id="a phase of another version"),
])
def test_next_phase(current: str, seen: Facts, expected: str) -> None:
    assert phases.next_phase(current, seen) == expected


def test_every_phase_can_be_reached_and_left() -> None:
    assert {t.target for t in phases.TRANSITIONS} == set(Phase) - {Phase.PENDING}
    assert {t.source for t in phases.TRANSITIONS} == set(Phase)


@pytest.mark.parametrize("start", list(Phase))
@pytest.mark.parametrize("seen", [facts(known_type=k, created=c, healthy=h) for k, c, h in itertools.product(
    (True, False), repeat=3)])
def test_the_same_facts_lead_to_rest(start: Phase, seen: Facts) -> None:
    phase = start
    for _ in Phase:
        phase = phases.next_phase(phase, seen)
    assert phases.next_phase(phase, seen) == phase
