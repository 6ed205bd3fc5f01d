"""Whole controller processes against a real API server: working, settling, being killed, waiting for one another."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.scenario.runtime.toy import FINALIZER, NAMESPACE, OWNER_LABEL, Toy, a_toy
from tests.support.apiserver import RealAPIServer

from dpf.api.core import ConfigMap, CustomResourceDefinition, Lease, Namespace
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import ObjectMeta
from dpf.kube import errors, kubeconfig, wait
from dpf.kube.client import Client
from dpf.kube.http import HTTPClient
from dpf.runtime.faults import EXIT_CODE, VARIABLE

pytestmark = pytest.mark.parts

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 20.0


@pytest.fixture
async def client(real_api_server: RealAPIServer) -> AsyncIterator[Client]:
    client = HTTPClient(kubeconfig.load(real_api_server.kubeconfig))
    for kind in (Toy, DPUCluster):
        await _ensure(client, _crd(kind))
        await wait.until(
            client, CustomResourceDefinition, kind.resource.qualified_name, timeout_s=TIMEOUT_S,
            accept=lambda crd: wait.condition_is_true(crd, "Established"),
        )
    await _ensure(client, Namespace(metadata=ObjectMeta(name=NAMESPACE)))
    yield client
    for toy in (await client.list(Toy, NAMESPACE)).items:
        await client.patch(Toy, toy.metadata.name, NAMESPACE, patch={"metadata": {"finalizers": None}})
        await _gone(client, Toy, toy.metadata.name)
    for obj in (await client.list(ConfigMap, NAMESPACE, labels=OWNER_LABEL)).items:
        await client.delete(ConfigMap, obj.metadata.name, NAMESPACE)
    await client.aclose()


@asynccontextmanager
async def a_process(
    server: RealAPIServer, *, lease: str = "-", crash_after: int | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": os.environ["PATH"]}
    if crash_after is not None:
        environment[VARIABLE] = str(crash_after)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.runtime.toyprocess", str(server.kubeconfig), lease, "",
        env=environment,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until_ready(client: Client, content: str = "1") -> Toy:
    found = await wait.until(
        client, Toy, "toy", NAMESPACE, timeout_s=TIMEOUT_S, accept=lambda toy: toy is not None
        and wait.condition_is_true(toy, "Ready") and (toy.status.parts or {}).get("a") == content,
    )
    assert found is not None
    return found


async def stop(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == 0


async def contents(client: Client) -> dict[str, Any]:
    found = await client.list(ConfigMap, NAMESPACE, labels=OWNER_LABEL)
    return {obj.metadata.name: obj.data for obj in found.items}


async def test_a_life_from_creation_to_deletion(real_api_server: RealAPIServer, client: Client) -> None:
    async with a_process(real_api_server) as process:
        await client.create(a_toy(parts={"a": "1", "b": "2"}))
        toy = await until_ready(client)
        assert toy.metadata.finalizers == [FINALIZER]
        assert toy.status.observedGeneration == toy.metadata.generation
        assert await contents(client) == {"toy-a": {"content": "1"}, "toy-b": {"content": "2"}}
        await client.patch(Toy, "toy", NAMESPACE, patch={"spec": {"parts": {"a": "9", "b": None}}})
        await until_ready(client, "9")
        await wait.until(client, ConfigMap, "toy-b", NAMESPACE, accept=lambda obj: obj is None, timeout_s=TIMEOUT_S)
        await client.delete(Toy, "toy", NAMESPACE)
        await wait.until(client, Toy, "toy", NAMESPACE, accept=lambda obj: obj is None, timeout_s=TIMEOUT_S)
        assert await contents(client) == {}
        await stop(process)


async def test_a_restarted_process_writes_nothing_to_a_settled_object(
    real_api_server: RealAPIServer, client: Client,
) -> None:
    await client.create(a_toy(parts={"a": "1"}))
    async with a_process(real_api_server) as process:
        await until_ready(client)
        await stop(process)
    before = await client.get(Toy, "toy", NAMESPACE), await client.list(ConfigMap, NAMESPACE)
    # It would crash at its first write; instead it comes to the end of its work and obeys the signal.
    async with a_process(real_api_server, lease="restarted", crash_after=1) as process:
        await wait.until(
            client, Lease, "restarted", "default", timeout_s=TIMEOUT_S,
            accept=lambda lease: lease is not None and bool(lease.spec.holderIdentity),
        )
        await client.create(a_toy("marker", finalizers=[FINALIZER]))
        assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == EXIT_CODE
    marker = await client.get(Toy, "marker", NAMESPACE)
    assert marker.status.conditions, "the crash came from the marker, which was looked at after the settled object"
    after = await client.get(Toy, "toy", NAMESPACE), await client.list(ConfigMap, NAMESPACE)
    assert (after[0], after[1].items) == (before[0], before[1].items)


async def test_killed_after_every_write_it_converges(real_api_server: RealAPIServer, client: Client) -> None:
    """Creation takes four writes and deletion four; each start dies after its first one, and the last finds no work."""
    await client.create(a_toy(parts={"a": "1", "b": "2"}))
    for _ in range(4):
        async with a_process(real_api_server, crash_after=1) as process:
            assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == EXIT_CODE
    await until_ready(client)
    assert await contents(client) == {"toy-a": {"content": "1"}, "toy-b": {"content": "2"}}
    await client.delete(Toy, "toy", NAMESPACE)
    for _ in range(4):
        async with a_process(real_api_server, crash_after=1) as process:
            assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == EXIT_CODE
    await wait.until(client, Toy, "toy", NAMESPACE, accept=lambda obj: obj is None, timeout_s=TIMEOUT_S)
    assert await contents(client) == {}


async def test_the_second_process_takes_over_when_the_first_one_leaves(
    real_api_server: RealAPIServer, client: Client,
) -> None:
    await client.create(a_toy(parts={"a": "1"}))
    async with a_process(real_api_server, lease="takeover") as first:
        await until_ready(client)
        holder = (await client.get(Lease, "takeover", "default")).spec.holderIdentity
        async with a_process(real_api_server, lease="takeover") as second:
            await stop(first)
            lease = await wait.until(
                client, Lease, "takeover", "default", timeout_s=TIMEOUT_S,
                accept=lambda lease: lease is not None and lease.spec.holderIdentity not in ("", holder),
            )
            assert lease is not None
            assert f"_{second.pid}_" in (lease.spec.holderIdentity or "")
            await client.patch(Toy, "toy", NAMESPACE, patch={"spec": {"parts": {"a": "2"}}})
            await until_ready(client, "2")
            await stop(second)


async def _ensure(client: Client, obj: CustomResourceDefinition | Namespace) -> None:
    try:
        await client.create(obj)
    except errors.AlreadyExists:
        return


async def _gone(client: Client, kind: type[Toy], name: str) -> None:
    try:
        await client.delete(kind, name, NAMESPACE)
    except errors.NotFound:
        return


def _crd(kind: type[Toy] | type[DPUCluster]) -> CustomResourceDefinition:
    """A CRD without a schema: what is tested here is the runtime."""
    resource = kind.resource
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return CustomResourceDefinition(
        metadata=ObjectMeta(name=resource.qualified_name),
        spec={
            "group": resource.group, "scope": "Namespaced",
            "names": {"kind": resource.kind, "plural": resource.plural, "singular": resource.kind.lower()},
            "versions": [{
                "name": resource.version, "served": True, "storage": True, "subresources": {"status": {}},
                "schema": schema,
            }],
        },
    )
