"""What `--show-conditions`, `--show-resources` and `--expand-resources` select.

Pure; called by `command` (parse) and `tree` (matches). Source: behaviour-service.md 10.1. A filter is a comma list of
`kind` or `kind/name`, of `all`, or of `failed` (what is not Ready), in any case, singular or plural.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

ALL: Final = "all"
FAILED: Final = "failed"


class UnknownType(ValueError):
    """A word where a kind was expected; the text names it and lists what is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A parsed filter; kinds and names are in lower case, `objects` holds (kind, name)."""

    everything: bool = False
    failed: bool = False
    kinds: frozenset[str] = frozenset()
    objects: frozenset[tuple[str, str]] = frozenset()

    def names(self, kind: str, name: str) -> bool:
        """Whether the object was asked for by its kind or by kind and name, and not only by `all` or `failed`."""
        return kind.lower() in self.kinds or (kind.lower(), name) in self.objects

    def matches(self, kind: str, name: str, *, ready: bool) -> bool:
        """Whether the object is selected in any way."""
        return self.everything or (self.failed and not ready) or self.names(kind, name)


NOTHING: Final = Filter()
EVERYTHING: Final = Filter(everything=True)


def parse(text: str, kinds: Iterable[str]) -> Filter:
    """The filter that `text` spells. `kinds` are the API names that may be used. Raises UnknownType."""
    spellings = {spelling: kind.lower() for kind in kinds for spelling in (kind.lower(), f"{kind.lower()}s")}
    words = [word for part in text.split(",") if (word := part.strip().lower())]
    found_kinds: set[str] = set()
    found_objects: set[tuple[str, str]] = set()
    for word in words:
        if word in {ALL, FAILED}:
            continue
        kind, slash, name = word.partition("/")
        if kind not in spellings:
            raise unknown_type(kind, (ALL, FAILED, *sorted(set(spellings.values()))))
        if slash:
            found_objects.add((spellings[kind], name))
        else:
            found_kinds.add(spellings[kind])
    return Filter(
        everything=ALL in words, failed=FAILED in words, kinds=frozenset(found_kinds), objects=frozenset(found_objects),
    )


def unknown_type(word: str, accepted: Iterable[str]) -> UnknownType:
    """The error for `word`, with the documented text and the accepted words."""
    return UnknownType(f'unknown object type "{word}"; use one of: {", ".join(accepted)}')
