"""One platform for all end-to-end tests of a session, and what some of them need beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support import ownrepository
from tests.support import platform as platforms
from tests.support.ownrepository import Repository
from tests.support.platform import Platform, Standin


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """A platform with two emulated DPUs."""
    with platforms.platform() as made:
        yield made


@pytest.fixture(scope="session")
def standin(platform: Platform) -> Iterator[Standin]:
    """Somebody speaks for service chains and their interfaces."""
    with platforms.standin(platform) as made:
        yield made


@pytest.fixture(scope="session")
def site() -> Iterator[Platform]:
    """A platform whose two DPUs are installed through their hosts, which a tenant may have (`support.tenanthosts`)."""
    with platforms.platform(interface="gnoi") as made:
        yield made


@pytest.fixture(scope="session")
def sitestandin(site: Platform) -> Iterator[Standin]:
    """Somebody speaks for service chains and their interfaces on `site`."""
    with platforms.standin(site) as made:
        yield made


@pytest.fixture(scope="session")
def repository(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """A chart repository that a test may take down for a while."""
    with ownrepository.serving(platform, tmp_path_factory.mktemp("repository")) as made:
        yield made


@pytest.fixture(autouse=True)
def mended(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test that broke something, everything runs again for the next one."""
    yield
    for name in {"platform", "site"} & set(request.fixturenames):
        made: Platform = request.getfixturevalue(name)
        if not made.status()["healthy"]:
            made.up()
