"""Registration, DPUNodes, DPUDevices and maintenances against a real API server, with no more rights than they declare.

What the in-memory cluster cannot vouch for: that what we make passes the schemas of the CRDs, that a budget refuses an
eviction, and that settled objects are settled also with the defaults that the API server fills in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.support import grants
from tests.support import maintenances as some
from tests.support.apiserver import RealAPIServer
from tests.support.world import NAMESPACE

from dpf.api import core
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import ObjectMeta
from dpf.api.upkeep import PodDisruptionBudget
from dpf.kube import kubeconfig, wait
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.http import HTTPClient
from dpf.local import resources
from dpf.local.platform import manifests
from dpf.provisioning.dpudevice.controller import DPUDeviceController
from dpf.provisioning.dpunode.controller import DPUNodeController
from dpf.provisioning.dpunode.registration.controller import DPURegistrationController
from dpf.provisioning.maintenance.controller import DPUNodeMaintenanceController
from dpf.runtime import conditions
from dpf.runtime.clock import SystemClock
from dpf.runtime.manager import Manager

pytestmark = pytest.mark.parts

HOST = "drained-host"
TIMEOUT_S = 60.0
CONTROLLERS = (
    DPURegistrationController, DPUDeviceController, DPUNodeController, DPUNodeMaintenanceController,
)


@pytest.fixture
async def client(real_api_server: RealAPIServer) -> AsyncIterator[HTTPClient]:
    """The administrator of a cluster with our CRDs and namespaces."""
    client = HTTPClient(kubeconfig.load(real_api_server.kubeconfig), name="host")
    crds = [
        obj for path in sorted(resources.folder("crds").glob("*.yaml")) for obj in manifests.read(path)
        if isinstance(obj, core.CustomResourceDefinition)
    ]
    try:
        await manifests.ensure_crds(client, crds)
        for name in (NAMESPACE, "apps"):
            await client.apply(core.Namespace(metadata=ObjectMeta(name=name)), field_owner="tests")
            account = core.ServiceAccount(metadata=ObjectMeta(name="default", namespace=name))
            await client.apply(account, field_owner="tests")
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def controllers(client: HTTPClient) -> AsyncIterator[None]:
    """One process with our rights."""
    permissions = tuple(permission for controller in CONTROLLERS for permission in controller.permissions)
    content = await grants.grant(client, "dpunode-tests", NAMESPACE, permissions)
    ours = HTTPClient(kubeconfig.from_secret(content, source="tests"), name="host")
    registry = ClusterRegistry(ours)
    manager = Manager(registry, ours, [
        DPURegistrationController(clusters=registry), DPUDeviceController(clusters=registry),
        DPUNodeController(clusters=registry, clock=SystemClock()), DPUNodeMaintenanceController(clusters=registry),
    ])
    registry.start()
    running = asyncio.create_task(manager.run())
    try:
        yield
    finally:
        await manager.stop(running)
        await registry.aclose()


def _is(type_: str, status: str, text: str = "") -> Any:
    """Whether an object has that condition, with that text in its message."""
    def accept(obj: Any) -> bool:
        found = conditions.find(obj.status.conditions, type_) if obj is not None else None
        return found is not None and found.status == status and text in found.message

    return accept


async def test_host_is_registered_drained_against_a_budget_and_goes(client: HTTPClient) -> None:
    features = {"dpu-0-pci-address": "0000-04-00", "dpu-0-pf0-name": "ens1f0np0"}
    labels = {f"feature.node.kubernetes.io/{name}": value for name, value in features.items()}
    await client.apply(core.Node(metadata=ObjectMeta(name=HOST, labels=labels)), field_owner="tests")
    pod = msgspec.structs.replace(
        some.a_pod("db-0", node=HOST, labels={"app": "db"}), status=core.PodStatus(),
        metadata=ObjectMeta(name="db-0", namespace="apps", labels={"app": "db"}),
    )
    pod = msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, terminationGracePeriodSeconds=0))
    await client.apply(pod, field_owner="tests")
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    await client.patch(core.Pod, "db-0", "apps", patch={"status": ready}, subresource="status")
    await client.apply(
        PodDisruptionBudget(metadata=ObjectMeta(name="db-budget", namespace="apps"), spec=some.a_budget().spec),
        field_owner="tests",
    )
    async with controllers(client):
        device = f"{HOST}-0000-04-00"
        await until(client, DPUDevice, device, _is("Ready", "True"))
        dpunode = await until(client, DPUNode, HOST, _is("Ready", "True"))
        assert dpunode.status.kubeNodeRef == HOST
        asked = some.a_maintenance({"drain": True}, dpunode=HOST)
        meta = ObjectMeta(name=asked.metadata.name, namespace=NAMESPACE)
        await client.create(DPUNodeMaintenance(metadata=meta, spec=asked.spec))
        held = "PodDisruptionBudget apps/db-budget allows no eviction of pod apps/db-0 now"
        await until(client, DPUNodeMaintenance, meta.name, _is("NodeEffectApplied", "False", held))
        assert (await client.get(core.Node, HOST)).spec.unschedulable is True
        room = {
            "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2,
            "observedGeneration": 1,
        }
        await client.patch(
            PodDisruptionBudget, "db-budget", "apps", patch={"status": room}, subresource="status"
        )
        await until(client, DPUNodeMaintenance, meta.name, _is("NodeEffectApplied", "True"))
        assert (await client.list(core.Pod, "apps")).items == ()
        await until(client, DPUNode, HOST, _is("Ready", "False"))
    before = await versions(client)
    async with controllers(client):
        fence = {"feature.node.kubernetes.io/dpu-0-pci-address": "0000-05-00"}
        await client.apply(core.Node(metadata=ObjectMeta(name="fence", labels=fence)), field_owner="tests")
        await until(client, DPUNode, "fence", _is("Ready", "True"))
        await until(client, DPUDevice, "fence-0000-05-00", _is("Ready", "True"))
        assert {name: v for name, v in (await versions(client)).items() if "fence" not in name} == before
        await client.patch(DPUNodeMaintenance, meta.name, NAMESPACE, patch={"spec": {"requestor": []}})
        await until(client, DPUNodeMaintenance, meta.name, lambda obj: obj is None)
        assert not (await client.get(core.Node, HOST)).spec.unschedulable
        for name, card in ((HOST, device), ("fence", "fence-0000-05-00")):
            await client.delete(core.Node, name)
            await until(client, DPUNode, name, lambda obj: obj is None)
            await until(client, DPUDevice, card, lambda obj: obj is None)


async def until(client: HTTPClient, kind: Any, name: str, accept: Any) -> Any:
    return await wait.until(client, kind, name, NAMESPACE, accept=accept, timeout_s=TIMEOUT_S)


async def versions(client: HTTPClient) -> dict[str, str | None]:
    """What changes when one of our objects is written."""
    kinds: tuple[Any, ...] = (DPUNode, DPUDevice, DPUNodeMaintenance)
    return {
        f"{kind.__name__} {obj.metadata.name}": obj.metadata.resourceVersion
        for kind in kinds for obj in (await client.list(kind, NAMESPACE)).items
    }
