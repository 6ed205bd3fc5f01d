"""The DPUDeployment controllers against a real API server as their host cluster.

What the in-memory cluster cannot vouch for: the schemas take what the planner makes, the API server stores nothing in a
way that makes it be written again, and marks on other people's objects can be set and taken off.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.support import dpudeploymentnodes as nodes
from tests.support import dpudeployments as some
from tests.support import passes
from tests.support.apiserver import RealAPIServer

from dpf.api import core
from dpf.api.dpudeployment import ConditionType, DPUDeployment
from dpf.api.dpunode import DPUNode
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, Object, ObjectMeta, object_key
from dpf.kube import kubeconfig, wait
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.http import HTTPClient
from dpf.local import parts
from dpf.local.platform import manifests, objects
from dpf.runtime import conditions
from dpf.runtime.manager import Manager, Settings
from dpf.runtime.metrics import Metrics
from dpf.services.dpudeployment.controller import DPUDeploymentController
from dpf.services.dpudeploymentnode.controller import DPUDeploymentNodeController

pytestmark = pytest.mark.parts

TIMEOUT_S = 30.0
DEPLOYMENT = Key(some.TENANT, "dd")
NODE_KEY = nodes.key("dd", "agent")


@pytest.fixture
def connection(real_api_server: RealAPIServer) -> kubeconfig.Connection:
    return kubeconfig.load(real_api_server.kubeconfig)


@pytest.fixture
async def host(connection: kubeconfig.Connection) -> AsyncIterator[HTTPClient]:
    """The host cluster with every CRD, two nodes and a namespace for the tenant; for what others do there."""
    client = HTTPClient(connection, name="host")
    try:
        await manifests.ensure_crds(client, objects.crds(parts.find("argocd-crds")))
        await client.apply(core.Namespace(metadata=ObjectMeta(name=some.TENANT)), field_owner="tests")
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def a_process(connection: kubeconfig.Connection, metrics: Metrics) -> AsyncIterator[Manager]:
    """Everything of one process, caches complete, no pass made."""
    host = HTTPClient(connection, name="host")
    registry = ClusterRegistry(host)
    controllers: list[Any] = [
        DPUDeploymentController(clusters=registry), DPUDeploymentNodeController(clusters=registry),
    ]
    manager = Manager(registry, host, controllers, Settings(metrics=metrics))
    registry.start()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await registry.host.cache.wait_synced()
        yield manager
    finally:
        await registry.aclose()


@asynccontextmanager
async def at_work(connection: kubeconfig.Connection) -> AsyncIterator[None]:
    """A process that does its work until the block ends."""
    async with a_process(connection, Metrics()) as manager:
        running = asyncio.create_task(manager.run())
        try:
            yield
        finally:
            await manager.stop(running)


async def until(host: HTTPClient, kind: type[Object], key: Key, accept: Callable[[Any], bool]) -> Any:
    return await wait.until(host, kind, key.name, key.namespace or None, accept=accept, timeout_s=TIMEOUT_S)


async def put(host: HTTPClient, obj: Any) -> None:
    """A user applies `obj`; its status, if it has one, comes from the controller that is not here."""
    name = ObjectMeta(name=obj.metadata.name, namespace=obj.metadata.namespace)
    named = msgspec.structs.replace(name, labels=obj.metadata.labels)
    await host.apply(type(obj)(metadata=named, **({"spec": obj.spec} if obj.spec else {})), field_owner="user")
    if getattr(obj, "status", None) and obj.status != type(obj.status)():
        await host.apply(type(obj)(metadata=name, status=obj.status), field_owner="tests", subresource="status")


def holds(type_: ConditionType) -> Callable[[DPUDeployment | None], bool]:
    def check(deployment: DPUDeployment | None) -> bool:
        return deployment is not None and conditions.is_true(deployment.status.conditions, type_)

    return check


async def test_a_whole_life(host: HTTPClient, connection: kubeconfig.Connection) -> None:
    """Made, ready, not written again, deleted; other people's objects are as they were before."""
    chain = [{"ports": [{"service": {"name": "producer", "interface": "eth0"}},
                        {"serviceInterface": {"matchLabels": {"svc.dpu.nvidia.com/interface": "p0"}}}]}]
    sets = [{"nameSuffix": "a", "dpuNodeSelector": {"matchLabels": {"rack": "a"}},
             "dpuSelector": {"pciAddr": "0000:0e:00.0"}}]
    deployment = some.a_deployment(services=("agent", "producer"), serviceChains=chain, dpus={"dpuSets": sets})
    agent = some.a_configuration("agent", serviceConfiguration={"deployInCluster": True})
    own = (type(agent), object_key(agent))
    named = [*(d for d in some.dependencies_of(deployment) if (type(d), object_key(d)) != own), agent]
    await host.apply(core.Node(metadata=ObjectMeta(name=nodes.NODE)), field_owner="tests")
    for obj in (nodes.a_dpunode(), *named, deployment):
        await put(host, obj)

    async with at_work(connection):
        await until(host, DPUDeployment, DEPLOYMENT, holds(ConditionType.DPU_SETS_RECONCILED))
        await until(host, core.Node, Key("", nodes.NODE), lambda n: n.metadata.labels.get(NODE_KEY) == "dd-agent")
        for kind in (DPUService, DPUServiceInterface, DPUServiceChain, DPUSet):
            for child in (await host.list(kind, some.TENANT)).items:
                await some.report(host, child)
        await until(host, DPUDeployment, DEPLOYMENT, holds(ConditionType.READY))

    marks = [some.marks(await host.get(type(d), d.metadata.name, some.TENANT)) for d in named]
    assert all(protected and len(labels) == 1 for protected, labels in marks)
    metrics = Metrics()
    async with a_process(connection, metrics) as manager:
        await passes.over_everything(manager)
    assert passes.writes(metrics) == {}

    await host.delete(DPUDeployment, DEPLOYMENT.name, DEPLOYMENT.namespace)
    async with at_work(connection):
        await until(host, DPUDeployment, DEPLOYMENT, lambda d: d is None)
        await until(host, core.Node, Key("", nodes.NODE), lambda n: NODE_KEY not in (n.metadata.labels or {}))
    for kind in (DPUService, DPUServiceInterface, DPUServiceChain, DPUSet):
        assert (await host.list(kind, some.TENANT)).items == ()
    assert {some.marks(await host.get(type(d), d.metadata.name, some.TENANT))[0] for d in named} == {False}
    for obj in (nodes.a_dpunode(), *named):
        await host.delete(type(obj), obj.metadata.name, some.TENANT)
    assert (await host.list(DPUNode, some.TENANT)).items == ()
