"""What an emulated kubelet remembers of a pod: its address and the lives of its containers, in one file per pod.

The file is what a kubelet that was killed finds again, so everything that the status of a running pod is computed from
is in it, and nothing secret is. Values only; `podworker` writes them, `podplan` and `podstatus` read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from dpf.api.meta import Model
from dpf.local import files

FILE_NAME: Final = "pod.json"
STABLE_AFTER_S: Final = 600.0
"""A container that ran this long before it ended starts its backoff anew."""


class ProcessRef(Model):
    """One process for certain: a pid alone may be taken by another process after a while.

    `start_ticks` is the kernel's start time of the process (field 22 of /proc/<pid>/stat).
    """

    pid: int
    start_ticks: int


class Exit(Model):
    """How a life ended. `code` is 128 + signal after a signal, as container runtimes report it."""

    code: int
    reason: str
    at: datetime
    message: str | None = None


class Life(Model):
    """One run of a container. Without `process` it is paused: Running, but nothing executes."""

    attempt: int
    started_at: datetime
    process: ProcessRef | None = None
    exit: Exit | None = None

    @property
    def is_running(self) -> bool:
        """Whether the life has not ended."""
        return self.exit is None


class ContainerRecord(Model):
    """The current and the previous life, and how many ended in a row without having been stable."""

    life: Life | None = None
    previous: Life | None = None
    crashes: int = 0

    @property
    def is_running(self) -> bool:
        """Whether it runs now (or is paused)."""
        return self.life is not None and self.life.is_running


class PodRecord(Model):
    """One pod on this node."""

    uid: str
    namespace: str
    name: str
    started_at: datetime
    ip: str
    containers: dict[str, ContainerRecord] = {}

    def container(self, name: str) -> ContainerRecord:
        """The record of that container; an empty one when it never ran."""
        return self.containers.get(name) or ContainerRecord()

    def with_container(self, name: str, record: ContainerRecord) -> PodRecord:
        """A copy in which that container has that record."""
        return msgspec.structs.replace(self, containers={**self.containers, name: record})


def began(record: ContainerRecord, process: ProcessRef | None, now: datetime) -> ContainerRecord:
    """The record after the next life has begun; `now` is UTC."""
    attempt = 0 if record.life is None else record.life.attempt + 1
    life = Life(attempt=attempt, started_at=now, process=process)
    return msgspec.structs.replace(record, life=life, previous=record.life)


def ended(record: ContainerRecord, exit: Exit) -> ContainerRecord:
    """The record after its life ended; a record without a running life stays as it is."""
    if record.life is None or not record.life.is_running:
        return record
    was_stable = (exit.at - record.life.started_at).total_seconds() >= STABLE_AFTER_S
    life = msgspec.structs.replace(record.life, exit=exit)
    return msgspec.structs.replace(record, life=life, crashes=1 if was_stable else record.crashes + 1)


def adopt(record: PodRecord, found: Mapping[str, ProcessRef], now: datetime) -> PodRecord:
    """The record after an earlier kubelet's processes were found: one that it does not know is the next life.

    Such a process exists when the kubelet was killed between starting it and writing that down.
    """
    for name, process in found.items():
        history = record.container(name)
        if history.life is not None and history.is_running:
            if history.life.process == process:
                continue
            lost = Exit(code=137, reason="ContainerStatusUnknown", at=now)
            history = ended(history, lost)
        record = record.with_container(name, began(history, process, now))
    return record


def load(folder: Path) -> PodRecord | None:
    """The record in a pod's folder; None when there is none, or not one that can be read."""
    content = files.read_if_exists(folder / FILE_NAME)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=PodRecord)
    except msgspec.DecodeError:
        return None


def store(folder: Path, record: PodRecord) -> None:
    """Write the record whole or not at all; no write when nothing changed. Raises OSError."""
    files.write_atomic(folder / FILE_NAME, msgspec.json.encode(record))
