"""Kubernetes Events: what a controller did to an object, and what it could not do, in the planner's own words.

`pipeline` records, a background task writes. Recording never blocks and never fails a pass: what cannot be written in
time is dropped and counted. The same event again raises its `count`, at most once in `REPEAT_S`; per object a token
bucket holds back floods. A pass that carried out nothing records nothing, so a settled object has no new Events.

Names of Events are digests of what they say, so a restarted controller goes on counting instead of repeating.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import structlog

from dpf.api import core
from dpf.api.meta import Key, Object, ObjectMeta, object_key
from dpf.kube import client as port
from dpf.kube import errors
from dpf.runtime import plan as plans
from dpf.runtime.clock import Clock, rfc3339
from dpf.runtime.executor import describe
from dpf.runtime.metrics import Metrics

NORMAL: Final = "Normal"
WARNING: Final = "Warning"

REPEAT_S: Final = 60.0
BURST: Final = 25
REFILL_EVERY_S: Final = 30.0
"""Per object: so many Events at once, then one more in this time."""
_BUFFER: Final = 1000
_REMEMBERED: Final = 4096
_MESSAGE_LIMIT: Final = 1024
_NAME_LIMIT: Final = 253
_DIGEST_LENGTH: Final = 16

_REASONS: Final = {
    plans.Apply: ("Applied", "ApplyFailed"), plans.Patch: ("Patched", "PatchFailed"),
    plans.Delete: ("Deleted", "DeleteFailed"), plans.Drive: ("Driven", "DriveFailed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing to tell about `regarding`. `reason` is CamelCase for programs, `message` for people."""

    regarding: core.ObjectReference
    type: str
    reason: str
    message: str

    @property
    def name(self) -> str:
        """The name of its Event, the same for the same note."""
        said = "\0".join((self.regarding.uid or "", self.type, self.reason, self.message))
        digest = hashlib.sha256(said.encode()).hexdigest()[:_DIGEST_LENGTH]
        return f"{(self.regarding.name or '')[:_NAME_LIMIT - _DIGEST_LENGTH - 1]}.{digest}"

    @property
    def namespace(self) -> str:
        """Events about cluster-scoped objects are in `default`."""
        return self.regarding.namespace or "default"


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


@dataclass(slots=True)
class _Series:
    """How often a note was recorded, and how much of that the API server knows."""

    count: int = 0
    written: int = 0
    written_at: float = float("-inf")


def notes_of(root: Object, outcomes: Iterable[plans.Outcome]) -> Iterator[Note]:
    """What a pass has to tell about `root`: each failure, and together what was done for the same reason.

    An Event costs the API server as much as any other write.
    """
    done: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        succeeded, failed = outcome.action.reasons or _REASONS[type(outcome.action)]
        because = outcome.action.because
        if outcome.error is not None:
            yield _note(root, WARNING, failed, f"{because}: {outcome.error}")
        else:
            done.setdefault((succeeded, because), []).append(describe(outcome.action))
    for (reason, because), deeds in done.items():
        yield _note(root, NORMAL, reason, f"{because}: {', '.join(deeds)}")


def notes_of_findings(root: Object, applied: plans.Applied) -> tuple[Note, ...]:
    """What a pass found that its planner wants told."""
    found = (finding for result in applied.results if result.ran for finding in result.findings)
    return tuple(_note(root, WARNING, f.event, f.message) for f in found if f.event is not None)


def _note(root: Object, type_: str, reason: str, message: str) -> Note:
    metadata, resource = root.metadata, type(root).resource
    regarding = core.ObjectReference(
        apiVersion=resource.api_version, kind=resource.kind, namespace=metadata.namespace, name=metadata.name,
        uid=metadata.uid,
    )
    return Note(regarding=regarding, type=type_, reason=reason, message=_cut(message))


