"""The API servers' own record of writes: read as it grows, sorted by what kind of write each is.

Nothing asks the servers anything to find out how far the work is: that would be a load of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

POLL_S: Final = 0.1
SILENCE_S: Final = 2.5
"""Nothing is written for so long when the work is done."""
EVENTS: Final = "events"
CHILDREN: Final = frozenset(
    {"dpuservices", "dpuserviceinterfaces", "dpuservicechains", "dpusets", "applications", "namespaces"}
)


class _Reference(msgspec.Struct):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""


class _Status(msgspec.Struct):
    code: int = 0


class _Record(msgspec.Struct):
    verb: str
    requestURI: str
    requestReceivedTimestamp: str
    stageTimestamp: str
    userAgent: str = ""
    objectRef: _Reference = msgspec.field(default_factory=_Reference)
    responseStatus: _Status = msgspec.field(default_factory=_Status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write request. Times are seconds since the epoch."""

    cluster: str
    agent: str
    verb: str
    resource: str
    name: str
    code: int
    began: float
    ended: float

    @property
    def accepted(self) -> bool:
        """Whether it was done."""
        return 200 <= self.code < 300

    @property
    def label(self) -> str:
        """Verb and resource: what it costs an API server."""
        return f"{self.verb} {self.resource}"


class Log:
    """All writes of all clusters so far, in the order of their files."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files
        self._read = dict.fromkeys(files, 0)
        self.writes: list[Write] = []

    def read(self) -> list[Write]:
        """What was written since the last look; it stands in `writes`, too."""
        new: list[Write] = []
        for cluster, path in self._files.items():
            with path.open("rb") as file:
                file.seek(self._read[cluster])
                lines = file.read()
            complete = lines[:lines.rfind(b"\n") + 1]
            self._read[cluster] += len(complete)
            new += (_write(cluster, line) for line in complete.splitlines())
        self.writes += new
        return new

    async def until(self, done: Callable[[Sequence[Write]], bool], *, agent: str, timeout_s: float) -> list[Write]:
        """Writes of `agent` from now on until `done` accepts them and nothing came for a while. Raises TimeoutError."""
        found: list[Write] = []
        deadline, silent_since = time.monotonic() + timeout_s, time.monotonic()
        while True:
            new = [write for write in self.read() if write.agent == agent]
            found += new
            now = time.monotonic()
            silent_since = now if new else silent_since
            if now - silent_since >= SILENCE_S and done(found):
                return found
            if now > deadline:
                raise TimeoutError(f"not done after {timeout_s:g} s: {counts(found)}")
            await asyncio.sleep(POLL_S)


def counts(writes: Iterable[Write]) -> dict[str, int]:
    """How many of each label, the most frequent first."""
    return dict(Counter(write.label for write in writes).most_common())


def _write(cluster: str, line: bytes) -> Write:
    record = msgspec.json.decode(line, type=_Record)
    reference = record.objectRef
    resource = f"{reference.resource}/{reference.subresource}" if reference.subresource else reference.resource
    return Write(
        cluster=cluster, agent=record.userAgent, verb=_verb(record), resource=resource, name=reference.name,
        code=record.responseStatus.code, began=_seconds(record.requestReceivedTimestamp),
        ended=_seconds(record.stageTimestamp),
    )


def _verb(record: _Record) -> str:
    if record.verb != "patch" or "force=" not in record.requestURI:
        return record.verb
    return "apply new" if record.responseStatus.code == 201 else "apply"


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
