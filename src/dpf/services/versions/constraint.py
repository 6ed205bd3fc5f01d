"""Which versions a chart accepts: `>=2.9.0 <3`, `~2.9`, `^1.2 || 2.x`, `2.7 - 2.9`.

Pure. Called by the version check of a DPUDeployment. Meanings are those of Masterminds semver 3.3.1, which the charts
were written against (behaviour-service.md 6.3); tables in the tests list them. Each comparison is one half-open
interval of sort keys, or for `!=` what it takes away.

Where that library is surprising, so are we: `<=*` accepts only 0.0.x, `^*` only 0.0.0, and `~0.0.0` everything. We
differ in three ways: `1||2 - 3` without blanks means what it says, a range may stand behind a blank, and a single `|`
is never read over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dpf.services.versions import version
from dpf.services.versions.version import SortKey, Version, VersionError

MAX_LENGTH: Final = version.MAX_LENGTH

_BLANK: Final = r"[ \t\n\f\r]"
_PARTS: Final = (
    r"v?([0-9xX*]++)(?:\.([0-9xX*]++))?(?:\.([0-9xX*]++))?"
    r"(?:-([0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+))?(?:\+[0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+)?"
)
_TERM: Final = re.compile(
    rf"{_BLANK}*+(!=|>=|=>|<=|=<|~>|[=<>~^]?){_BLANK}*+{_PARTS}(?:{_BLANK}++-{_BLANK}++{_PARTS})?"
    rf"({_BLANK}*+,?)"
)
_WILDCARDS: Final = frozenset({"x", "X", "*", None})
_LOWEST: Final[SortKey] = ()
_BEYOND: Final[SortKey] = (float("inf"),)


class ConstraintError(ValueError):
    """The text is no constraint; `str()` says why, for people."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Versions from `low` to just before `high`. Pre-releases belong to it only if the comparison names one."""

    low: SortKey
    high: SortKey
    prereleases: bool

    def allows(self, candidate: Version) -> bool:
        """Whether `candidate` lies in it."""
        return self.low <= candidate.key < self.high and (self.prereleases or not candidate.prerelease)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Everything but the versions that begin with `numbers` and, unless it is None, have this `prerelease`."""

    numbers: SortKey
    prerelease: str | None
    prereleases: bool

    def allows(self, candidate: Version) -> bool:
        """Whether `candidate` is not taken away."""
        if candidate.prerelease and not self.prereleases:
            return False
        if candidate.key[: len(self.numbers)] != self.numbers:
            return True
        return self.prerelease is not None and candidate.prerelease != self.prerelease


@dataclass(frozen=True, slots=True)
class Constraint:
    """Alternatives, in each of which every comparison must hold."""

    text: str
    alternatives: tuple[tuple[Interval | Exclusion, ...], ...]

    def allows(self, candidate: Version) -> bool:
        """Whether `candidate` satisfies the constraint."""
        return any(all(term.allows(candidate) for term in terms) for terms in self.alternatives)

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> Constraint:
    """The constraint that `text` spells. Raises ConstraintError, also for the empty text."""
    if len(text) > MAX_LENGTH:
        raise ConstraintError(f"improper constraint: longer than {MAX_LENGTH} characters")
    return Constraint(text, tuple([tuple(_terms(alternative)) for alternative in text.split("||")]))


@dataclass(frozen=True, slots=True)
class _Bound:
    """The version in a comparison. `given` is how many of `numbers` were written down before a wildcard or the end."""

    numbers: tuple[int, int, int]
    given: int
    prerelease: str
    at: SortKey

    @property
    def behind(self) -> SortKey:
        return (*self.at, 0)

    def next(self, place: int) -> SortKey:
        """Before everything with the number at `place` (0 is major) one higher, its pre-releases included."""
        return (*self.numbers[:place], self.numbers[place] + 1)


def _terms(text: str) -> Iterator[Interval | Exclusion]:
    """The comparisons of one alternative."""
    position = 0
    while True:
        found = _TERM.match(text, position)
        if found is None:
            raise _improper(text[position:])
        operator, *parts, separator = found.groups()
        is_range = parts[4] is not None
        try:
            yield from _range(operator, parts) if is_range else (_MEANINGS[operator](_bound(*parts[:4])),)
        except VersionError as error:
            raise _improper(found.group(), str(error)) from None
        position = found.end()
        if position == len(text) and not separator.endswith(","):
            return
        if not separator and not is_range:
            raise _improper(text[found.start():])


def _range(operator: str, parts: Sequence[str | None]) -> tuple[Interval, Interval]:
    if operator:
        raise VersionError(f"a range takes no {operator}")
    return _at_least(_bound(*parts[:4])), _at_most(_bound(*parts[4:]))


def _bound(major: str | None, minor: str | None, patch: str | None, prerelease: str | None) -> _Bound:
    """What follows the first wildcard is not looked at, but for the pre-release."""
    if major in _WILDCARDS:
        given, numbers = 0, (0, 0, 0)
    elif minor in _WILDCARDS:
        given, numbers = 1, (version.number(major), 0, 0)
    elif patch in _WILDCARDS:
        given, numbers = 2, (version.number(major), version.number(minor), 0)
    else:
        given, numbers = 3, (version.number(major), version.number(minor), version.number(patch))
    prerelease = prerelease or ""
    return _Bound(numbers, given, prerelease, (*numbers, version.prerelease_key(prerelease)))


def _improper(text: str, why: str = "") -> ConstraintError:
    hint = why or "write comparisons like >=2.9 <3.0, ~2.9 or 2.7 - 2.9, with || between alternatives"
    return ConstraintError(f"improper constraint: {version.shortened(text.strip())}; {hint}")


def _interval(bound: _Bound, low: SortKey, high: SortKey) -> Interval:
    return Interval(low, high, bool(bound.prerelease))


def _equal(bound: _Bound) -> Interval:
    return _interval(bound, bound.at, bound.behind) if bound.given == 3 else _tilde(bound)


def _other(bound: _Bound) -> Exclusion:
    """A complete version is the one comparison that lets any pre-release pass."""
    prereleases = bool(bound.prerelease) or bound.given == 3
    if bound.given == 1:
        return Exclusion(bound.numbers[:1], None, prereleases)
    return Exclusion(bound.numbers[: bound.given or 3], bound.prerelease, prereleases)


def _more(bound: _Bound) -> Interval:
    """Of a partial version all that begin with it are not more: >2 needs 3."""
    low = bound.next(bound.given - 1) if bound.given in (1, 2) else bound.behind
    return _interval(bound, low, _BEYOND)


def _less(bound: _Bound) -> Interval:
    return _interval(bound, _LOWEST, bound.at)


def _at_least(bound: _Bound) -> Interval:
    return _interval(bound, bound.at, _BEYOND)


def _at_most(bound: _Bound) -> Interval:
    """Of a partial version all that begin with it are included: <=2.9 takes 2.9.5."""
    high = bound.behind if bound.given == 3 else bound.next(0 if bound.given == 1 else 1)
    return _interval(bound, _LOWEST, high)


def _tilde(bound: _Bound) -> Interval:
    if bound.numbers == (0, 0, 0) and bound.given in (0, 3):
        return _at_least(bound)
    return _interval(bound, bound.at, bound.next(0 if bound.given == 1 else 1))


def _caret(bound: _Bound) -> Interval:
    """Up to the next version that may break: the left-most number that is not zero changes."""
    major, minor, _ = bound.numbers
    if major > 0 or bound.given == 1:
        return _interval(bound, bound.at, bound.next(0))
    return _interval(bound, bound.at, bound.next(1 if minor > 0 or bound.given == 2 else 2))


_MEANINGS: Final[Mapping[str, Callable[[_Bound], Interval | Exclusion]]] = {
    "": _equal, "=": _equal, "!=": _other, ">": _more, "<": _less, ">=": _at_least, "=>": _at_least, "<=": _at_most,
    "=<": _at_most, "~": _tilde, "~>": _tilde, "^": _caret,
}
