"""What is remembered about a process: one small file per process under `<state>/run/`.

Called by `supervisor`. A record without a pid is an *intent*: it is written before the fork, so that a process whose
parent died in between is looked for. An unreadable record counts as none; the process is then found by its marks.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from dpf.local import files


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One process as it was started. Environment and arguments are not kept: they may hold what is private."""

    name: str
    digest: str
    started_at: str
    boot_id: str
    log: str
    stop_signal: int
    stop_timeout_s: float
    stop_stage: int
    pid: int | None = None
    start_ticks: int | None = None


def write(folder: Path, record: Record) -> None:
    """Replace the record; nothing is written when it is the same."""
    files.ensure_private_folder(folder)
    files.write_atomic(_path(folder, record.name), msgspec.json.encode(record) + b"\n")


def read(folder: Path, name: str) -> Record | None:
    """The record of `name`, or None."""
    content = files.read_if_exists(_path(folder, name))
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=Record)
    except msgspec.DecodeError:
        return None


def names(folder: Path) -> tuple[str, ...]:
    """Everything that a record file exists for, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.json")))


def remove(folder: Path, name: str) -> None:
    """Forget `name`; absent is fine."""
    _path(folder, name).unlink(missing_ok=True)


def lock(folder: Path, name: str) -> Path:
    """The file whose lock stands for `name`."""
    files.ensure_private_folder(folder)
    return folder / f"{name}.lock"


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"
