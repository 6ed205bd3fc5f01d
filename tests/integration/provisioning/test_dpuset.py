"""The DPUSet controller against a real API server, with no more rights than it declares.

What the in-memory cluster cannot vouch for: that DPUs pass the schema and the rules of their CRD, that every patch is
one the API server takes, and that a settled set is settled also with the defaults that the API server fills in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from tests.support import dpusets as some
from tests.support import grants
from tests.support.apiserver import RealAPIServer
from tests.support.platform import EXAMPLES
from tests.support.world import NAMESPACE

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Object, ObjectMeta
from dpf.kube import errors, kubeconfig, wait
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.http import HTTPClient
from dpf.local import resources
from dpf.local.platform import manifests
from dpf.provisioning.dpuset.controller import DPUSetController
from dpf.runtime.clock import SystemClock
from dpf.runtime.conditions import find
from dpf.runtime.manager import Manager

pytestmark = pytest.mark.parts

TIMEOUT_S = 60.0
LABEL = "e2e.servers/dk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The host cluster for its users, and the kubeconfig of our controller."""

    client: HTTPClient
    ours: bytes = field(repr=False)

    async def put(self, *objects: Any) -> None:
        """Users apply these; a status, if there is one, comes from controllers that are not here."""
        for obj in objects:
            meta = ObjectMeta(name=obj.metadata.name, namespace=NAMESPACE, labels=obj.metadata.labels)
            await self.client.apply(type(obj)(metadata=meta, spec=obj.spec), field_owner="user")
            status = msgspec.to_builtins(obj.status)
            if status:
                await self.client.patch(
                    type(obj), meta.name, NAMESPACE, patch={"status": status}, subresource="status"
                )

    async def dpus(self) -> dict[str, DPU]:
        return {dpu.metadata.name: dpu for dpu in (await self.client.list(DPU, NAMESPACE)).items}

    async def until(self, kind: type[Object], name: str, accept: Any) -> Any:
        return await wait.until(self.client, kind, name, NAMESPACE, accept=accept, timeout_s=TIMEOUT_S)

    async def until_ready(self, name: str = some.SET) -> DPUSet:
        """The DPUSet, when it is Ready as it is now."""
        found: DPUSet = await self.until(DPUSet, name, _is_ready)
        return found

    async def change(self, **spec: Any) -> None:
        """A user changes the template."""
        patch = {"spec": {"dpuTemplate": {"spec": spec}}}
        await self.client.patch(DPUSet, some.SET, NAMESPACE, patch=patch, field_owner="user")


def _is_ready(dpuset: DPUSet | None) -> bool:
    ready = find(dpuset.status.conditions, "Ready") if dpuset is not None else None
    return (
        dpuset is not None and ready is not None and ready.status == "True"
        and ready.observedGeneration == dpuset.metadata.generation
    )


@pytest.fixture
async def host(real_api_server: RealAPIServer) -> AsyncIterator[Host]:
    """CRDs of the group, two hosts of three that the example selects, and our rights."""
    client = HTTPClient(kubeconfig.load(real_api_server.kubeconfig), name="host")
    crds = [
        obj for path in sorted(resources.folder("crds").glob("*.yaml")) for obj in manifests.read(path)
        if isinstance(obj, core.CustomResourceDefinition)
    ]
    try:
        await manifests.ensure_crds(client, crds)
        await client.apply(core.Namespace(metadata=ObjectMeta(name=NAMESPACE)), field_owner="tests")
        content = await grants.grant(client, "dpuset-tests", NAMESPACE, DPUSetController.permissions)
        host = Host(client=client, ours=content)
        for n in (1, 2, 3):
            labels = {LABEL: "true"} if n < 3 else {}
            await host.put(some.a_node(f"worker{n}", **labels), some.a_device(f"mt{n}", f"worker{n}"))
        yield host
        for kind in (DPUSet, DPU, DPUDevice, DPUNode):
            for obj in (await client.list(kind, NAMESPACE)).items:
                patch = {"metadata": {"finalizers": None}}
                with suppress(errors.NotFound):  # one that is being deleted goes with its finalizer
                    await client.patch(kind, obj.metadata.name, NAMESPACE, patch=patch)
                    await client.delete(kind, obj.metadata.name, NAMESPACE)
    finally:
        await client.aclose()


@asynccontextmanager
async def at_work(host: Host) -> AsyncIterator[None]:
    """Our process, and somebody who installs every DPU at once, until the block ends."""
    client = HTTPClient(kubeconfig.from_secret(host.ours, source="ours"), name="host")
    registry = ClusterRegistry(client)
    controller = DPUSetController(clusters=registry, clock=SystemClock(), version=some.VERSION)
    manager = Manager(registry, client, [controller])
    registry.start()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await registry.host.cache.wait_synced()
        running, installing = asyncio.create_task(manager.run()), asyncio.create_task(_install(host))
        try:
            yield
        finally:
            installing.cancel()
            await asyncio.gather(installing, return_exceptions=True)
            await manager.stop(running)
    finally:
        await registry.aclose()


async def _install(host: Host) -> None:
    listing = await host.client.list(DPU, NAMESPACE)
    for dpu in listing.items:
        await _install_one(host, dpu)
    async for events in host.client.watch(DPU, NAMESPACE, resource_version=listing.resource_version):
        for event in events:
            if event.object is not None and event.type != "DELETED":
                await _install_one(host, event.object)


