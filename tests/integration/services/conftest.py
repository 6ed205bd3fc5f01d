"""A host cluster that only these tests use: the controller looks at every DPUCluster and DPUService there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support import apiserver
from tests.support.apiserver import RealAPIServer


@pytest.fixture(scope="package")
def real_api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAPIServer]:
    """One etcd and kube-apiserver for this folder."""
    with apiserver.running(tmp_path_factory.mktemp("services")) as server:
        yield server
