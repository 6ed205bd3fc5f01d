"""The server of bundles: any name, with the versions that stand in it; no other file of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from dpf.emulation.hardware import bundles
from dpf.emulation.hardware.bundles import BundleServer
from dpf.provisioning.bfb.bundle import Scanner


@pytest_asyncio.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    server = BundleServer(tmp_path / "bundles", port=0)
    await server.start()
    yield f"http://127.0.0.1:{server.port}"
    await server.stop()


async def fetch(url: str, **headers: str) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize(("name", "doca"), [
    ("bf-bundle-2.9.1.bfb", "2.9.1008-1"), ("bfb-2.9.0.bfb", "2.9.0008-1"),
    ("bf-bundle-2.9.0-33_24.04_ubuntu-22.04_unsigned.bfb", "2.9.0008-1"), ("bf-bundle-3.2.1-34.bfb", "3.2.1008-1"),
    ("bundle.bfb", "2.9.3008-1"), ("v1.2.345.bfb", "2.9.3008-1"), ("ubuntu-22.04.bfb", "2.9.3008-1"),
])
def test_versions_come_from_the_name(name: str, doca: str) -> None:
    assert bundles.versions_in(name).doca == doca


async def test_a_bundle_is_whole_and_always_the_same(url: str) -> None:
    status, content = await fetch(f"{url}/some/folder/bf-bundle-2.9.1.bfb")
    assert (status, len(content)) == (200, bundles.SIZE)
    scanner = Scanner()
    scanner.feed(content)
    inventory, _ = scanner.finish()
    assert inventory is not None
    assert (await fetch(f"{url}/bf-bundle-2.9.1.bfb"))[1] == content
    assert (await fetch(f"{url}/bf-bundle-2.9.2.bfb"))[1] != content


async def test_a_download_can_be_resumed(url: str) -> None:
    _, content = await fetch(f"{url}/a.bfb")
    assert await fetch(f"{url}/a.bfb", Range="bytes=1000-") == (206, content[1000:])


@pytest.mark.parametrize("path", ["/", "/a.txt", "/..%2f..%2fetc%2fpasswd", "/../room.bfb/..", "/.bfb", "/%00.bfb"])
async def test_there_is_nothing_else(url: str, path: str) -> None:
    assert (await fetch(url + path))[0] == 404