class Recorder:
    """The Events of one controller."""

    def __init__(self, client: port.Client, *, component: str, clock: Clock, metrics: Metrics) -> None:
        self._client = client
        self._component = component
        self._clock = clock
        self._metrics = metrics
        self._pending: OrderedDict[Note, None] = OrderedDict()
        self._wanted = asyncio.Event()
        self._series: OrderedDict[Note, _Series] = OrderedDict()
        self._buckets: OrderedDict[Key, _Bucket] = OrderedDict()
        self._log = structlog.get_logger().bind(controller=component)

    def record(self, root: Object, applied: plans.Applied) -> None:
        """Note everything that a pass over `root` carried out or failed to carry out."""
        key = object_key(root)
        outcomes = (o for result in applied.results for o in result.outcomes if not o.outdated)
        for note in (*notes_of(root, outcomes), *notes_of_findings(root, applied)):
            log = self._log.warning if note.type == WARNING else self._log.info
            log(note.message, object=str(key), reason=note.reason)
            self.add(note, key)

    def add(self, note: Note, key: Key) -> None:
        """Have `note` written soon, unless too many are about the object `key`."""
        series = self._series.setdefault(note, _Series())
        self._series.move_to_end(note)
        series.count += 1
        self._trim()
        if note in self._pending or self._clock.monotonic() - series.written_at < REPEAT_S:
            return
        if len(self._pending) >= _BUFFER or not self._take_token(key):
            self._metrics.events_dropped.labels(self._component).inc()
            return
        self._pending[note] = None
        self._wanted.set()

    async def run(self) -> None:
        """Write notes as they come, until cancelled."""
        while True:
            await self._wanted.wait()
            await self.drain()

    async def drain(self) -> None:
        """Write what is pending. A note that the API server refuses is dropped."""
        self._wanted.clear()
        while self._pending:
            note, _ = self._pending.popitem(last=False)
            series = self._series.setdefault(note, _Series(count=1))
            try:
                await self._write(note, series)
            except errors.Error as error:
                self._metrics.events_dropped.labels(self._component).inc()
                self._log.debug("event not written", object=f"{note.namespace}/{note.name}", error=str(error))

    async def _write(self, note: Note, series: _Series) -> None:
        news, series.written, series.written_at = series.count - series.written, series.count, self._clock.monotonic()
        try:
            if news == series.count:
                await self._client.create(self._event(note, news))
            else:
                await self._raise_count(note, news)
        except errors.AlreadyExists:
            await self._raise_count(note, news)
        except errors.NotFound:
            await self._client.create(self._event(note, news))

    async def _raise_count(self, note: Note, by: int) -> None:
        known = await self._client.get(core.Event, note.name, note.namespace)
        patch = {"count": (known.count or 0) + by, "lastTimestamp": rfc3339(self._clock.now())}
        await self._client.patch(core.Event, note.name, note.namespace, patch=patch)

    def _event(self, note: Note, count: int) -> core.Event:
        now = rfc3339(self._clock.now())
        return core.Event(
            metadata=ObjectMeta(name=note.name, namespace=note.namespace), involvedObject=note.regarding,
            type=note.type, reason=note.reason, message=note.message, count=count, firstTimestamp=now,
            lastTimestamp=now, source=core.EventSource(component=self._component),
            reportingComponent=self._component,
        )

    def _take_token(self, key: Key) -> bool:
        now = self._clock.monotonic()
        bucket = self._buckets.setdefault(key, _Bucket(float(BURST), now))
        self._buckets.move_to_end(key)
        bucket.tokens = min(BURST, bucket.tokens + (now - bucket.filled_at) / REFILL_EVERY_S)
        bucket.filled_at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _trim(self) -> None:
        """Forget the longest unused; forgetting costs at most a superfluous Event."""
        for memory in (self._series, self._buckets):
            while len(memory) > _REMEMBERED:
                memory.popitem(last=False)


def _cut(text: str) -> str:
    return text if len(text) <= _MESSAGE_LIMIT else f"{text[:_MESSAGE_LIMIT - 1]}…"
