"""The controller of DPUServiceTemplates as it runs, with all its workers, on repositories that hang and that answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support import chartservers
from tests.support import dpuservicetemplates as some
from tests.support.chartservers import INDEX, Registry

from dpf.api import core, names
from dpf.api.dpuservicetemplate import ConditionType, DPUServiceTemplate
from dpf.api.meta import ObjectMeta
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.memory import MemoryCluster
from dpf.runtime import conditions
from dpf.runtime.clock import SystemClock
from dpf.runtime.manager import Manager
from dpf.services.dpuservicetemplate.controller import DPUServiceTemplateController
from dpf.services.helm.repositories import Repositories
from dpf.services.helm.transport import Limits

HANGING, GOOD = 60, 5
LIMITS = Limits(silence_s=2.0, total_s=4.0)


@asynccontextmanager
async def running(host: MemoryCluster) -> AsyncIterator[None]:
    """The controller with its workers and real time."""
    registry = ClusterRegistry(host)
    manager = Manager(registry, host, [
        DPUServiceTemplateController(clusters=registry, charts=Repositories(limits=LIMITS), clock=SystemClock())
    ])
    registry.start()
    task = asyncio.create_task(manager.run())
    try:
        yield
    finally:
        await manager.stop(task, grace_s=1.0)
        await registry.aclose()


def a_host(*templates: DPUServiceTemplate) -> MemoryCluster:
    pem = chartservers.authority().pem.decode()
    host = MemoryCluster()
    host.add(*templates, core.ConfigMap(
        metadata=ObjectMeta(name="argocd-tls-certs-cm", namespace=names.DPF_NAMESPACE),
        data={"127.0.0.1": pem, "127.0.0.2": pem},
    ))
    return host


async def are_ready(host: MemoryCluster, prefix: str) -> float:
    """Wait until all templates of that name are Ready; the seconds that it took."""
    started = time.monotonic()
    async with asyncio.timeout(10):
        async for _ in host.watch(DPUServiceTemplate, resource_version="0", timeout_s=10):
            found = [t for t in host.objects(DPUServiceTemplate) if t.metadata.name.startswith(prefix)]
            if all(conditions.is_true(t.status.conditions, ConditionType.READY) for t in found):
                break
    return time.monotonic() - started


async def test_many_that_hang_do_not_delay_the_few_that_answer() -> None:
    async with chartservers.a_site("127.0.0.1") as good, chartservers.a_site("127.0.0.2") as bad:
        good.pages["/index.yaml"] = chartservers.page(INDEX)
        bad.pages["/index.yaml"] = chartservers.hanging()
        host = a_host(
            *(some.a_template(f"a-{n}", repoURL=bad.url, chart="producer") for n in range(HANGING)),
            *(some.a_template(f"good-{n}", repoURL=good.url, chart="producer") for n in range(GOOD)),
        )
        async with running(host):
            assert await are_ready(host, "good") < LIMITS.silence_s
            assert bad.open == 4


async def test_both_kinds_of_repositories_with_the_documents_source() -> None:
    async with chartservers.a_site() as site:
        site.pages["/charts/index.yaml"] = chartservers.page(INDEX)
        registry = Registry(site, password="hunter2")
        registry.push("team/producer", "v0.0.1")
        registry.serve_tokens()
        oci = f"oci://{site.host}:{site.port}/team"
        host = a_host(
            some.a_template("producer", repoURL=f"{site.url}/charts", path="producer"),
            some.a_template("packaged", repoURL=oci, path="", chart="producer"),
        )
        host.add(some.a_repository_secret(url=oci))
        async with running(host):
            await are_ready(host, "p")
        found = {t.metadata.name: t.status.versions for t in host.objects(DPUServiceTemplate)}
        doca = {"dpu.nvidia.com/doca-version": ">= 2.9"}
        assert found == {"producer": doca, "packaged": doca}
