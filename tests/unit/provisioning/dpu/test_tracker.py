"""What was tried on a card, on the DPU object itself; garbage counts as nothing tried."""

from __future__ import annotations

import pytest
from tests.unit.provisioning.dpu.snapshots import a_dpu

from dpf.api import names
from dpf.api.dpu import DPU
from dpf.provisioning.dpu import tracker
from dpf.provisioning.dpu.tracker import Restarts, Tracker

INSTALLS, RESTARTS = names.INSTALL_TRACKER_ANNOTATION, names.ARM_RESTART_TRACKER_ANNOTATION
GARBAGE = ["", "odd", "[]", "7", "null", '{"failed": "two"}', '{"attempt": "x"}', '{"failed": 1', "\x00", '"text"']


def noted(what: Tracker | Restarts, dpu: DPU) -> DPU:
    """The DPU after that was written down."""
    return a_dpu(annotations=tracker.remember(dpu, what, "a test").patch["metadata"]["annotations"])


def test_nothing_was_tried() -> None:
    assert (tracker.read(a_dpu()), tracker.restarts(a_dpu())) == (Tracker(), Restarts(generation=1))


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_counts_as_nothing(text: str) -> None:
    assert tracker.read(a_dpu(annotations={INSTALLS: text})) == Tracker()
    assert tracker.restarts(a_dpu(annotations={RESTARTS: text})) == Restarts(generation=1)


@pytest.mark.parametrize("what", [Tracker(failed=1, last="7"), Restarts(generation=1, attempt=1, last="x")], ids=str)
def test_what_is_written_down_is_read_again(what: Tracker | Restarts) -> None:
    dpu = noted(what, a_dpu())
    assert what in (tracker.read(dpu), tracker.restarts(dpu))


def test_fields_of_another_version_do_no_harm() -> None:
    assert tracker.read(a_dpu(annotations={INSTALLS: '{"failed": 1, "new": {}}'})) == Tracker(failed=1)


def test_another_generation_starts_over() -> None:
    dpu = noted(Restarts(generation=1, attempt=2), a_dpu())
    other = a_dpu(generation=2, annotations=dpu.metadata.annotations)
    assert tracker.restarts(other) == Restarts(generation=2)


@pytest.mark.parametrize(("told", "most"), [(0, 1), (-5, 1), (2, 2), (10, 10), (10**9, 10)])
def test_the_number_of_restarts_is_bounded(told: int, most: int) -> None:
    text = f'{{"generation": 1, "attempt": 1, "max": {told}}}'
    assert tracker.restarts(a_dpu(annotations={RESTARTS: text})).max == most
