"""Whole processes of the BFB controller against a real API server and a real server of bundles, killed and started."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from tests.support import apiserver
from tests.support.apiserver import RealAPIServer
from tests.support.bundleserver import a_server

from dpf.api.bfb import BFB, BFBSpec
from dpf.api.core import CustomResourceDefinition
from dpf.api.dpu import DPU
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuset import BFBReference, DPUSet, DPUSetSpec, DPUTemplate, DPUTemplateSpec
from dpf.api.meta import ObjectMeta
from dpf.emulation import bfb as emulated
from dpf.kube import kubeconfig, wait
from dpf.kube.client import Client
from dpf.kube.http import HTTPClient
from dpf.runtime import conditions
from dpf.runtime.faults import EXIT_CODE, VARIABLE

pytestmark = pytest.mark.parts

ROOT = Path(__file__).parents[3]
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAME, NAMESPACE = "bfb-2.9", "default"
FILE = f"{NAMESPACE}-{NAME}.bfb"
BUNDLE = emulated.build(size=8 << 20)
TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAPIServer]:
    with apiserver.running(tmp_path_factory.mktemp("bfb")) as server:
        for kind in (BFB, DPUSet, DPU, DPUCluster):
            path = ROOT / "deploy" / "crds" / f"{kind.resource.group}_{kind.resource.plural}.yaml"
            server.request("POST", CRDS, yaml.safe_load(path.read_text())).expect()
        yield server


@pytest.fixture
async def client(server: RealAPIServer) -> AsyncIterator[Client]:
    client = HTTPClient(kubeconfig.load(server.kubeconfig))
    for kind in (BFB, DPUSet, DPU, DPUCluster):
        await wait.until(
            client, CustomResourceDefinition, kind.resource.qualified_name, timeout_s=TIMEOUT_S,
            accept=lambda crd: wait.condition_is_true(crd, "Established"),
        )
    yield client
    for kind, name in ((DPUSet, "dpuset-dk"), (BFB, NAME)):
        for _ in (await client.list(kind, NAMESPACE)).items:
            await client.patch(kind, name, NAMESPACE, patch={"metadata": {"finalizers": None}})
            await client.delete(kind, name, NAMESPACE)
    await client.aclose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bfb"
    folder.mkdir()
    return folder


@asynccontextmanager
async def a_process(
    server: RealAPIServer, folder: Path, *, lease: str = "-", crash_after: int | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": os.environ["PATH"]}
    if crash_after is not None:
        environment[VARIABLE] = str(crash_after)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.provisioning.bfbprocess", str(server.kubeconfig), lease, str(folder),
        env=environment,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(client: Client, accept: Callable[[BFB], bool]) -> BFB:
    found = await wait.until(
        client, BFB, NAME, NAMESPACE, timeout_s=TIMEOUT_S, accept=lambda bfb: bfb is not None and accept(bfb)
    )
    assert found is not None
    return found


async def until_ready(client: Client) -> BFB:
    return await until(client, lambda bfb: conditions.is_true(bfb.status.conditions, "Ready"))


async def until_gone(client: Client) -> None:
    await wait.until(client, BFB, NAME, NAMESPACE, timeout_s=TIMEOUT_S, accept=lambda bfb: bfb is None)


def a_bfb(url: str) -> BFB:
    return BFB(metadata=ObjectMeta(name=NAME, namespace=NAMESPACE), spec=BFBSpec(url=url))


def contents(folder: Path) -> dict[str, bytes]:
    """Bundles, finished or not."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if ".json" not in path.suffixes}


def is_empty(folder: Path) -> bool:
    return list(folder.iterdir()) == []


