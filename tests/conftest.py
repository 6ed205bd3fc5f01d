"""Fixtures that tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.apiserver import RealAPIServer


@pytest.fixture(scope="session")
def real_api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAPIServer]:
    """One etcd and kube-apiserver for the session; a test makes its own namespaces."""
    from tests.support import apiserver

    with apiserver.running(tmp_path_factory.mktemp("apiserver")) as server:
        yield server
