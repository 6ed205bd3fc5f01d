"""What `dpfctl local down` removes, and what it says when something would not go."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpf.local import errors
from dpf.local.platform import down, progress, settings


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A platform that was half made: nothing runs."""
    where = tmp_path / "state"
    settings.claim(where)
    (where / "pki").mkdir()
    return where


def removed(state: Path) -> bool:
    return down.down(state, progress.Progress(out=None))


def test_all_of_a_half_made_platform_goes(state: Path) -> None:
    assert removed(state)
    assert not state.exists()
    assert not removed(state)


def test_what_would_not_go_is_named_and_down_can_be_repeated(state: Path) -> None:
    (state / "charts").write_text("no folder")
    with pytest.raises(errors.LocalError, match=r"charts cannot be removed: Not a directory\. Remove it yourself"):
        removed(state)
    assert settings.is_ours(state)
    (state / "charts").unlink()
    assert removed(state)
    assert not state.exists()


def test_where_a_link_leads_to_stays(state: Path, tmp_path: Path) -> None:
    (tmp_path / "big-disk").mkdir()
    (tmp_path / "big-disk" / "mine").touch()
    (state / "bfb").symlink_to(tmp_path / "big-disk")
    assert removed(state)
    assert not state.exists()
    assert (tmp_path / "big-disk" / "mine").exists()


def test_a_folder_that_cannot_be_looked_into_is_explained(tmp_path: Path) -> None:
    with pytest.raises(errors.LocalError, match="cannot be looked into: File name too long"):
        removed(tmp_path / ("x" * 300))
