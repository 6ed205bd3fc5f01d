"""One joinable control plane for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support import joinable
from tests.support.joinable import Cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with joinable.running(tmp_path_factory.mktemp("joinable")) as running:
        yield running
