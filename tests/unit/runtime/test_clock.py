"""Times as objects have them: whatever stands there, nobody is stopped by it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dpf.runtime import clock

MIN = datetime.min.replace(tzinfo=UTC)


@pytest.mark.parametrize(("text", "moment"), [
    ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
    ("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
    ("2026-03-01T12:00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
    ("", MIN), ("yesterday", MIN),
    ("0001-01-01T00:00:00+14:00", MIN), ("9999-12-31T23:59:59-14:00", MIN),
])
def test_what_cannot_be_read_is_the_beginning_of_time(text: str, moment: datetime) -> None:
    """The last two are valid RFC 3339, and no moment of ours."""
    assert clock.parse_rfc3339(text) == moment
