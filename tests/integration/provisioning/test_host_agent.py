"""The agent's program on a host of a real cluster, with the account that `deploy/host-agent` gives it.

What the in-memory cluster cannot vouch for: that its watches may be narrowed as they are, that its rights are enough,
and that a process that goes down with its host finds everything again.
"""

from __future__ import annotations

import asyncio
import base64
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support import rebootinghosts as some
from tests.support.apiserver import RealAPIServer
from tests.support.rebootinghosts import HOST
from tests.support.world import NAMESPACE

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.dpunode import DPUNode
from dpf.api.meta import ObjectMeta
from dpf.kube import kubeconfig, wait
from dpf.kube.http import HTTPClient
from dpf.local import resources
from dpf.local.platform import manifests

pytestmark = pytest.mark.parts

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "host-agent"
TIMEOUT_S = 30.0
RESTART = """
import os, signal, sys
open(sys.argv[1], "w").write("two")
open(sys.argv[2], "a").write(sys.argv[3])
os.kill(os.getppid(), signal.SIGKILL)
"""


@pytest.fixture
async def client(real_api_server: RealAPIServer) -> AsyncIterator[HTTPClient]:
    """The administrator of a cluster with our CRDs."""
    client = HTTPClient(kubeconfig.load(real_api_server.kubeconfig), name="host")
    crds = [
        obj for path in sorted(resources.folder("crds").glob("*.yaml")) for obj in manifests.read(path)
        if isinstance(obj, core.CustomResourceDefinition)
    ]
    try:
        await manifests.ensure_crds(client, crds)
        await client.apply(core.Namespace(metadata=ObjectMeta(name=NAMESPACE)), field_owner="tests")
        yield client
        for kind in (DPU, DPUNode):
            for obj in (await client.list(kind, NAMESPACE)).items:
                await client.delete(kind, obj.metadata.name, NAMESPACE)
    finally:
        await client.aclose()


async def agent_kubeconfig(client: HTTPClient) -> bytes:
    """The kubeconfig of the agent's own account."""
    for obj in manifests.read(FOLDER / "rbac.yaml"):
        await client.apply(obj, field_owner="tests")
    given = await client.create_subresource(
        core.ServiceAccount, "dpf-host-agent", NAMESPACE, subresource="token",
        body=core.TokenRequest(metadata=ObjectMeta()),
    )
    authority = base64.b64encode(client.endpoint.ca_pem or b"").decode()
    return msgspec.json.encode({
        "clusters": [{"name": "host", "cluster": {
            "server": client.endpoint.server, "certificate-authority-data": authority,
        }}],
        "users": [{"name": "us", "user": {"token": given.status.token}}],
        "contexts": [{"name": "x", "context": {"cluster": "host", "user": "us"}}], "current-context": "x",
    })


async def start_agent(folder: Path) -> asyncio.subprocess.Process:
    """One process of the agent. When it restarts its host, that has another boot id, and the process dies with it."""
    (folder / "restart.py").write_text(RESTART)
    restart = f"{sys.executable} {folder}/restart.py {folder}/boot_id {folder}/restarts {{node}}"
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dpf.hostagent", "--node", HOST, "--kubeconfig", str(folder / "kubeconfig"),
        "--restart-command", restart, "reboot", "--boot-id-file", str(folder / "boot_id"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )


async def log_of(process: asyncio.subprocess.Process) -> str:
    """What the process has said, when it has ended."""
    async with asyncio.timeout(TIMEOUT_S):
        output, _ = await process.communicate()
    return output.decode()


async def wait_to_be_rebooted(client: HTTPClient, dpu: DPU) -> None:
    """A DPU that has come so far."""
    await client.apply(DPU(metadata=dpu.metadata, spec=dpu.spec), field_owner="tests")
    status = {"phase": "Rebooting", "rebootStatus": {"method": "SystemLevelReset"}}
    await client.patch(DPU, dpu.metadata.name, NAMESPACE, patch={"status": status}, subresource="status")


async def until(client: HTTPClient, kind: type[Any], name: str, accept: Any) -> None:
    await wait.until(client, kind, name, NAMESPACE, timeout_s=TIMEOUT_S, accept=accept)


def is_told(phase: str) -> Any:
    return lambda dpu: dpu is not None and dpu.status.rebootStatus and dpu.status.rebootStatus.phase == phase


async def test_host_is_restarted_once_across_processes(client: HTTPClient, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_bytes(await agent_kubeconfig(client))
    (tmp_path / "boot_id").write_text("one")
    dpunode = some.a_dpunode()
    await client.apply(DPUNode(metadata=dpunode.metadata, spec=dpunode.spec), field_owner="tests")
    other = some.a_dpunode("worker-2")
    await client.apply(DPUNode(metadata=other.metadata, spec=other.spec), field_owner="tests")
    await wait_to_be_rebooted(client, some.a_dpu("of-another-host", host="worker-2"))
    process = await start_agent(tmp_path)
    await wait_to_be_rebooted(client, some.a_dpu("a"))
    logs = await log_of(process)
    assert process.returncode == -signal.SIGKILL, logs
    await until(client, DPU, "a", is_told("Pending"))
    dpunode = await client.get(DPUNode, HOST, NAMESPACE)
    assert dpunode.status.rebootInProgress is True
    process = await start_agent(tmp_path)
    await until(client, DPU, "a", is_told("Succeeded"))
    await until(client, DPUNode, HOST, lambda d: not any(
        "host-agent-reboot" in key for key in d.metadata.annotations or {}
    ))
    process.terminate()
    logs += await log_of(process)
    assert process.returncode == 0, logs
    assert "forbidden" not in logs
    assert "because of a bug" not in logs
    assert (tmp_path / "restarts").read_text() == HOST
    untold = await client.get(DPU, "of-another-host", NAMESPACE)
    assert untold.status.rebootStatus is not None
    assert untold.status.rebootStatus.phase is None
