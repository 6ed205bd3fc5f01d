"""The controllers of `dpuready` against a real API server, with exactly the rights that they declare.

What the in-memory cluster cannot vouch for: that the narrow types read real pods and DaemonSets, that the API server
narrows the watch of pods by label and the list by node, that conditions which are a map by type take a merge patch, and
that a settled DPU stays settled. One server plays both clusters.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.support import dpudeploymentnodes as nodes
from tests.support import dpudeployments as some
from tests.support import dpureadys, dpuservices, grants, passes
from tests.support.apiserver import RealAPIServer

from dpf.api import core, names
from dpf.api.dpu import DPU
from dpf.api.dpu import OperationalConditionType as Type
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain, DPUServiceChainSpec
from dpf.api.meta import Key, Object, ObjectMeta
from dpf.api.serviceworkloads import ServiceDaemonSet, ServicePod
from dpf.kube import kubeconfig, wait
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.http import HTTPClient
from dpf.local import parts
from dpf.local.platform import manifests, objects
from dpf.runtime.manager import Manager, Settings
from dpf.runtime.metrics import Metrics
from dpf.services.dpudeployment import naming
from dpf.services.dpuready.controller import DPUReadyController
from dpf.services.dpuready.release.controller import RequestorController

pytestmark = pytest.mark.parts

TIMEOUT_S = 60.0
KEY = naming.service_key("agent")
ID = "agent-id"
PERMISSIONS = (*DPUReadyController.permissions, *RequestorController.permissions)
CHAIN_SPEC = {"template": {"spec": {"template": {"spec": {"switches": [
    {"ports": [{"serviceInterface": {"matchLabels": {"a": "b"}}}]},
]}}}}}


@pytest.fixture
async def admin(real_api_server: RealAPIServer) -> AsyncIterator[HTTPClient]:
    """Everybody else, in a cluster with our CRDs and namespaces."""
    client = HTTPClient(kubeconfig.load(real_api_server.kubeconfig), name="host")
    try:
        await manifests.ensure_crds(client, objects.crds(parts.find("argocd-crds")))
        for name in (some.TENANT, "apps", names.DPF_NAMESPACE):
            await client.apply(core.Namespace(metadata=ObjectMeta(name=name)), field_owner="tests")
            account = core.ServiceAccount(metadata=ObjectMeta(name="default", namespace=name))
            await client.apply(account, field_owner="tests")
        yield client
        await clean_up(client)
    finally:
        await client.aclose()


async def clean_up(admin: HTTPClient) -> None:
    """Other tests use the same server."""
    for kind, namespace in (
        (DPUNodeMaintenance, some.TENANT), (DPU, some.TENANT), (DPUServiceChain, some.TENANT),
        (DPUService, some.TENANT), (DPUCluster, some.TENANT), (core.DaemonSet, "apps"), (core.Pod, "apps"),
        (core.Node, None),
    ):
        for obj in (await admin.list(kind, namespace)).items:
            await admin.delete(kind, obj.metadata.name, namespace, grace_period_s=0)


@asynccontextmanager
async def a_process(admin: HTTPClient, metrics: Metrics) -> AsyncIterator[Manager]:
    """One process with our rights in both clusters, caches complete, no pass made."""
    in_host = [p for p in PERMISSIONS if not p.everywhere]
    in_dpus = [dataclasses.replace(p, everywhere=False) for p in PERMISSIONS if p.everywhere]
    host = HTTPClient(_with(await grants.grant(admin, "dpuready", some.TENANT, in_host)), name="host")
    registry = ClusterRegistry(host)
    manager = Manager(registry, host, [
        DPUReadyController(clusters=registry), RequestorController(clusters=registry),
    ], Settings(metrics=metrics))
    registry.start()
    registry.ensure(dpureadys.CLUSTER, _with(await grants.grant(admin, "dpuready-dpus", some.TENANT, in_dpus)))
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await registry.host.cache.wait_synced()
            await registry.clusters()[dpureadys.CLUSTER].cache.wait_synced()
        yield manager
    finally:
        await registry.aclose()


@asynccontextmanager
async def at_work(admin: HTTPClient) -> AsyncIterator[None]:
    async with a_process(admin, Metrics()) as manager:
        running = asyncio.create_task(manager.run())
        try:
            yield
        finally:
            await manager.stop(running)


def _with(content: bytes) -> kubeconfig.Connection:
    return kubeconfig.from_secret(content, source="tests")


async def put(admin: HTTPClient, obj: Any) -> None:
    """Somebody makes `obj`, and its controller, which is not here, its status."""
    meta = obj.metadata
    name = ObjectMeta(name=meta.name, namespace=meta.namespace)
    named = msgspec.structs.replace(name, labels=meta.labels, ownerReferences=meta.ownerReferences)
    await admin.apply(type(obj)(metadata=named, spec=obj.spec), field_owner="user")
    if getattr(obj, "status", None) and obj.status != type(obj.status)():
        await admin.patch(
            type(obj), name.name, name.namespace, patch={"status": msgspec.to_builtins(obj.status)},
            subresource="status",
        )


async def become_ready(admin: HTTPClient, pod: str) -> None:
    """The kubelet says so."""
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2099-01-01T00:00:00Z"}
    await admin.patch(
        core.Pod, pod, "apps", patch={"status": {"phase": "Running", "conditions": [ready]}}, subresource="status"
    )


def a_pod(name: str, daemon_set: core.DaemonSet | None, labels: dict[str, str]) -> core.Pod:
    owners = [{
        "apiVersion": "apps/v1", "kind": "DaemonSet", "name": daemon_set.metadata.name, "controller": True,
        "uid": daemon_set.metadata.uid,
    }] if daemon_set is not None else []
    meta = {"name": name, "namespace": "apps", "labels": labels, "ownerReferences": owners}
    return core.Pod(
        metadata=msgspec.convert(meta, ObjectMeta),
        spec=core.PodSpec(nodeName="dpu-1", containers=[core.Container(name="app", image="app")]),
    )


def a_daemon_set() -> core.DaemonSet:
    """As a chart makes it."""
    labels = {"app": "agent", names.SERVICE_LABEL: ID}
    terms = [{"matchExpressions": [{"key": KEY, "operator": "In", "values": ["dd-agent"]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    spec = {
        "selector": {"matchLabels": {"app": "agent"}},
        "template": {"metadata": {"labels": labels}, "spec": {
            "affinity": {"nodeAffinity": required}, "containers": [{"name": "app", "image": "app"}],
        }},
    }
    return core.DaemonSet(metadata=ObjectMeta(name="agent", namespace="apps"), spec=spec)


async def the_world(admin: HTTPClient) -> None:
    """A DPU that waits for one service and one chain of a DPUDeployment; nothing works yet."""
    agent = nodes.an_agent("dd-agent", in_cluster=False, selector=False)
    spec = msgspec.structs.replace(agent.spec or dpuservices.a_service().spec, serviceID=ID)
    chain = DPUServiceChain(
        metadata=ObjectMeta(name="dd", namespace=some.TENANT, labels={
            names.OWNED_BY_DPUDEPLOYMENT_LABEL: naming.owner_value(Key(some.TENANT, "dd")),
        }),
        spec=msgspec.convert(CHAIN_SPEC, DPUServiceChainSpec),
    )
    labels = {KEY: "dd-agent", names.DPUSERVICECHAIN_NODE_LABEL: "dd"}
    condition = {"type": "NodeEffectApplied", "status": "True", "reason": "NodeEffectApplied", "message": "",
                 "lastTransitionTime": some.LONG_AGO}
    maintenance = nodes.a_maintenance("tenant_dd_dd-agent", "tenant_dd_dd", "tenant_dd_gone", "dpu-1")
    service = msgspec.structs.replace(agent, spec=spec)
    fresh = msgspec.structs.replace(maintenance, status=type(maintenance.status)())
    for obj in (dpureadys.a_cluster(), service, chain, dpureadys.a_dpu("dpu-1", labels=labels), fresh):
        await put(admin, obj)
    await admin.apply(core.Node(metadata=ObjectMeta(name="dpu-1", labels=labels)), field_owner="tests")
    await admin.patch(core.Node, "dpu-1", patch={"status": {"conditions": [
        {"type": "Ready", "status": "True", "reason": "Kubelet"},
    ]}}, subresource="status")
    daemon_set = await admin.apply(a_daemon_set(), field_owner="tests")
    await admin.apply(a_pod("agent-1", daemon_set, {"app": "agent", names.SERVICE_LABEL: ID}), field_owner="tests")
    await admin.apply(a_pod("stranger", None, {"app": "stranger"}), field_owner="tests")
    await admin.patch(
        DPUNodeMaintenance, maintenance.metadata.name, some.TENANT, patch={"status": {"conditions": [condition]}},
        subresource="status",
    )


def _left(*requestors: str) -> Any:
    def accept(maintenance: DPUNodeMaintenance | None) -> bool:
        return maintenance is not None and maintenance.spec is not None and (
            maintenance.spec.requestor == list(requestors)
        )

    return accept


def _works(dpu: DPU | None) -> bool:
    found = {c.type: c.status for c in (dpu.status.operationalConditions or ())} if dpu is not None else {}
    return found == dict.fromkeys(Type, "True")


def _misses(text: str) -> Any:
    def accept(dpu: DPU | None) -> bool:
        return dpu is not None and any(text in c.message for c in dpu.status.operationalConditions or ())

    return accept


async def until(admin: HTTPClient, kind: type[Object], name: str, accept: Any) -> Any:
    return await wait.until(admin, kind, name, some.TENANT, accept=accept, timeout_s=TIMEOUT_S)


async def test_a_host_is_let_go_when_its_dpu_works(admin: HTTPClient) -> None:
    await the_world(admin)
    maintenance = f"{nodes.DPUNODE}-hold"
    async with at_work(admin):
        await until(admin, DPU, "dpu-1", _misses("Pod apps/agent-1 is not ready"))
        await until(admin, DPUNodeMaintenance, maintenance, _left("tenant_dd_dd-agent", "tenant_dd_dd", "dpu-1"))
        await become_ready(admin, "agent-1")
        await until(admin, DPUNodeMaintenance, maintenance, _left("tenant_dd_dd", "dpu-1"))
        await some.report(admin, await admin.get(DPUServiceChain, "dd", some.TENANT))
        await until(admin, DPUNodeMaintenance, maintenance, _left("dpu-1"))
        await until(admin, DPU, "dpu-1", _works)
        await admin.patch(
            DPU, "dpu-1", some.TENANT, patch={"status": {"phase": "Ready"}}, subresource="status"
        )
    metrics = Metrics()
    async with a_process(admin, metrics) as manager:
        await passes.over_everything(manager)
    assert passes.writes(metrics) == {}
    dpu = await admin.get(DPU, "dpu-1", some.TENANT)
    assert (dpu.status.phase, _works(dpu)) == ("Ready", True)


async def test_the_narrow_types_read_what_is_there(admin: HTTPClient) -> None:
    await admin.apply(core.Node(metadata=ObjectMeta(name="dpu-1")), field_owner="tests")
    daemon_set = await admin.apply(a_daemon_set(), field_owner="tests")
    labels = {"app": "agent", names.SERVICE_LABEL: ID}
    await admin.apply(a_pod("agent-2", daemon_set, labels), field_owner="tests")
    found = await admin.list(
        ServicePod, "apps", labels=names.SERVICE_LABEL, fields="spec.nodeName=dpu-1"
    )
    assert "agent-2" in [pod.metadata.name for pod in found.items]
    assert {pod.spec.nodeName for pod in found.items} == {"dpu-1"}
    narrow = await admin.get(ServiceDaemonSet, "agent", "apps")
    assert (narrow.spec.template.metadata.labels or {})[names.SERVICE_LABEL] == ID
    affinity = narrow.spec.template.spec.affinity
    assert affinity is not None and affinity.nodeAffinity is not None
    assert affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution is not None
