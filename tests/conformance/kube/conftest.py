"""The suite runs on the memory cluster always, and on a real kube-apiserver when its programs can be found."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest
from tests.support.apiserver import RealAPIServer

from dpf.api.core import CustomResourceDefinition, Namespace
from dpf.api.meta import ObjectMeta
from dpf.kube import kubeconfig, wait
from dpf.kube.client import Client
from dpf.kube.http import HTTPClient
from dpf.kube.memory import MemoryCluster

from .widget import Gadget, Widget, definition

_numbers = itertools.count()


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.parts)])
def server(request: pytest.FixtureRequest) -> RealAPIServer | None:
    """The real server, or None for the memory cluster. Not async: it is started outside of the event loop."""
    return request.getfixturevalue("real_api_server") if request.param == "real" else None


@pytest.fixture
async def cluster(server: RealAPIServer | None) -> AsyncIterator[Client]:
    if server is None:
        yield MemoryCluster(without_status=[Gadget])
        return
    client = HTTPClient(kubeconfig.load(server.kubeconfig))
    try:
        for kind, has_status in ((Widget, True), (Gadget, False)):
            crd = definition(kind, status_subresource=has_status)
            await client.apply(crd, field_owner="conformance")
            await wait.until(
                client, CustomResourceDefinition, crd.metadata.name, timeout_s=30,
                accept=lambda found: wait.condition_is_true(found, "Established"),
            )
        yield client
    finally:
        await client.aclose()


@pytest.fixture
async def namespace(cluster: Client) -> str:
    """A namespace of this test alone."""
    name = f"conformance-{next(_numbers)}"
    await cluster.create(Namespace(metadata=ObjectMeta(name=name)))
    return name
