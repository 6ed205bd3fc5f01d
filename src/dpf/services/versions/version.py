"""Semantic versions, read leniently: a leading `v` and missing parts are fine (`v2.9` is 2.9.0).

Pure. Called by `constraint` and by whoever checks the version of a BFB against a chart. Order is the one of semver.org
section 11, so build metadata does not count, also not for equality. Numbers must fit in 64 bits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

MAX_LENGTH: Final = 1024
"""Characters; more is no version. It bounds the work for a text from a chart."""

_SHOWN: Final = 60
_LARGEST: Final = 2**64 - 1
_MAX_DIGITS: Final = len(str(_LARGEST))

_NUMBER: Final = r"(?:0|[1-9][0-9]*+)"
_PART: Final = rf"(?:[0-9]*+[A-Za-z-][0-9A-Za-z-]*+|{_NUMBER}(?![0-9A-Za-z-]))"
_PRERELEASE: Final = rf"{_PART}(?:\.{_PART})*+"
_METADATA: Final = r"[0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+"
_PATTERN: Final = re.compile(
    rf"v?({_NUMBER})(?:\.({_NUMBER}))?(?:\.({_NUMBER}))?(?:-({_PRERELEASE}))?(?:\+({_METADATA}))?"
)

SortKey = tuple[object, ...]
"""`(major, minor, patch)` stands before every version of that number, `(…, pre-release)` is a version, and one more
element stands right behind that version. So bounds between versions are keys as well."""

_RELEASE: Final = ((2,),)
"""Sorts behind every pre-release of the same numbers."""


class VersionError(ValueError):
    """The text is no version; `str()` says why, for people."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """One version. Compares by precedence: `prerelease` counts, `metadata` does not; both are empty when absent."""

    key: SortKey
    major: int = field(compare=False)
    minor: int = field(compare=False)
    patch: int = field(compare=False)
    prerelease: str = field(compare=False, default="")
    metadata: str = field(compare=False, default="")

    def __str__(self) -> str:
        """All three numbers, without `v`."""
        pre = f"-{self.prerelease}" if self.prerelease else ""
        metadata = f"+{self.metadata}" if self.metadata else ""
        return f"{self.major}.{self.minor}.{self.patch}{pre}{metadata}"


def parse(text: str) -> Version:
    """The version that `text` spells, without blanks around it. Raises VersionError."""
    if len(text) > MAX_LENGTH:
        raise VersionError(f"Invalid Semantic Version: longer than {MAX_LENGTH} characters")
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise VersionError(
            f"Invalid Semantic Version: {shortened(text)!r}; write numbers like 2.9.1, a pre-release like 2.9.1-rc.1"
        )
    first, second, third, prerelease, metadata = found.groups("")
    major, minor, patch = number(first), number(second), number(third)
    return Version((major, minor, patch, prerelease_key(prerelease)), major, minor, patch, prerelease, metadata)


def number(digits: str | None) -> int:
    """One number of a version; an absent one is 0. Raises VersionError for anything but a number of up to 64 bits."""
    if not digits:
        return 0
    if not _is_number(digits):
        raise VersionError(f"Invalid Semantic Version: {shortened(digits)} is no number, or begins with a zero")
    if len(digits) <= _MAX_DIGITS and (value := int(digits)) <= _LARGEST:
        return value
    raise VersionError(f"Invalid Semantic Version: {shortened(digits)} is larger than {_LARGEST}")


def prerelease_key(prerelease: str) -> SortKey:
    """Sorts pre-releases among each other, and before the release, which is the empty string.

    Numbers stand before words and compare by value: without leading zeros the longer one is the larger one. Raises
    VersionError when one of them has leading zeros or there is nothing between two dots.
    """
    if not prerelease:
        return _RELEASE
    return tuple(_part_key(part) for part in prerelease.split("."))


def shortened(text: str) -> str:
    """`text` for a message, without its end when it is long."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _part_key(part: str) -> SortKey:
    if not part.isdigit():
        return 1, 0, part
    if not _is_number(part):
        raise VersionError(f"Invalid Semantic Version: {shortened(part)} in the pre-release begins with a zero")
    return 0, len(part), part


def _is_number(digits: str) -> bool:
    return digits.isdigit() and (digits[0] != "0" or digits == "0")
