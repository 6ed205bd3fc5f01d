"""Files appear whole, are private, and are written only when they differ."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from dpf.local import files


def test_a_file_is_private_from_the_start(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        assert files.write_atomic(tmp_path / "a", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    files.write_atomic(tmp_path / "a", b"x")
    before = (tmp_path / "a").stat()
    assert not files.write_atomic(tmp_path / "a", b"x")
    assert (tmp_path / "a").stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("durable", [False, True])
def test_new_content_replaces_the_file_and_leaves_nothing_else(tmp_path: Path, durable: bool) -> None:
    files.write_atomic(tmp_path / "a", b"x", durable=durable)
    with (tmp_path / "a").open("rb") as reader:
        assert files.write_atomic(tmp_path / "a", b"longer", durable=durable)
        assert reader.read() == b"x"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"longer"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="directory"):
        files.write_atomic(tmp_path / "a", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_only_a_missing_file_is_absent(tmp_path: Path) -> None:
    assert files.read_if_exists(tmp_path / "a") is None
    with pytest.raises(IsADirectoryError):
        files.read_if_exists(tmp_path)


def test_boundaries_of_contents_count() -> None:
    assert files.digest(b"ab", b"c") != files.digest(b"a", b"bc") != files.digest(b"abc")


def test_locks_with_overlap_exclude_each_other_in_any_order(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b", "c")]
    inside = 0
    most = 0

    def work(chosen: list[Path]) -> None:
        nonlocal inside, most
        for _ in range(50):
            with files.locked(*chosen):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work, args=(order,)) for order in (paths[:2], paths[1::-1], paths, paths[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in threads)
    assert most == 1


def test_a_lock_named_twice_does_not_wait_for_itself(tmp_path: Path) -> None:
    with files.locked(tmp_path / "a", tmp_path / "a"):
        assert (tmp_path / "a").exists()
