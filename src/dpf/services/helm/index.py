"""What a Helm repository's index.yaml says about one version of one chart.

Pure. Called by `https`, which gives the bytes as they arrive. An index may be tens of megabytes, and comes from a
stranger: `Cutter` keeps only the lines about the wanted chart, without parsing the others, and `find` reads those event
by event, so that nothing is ever built from what is not asked for. What is cut is what helm writes, YAML in block form;
any other form (JSON, for one) is read whole, up to a limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from dpf.services.helm.port import ChartError

MAX_KEPT: Final = 8 << 20
"""Bytes about one chart, or of an index that cannot be cut."""
MAX_LINE: Final = 1 << 20
MAX_EVENTS: Final = 1_000_000
MAX_DEPTH: Final = 32
"""The YAML library's time grows with the square of the nesting."""

_HEAD: Final = 64 << 10
"""The entries begin in the first bytes of an index, or it is in no form that we can cut."""
_ENTRIES: Final = re.compile(
    rb"(?:\A|\n)entries:[ \t]*(?:#[^\n]*)?\r?\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*( +)(?=[^\s#-])"
)
_END_OF_ENTRIES: Final = re.compile(rb"\n(?=[^\s#])")
_OURS: Final = b"entries:"
"""Put before the lines about a chart, so that what is cut is an index again."""
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})


def read(raw: bytes, *, chart: str, version: str) -> dict[str, str]:
    """`Cutter` and `find` in one, for an index at hand. Raises ChartError."""
    cutter = Cutter(chart)
    cutter.feed(raw)
    return find(cutter.finish(), chart=chart, version=version)


class Cutter:
    """Takes an index piece by piece and keeps what is about `chart`."""

    def __init__(self, chart: str) -> None:
        self._chart = re.escape(chart.encode())
        self._step = self._head
        self._window = b""
        self._kept = bytearray(_OURS)
        self._key = self._end = _END_OF_ENTRIES
        self._done = False

    def feed(self, piece: bytes) -> bool:
        """Whether that is enough: nothing that follows matters. Raises ChartError for an index beyond the limits."""
        if not self._done:
            self._step(piece)
        return self._done

    def finish(self) -> bytes:
        """What there is about the chart, for `find`: an index with at least that, if it was there at all."""
        return self._window if self._step == self._head else bytes(self._kept)

    def _head(self, piece: bytes) -> None:
        """Look for the first entry, whose indentation is that of all entries."""
        self._window += piece
        begun = _ENTRIES.search(self._window, 0, _HEAD)
        if begun is not None:
            indent = len(begun[1])
            quoted = b"(?:" + self._chart + b"|'" + self._chart + b"'|\"" + self._chart + b"\")"
            self._key = re.compile(rb"\n" + b" " * indent + quoted + rb":(?=\s)")
            self._end = re.compile(rb"\n {0,%d}(?=[^\s#-])" % indent)
            rest, self._window = b"\n" + self._window[begun.start(1):], b""
            self._advance(self._seek, rest)
        elif len(self._window) >= _HEAD:
            rest, self._window = self._window, b""
            self._kept.clear()
            self._advance(self._whole, rest)

    def _seek(self, piece: bytes) -> None:
        """Pass over entries until the chart's, or until there are no more."""
        self._window += piece
        end = _END_OF_ENTRIES.search(self._window)
        found = self._key.search(self._window, 0, end.start() if end else len(self._window))
        if found is not None:
            rest, self._window = self._window[found.start():], b""
            self._advance(self._follow, rest)
        elif end is not None:
            self._done = True
        else:
            self._window = self._window[max(0, self._window.rfind(b"\n")):]
            _check(len(self._window), MAX_LINE, "a line of")

    def _follow(self, piece: bytes) -> None:
        """Keep lines until the next chart's begin."""
        searched = max(self._kept.rfind(b"\n"), len(_OURS) + 1)
        self._keep(piece)
        end = self._end.search(self._kept, searched)
        if end is not None:
            del self._kept[end.start():]
            self._done = True

    def _whole(self, piece: bytes) -> None:
        self._keep(piece)

    def _keep(self, piece: bytes) -> None:
        self._kept += piece
        _check(len(self._kept), MAX_KEPT, "in one piece")

    def _advance(self, step: Any, rest: bytes) -> None:  # noqa: ANN401 - one of the methods above
        self._step = step
        step(rest)