async def test_a_life_from_creation_to_deletion(server: RealAPIServer, client: Client, folder: Path) -> None:
    template = DPUTemplate(spec=DPUTemplateSpec(bfb=BFBReference(name=NAME), dpuFlavor="flavor"))
    async with a_server(BUNDLE) as bundles, a_process(server, folder):
        created = await client.create(a_bfb(bundles.url()))
        assert created.status.phase == "Initializing"
        bfb = await until_ready(client)
        assert bfb.status.phase == "Ready"
        assert bfb.status.fileName == FILE
        assert bfb.status.versions is not None
        assert bfb.status.versions.doca == "2.9.3"
        assert contents(folder) == {FILE: BUNDLE}
        await client.create(DPUSet(
            metadata=ObjectMeta(name="dpuset-dk", namespace=NAMESPACE), spec=DPUSetSpec(dpuTemplate=template)
        ))
        await client.delete(BFB, NAME, NAMESPACE)
        held = await until(client, lambda b: (c := conditions.find(b.status.conditions, "Deleted")) is not None
                           and c.status == "False")
        deleted = conditions.find(held.status.conditions, "Deleted")
        assert deleted is not None
        assert deleted.message == (
            f"BFB {NAMESPACE}/{NAME} cannot be deleted, still referenced by DPUSet: dpuset-dk"
        )
        await client.delete(DPUSet, "dpuset-dk", NAMESPACE)
        await until_gone(client)
        assert is_empty(folder)


async def test_killed_in_the_middle_of_a_download_it_goes_on_from_its_checkpoint(
    server: RealAPIServer, client: Client, folder: Path,
) -> None:
    async with a_server(BUNDLE, etag='"v1"') as bundles:
        bundles.hold_after = 5_500_000
        await client.create(a_bfb(bundles.url()))
        async with a_process(server, folder) as process:
            await bundles.reached.wait()
            await _until_written(folder, 5_500_000)
            process.kill()
            await process.wait()
        assert FILE not in contents(folder)
        bundles.hold_after = None
        async with a_process(server, folder):
            await until_ready(client)
        begin = int((bundles.asked[1].range or "").removeprefix("bytes=").removesuffix("-"))
        assert bundles.asked[1].if_range == '"v1"'
        assert 4 << 20 <= begin <= 5_500_000
        assert len(bundles.asked) == 2
    assert contents(folder) == {FILE: BUNDLE}


async def test_the_next_leader_takes_an_unfinished_download_over(
    server: RealAPIServer, client: Client, folder: Path,
) -> None:
    async with a_server(BUNDLE, etag='"v1"') as bundles:
        bundles.hold_after = 3 << 20
        await client.create(a_bfb(bundles.url()))
        async with a_process(server, folder, lease="bfb") as first:
            await bundles.reached.wait()
            await _until_written(folder, 3 << 20)
            async with a_process(server, folder, lease="bfb"):
                first.kill()
                await first.wait()
                bundles.hold_after = None
                await until_ready(client)
        assert [bool(asked.range) for asked in bundles.asked] == [False, True]
    assert contents(folder) == {FILE: BUNDLE}


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
async def test_killed_after_any_write_it_becomes_ready(
    server: RealAPIServer, client: Client, folder: Path, n: int,
) -> None:
    """Finalizer, phase, the download's begin, its publication, Ready."""
    async with a_server(BUNDLE) as bundles:
        await client.create(a_bfb(bundles.url()))
        async with a_process(server, folder, crash_after=n) as process:
            assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == EXIT_CODE
        async with a_process(server, folder):
            await until_ready(client)
    assert contents(folder) == {FILE: BUNDLE}


@pytest.mark.parametrize("n", [1, 2, 3])
async def test_killed_after_any_write_it_is_removed(
    server: RealAPIServer, client: Client, folder: Path, n: int,
) -> None:
    """The files, the condition Deleted, the finalizer."""
    async with a_server(BUNDLE) as bundles:
        await client.create(a_bfb(bundles.url()))
        async with a_process(server, folder):
            await until_ready(client)
        await client.delete(BFB, NAME, NAMESPACE)
        async with a_process(server, folder, crash_after=n) as process:
            assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == EXIT_CODE
        async with a_process(server, folder):
            await until_gone(client)
    assert is_empty(folder)


async def _until_written(folder: Path, size: int) -> None:
    """Until the unfinished file has all that was sent."""
    async with asyncio.timeout(TIMEOUT_S):
        for _ in range(10_000):
            if any(len(data) == size for data in contents(folder).values()):
                return
            await asyncio.sleep(0.005)
    raise AssertionError("not written")
