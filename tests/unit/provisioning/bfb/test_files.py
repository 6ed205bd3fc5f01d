"""The volume and an unfinished file, on a real folder."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dpf.emulation import bfb as emulated
from dpf.provisioning.bfb import files
from dpf.provisioning.bfb.files import Volume, VolumeError
from dpf.provisioning.bfb.partial import Owner, Partial
from dpf.provisioning.bfb.record import Record

NOW = datetime(2026, 1, 1, microsecond=999_999, tzinfo=UTC)
OWNER = Owner(uid="u1", file_name="x.bfb", source="url-digest")
BUNDLE = emulated.build()


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path)


def written(volume: Volume, data: bytes, *, every: int = 1000, validator: str = '"v"', owner: Owner = OWNER) -> None:
    """A download that was killed after these bytes: nothing is closed properly but the descriptor."""
    partial = Partial(volume, owner, checkpoint_bytes=every)
    partial.restart(total=len(BUNDLE), validator=validator)
    for at in range(0, len(data), 500):
        partial.write(data[at:at + 500])
    partial.close()


def finished(volume: Volume, owner: Owner = OWNER, data: bytes = BUNDLE) -> None:
    partial = Partial(volume, owner)
    partial.restart(total=len(data), validator="")
    partial.write(data)
    partial.finish(NOW)
    partial.close()


def test_it_goes_on_from_the_last_checkpoint(volume: Volume) -> None:
    written(volume, BUNDLE[:3700])
    partial = Partial(volume, OWNER)
    assert (partial.offset, partial.total, partial.validator) == (3000, len(BUNDLE), '"v"')
    partial.write(BUNDLE[3000:])
    partial.finish(NOW)
    partial.close()
    content = volume.load("u1").content
    assert content is not None
    assert volume.unfinished("u1").read_bytes() == BUNDLE
    assert content.sha256 == hashlib.sha256(BUNDLE).hexdigest()
    assert content.inventory is not None, "what was read before the kill was scanned again"
    assert content.size == len(BUNDLE)


def _damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\0\0\0\0")


def _shorten(path: Path) -> None:
    os.truncate(path, 10)


@pytest.mark.parametrize("spoil", [_damage, _shorten, Path.unlink], ids=["damaged", "shortened", "gone"])
def test_it_begins_anew_when_the_bytes_are_not_what_they_were(volume: Volume, spoil: object) -> None:
    """What a power cut leaves is not trusted."""
    written(volume, BUNDLE[:3700])
    spoil(volume.unfinished("u1"))  # type: ignore[operator]
    partial = Partial(volume, OWNER)
    assert (partial.offset, partial.validator) == (0, "")
    partial.close()
    assert volume.unfinished("u1").read_bytes() == b""
    assert volume.load("u1").checkpoint is None


def test_it_begins_anew_for_another_url(volume: Volume) -> None:
    written(volume, BUNDLE[:3700])
    partial = Partial(volume, Owner(uid="u1", file_name="x.bfb", source="another"))
    assert partial.offset == 0
    partial.close()


def test_without_a_validator_there_are_no_checkpoints(volume: Volume) -> None:
    written(volume, BUNDLE[:3700], validator="")
    assert volume.load("u1").checkpoint is None


def test_what_is_finished_is_published_whole_and_readable(volume: Volume) -> None:
    finished(volume)
    assert not volume.target("x.bfb").exists()
    volume.publish("u1", "x.bfb")
    volume.publish("u1", "x.bfb")
    target = volume.target("x.bfb")
    assert target.read_bytes() == BUNDLE
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert target.stat().st_mtime_ns % 1_000_000_000 == 0
    found = volume.look("u1", "x.bfb")
    assert found.unfinished is None
    assert found.target is not None
    assert found.record.content is not None
    assert found.target.holds(found.record.content)


def test_what_is_not_finished_is_not_published(volume: Volume) -> None:
    written(volume, BUNDLE)
    volume.publish("u1", "x.bfb")
    assert not volume.target("x.bfb").exists()


def test_two_processes_do_not_write_one_file(volume: Volume) -> None:
    first = Partial(volume, OWNER)
    with pytest.raises(VolumeError, match="another process is writing bfb-u1"):
        Partial(volume, OWNER)
    first.close()
    Partial(volume, OWNER).close()


def test_a_volume_without_locks_is_used(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", no_locks)
    finished(volume)
    assert volume.load("u1").content is not None


def test_a_file_that_another_bfb_had_downloaded_is_told_from_one_that_was_put_there(volume: Volume) -> None:
    volume.target("x.bfb").write_bytes(b"somebody's")
    assert not volume.look("u2", "x.bfb").left_behind
    volume.target("x.bfb").unlink()
    finished(volume)
    volume.publish("u1", "x.bfb")
    assert volume.look("u2", "x.bfb").left_behind
    assert not volume.look("u1", "x.bfb").left_behind
    finished(volume, Owner(uid="u2", file_name="x.bfb", source="s"))
    volume.publish("u2", "x.bfb")
    assert volume.load("u1") == Record(), "what another one had left is forgotten with its file"


def test_removal_takes_everything_of_one_bfb_and_nothing_else(volume: Volume) -> None:
    for uid, name in (("u1", "x.bfb"), ("u2", "y.bfb")):
        finished(volume, Owner(uid=uid, file_name=name, source="s"))
        volume.publish(uid, name)
    written(volume, BUNDLE[:3000])
    volume.remove("u1", None)
    assert sorted(p.name for p in volume.folder.iterdir()) == ["bfb-u2.json", "x.bfb", "y.bfb"]
    volume.remove("u1", "x.bfb")
    volume.remove("u1", "x.bfb")
    assert sorted(p.name for p in volume.folder.iterdir()) == ["bfb-u2.json", "y.bfb"]


def test_a_record_that_is_damaged_is_none(volume: Volume) -> None:
    (volume.folder / "bfb-u1.json").write_bytes(b'{"file_name": 4711')
    assert volume.load("u1") == Record()


@pytest.mark.parametrize("name", ["../x.bfb", "a/b.bfb", "x", "bfb-u1"])
def test_no_name_leads_out_of_the_folder(volume: Volume, name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a bundle"):
        volume.target(name)


def test_links_are_not_followed(volume: Volume, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    volume.unfinished("u1").symlink_to(secret)
    with pytest.raises(VolumeError):
        Partial(volume, OWNER)
    volume.unfinished("u1").unlink()
    volume.target("x.bfb").symlink_to(secret)
    with pytest.raises(VolumeError, match=r"x\.bfb is not a regular file"):
        volume.look("u1", "x.bfb")
    assert secret.read_bytes() == b"secret"


@pytest.mark.parametrize(("number", "retryable"), [
    (errno.ENOSPC, True), (errno.EDQUOT, True), (errno.ESTALE, True), (errno.EIO, True), (errno.EACCES, False),
    (errno.EROFS, False), (errno.EISDIR, False),
])
def test_what_mends_itself(volume: Volume, number: int, retryable: bool) -> None:
    assert volume.refused("write to", OSError(number, os.strerror(number))).retryable is retryable


def test_a_volume_that_is_not_mounted(tmp_path: Path) -> None:
    gone = Volume(tmp_path / "bfb")
    with pytest.raises(VolumeError, match="does not exist: mount the BFB volume there"):
        gone.look("u1", "x.bfb")
    gone.remove("u1", "x.bfb")
