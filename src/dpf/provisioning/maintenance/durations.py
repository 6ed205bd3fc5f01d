"""Go durations such as `1m30s`, as the API writes lengths of time. Pure."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|ms|m|s|us|µs|ns)")
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+")


def seconds(text: str) -> float | None:
    """The length in seconds; None for what is no duration."""
    if not _WHOLE.fullmatch(text):
        return 0.0 if text == "0" else None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
