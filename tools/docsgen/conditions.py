"""`conditions.md`: every condition type and reason of our kinds, with the words that stand below it in the source.

Called by `__main__` and by tests. Pure, apart from reading the source of the enums.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from dpf.api.meta import Object
from dpf.runtime.conditions import Reason
from tools.docsgen.errors import Undocumented

ENUMS: Final = {"ConditionType": "Condition", "ConditionReason": "Reason"}
"""Enums that a kind's module declares, and the heading of their column."""

_INTRODUCTION: Final = """\
Every condition has a status, a reason, a message for people and the generation of the object that it is about. A
condition that nobody has looked at is `Unknown` with reason `Pending`. `Ready` is the summary of the others.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One member of an enum and what its docstring says."""

    value: str
    meaning: str


def page(kinds: Iterable[type[Object]], *, command: str) -> str:
    """The whole page; a kind that declares neither conditions nor reasons has no section. Raises Undocumented."""
    sections = [
        f"<!-- Written by `{command}` from src/dpf/api and src/dpf/runtime/conditions.py; do not edit. -->",
        "# Conditions", _INTRODUCTION.rstrip(), "## Shared reasons", _table("Reason", entries(Reason)),
    ]
    for kind in sorted(kinds, key=lambda kind: kind.resource.kind):
        tables = [_table(ENUMS[enum.__name__], entries(enum)) for enum in _enums(kind)]
        sections += [f"## {kind.resource.kind}", *tables] if tables else []
    return "\n\n".join(sections) + "\n"


def entries(enum: type[StrEnum]) -> tuple[Entry, ...]:
    """The members in their order. Raises Undocumented when no text stands below one of them."""
    meanings = dict(_meanings(enum))
    missing = [member.name for member in enum if member.name not in meanings]
    if missing:
        raise Undocumented(f"{enum.__module__}.{enum.__name__}: say below {', '.join(missing)} what it means")
    return tuple(Entry(value=member.value, meaning=meanings[member.name]) for member in enum)


def _enums(kind: type[Object]) -> Iterator[type[StrEnum]]:
    module: Any = sys.modules[kind.__module__]
    return (enum for name in ENUMS if (enum := getattr(module, name, None)) is not None)


def _meanings(enum: type[StrEnum]) -> Iterator[tuple[str, str]]:
    (declaration,) = ast.parse(textwrap.dedent(inspect.getsource(enum))).body
    body = declaration.body if isinstance(declaration, ast.ClassDef) else []
    for member, below in itertools.pairwise(body):
        match member, below:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, " ".join(text.split())


def _table(heading: str, rows: Iterable[Entry]) -> str:
    lines = [f"| {heading} | Meaning |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{row.value}` | {row.meaning} |" for row in rows)])
