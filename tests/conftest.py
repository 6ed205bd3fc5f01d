"""Fixtures that tests of several folders share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import structlog

if TYPE_CHECKING:
    from tests.support.apiserver import RealAPIServer

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control starts what runs in the background like this, and children inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _logs_of_one_test_only() -> Iterator[None]:
    """A program that a test runs in this process may set up logging; the next test finds the defaults again."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def real_api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAPIServer]:
    """One etcd and kube-apiserver for the session; a test makes its own namespaces."""
    from tests.support import apiserver

    with apiserver.running(tmp_path_factory.mktemp("apiserver")) as server:
        yield server
