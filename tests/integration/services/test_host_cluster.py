"""The DPUService controller against a real API server as its host cluster.

What the in-memory cluster cannot vouch for: how the API server merges, defaults and normalises what we apply. If it
changed anything that the planner compares, the controller would write for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support import dpuservices as some
from tests.support import passes
from tests.support.apiserver import RealAPIServer

from dpf.api import core, names
from dpf.api.argocd import Application, AppProject
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import ConditionType, DPUService
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.meta import Condition, Key, Object, ObjectMeta
from dpf.kube import kubeconfig, wait
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.http import HTTPClient
from dpf.kube.memory import MemoryCluster
from dpf.local import parts
from dpf.local.platform import manifests, objects
from dpf.runtime import conditions
from dpf.runtime.clusterfollower import ClusterFollower
from dpf.runtime.manager import Manager, Settings
from dpf.runtime.metrics import Metrics
from dpf.services.argocd import build
from dpf.services.dpuservice.controller import DPUServiceController

pytestmark = pytest.mark.parts

TIMEOUT_S = 30.0
CLUSTER = Key(some.CLUSTERS, "dpu-1")
SERVICE = Key(some.TENANT, "blueman")
VALUES = {
    "flag": True, "count": 1.0, "share": 0.5, "removed": None, "empty": {}, "list": [1, {"deep": None}],
    "nested": {"kept": "yes", "dropped": "soon"},
}
PORTS = {"serviceType": "NodePort", "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}]}


@pytest.fixture
def connection(real_api_server: RealAPIServer) -> kubeconfig.Connection:
    return kubeconfig.load(real_api_server.kubeconfig)


@pytest.fixture
async def host(connection: kubeconfig.Connection) -> AsyncIterator[HTTPClient]:
    """The host cluster with every CRD, a namespace for DPF and one for the tenant; for what others do there."""
    client = HTTPClient(connection, name="host")
    try:
        await manifests.ensure_crds(client, objects.crds(parts.find("argocd-crds")))
        for name in (names.DPF_NAMESPACE, some.CLUSTERS, some.TENANT):
            await client.apply(core.Namespace(metadata=ObjectMeta(name=name)), field_owner="tests")
        yield client
    finally:
        await client.aclose()


@pytest.fixture
def dpu() -> MemoryCluster:
    """The DPU cluster, in which the chart has opened a port."""
    cluster = MemoryCluster(str(CLUSTER))
    cluster.add(
        core.Service(
            metadata=ObjectMeta(name="web", namespace=some.TENANT, labels=build.match_labels(SERVICE)),
            spec=core.ServiceSpec(ports=[core.ServicePort(name="web", port=80, protocol="TCP", nodePort=31000)]),
        ),
        core.Node(
            metadata=ObjectMeta(name="dpu-a", labels={names.DPUNODE_NAME_LABEL: "host-1"}),
            status=core.NodeStatus(addresses=[core.NodeAddress(type="InternalIP", address="10.0.0.1")]),
        ),
    )
    return cluster


@asynccontextmanager
async def a_process(
    connection: kubeconfig.Connection, dpu: MemoryCluster, metrics: Metrics
) -> AsyncIterator[Manager]:
    """Everything of one process, caches complete, no pass made."""
    host = HTTPClient(connection, name="host")
    registry = ClusterRegistry(host, connect=lambda _connection, _name: dpu)
    follower = ClusterFollower(registry)
    manager = Manager(registry, host, [DPUServiceController(clusters=registry)], Settings(metrics=metrics))
    registry.start()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await registry.host.cache.wait_synced()
            await follower.run()
        yield manager
    finally:
        await registry.aclose()


@asynccontextmanager
async def at_work(connection: kubeconfig.Connection, dpu: MemoryCluster) -> AsyncIterator[None]:
    """A process that does its work until the block ends."""
    async with a_process(connection, dpu, Metrics()) as manager:
        running = asyncio.create_task(manager.run())
        try:
            yield
        finally:
            await manager.stop(running)


async def until(host: HTTPClient, kind: type[Object], key: Key, accept: Callable[[Any], bool]) -> Any:
    return await wait.until(host, kind, key.name, key.namespace, accept=accept, timeout_s=TIMEOUT_S)


def reconciled(service: DPUService | None) -> bool:
    """Everything is in place; only Argo CD, which does not run here, has not answered."""
    wanted = set(ConditionType) - {ConditionType.READY, ConditionType.APPLICATIONS_READY}
    return service is not None and all(
        (c := conditions.find(service.status.conditions, type_)) is not None
        and c.status == "True" and c.observedGeneration == service.metadata.generation
        for type_ in wanted
    )


async def install(host: HTTPClient, **spec: Any) -> None:
    cluster = some.a_cluster(CLUSTER.name, CLUSTER.namespace)
    await host.apply(some.a_kubeconfig_secret(CLUSTER), field_owner="tests")
    await host.apply(DPUCluster(metadata=cluster.metadata, spec=cluster.spec), field_owner="tests")
    await host.patch(
        DPUCluster, CLUSTER.name, CLUSTER.namespace, patch={"status": {"phase": "Ready"}}, subresource="status"
    )
    service = some.a_service(**spec)
    await host.apply(
        DPUService(metadata=ObjectMeta(name=SERVICE.name, namespace=SERVICE.namespace), spec=service.spec),
        field_owner="user",
    )


async def uninstall(
    host: HTTPClient, connection: kubeconfig.Connection, dpu: MemoryCluster, name: str = SERVICE.name
) -> None:
    await host.delete(DPUService, name, SERVICE.namespace)
    async with at_work(connection, dpu):
        owned = f"{names.DPUSERVICE_NAME_LABEL}={name}"
        for app in (await host.list(Application, names.DPF_NAMESPACE, labels=owned)).items:
            gone = await until(
                host, Application, Key(names.DPF_NAMESPACE, app.metadata.name),
                lambda a: a is None or a.metadata.deletionTimestamp is not None,
            )
            await some.finish_deletion(host, gone)
        await until(host, DPUService, Key(SERVICE.namespace, name), lambda s: s is None)


async def test_a_settled_service_is_not_written_again(
    host: HTTPClient, connection: kubeconfig.Connection, dpu: MemoryCluster
) -> None:
    chart = {"source": {"repoURL": "oci://registry.example/charts", "version": "1", "chart": "web"}, "values": VALUES}
    await install(host, helmChart=chart, configPorts=PORTS, serviceDaemonSet={
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}},
        "resources": {"resources": {"memory": "6Gi", "nvidia.com/bf_sf": 3}},
    })
    async with at_work(connection, dpu):
        service = await until(host, DPUService, SERVICE, reconciled)
        app = await host.get(Application, "dpu-1-blueman", names.DPF_NAMESPACE)
    assert app.spec.source is not None
    assert app.spec.source.repoURL == "registry.example/charts"
    assert app.spec.source.helm is not None
    assert app.spec.source.helm.valuesObject is not None
    resources = app.spec.source.helm.valuesObject["serviceDaemonSet"]["resources"]
    assert resources == {"memory": "6Gi", "nvidia.com/bf_sf": 3}
    assert service.status.serviceID

    metrics = Metrics()
    async with a_process(connection, dpu, metrics) as manager:
        await passes.over_everything(manager)
    assert passes.writes(metrics) == {}

    await uninstall(host, connection, dpu)
    assert (await host.list(core.Service, some.TENANT)).items == ()


async def test_a_removed_value_leaves_the_application(
    host: HTTPClient, connection: kubeconfig.Connection, dpu: MemoryCluster
) -> None:
    source = {"repoURL": "https://charts.example", "version": "1", "chart": "web"}
    await install(host, helmChart={"source": source, "values": VALUES})
    async with at_work(connection, dpu):
        await until(host, DPUService, SERVICE, reconciled)
        await install(host, helmChart={"source": source, "values": {**VALUES, "nested": {"kept": "yes"}, "flag": 1}})
        app = await until(
            host, Application, Key(names.DPF_NAMESPACE, "dpu-1-blueman"),
            lambda a: a is not None and a.spec.source.helm.valuesObject["nested"] == {"kept": "yes"},
        )
    assert app.spec.source.helm.valuesObject["flag"] is not True
    await uninstall(host, connection, dpu)


async def test_what_a_person_added_to_the_application_goes_for_good(
    host: HTTPClient, connection: kubeconfig.Connection, dpu: MemoryCluster
) -> None:
    source = {"repoURL": "https://charts.example", "version": "1", "chart": "web", "path": ""}
    await install(host, helmChart={"source": source, "values": VALUES})
    key = Key(names.DPF_NAMESPACE, "dpu-1-blueman")
    async with at_work(connection, dpu):
        await until(host, DPUService, SERVICE, reconciled)
        before = await host.get(Application, key.name, key.namespace)
        await host.patch(Application, key.name, key.namespace, field_owner="person", patch={"spec": {
            "source": {"helm": {"valuesObject": {"foreign": {"a": 1}}, "parameters": [{"name": "a", "value": "b"}]}},
            "ignoreDifferences": [{"kind": "DaemonSet", "jsonPointers": ["/spec"]}], "revisionHistoryLimit": 3,
        }})
        await until(host, Application, key, lambda a: a is not None and a.spec == before.spec)

    metrics = Metrics()
    async with a_process(connection, dpu, metrics) as manager:
        await passes.over_everything(manager)
    assert passes.writes(metrics) == {}
    await uninstall(host, connection, dpu)


async def test_ports_without_a_node_are_not_written_again(
    host: HTTPClient, connection: kubeconfig.Connection, dpu: MemoryCluster
) -> None:
    await dpu.delete(core.Node, "dpu-a")
    await install(host, configPorts=PORTS)
    async with at_work(connection, dpu):
        await until(host, DPUService, SERVICE, reconciled)
        assert not (await host.get(core.Endpoints, SERVICE.name, SERVICE.namespace)).subsets

    metrics = Metrics()
    async with a_process(connection, dpu, metrics) as manager:
        await passes.over_everything(manager)
    assert passes.writes(metrics) == {}
    await uninstall(host, connection, dpu)


async def test_projects_and_cluster_secrets_are_accepted(
    host: HTTPClient, connection: kubeconfig.Connection, dpu: MemoryCluster
) -> None:
    await install(host)
    async with at_work(connection, dpu):
        await until(host, DPUService, SERVICE, reconciled)
    project = await host.get(AppProject, build.DPU_PROJECT, names.DPF_NAMESPACE)
    assert [d.name for d in project.spec.destinations or ()] == ["dpu-1"]
    secret = await host.get(core.Secret, build.cluster_secret_name(CLUSTER), names.DPF_NAMESPACE)
    assert secret.type == "Opaque"
    await uninstall(host, connection, dpu)


async def test_interfaces_are_claimed_counted_and_let_go(
    host: HTTPClient, connection: kubeconfig.Connection, dpu: MemoryCluster
) -> None:
    """Two DPUServices want one interface; a claim changes nothing else of it, and nothing is written twice."""
    for name in ("p0-if", "app-if"):
        await host.apply(some.an_interface(name), field_owner="user")
    await host.apply(some.a_nad(), field_owner="user")
    await install(host, serviceID="hbn", interfaces=["p0-if", "app-if"], serviceDaemonSet={
        "annotations": {names.NETWORKS_ANNOTATION: '[{"interface": "p0-if", "cni-args": {}}]'},
    })
    key = Key(SERVICE.namespace, "app-if")
    before = await host.get(DPUServiceInterface, key.name, key.namespace)
    async with at_work(connection, dpu):
        await until(host, DPUService, SERVICE, reconciled)
        claimed = await host.get(DPUServiceInterface, key.name, key.namespace)
        rival = some.a_service("rival", serviceID="hbn", interfaces=["app-if"])
        await host.apply(
            DPUService(metadata=ObjectMeta(name="rival", namespace=some.TENANT), spec=rival.spec), field_owner="user"
        )
        told = await until(host, DPUService, Key(some.TENANT, "rival"), _has_spoken)
        app = await host.get(Application, "dpu-1-blueman", names.DPF_NAMESPACE)
    assert (claimed.metadata.annotations or {})[names.CONSUMED_BY_ANNOTATION] == SERVICE.name
    assert (claimed.spec, claimed.metadata.generation) == (before.spec, before.metadata.generation)
    assert _interfaces(told).message == (
        "Unable to reconcile interfaces for dpuServiceInterface app-if is in use by another DPUService"
    )
    assert app.spec.source.helm.valuesObject["serviceDaemonSet"] == {
        "annotations": {names.NETWORKS_ANNOTATION: (
            '[{"name":"mynad","interface":"app-if","cni-args":null},'
            '{"name":"mynad","interface":"p0-if","cni-args":{}}]'
        )},
        "labels": {names.SERVICE_LABEL: "hbn"}, "resources": {"nvidia.com/bf_sf": "2"},
    }

    metrics = Metrics()
    async with a_process(connection, dpu, metrics) as manager:
        await passes.over_everything(manager)
    assert passes.writes(metrics) == {}

    await uninstall(host, connection, dpu)
    async with at_work(connection, dpu):
        await until(host, DPUService, Key(some.TENANT, "rival"), reconciled)
        assert set((await host.get(DPUServiceInterface, "p0-if", some.TENANT)).metadata.annotations or ()) == set()
    await uninstall(host, connection, dpu, "rival")


def _interfaces(service: DPUService) -> Condition:
    found = conditions.find(service.status.conditions, ConditionType.DPU_SERVICE_INTERFACE_RECONCILED)
    assert found is not None
    return found


def _has_spoken(service: DPUService | None) -> bool:
    return service is not None and bool(service.status.conditions) and _interfaces(service).message != ""
