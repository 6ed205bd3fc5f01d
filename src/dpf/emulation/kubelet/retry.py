"""When to try something again that has failed: soon at first, then less and less often.

A value of `podworker` and `podreport`; time comes in as an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_FIRST_S: Final = 0.1
_LAST_S: Final = 10.0


@dataclass(slots=True)
class Retry:
    """`at` is the time of the next attempt; None while nothing has failed."""

    at: datetime | None = None
    failures: int = 0

    def failed(self, now: datetime) -> None:
        """Again later than the last time."""
        delay_s = min(_FIRST_S * 2.0 ** min(self.failures, 10), _LAST_S)
        self.failures += 1
        self.at = now + timedelta(seconds=delay_s)

    def succeeded(self) -> None:
        """Nothing to try again."""
        self.at, self.failures = None, 0

    def is_due(self, now: datetime) -> bool:
        """Whether to try now."""
        return self.at is None or self.at <= now
