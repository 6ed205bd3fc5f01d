"""How long ago something happened, in the words of `kubectl get`.

Pure; called by `render`. Two neighbouring units at most, the finer one only while it matters: 45s, 108s, 5m, 7m30s,
85m, 3h20m, 27h, 2d3h, 25d, 2y40d. One deviation: whole hours are always written in hours (`2h`, where kubectl prints
`120m`), because the documented tables do so.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

UNKNOWN: Final = "<unknown>"
INVALID: Final = "<invalid>"

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_YEAR: Final = 365 * _DAY

# Up to how many seconds (exclusive) which unit is used, and the finer unit beside it.
_FORMS: Final = (
    (2 * _MINUTE, (1, "s"), None),
    (10 * _MINUTE, (_MINUTE, "m"), (1, "s")),
    (3 * _HOUR, (_MINUTE, "m"), None),
    (8 * _HOUR, (_HOUR, "h"), (_MINUTE, "m")),
    (2 * _DAY, (_HOUR, "h"), None),
    (8 * _DAY, (_DAY, "d"), (_HOUR, "h")),
    (2 * _YEAR, (_DAY, "d"), None),
    (8 * _YEAR, (_YEAR, "y"), (_DAY, "d")),
)


def since(timestamp: str | None, now: datetime) -> str:
    """The age at `now` (aware) of an RFC 3339 `timestamp`; empty without one, `<unknown>` when it is not a time."""
    if not timestamp:
        return ""
    try:
        then = datetime.fromisoformat(timestamp)
        return of(now - then)
    except (ValueError, TypeError, OverflowError):
        return UNKNOWN


def of(age: timedelta) -> str:
    """`age` in words. Clocks differ by a second: a little in the future is `0s`, more is `<invalid>`."""
    seconds = int(age.total_seconds())
    if seconds < -1:
        return INVALID
    seconds = max(seconds, 0)
    if seconds and seconds < _DAY and seconds % _HOUR == 0:
        return f"{seconds // _HOUR}h"
    for limit, (unit, letter), finer in _FORMS:
        if seconds < limit:
            return f"{seconds // unit}{letter}{_rest(seconds % unit, finer)}"
    return f"{seconds // _YEAR}y"


def _rest(seconds: int, unit: tuple[int, str] | None) -> str:
    if unit is None or seconds < unit[0]:
        return ""
    return f"{seconds // unit[0]}{unit[1]}"
