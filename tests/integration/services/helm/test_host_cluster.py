"""The controller of DPUServiceTemplates against a real API server and a repository on a real socket.

What the in-memory cluster cannot vouch for: that the CRD keeps every field of the status that the controller relies on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from tests.support import chartservers
from tests.support import dpuservicetemplates as some
from tests.support.apiserver import RealAPIServer
from tests.support.chartservers import INDEX, Site

from dpf.api import core, names
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.meta import ObjectMeta
from dpf.kube import kubeconfig, wait
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.http import HTTPClient
from dpf.local import parts
from dpf.local.platform import manifests, objects
from dpf.runtime import conditions
from dpf.runtime.clock import SystemClock
from dpf.runtime.manager import Manager
from dpf.services.dpuservicetemplate.controller import DPUServiceTemplateController
from dpf.services.helm.repositories import Repositories

pytestmark = pytest.mark.parts

TIMEOUT_S = 30.0


@pytest.fixture
def connection(real_api_server: RealAPIServer) -> kubeconfig.Connection:
    return kubeconfig.load(real_api_server.kubeconfig)


@pytest.fixture
async def host(connection: kubeconfig.Connection) -> AsyncIterator[HTTPClient]:
    """For what others do there."""
    client = HTTPClient(connection, name="host")
    try:
        await manifests.ensure_crds(client, objects.crds(parts.find("argocd-crds")))
        for name in (names.DPF_NAMESPACE, some.NAMESPACE):
            await client.apply(core.Namespace(metadata=ObjectMeta(name=name)), field_owner="tests")
        await client.apply(core.ConfigMap(
            metadata=ObjectMeta(name="argocd-tls-certs-cm", namespace=names.DPF_NAMESPACE),
            data={"127.0.0.1": chartservers.authority().pem.decode()},
        ), field_owner="tests")
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def at_work(connection: kubeconfig.Connection) -> AsyncIterator[None]:
    """A process that does its work until the block ends."""
    host = HTTPClient(connection, name="host")
    registry = ClusterRegistry(host)
    manager = Manager(registry, host, [
        DPUServiceTemplateController(clusters=registry, charts=Repositories(), clock=SystemClock())
    ])
    registry.start()
    running = asyncio.create_task(manager.run())
    try:
        yield
    finally:
        await manager.stop(running, grace_s=2.0)
        await registry.aclose()


def is_read(template: DPUServiceTemplate | None) -> bool:
    return template is not None and (
        conditions.is_true(template.status.conditions, "Ready")
        and template.status.observedGeneration == template.metadata.generation
    )


async def until(host: HTTPClient, holds: Callable[[DPUServiceTemplate | None], bool]) -> DPUServiceTemplate | None:
    return await wait.until(host, DPUServiceTemplate, "producer", some.NAMESPACE, accept=holds, timeout_s=TIMEOUT_S)


async def test_a_template_lives_on_a_real_api_server(
    host: HTTPClient, connection: kubeconfig.Connection
) -> None:
    async with chartservers.a_site() as site:
        site.pages["/charts/index.yaml"] = chartservers.page(INDEX)
        await host.apply(a_template(site), field_owner="tests")
        async with at_work(connection):
            read = await until(host, is_read)
            assert read is not None
            assert read.status.versions == {"dpu.nvidia.com/doca-version": ">= 2.9"}
            assert read.status.sourceDigest

        site.pages["/charts/index.yaml"] = chartservers.status(503)
        async with at_work(connection):
            patch = {"spec": {"resourceRequirements": {"cpu": "2"}}}
            await host.patch(DPUServiceTemplate, "producer", some.NAMESPACE, patch=patch)
            read = await until(host, is_read)
            assert read is not None
            assert read.status.versions == {"dpu.nvidia.com/doca-version": ">= 2.9"}

            await host.apply(a_template(site, version="v9"), field_owner="tests")
            failed = await until(host, lambda t: t is not None and t.status.versions is None)
            assert failed is not None
            assert "Error occurred: retrieving annotations from helm chart failed: http Response: 503 Service " in str(
                msgspec.to_builtins(failed.status.conditions)
            )

            await host.delete(DPUServiceTemplate, "producer", some.NAMESPACE)
            await until(host, lambda t: t is None)


def a_template(site: Site, **source: str) -> DPUServiceTemplate:
    return some.a_template(repoURL=f"{site.url}/charts", **source)
