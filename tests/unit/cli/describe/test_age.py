"""SINCE as `kubectl get` words it, whole hours apart."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.cli.describe import objects

from dpf.cli.describe import age

DAY, YEAR = timedelta(days=1), timedelta(days=365)


@pytest.mark.parametrize(
    ("elapsed", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(seconds=45), "45s"),
        (timedelta(milliseconds=45_900), "45s"),
        (timedelta(seconds=108), "108s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(minutes=2), "2m"),
        (timedelta(minutes=5), "5m"),
        (timedelta(minutes=7, seconds=30), "7m30s"),
        (timedelta(minutes=9, seconds=59), "9m59s"),
        (timedelta(minutes=10, seconds=59), "10m"),
        (timedelta(minutes=59), "59m"),
        (timedelta(minutes=85), "85m"),
        (timedelta(minutes=179, seconds=59), "179m"),
        (timedelta(hours=1), "1h"),
        (timedelta(hours=2), "2h"),
        (timedelta(hours=3), "3h"),
        (timedelta(hours=3, seconds=20), "3h"),
        (timedelta(hours=4, minutes=10), "4h10m"),
        (timedelta(hours=7, minutes=59), "7h59m"),
        (timedelta(hours=8, minutes=59), "8h"),
        (timedelta(hours=27, minutes=1), "27h"),
        (timedelta(hours=47, minutes=59), "47h"),
        (2 * DAY, "2d"),
        (2 * DAY + timedelta(hours=3, minutes=40), "2d3h"),
        (8 * DAY - timedelta(seconds=1), "7d23h"),
        (8 * DAY + timedelta(hours=5), "8d"),
        (25 * DAY, "25d"),
        (2 * YEAR - timedelta(seconds=1), "729d"),
        (2 * YEAR, "2y"),
        (2 * YEAR + 40 * DAY, "2y40d"),
        (8 * YEAR + 300 * DAY, "8y"),
        (timedelta(seconds=-1), "0s"),
        (timedelta(seconds=-2), "<invalid>"),
    ],
    ids=str,
)
def test_an_age_in_words(elapsed: timedelta, text: str) -> None:
    assert age.of(elapsed) == text


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        ("2026-03-01T11:59:15Z", "45s"),
        ("2026-03-01T11:59:15.250000Z", "44s"),
        ("2026-03-01T12:59:15+01:00", "45s"),
        (None, ""),
        ("", ""),
        ("yesterday", "<unknown>"),
        ("2026-03-01T11:59:15", "<unknown>"),
        ("0001-01-01T00:00:00+23:59", "2026y"),
    ],
)
def test_the_age_of_a_timestamp(timestamp: str | None, text: str) -> None:
    assert age.since(timestamp, objects.NOW) == text
