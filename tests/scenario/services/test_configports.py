"""Ports of a service on DPUs, reached from the host cluster (behaviour-service.md 3.6; tests 17 to 19)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.scenario.services import stage
from tests.support import dpuservices as some
from tests.support.world import World

from dpf.api import core, names
from dpf.api.dpuservice import ConditionType, DPUService
from dpf.api.meta import Key, ObjectMeta
from dpf.kube.memory import MemoryCluster
from dpf.services.argocd import build

SERVICE = Key(some.TENANT, "blueman")
PORT = {"name": "web", "port": 8080, "protocol": "TCP"}
SELECTOR = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "bfb", "operator": "In", "values": ["dk"]}]}]}


def a_world(*, service_type: str = "NodePort", ports: list[dict[str, Any]] | None = None, **spec: Any) -> World:
    world = stage.a_stage("dpu-1")
    config = {"serviceType": service_type, "ports": ports or [PORT]}
    world.host.add(some.a_service(configPorts=config, **spec))
    return world


def dpu_of(world: World) -> MemoryCluster:
    return next(iter(world.dpus.values()))


def a_chart_service(name: str = "blueman-web", **ports: int | None) -> core.Service:
    return core.Service(
        metadata=ObjectMeta(name=name, namespace=some.TENANT, labels=build.match_labels(SERVICE)),
        spec=core.ServiceSpec(type="NodePort", ports=[
            core.ServicePort(name=n, port=80, protocol="TCP", nodePort=node_port)
            for n, node_port in (ports or {"web": 31000}).items()
        ]),
    )


def a_dpu_node(name: str, address: str, *, host: str | None = "host-1", bfb: str = "dk") -> core.Node:
    labels = {"bfb": bfb, **({names.DPUNODE_NAME_LABEL: host} if host else {})}
    return core.Node(
        metadata=ObjectMeta(name=name, labels=labels),
        status=core.NodeStatus(addresses=[core.NodeAddress(type="InternalIP", address=address)]),
    )


def exposed(world: World) -> tuple[core.Service, core.EndpointSlice, core.Endpoints]:
    (service,) = world.host.objects(core.Service)
    (slice_,) = world.host.objects(core.EndpointSlice)
    (endpoints,) = world.host.objects(core.Endpoints)
    return service, slice_, endpoints


async def test_the_host_reaches_the_node_port_on_the_dpus() -> None:
    """Scenario 17."""
    world = a_world(serviceDaemonSet={"nodeSelector": SELECTOR})
    dpu_of(world).add(
        a_chart_service(), a_dpu_node("dpu-a", "10.0.0.1"), a_dpu_node("dpu-b", "10.0.0.2", host="host-2"),
        a_dpu_node("other-zone", "10.0.0.3", bfb="ga"), a_dpu_node("no-dpunode", "10.0.0.4", host=None),
        a_dpu_node("ipv6-only", "fd00::1"),
    )
    await stage.live(world)

    service, slice_, endpoints = exposed(world)
    assert service.spec.selector is None
    assert service.spec.type == "NodePort"
    assert (service.spec.internalTrafficPolicy, service.spec.externalTrafficPolicy) == ("Local", "Local")
    assert [(p.name, p.port, p.targetPort) for p in service.spec.ports or ()] == [("web", 8080, 31000)]
    assert [(e.addresses, e.nodeName) for e in slice_.endpoints or ()] == [
        (["10.0.0.1"], "host-1"), (["10.0.0.2"], "host-2"),
    ]
    assert slice_.metadata.labels == {
        **build.match_labels(SERVICE), "dpu.nvidia.com/exposed-port-for-dpucluster": "dpu-1",
        "endpointslice.kubernetes.io/managed-by": "dpuservice-manager", "kubernetes.io/service-name": "blueman",
    }
    (subset,) = endpoints.subsets or ()
    assert [(a.ip, a.nodeName) for a in subset.addresses or ()] == [("10.0.0.1", "host-1"), ("10.0.0.2", "host-2")]
    assert (endpoints.metadata.labels or {})["endpointslice.kubernetes.io/skip-mirror"] == "true"
    (owner,) = service.metadata.ownerReferences or ()
    assert (owner.kind, owner.name, owner.controller) == ("DPUService", "blueman", True)
    assert stage.condition(world, ConditionType.CONFIG_PORTS_RECONCILED).status == "True"


@pytest.mark.parametrize(("services", "told"), [
    ([], "expected 1 service, got 0"),
    ([a_chart_service(), a_chart_service("second")], "expected 1 service, got 2"),
    ([a_chart_service(web=None)], 'nodePort is not set for service "blueman-web"'),
    ([a_chart_service(other=31000)], "creation of Service on DPU not ready yet, expected 1 nodePorts, got 0"),
], ids=["none", "two", "no-node-port", "another-port"])
async def test_until_the_chart_has_opened_the_port(services: list[core.Service], told: str) -> None:
    """Scenario 17, as long as there is nothing to reach."""
    world = a_world()
    dpu_of(world).add(*services)
    await stage.live(world)

    found = stage.condition(world, ConditionType.CONFIG_PORTS_RECONCILED)
    assert (found.status, found.reason) == ("False", "Error")
    assert found.message == (
        f'Unable to reconcile Config Ports: config ports not ready yet for cluster "dpu-1": {told}'
    )
    assert world.host.objects(core.Service) == ()


async def test_without_a_node_there_is_nothing_to_write() -> None:
    """The API server keeps no empty `subsets`, and may keep `endpoints: null`."""
    world = a_world()
    dpu_of(world).add(a_chart_service())
    async with stage.running(world) as manager:
        for kind, field in ((core.EndpointSlice, "endpoints"), (core.Endpoints, "subsets")):
            await world.host.patch(kind, SERVICE.name, SERVICE.namespace, patch={field: None})
        written = len(world.writes)
        await manager.settle()
        manager.controllers[0].enqueue_all()
        await manager.settle()
    assert world.writes[written:] == []
    assert exposed(world)[1].endpoints is None


async def test_the_last_node_takes_the_endpoints_with_it() -> None:
    """Race 5."""
    world = a_world()
    dpu = dpu_of(world)
    dpu.add(a_chart_service(), a_dpu_node("dpu-a", "10.0.0.1"))
    async with stage.running(world) as manager:
        await dpu.delete(core.Node, "dpu-a")
        await manager.settle()
        service, slice_, endpoints = exposed(world)
        assert (slice_.endpoints, endpoints.subsets) == ([], [])
        assert service.spec.ports
        dpu.add(a_dpu_node("dpu-a", "10.0.0.9"))
        await manager.settle()
    assert [e.addresses for e in exposed(world)[1].endpoints or ()] == [["10.0.0.9"]]


async def test_ports_that_are_dropped_are_cleaned_up() -> None:
    """Scenario 18."""
    world = a_world()
    dpu_of(world).add(a_chart_service())
    async with stage.running(world) as manager:
        exposed(world)
        await stage.edit(world, DPUService, SERVICE, {"configPorts": None})
        await manager.settle()
    for kind in (core.Service, core.EndpointSlice, core.Endpoints):
        assert world.host.objects(kind) == ()
    assert stage.service(world).status.configPorts is None


async def test_a_service_that_a_person_removes_gets_its_node_port_back() -> None:
    """Scenario 18, the Service removed by hand."""
    world = a_world()
    dpu_of(world).add(a_chart_service())
    async with stage.running(world) as manager:
        await _allocate(world, 30777)
        await manager.settle()
        ports = stage.service(world).status.configPorts or {}
        assert [(p.name, p.port, p.nodePort) for p in ports["dpu-1"]] == [("web", 8080, 30777)]
        await world.host.delete(core.Service, "blueman", some.TENANT)
        await manager.settle()
    (port,) = exposed(world)[0].spec.ports or ()
    assert port.nodePort == 30777


async def test_what_the_api_server_allocates_is_not_fought() -> None:
    world = a_world()
    dpu_of(world).add(a_chart_service())
    async with stage.running(world) as manager:
        await _allocate(world, 30777)
        await manager.settle()
        written = list(world.writes)
        manager.controllers[0].enqueue_all()
        await manager.settle()
        assert world.writes == written


async def test_headless() -> None:
    """Scenario 19."""
    world = a_world(service_type="None")
    dpu_of(world).add(a_chart_service())
    await stage.live(world)
    service = exposed(world)[0]
    assert (service.spec.type, service.spec.clusterIP) == ("ClusterIP", "None")
    assert service.spec.externalTrafficPolicy is None


async def test_a_port_without_a_number_takes_that_of_the_chart() -> None:
    world = a_world(ports=[{"name": "web", "protocol": "TCP", "nodePort": 30001}])
    dpu_of(world).add(a_chart_service())
    await stage.live(world)
    (port,) = exposed(world)[0].spec.ports or ()
    assert (port.port, port.nodePort) == (80, 30001)


async def test_two_clusters_are_refused() -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(some.a_service(configPorts={"serviceType": "NodePort", "ports": [PORT]}))
    await stage.live(world)
    assert stage.condition(world, ConditionType.CONFIG_PORTS_RECONCILED).message == (
        "Unable to reconcile Config Ports: multiple clusters are currently not supported"
    )


async def test_a_foreign_service_of_that_name_is_left_alone() -> None:
    world = a_world()
    dpu_of(world).add(a_chart_service())
    foreign = core.Service(
        metadata=ObjectMeta(name="blueman", namespace=some.TENANT), spec=core.ServiceSpec(selector={"app": "mine"})
    )
    world.host.add(foreign)
    await stage.live(world)
    (service,) = world.host.objects(core.Service)
    assert service.spec.selector == {"app": "mine"}
    assert "does not belong to this DPUService" in (
        stage.condition(world, ConditionType.CONFIG_PORTS_RECONCILED).message
    )


async def test_the_chart_is_asked_to_open_the_port() -> None:
    world = a_world()
    await stage.live(world)
    (app,) = stage.applications(world).values()
    assert app.spec.source is not None
    assert app.spec.source.helm is not None
    assert (app.spec.source.helm.valuesObject or {})["exposedPorts"] == {
        "labels": build.match_labels(SERVICE), "ports": {"web": True},
    }


async def test_deletion_takes_the_ports_too() -> None:
    world = a_world()
    dpu_of(world).add(a_chart_service())
    async with stage.running(world) as manager:
        await stage.deliver(world, manager)
        await world.host.delete(DPUService, "blueman", some.TENANT)
        await stage.deliver(world, manager)
    assert world.host.objects(DPUService) == ()
    assert world.host.objects(core.Service) == ()


async def _allocate(world: World, node_port: int) -> None:
    """The API server gives the Service a node port, as it does on creation."""
    (service,) = world.host.objects(core.Service)
    (port,) = service.spec.ports or ()
    allocated = {"name": port.name, "port": port.port, "protocol": "TCP", "targetPort": port.targetPort}
    await world.host.patch(
        core.Service, "blueman", some.TENANT, patch={"spec": {"ports": [{**allocated, "nodePort": node_port}]}}
    )
