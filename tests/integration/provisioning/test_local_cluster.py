"""A DPUCluster of type dpf/local with real processes: made, joined to, broken, healed, found again, deleted."""

from __future__ import annotations

import asyncio
import base64
import os
import signal

import aiohttp
import pytest
from tests.integration.provisioning.conftest import CLUSTER, TIMEOUT_S, Platform
from tests.support.dpuclusters import NAME, NAMESPACE, a_dpucluster

from dpf.api.core import ConfigMap, Secret
from dpf.api.dpucluster import DPUCluster
from dpf.kube import wait
from dpf.kube.client import Client
from dpf.kube.http import HTTPClient
from dpf.kube.memory import Request
from dpf.local import dpucontrolplane
from dpf.local.controlplane import Store
from dpf.provisioning.dpucluster import kubeconfig, token
from dpf.runtime import conditions

pytestmark = pytest.mark.parts

COMPONENTS = dpucontrolplane.COMPONENTS


async def connect(platform: Platform) -> HTTPClient:
    """As anybody connects who has the DPUCluster: through the Secret that spec.kubeconfig names."""
    cluster = await platform.host.get(DPUCluster, NAME, NAMESPACE)
    access = await kubeconfig.read(platform.host, cluster)
    assert isinstance(access, kubeconfig.Usable)
    return HTTPClient(access.connection)


async def signed_cluster_info(dpu: Client, token_id: str) -> dict[str, str]:
    """cluster-info once the cluster has signed it for a token: what an emulated or real DPU waits for."""
    found = await wait.until(
        dpu, ConfigMap, "cluster-info", "kube-public", timeout_s=TIMEOUT_S,
        accept=lambda info: info is not None and f"jws-kubeconfig-{token_id}" in (info.data or {}),
    )
    assert found is not None
    return found.data or {}


async def keys_in(store: Store) -> int:
    """How many keys there are under the prefix of our cluster."""
    prefix = f"/{dpucontrolplane.cluster_id(CLUSTER)}/".encode()
    body = {
        "key": base64.b64encode(prefix).decode(), "range_end": base64.b64encode(prefix[:-1] + b"0").decode(),
        "count_only": True,
    }
    connector = aiohttp.UnixConnector(path=str(store.socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post("http://etcd/v3/kv/range", json=body) as response,
    ):
        answer = await response.json()
    return int(answer.get("count", 0))


async def test_a_dpucluster_becomes_ready_and_can_be_joined(platform: Platform) -> None:
    async with platform.controllers():
        await platform.host.create(a_dpucluster())
        cluster = await platform.until_phase("Ready")
        dpu = await connect(platform)
        try:
            minted = await token.mint_token(dpu, 600)
            info = await signed_cluster_info(dpu, minted.id)
        finally:
            await dpu.aclose()
    assert cluster.spec.kubeconfig == f"{NAME}-admin-kubeconfig"
    assert cluster.status.version == platform.machine.programs.version
    assert {c.type: c.status for c in cluster.status.conditions or ()} == {"Created": "True", "Ready": "True"}
    ready = conditions.find(cluster.status.conditions, "Ready")
    assert ready is not None
    assert any(word in info["kubeconfig"] for word in ready.message.split() if word.startswith("https://"))


@pytest.mark.parametrize("component", COMPONENTS)
async def test_a_killed_process_is_started_again(platform: Platform, component: str) -> None:
    async with platform.controllers():
        await platform.host.create(a_dpucluster())
        before = await platform.until_phase("Ready")
        process = platform.machine.process(CLUSTER, component)
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        broken = await platform.until_phase("NotReady")
        healed = await platform.until_phase("Ready")
    created = conditions.find(broken.status.conditions, "Created")
    assert created is not None
    assert component in created.message
    assert healed.spec == before.spec
    again = platform.machine.process(CLUSTER, component)
    assert again is not None
    assert again.pid != process.pid


async def test_controllers_that_start_anew_touch_nothing(platform: Platform) -> None:
    async with platform.controllers():
        await platform.host.create(a_dpucluster())
        await platform.until_phase("Ready")
    pids = [platform.machine.process(CLUSTER, component) for component in COMPONENTS]
    writes = len(platform.host.writes)
    looked = asyncio.Semaphore(0)

    def on_request(request: Request) -> None:
        if (request.verb, request.kind) == ("get", "Secret"):
            looked.release()

    platform.host.on_request = on_request
    async with platform.controllers(), asyncio.timeout(TIMEOUT_S):
        for _ in ("DPUClusterController", "LocalClusterManager"):
            await looked.acquire()
    assert [platform.machine.process(CLUSTER, component) for component in COMPONENTS] == pids
    assert platform.host.writes[writes:] == []


async def test_a_deleted_dpucluster_leaves_nothing(platform: Platform) -> None:
    machine = platform.machine
    async with platform.controllers():
        await platform.host.create(a_dpucluster())
        await platform.until_phase("Ready")
        assert await keys_in(machine.store) > 100
        await platform.host.delete(DPUCluster, NAME, NAMESPACE)
        await platform.until_gone()
    assert machine.commands() == []
    assert await keys_in(machine.store) == 0
    assert list((machine.state / "clusters").iterdir()) == []
    assert [path.name for path in (machine.state / "logs").iterdir()] == ["etcd.log"]
    assert platform.host.objects(Secret) == ()
