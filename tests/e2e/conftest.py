"""One platform for all end-to-end tests of a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support import platform as platforms
from tests.support.platform import Platform


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """A platform with two emulated DPUs."""
    with platforms.platform() as made:
        yield made


@pytest.fixture(autouse=True)
def mended(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test that broke something, everything runs again for the next one."""
    yield
    if "platform" in request.fixturenames:
        made: Platform = request.getfixturevalue("platform")
        if not made.status()["healthy"]:
            made.up()
