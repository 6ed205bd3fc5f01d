"""What is remembered of a pod, and what a kubelet makes of processes it finds."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.pods import NOW, PROCESS, a_record, ended, running

from dpf.emulation.kubelet import records
from dpf.emulation.kubelet.records import ContainerRecord, Exit, ProcessRef

OTHER = ProcessRef(pid=4_000_001, start_ticks=2)


def test_written_and_read_again(tmp_path: Path) -> None:
    record = a_record(main=records.began(ended(1), PROCESS, NOW), paused=records.began(ContainerRecord(), None, NOW))
    records.store(tmp_path, record)
    assert records.load(tmp_path) == record


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"uid": 1}'], ids=["absent", "empty", "incomplete", "wrong"])
def test_an_unreadable_record_counts_as_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / records.FILE_NAME).write_bytes(content)
    assert records.load(tmp_path) is None


def test_lives_are_counted_and_the_last_two_kept() -> None:
    record = ContainerRecord()
    for attempt in range(3):
        record = records.began(record, PROCESS, NOW)
        assert record.life is not None
        assert record.life.attempt == attempt
        record = records.ended(record, Exit(code=attempt, reason="Error", at=NOW))
    assert record.previous is not None
    assert record.previous.exit is not None
    assert (record.previous.exit.code, record.crashes) == (1, 3)


def test_a_long_life_forgives_earlier_crashes() -> None:
    record = running(crashes=5)
    at = NOW + timedelta(seconds=records.STABLE_AFTER_S)
    assert records.ended(record, Exit(code=1, reason="Error", at=at)).crashes == 1


def test_what_has_ended_cannot_end_again() -> None:
    record = ended(1)
    assert records.ended(record, Exit(code=2, reason="Error", at=NOW)) is record


def test_a_known_process_is_adopted_as_it_is() -> None:
    record = a_record(main=running(attempt=2))
    assert records.adopt(record, {"main": PROCESS}, NOW) == record


def test_a_process_that_was_started_but_not_written_down_is_the_next_life() -> None:
    adopted = records.adopt(a_record(main=ended(1, attempt=4)), {"main": OTHER}, NOW).container("main")
    assert adopted.life is not None
    assert (adopted.life.attempt, adopted.life.process, adopted.is_running) == (5, OTHER, True)


def test_a_life_that_was_replaced_unseen_has_ended_unknown() -> None:
    adopted = records.adopt(a_record(main=running()), {"main": OTHER}, NOW).container("main")
    assert adopted.previous is not None
    assert adopted.previous.exit is not None
    assert adopted.previous.exit.reason == "ContainerStatusUnknown"
    assert adopted.life is not None
    assert adopted.life.process == OTHER
