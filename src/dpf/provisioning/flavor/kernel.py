"""Parameters of the kernel that a flavor sets (`spec.grub`): the words, and how much memory goes into huge pages.

Pure. Called by `checks` and `preflight`. Source: the Linux documentation of `hugepagesz=` and `hugepages=`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

DEFAULT_PAGE: Final = 2 << 20
"""Of an arm64 kernel with pages of 4 KiB, which BlueField has."""
PAGE_SIZES: Final = frozenset({64 << 10, 2 << 20, 32 << 20, 1 << 30})
"""What such a kernel offers; it ignores a request for any other."""

_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SIZE: Final = re.compile(r"([0-9]{1,12})([KMG]?)B?", re.IGNORECASE)
_COUNT: Final = re.compile(r"[0-9]{1,9}")
_PER_NODE: Final = re.compile(r"[0-9]{1,3}:([0-9]{1,9})")


@dataclass(frozen=True, slots=True, kw_only=True)
class HugePages:
    """What the parameters ask for. `mistakes` are the words that the kernel would not understand."""

    size_bytes: int
    mistakes: tuple[str, ...] = ()


def words(parameters: Sequence[str] | None) -> Iterator[str]:
    """Every parameter on its own, whether the flavor has it as an item or several in one."""
    for text in parameters or ():
        yield from text.split()


def huge_pages(parameters: Sequence[str] | None) -> HugePages:
    """How many bytes become huge pages: `hugepages` counts pages of the `hugepagesz` before it, else of the default."""
    found = list(words(parameters))
    default, mistakes = _default_size(found)
    size: int | None = default
    total = 0
    for word in found:
        name, _, value = word.partition("=")
        if name == "hugepagesz":
            size = _size(value)
            mistakes += [word] if size is None else []
        elif name == "hugepages":
            count = _count(value)
            mistakes += [word] if count is None else []
            total += (count or 0) * (size or 0)
    return HugePages(size_bytes=total, mistakes=tuple(mistakes))


def _default_size(found: Sequence[str]) -> tuple[int, list[str]]:
    named = [word for word in found if word.startswith("default_hugepagesz=")]
    sizes = [_size(word.partition("=")[2]) for word in named]
    bad = [word for word, size in zip(named, sizes, strict=True) if size is None]
    good = [size for size in sizes if size is not None]
    return (good[-1] if good else DEFAULT_PAGE), bad


def _size(value: str) -> int | None:
    """Bytes of one page; None for what no such kernel has."""
    match = _SIZE.fullmatch(value)
    size = int(match[1]) * _UNITS[match[2].upper()] if match else 0
    return size if size in PAGE_SIZES else None


def _count(value: str) -> int | None:
    """Pages: one number, or `<node>:<number>` with commas."""
    if _COUNT.fullmatch(value):
        return int(value)
    parts = [_PER_NODE.fullmatch(part) for part in value.split(",")]
    counts = [int(part[1]) for part in parts if part is not None]
    return sum(counts) if len(counts) == len(parts) else None
