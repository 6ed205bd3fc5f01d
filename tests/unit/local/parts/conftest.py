"""Fixtures of the tests of parts."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.local.parts.shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """An empty PATH and cache."""
    return Shop(tmp_path)