def find(text: bytes, *, chart: str, version: str) -> dict[str, str]:
    """The annotations of exactly this version, in what `Cutter.finish` gave. Raises ChartError."""
    try:
        events = _Events(text)
        if not _descend(events, chart):
            raise ChartError(f"chart {chart} not found in index")
        found = _version(events, version)
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1} of what is about the chart)" if error.problem_mark else ""
        raise ChartError(f"the repository's index.yaml is not valid YAML{line}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ChartError("the repository's index.yaml is not valid YAML") from None
    if found is None:
        raise ChartError(f"version {version} for chart {chart} not found")
    return found


class _Events:
    """The events of a document, in bounds. Aliases are refused: nobody writes them, and they could multiply."""

    def __init__(self, text: bytes) -> None:
        self._events = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._count = self._depth = 0

    def next(self) -> Any:  # noqa: ANN401 - the library's events have no types
        """The next event. Raises ChartError, YAMLError; ValueError when there is none."""
        event = next(self._events, None)
        if event is None:
            raise ValueError("the document ends early")
        self._count += 1
        self._depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if self._count > MAX_EVENTS or self._depth > MAX_DEPTH:
            raise ChartError("the repository's index.yaml is too complex to be read", retryable=False)
        if isinstance(event, yaml.AliasEvent):
            raise ChartError("the repository's index.yaml uses YAML aliases, which are not supported", retryable=False)
        return event

    def skip(self, event: Any) -> None:  # noqa: ANN401 - the library's events have no types
        """Go past the value that begins with `event`."""
        depth = 0
        while True:
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth <= 0:
                return
            event = self.next()

    def pairs(self) -> Iterator[tuple[str | None, Any]]:
        """Keys of the mapping that has begun, each with the first event of its value, which the caller goes past."""
        while not isinstance(key := self.next(), yaml.MappingEndEvent):
            name = key.value if isinstance(key, yaml.ScalarEvent) else None
            self.skip(key)
            yield name, self.next()


def _descend(events: _Events, chart: str) -> bool:
    """Go to the list of the chart's versions. Raises ChartError for what is no index."""
    event = events.next()
    while isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
        event = events.next()
    if not isinstance(event, yaml.MappingStartEvent):
        raise ChartError("the repository's index.yaml is not a Helm index")
    return _to(events, "entries", yaml.MappingStartEvent) and _to(events, chart, yaml.SequenceStartEvent)


def _to(events: _Events, wanted: str, kind: type[yaml.Event]) -> bool:
    """Whether the mapping that has begun has a value of this kind under this key; goes there."""
    for name, value in events.pairs():
        if name == wanted and isinstance(value, kind):
            return True
        events.skip(value)
    return False


def _version(events: _Events, version: str) -> dict[str, str] | None:
    """The annotations of the first item of this version in the list that has begun."""
    while not isinstance(item := events.next(), yaml.SequenceEndEvent):
        if not isinstance(item, yaml.MappingStartEvent):
            events.skip(item)
            continue
        found, notes = "", dict[str, str]()
        for name, value in events.pairs():
            if name == "version" and isinstance(value, yaml.ScalarEvent):
                found = value.value
            elif name == "annotations" and isinstance(value, yaml.MappingStartEvent):
                notes = _strings(events)
            else:
                events.skip(value)
        if found == version:
            return notes
    return None


def _strings(events: _Events) -> dict[str, str]:
    """The scalars of the mapping that has begun, as they are written; nulls are left out."""
    strings: dict[str, str] = {}
    for name, value in events.pairs():
        if name is None or not isinstance(value, yaml.ScalarEvent):
            events.skip(value)
        elif not value.implicit[0] or value.value not in _NULLS:
            strings[name] = value.value
    return strings


def _check(size: int, limit: int, what: str) -> None:
    if size > limit:
        raise ChartError(f"the repository's index.yaml has {what} more than {limit >> 20} MiB", retryable=False)