async def _install_one(host: Host, dpu: DPU) -> None:
    if some.is_installed(dpu) or dpu.metadata.deletionTimestamp is not None:
        return
    ready = {
        "type": "Ready", "status": "True", "reason": "DPUReady", "message": "", "lastTransitionTime": some.LONG_AGO,
    }
    status = {"phase": "Ready", "observedGeneration": dpu.metadata.generation, "conditions": [ready]}
    await host.client.patch(DPU, dpu.metadata.name, NAMESPACE, patch={"status": status}, subresource="status")


async def _versions(host: Host) -> dict[str, str | None]:
    """What everything is at; nothing moves while nobody writes."""
    objects = [*(await host.client.list(DPUSet, NAMESPACE)).items, *(await host.dpus()).values()]
    return {f"{type(obj).__name__} {obj.metadata.name}": obj.metadata.resourceVersion for obj in objects}


async def test_the_example_from_nothing_through_every_change_to_its_end(host: Host) -> None:
    async with at_work(host):
        await host.put(msgspec.yaml.decode((EXAMPLES / "001-dpuset-dk.yaml").read_bytes(), type=DPUSet))
        dpuset = await host.until_ready()
        assert dpuset.status.dpuStatistics == {"Ready": 2}
        first = await host.dpus()
        assert list(first) == ["worker1-mt1", "worker2-mt2"]

        await host.change(cluster={"nodeLabels": {"bfb": None, "zone": "x"}, "nodeAnnotations": {"a": "b"}})
        await host.until_ready()
        clusters = [dpu.spec.cluster for dpu in (await host.dpus()).values() if dpu.spec is not None]
        assert [{"bfb", "zone"} & set(c.nodeLabels or {}) for c in clusters if c is not None] == [{"zone"}, {"zone"}]

        await host.change(nodeEffect={"taint": None, "hold": True, "applyOnLabelChange": True})
        await host.until_ready()
        same = await host.dpus()
        assert {dpu.metadata.uid for dpu in same.values()} == {dpu.metadata.uid for dpu in first.values()}

        await host.change(bfb={"name": "another"})
        await host.until_ready()
        second = await host.dpus()
        assert {dpu.spec.bfb for dpu in second.values() if dpu.spec is not None} == {"another"}
        assert not {d.metadata.uid for d in second.values()} & {d.metadata.uid for d in first.values()}

        on_delete = {"spec": {"strategy": {"type": "OnDelete", "rollingUpdate": None}}}
        await host.client.patch(DPUSet, some.SET, NAMESPACE, patch=on_delete)
        await host.change(dpuFlavor="another")
        marked = await host.until(DPU, "worker2-mt2", lambda dpu: dpu.status.outdated is not None)
        assert marked.status.outdated.reason == "OutdatedDPUFlavor"
        assert "wants another" in marked.status.outdated.message
        await host.change(dpuFlavor="dpf-provisioning-hbn-ovn")
        await host.until(DPU, "worker2-mt2", lambda dpu: dpu.status.outdated is None)
        await host.until_ready()

        await host.client.delete(DPUSet, some.SET, NAMESPACE)
        await host.until(DPUSet, some.SET, lambda dpuset: dpuset is None)
        assert await host.dpus() == {}


async def test_a_settled_set_is_left_alone_by_a_new_process(host: Host) -> None:
    async with at_work(host):
        await host.put(msgspec.yaml.decode((EXAMPLES / "001-dpuset-dk.yaml").read_bytes(), type=DPUSet))
        await host.until_ready()
    before = await _versions(host)
    async with at_work(host):
        await host.put(some.a_dpuset("another", dpuNodeSelector={"matchLabels": {"nobody": "has"}}))
        await host.until_ready("another")
    after = await _versions(host)
    assert {name: version for name, version in after.items() if "another" not in name} == before


async def test_two_sets_at_once_make_one_dpu_for_each_device(host: Host) -> None:
    async with at_work(host):
        await host.put(some.a_dpuset("first"), some.a_dpuset("second"))
        for name in ("first", "second"):
            await host.until(
                DPUSet, name, lambda s: (c := find(s.status.conditions, "Ready")) is not None
                and (c.status == "True" or "cannot be provisioned" in c.message)
            )
        dpus = await host.dpus()
    assert list(dpus) == ["worker1-mt1", "worker2-mt2", "worker3-mt3"]
    assert all(len(dpu.metadata.ownerReferences or ()) == 1 for dpu in dpus.values())


async def test_two_sets_that_want_the_same_devices(host: Host) -> None:
    async with at_work(host):
        await host.put(some.a_dpuset("first"))
        await host.until_ready("first")
        await host.put(some.a_dpuset("second"))
        waiting = await host.until(
            DPUSet, "second", lambda s: (c := find(s.status.conditions, "Ready")) is not None and "3/3" in c.message
        )
        ready = find(waiting.status.conditions, "Ready")
        assert ready is not None
        assert ready.message.startswith("3/3 DPU(s) cannot be provisioned, owned by another DPUSet")
        owners = {o.name for dpu in (await host.dpus()).values() for o in dpu.metadata.ownerReferences or ()}
        assert owners == {"first"}
        await host.client.delete(DPUSet, "first", NAMESPACE)
        await host.until_ready("second")
        labels = {key for dpu in (await host.dpus()).values() for key in dpu.metadata.labels or {}}
        assert not any("collision" in key for key in labels)
