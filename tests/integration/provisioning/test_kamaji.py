"""The Kamaji cluster manager against a real API server, with no more rights than it declares, beside a played Kamaji.

What the in-memory cluster cannot vouch for: that the API server takes what we write, chooses the node port itself, that
server-side apply and what Kamaji writes get on with each other, and that all is settled with the defaults filled in.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.support import grants
from tests.support import kamajis as some
from tests.support.apiserver import RealAPIServer
from tests.support.dpuclusters import NAME, NAMESPACE

from dpf.api import core
from dpf.api.dpucluster import DPUCluster
from dpf.api.kamaji import TenantControlPlane
from dpf.api.meta import ObjectMeta
from dpf.kube import errors, kubeconfig, wait
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.http import HTTPClient
from dpf.local import resources
from dpf.local.platform import manifests
from dpf.provisioning.clustermanager.kamaji import plan as planner
from dpf.provisioning.clustermanager.kamaji.controller import KamajiClusterManager
from dpf.runtime import conditions
from dpf.runtime.manager import Manager

pytestmark = pytest.mark.parts

TIMEOUT_S = 60.0
MADE: tuple[tuple[Any, str], ...] = (
    (core.Service, NAME), (TenantControlPlane, NAME), (core.ConfigMap, f"{NAME}-keepalived"),
    (core.DaemonSet, f"{NAME}-keepalived"),
)


@pytest.fixture
async def client(real_api_server: RealAPIServer) -> AsyncIterator[HTTPClient]:
    """The administrator of a cluster with our CRDs and without Kamaji's."""
    client = HTTPClient(kubeconfig.load(real_api_server.kubeconfig), name="host")
    crds = [
        obj for path in sorted(resources.folder("crds").glob("*.yaml")) for obj in manifests.read(path)
        if isinstance(obj, core.CustomResourceDefinition)
    ]
    try:
        await manifests.ensure_crds(client, crds)
        await client.apply(core.Namespace(metadata=ObjectMeta(name=NAMESPACE)), field_owner="tests")
        yield client
    finally:
        for kind, name in ((core.Secret, some.SECRET), (core.CustomResourceDefinition, some.the_crd().metadata.name)):
            with contextlib.suppress(errors.NotFound):
                await client.delete(kind, name, NAMESPACE)
        await client.aclose()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same timers, shorter: no test waits for half a minute."""
    for name in ("SETTLED", "UNSETTLED", "MISSING", "REMOVED"):
        monkeypatch.setattr(planner, f"CHECK_{name}_EVERY_S", 0.1)


@asynccontextmanager
async def controllers(client: HTTPClient) -> AsyncIterator[HTTPClient]:
    """One process with our rights."""
    content = await grants.grant(client, "kamaji-tests", NAMESPACE, KamajiClusterManager.permissions)
    ours = HTTPClient(kubeconfig.from_secret(content, source="tests"), name="host")
    registry = ClusterRegistry(ours)
    manager = Manager(registry, ours, [KamajiClusterManager(host=ours)])
    registry.start()
    running = asyncio.create_task(manager.run())
    try:
        yield ours
        assert not running.done(), "the controllers have ended"
    finally:
        await manager.stop(running)
        await registry.aclose()


@asynccontextmanager
async def kamaji(client: HTTPClient) -> AsyncIterator[some.Kamaji]:
    """A played Kamaji that works all the time."""
    played = some.Kamaji(host=client, chooses_node_ports=False)

    async def work() -> None:
        while True:
            with contextlib.suppress(errors.Conflict, errors.NotFound):
                await played.work()
            await asyncio.sleep(0.05)

    working = asyncio.create_task(work())
    try:
        yield played
        assert not working.done(), working.exception()
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def says(type_: str, status: str, text: str = "") -> Any:
    def accept(obj: Any) -> bool:
        found = conditions.find(obj.status.conditions, type_) if obj is not None else None
        return found is not None and found.status == status and text in found.message

    return accept


async def until(client: HTTPClient, kind: Any, name: str, accept: Any) -> Any:
    return await wait.until(client, kind, name, NAMESPACE, accept=accept, timeout_s=TIMEOUT_S)


async def versions(client: HTTPClient) -> list[str | None]:
    found = [await client.get(kind, name, NAMESPACE) for kind, name in (*MADE, (DPUCluster, NAME))]
    return [obj.metadata.resourceVersion for obj in found]


async def test_it_is_made_settles_is_put_back_and_goes(client: HTTPClient) -> None:
    asked = some.a_kamaji_cluster(keepalived=some.KEEPALIVED)
    await client.create(DPUCluster(metadata=ObjectMeta(name=NAME, namespace=NAMESPACE), spec=asked.spec))
    await client.patch(
        DPUCluster, NAME, NAMESPACE, patch={"status": {"phase": "Creating"}}, subresource="status",
    )
    async with controllers(client) as ours:
        await until(client, DPUCluster, NAME, says("Created", "False", "Kamaji is not installed"))
        await manifests.ensure_crds(client, [some.the_crd()])
        await until(client, DPUCluster, NAME, says("Created", "False", "is not taken up by Kamaji yet"))
        async with kamaji(client) as played:
            cluster = await until(client, DPUCluster, NAME, says("Created", "True"))
            assert cluster.spec.kubeconfig == some.SECRET
            assert says("KeepalivedReady", "True")(cluster)
            assert conditions.find(cluster.status.conditions, "KeepalivedReady").reason == "Deployed"
            control_plane = await client.get(TenantControlPlane, NAME, NAMESPACE)
            port = control_plane.spec.networkProfile.port
            service = await until(client, core.Service, NAME, lambda s: (s.spec.ports or [])[0].port == port)
            assert [(p.targetPort, p.nodePort) for p in service.spec.ports] == [(port, port)]
            assert 30000 <= port <= 32767
            await until(client, DPUCluster, NAME, says("Upgraded", "True"))
            before = await versions(client)
            await passes(ours, 5)
            assert await versions(client) == before, "settled with the defaults filled in"
            await spoil(client)
            await until(client, TenantControlPlane, NAME, lambda o: o.spec.controlPlane.deployment.replicas == 3)
            service = await until(client, core.Service, NAME, lambda s: s.spec.type == "NodePort" and s.metadata.labels)
            assert [p.nodePort for p in service.spec.ports] == [port]
            await until(client, core.DaemonSet, f"{NAME}-keepalived", lambda o: _pod(o).get("hostNetwork") is True)
            await until(client, core.ConfigMap, f"{NAME}-keepalived", lambda o: o.data.get("start.sh") != "exit 0")
            played.lets_go = False
            await client.delete(DPUCluster, NAME, NAMESPACE)
            await until(client, DPUCluster, NAME, says("Created", "False", some.KAMAJI_FINALIZER))
            assert (await client.get(core.Service, NAME, NAMESPACE)).metadata.deletionTimestamp is None
            played.lets_go = True
            await until(client, DPUCluster, NAME, lambda obj: obj is None)
        for kind, name in MADE:
            await until(client, kind, name, lambda obj: obj is None)


async def passes(ours: HTTPClient, count: int) -> None:
    """Let the manager look again that often: each look reads the TenantControlPlane once."""
    seen = 0
    enough = asyncio.Event()
    read = ours.get

    async def counted(kind: Any, *given: Any, **named: Any) -> Any:
        nonlocal seen
        seen += kind is TenantControlPlane
        if seen > count:
            enough.set()
        return await read(kind, *given, **named)

    ours.get = counted  # type: ignore[method-assign]
    await asyncio.wait_for(enough.wait(), TIMEOUT_S)
    ours.get = read  # type: ignore[method-assign]


async def spoil(client: HTTPClient) -> None:
    """Edit everything that was made."""
    edits: tuple[tuple[Any, str, dict[str, Any]], ...] = (
        (TenantControlPlane, NAME, {"spec": {"controlPlane": {"deployment": {"replicas": 1}}}}),
        (core.Service, NAME, {"metadata": {"labels": None}}),
        (core.DaemonSet, f"{NAME}-keepalived", {"spec": {"template": {"spec": {"hostNetwork": None}}}}),
        (core.ConfigMap, f"{NAME}-keepalived", {"data": {"start.sh": "exit 0"}}),
    )
    for kind, name, patch in edits:
        await client.patch(kind, name, NAMESPACE, patch=patch)


def _pod(daemonset: Any) -> dict[str, Any]:
    spec: dict[str, Any] = msgspec.to_builtins(daemonset.spec)
    pod: dict[str, Any] = spec["template"]["spec"]
    return pod
