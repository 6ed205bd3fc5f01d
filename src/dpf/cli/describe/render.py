"""The tree as a table for people.

Pure; called by `command`. Columns NAME NAMESPACE READY REASON SINCE MESSAGE, left-aligned, two spaces apart, no
borders; a message wraps at 100 characters and its further lines keep the pipes of the tree (behaviour-service.md 10.2,
resolutions.md row 47). The work is linear in the size of the tree.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from dpf.api.meta import Condition
from dpf.cli.describe import age
from dpf.cli.describe.tree import Node
from dpf.runtime import conditions

T = TypeVar("T")

MESSAGE_WIDTH: Final = 100
DELETING: Final = "!! IN DELETION !! "

_HEADER: Final = ("NAME", "NAMESPACE", "READY", "REASON", "SINCE", "MESSAGE")
_GAP: Final = "  "
_PIPE, _BLANK, _TEE, _CORNER = "│ ", "  ", "├─", "└─"
_CONDITION_INDENT: Final = " " * 10

_RESET: Final = "\x1b[0m"
_GREEN, _RED, _YELLOW, _WHITE = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[37m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One table row. `glyphs` stand before the name, `margin` instead of them on further lines of message and note."""

    name: str
    glyphs: str = ""
    margin: str = ""
    namespace: str = ""
    deleting: bool = False
    condition: Condition | None = None
    is_bad_news: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    """Cells of one printed line; `styles` holds the colour of a cell where it has one."""

    cells: tuple[str, ...]
    styles: tuple[str, ...] = ()


def render(root: Node, now: datetime, *, colour: bool = False) -> str:
    """The whole table, one line per row and per wrapped message line, without trailing blanks or a final newline."""
    lines = [_Line(_HEADER)]
    for row in rows(root):
        lines.extend(_lines(row, now))
    widths = [max(len(line.cells[column]) for line in lines) for column in range(len(_HEADER))]
    return "\n".join(_print(line, widths, colour=colour) for line in lines)


def rows(root: Node) -> Iterator[Row]:
    """Rows from top to bottom: an object, its conditions, then what hangs below it."""
    yield from _rows(root, glyphs="", margin="")


def _rows(node: Node, *, glyphs: str, margin: str) -> Iterator[Row]:
    """`margin` is what the lines under this node start with, so that the pipes of its ancestors go on."""
    inner = margin + (_PIPE if node.children else _BLANK)
    yield Row(
        name=node.name, glyphs=glyphs, margin=inner, namespace=node.namespace, deleting=node.deleting,
        condition=node.ready, note=node.note,
    )
    for glyph, pipe, condition in _siblings(node.conditions):
        indent = inner + _CONDITION_INDENT
        yield Row(
            name=condition.type, glyphs=indent + glyph, margin=indent + pipe, condition=condition,
            is_bad_news=condition.type in node.bad_news,
        )
    for glyph, pipe, child in _siblings(node.children):
        yield from _rows(child, glyphs=margin + glyph, margin=margin + pipe)


def _siblings(things: Sequence[T]) -> Iterator[tuple[str, str, T]]:
    """Each thing with the glyph before it and what stands in that place on the lines under it."""
    for index, thing in enumerate(things, start=1):
        last = index == len(things)
        yield (_CORNER if last else _TEE), (_BLANK if last else _PIPE), thing


def _lines(row: Row, now: datetime) -> Iterator[_Line]:
    condition = row.condition or Condition(type="", status="")
    message, *further = [*wrap(condition.message), *wrap(row.note)] or [""]
    name = row.glyphs + (DELETING if row.deleting else "") + clean(row.name)
    since = age.since(condition.lastTransitionTime, now)
    colour = colour_of(condition, is_bad_news=row.is_bad_news)
    yield _Line(
        (name, row.namespace, clean(condition.status), clean(condition.reason), since, message),
        (_RED if row.deleting else "", "", colour, colour, "", ""),
    )
    for line in further:
        yield _Line((row.margin, "", "", "", "", line))


def wrap(message: str) -> list[str]:
    """Lines of at most 100 characters; the message's own line ends stay, and a longer word stays whole to be copied."""
    lines: list[str] = []
    for line in message.rstrip().splitlines():
        lines += textwrap.wrap(
            clean(line), MESSAGE_WIDTH, break_long_words=False, break_on_hyphens=False
        ) or [""]
    return lines


def clean(text: str) -> str:
    """`text` without characters that would drive the terminal: statuses are written by programs that we do not know."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def colour_of(condition: Condition, *, is_bad_news: bool = False) -> str:
    """Green when it holds; else red for readiness, yellow for reconciliation, white for the rest.

    Bad news is red when it holds, and green when it does not.
    """
    if not condition.status:
        return ""
    if is_bad_news:
        return _RED if condition.status == conditions.Status.TRUE else _GREEN
    if condition.status == conditions.Status.TRUE:
        return _GREEN
    if condition.type.endswith("Ready"):
        return _RED
    return _YELLOW if condition.type.endswith("Reconciled") else _WHITE


def _print(line: _Line, widths: Sequence[int], *, colour: bool) -> str:
    last = max((column for column, cell in enumerate(line.cells) if cell), default=0)
    styles = line.styles if colour and line.styles else ("",) * len(line.cells)
    cells = [
        f"{style}{cell}{_RESET if style else ''}{' ' * (width - len(cell) if column < last else 0)}"
        for column, (cell, style, width) in enumerate(zip(line.cells, styles, widths, strict=True))
        if column <= last
    ]
    return _GAP.join(cells).rstrip()
