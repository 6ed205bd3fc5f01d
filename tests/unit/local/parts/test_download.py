"""A release is used only if it is the pinned one, and nothing half done is left behind."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import ssl
import tarfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from tests.unit.local.parts.shop import Shop

from dpf.local.parts import cache, download, recipes
from dpf.local.parts.errors import StepFailed
from dpf.local.parts.table import Part, Release
from dpf.local.pki import services

PROGRAM = b"#!/bin/sh\necho etcd\n" * 1000


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo("etcd-9.9/etcd")
        entry.size = len(PROGRAM)
        tar.addfile(entry, io.BytesIO(PROGRAM))
        folder = tarfile.TarInfo("etcd-9.9/folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    return buffer.getvalue()


class Site:
    """Official releases, on https."""

    def __init__(self) -> None:
        self.url = ""
        self.ssl = ssl.create_default_context()
        self.archive = archive()

    def part(self, path: str, content: bytes, member: str | None = None, sha256: str | None = None) -> Part:
        checksum = sha256 or hashlib.sha256(content).hexdigest()
        release = Release(url=f"{self.url}{path}", sha256={"amd64": checksum}, member=member)
        return Part(name="etcd", version="9.9", release=release)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    one = Site()
    made = services.ensure_serving(tmp_path / "tls", "site", ("127.0.0.1",), datetime.now(UTC))
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(made.certificate, made.key)
    one.ssl = ssl.create_default_context(cafile=str(made.authority))

    async def answer(request: web.Request) -> web.Response:
        match request.path:
            case "/v9.9/amd64/etcd":
                return web.Response(body=PROGRAM)
            case "/etcd.tar.gz":
                return web.Response(body=one.archive)
            case "/to-http":
                raise web.HTTPFound(f"http://127.0.0.1:{plain}/v9.9/amd64/etcd")
            case "/to-https":
                raise web.HTTPFound("/v9.9/amd64/etcd")
        raise web.HTTPNotFound

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving).start()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port, plain = (address[1] for address in runner.addresses)
    one.url = f"https://127.0.0.1:{port}"
    yield one
    await runner.cleanup()


async def fetch(shop: Shop, site: Site, part: Part) -> Path:
    return await download.fetch(part, shop.options(), lambda _: None, ssl=site.ssl)


def leftovers(shop: Shop) -> list[str]:
    return [path.name for path in shop.cache.iterdir()]


@pytest.mark.parametrize("path", ["/v{version}/{arch}/etcd", "/to-https"])
async def test_the_pinned_release_is_cached(shop: Shop, site: Site, path: str) -> None:
    part = site.part(path, PROGRAM)
    program = await fetch(shop, site, part)
    assert program.read_bytes() == PROGRAM
    assert program.stat().st_mode & 0o111
    assert cache.find(shop.cache, part, recipes.accepted(part, "amd64")) == program
    assert leftovers(shop) == ["etcd-9.9"]


async def test_a_member_is_taken_out_of_an_archive(shop: Shop, site: Site) -> None:
    part = site.part("/etcd.tar.gz", site.archive, "etcd-{version}/etcd")
    assert (await fetch(shop, site, part)).read_bytes() == PROGRAM


async def test_another_pinned_checksum_means_another_download(shop: Shop, site: Site) -> None:
    part = site.part("/v9.9/amd64/etcd", PROGRAM)
    await fetch(shop, site, part)
    other = site.part("/v9.9/amd64/etcd", b"other")
    assert cache.find(shop.cache, other, recipes.accepted(other, "amd64")) is None


@pytest.mark.parametrize(
    ("path", "content", "member", "message"),
    [
        ("/v9.9/amd64/etcd", b"something else", None, "it is not used"),
        ("/absent", b"", None, "answered 404"),
        ("/to-http", PROGRAM, None, "only https is followed"),
        ("/etcd.tar.gz", None, "absent", "absent could not be taken out of the download"),
        ("/etcd.tar.gz", None, "etcd-9.9/folder", "is not a file"),
        ("/v9.9/amd64/etcd", PROGRAM, "etcd", "could not be taken out of the download"),
    ],
    ids=["checksum", "not-found", "insecure", "no-member", "folder", "no-archive"],
)
async def test_what_is_wrong_is_not_used(
    shop: Shop, site: Site, path: str, content: bytes | None, member: str | None, message: str,
) -> None:
    part = site.part(path, site.archive if content is None else content, member)
    with pytest.raises(StepFailed, match=message):
        await fetch(shop, site, part)
    assert leftovers(shop) == []


async def test_a_site_that_cannot_be_trusted_is_not_used(shop: Shop, site: Site) -> None:
    with pytest.raises(StepFailed, match="certificate verify failed"):
        await download.fetch(site.part("/v9.9/amd64/etcd", PROGRAM), shop.options(), lambda _: None)


async def test_a_download_is_bounded(shop: Shop, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SIZE_LIMIT", 10)
    with pytest.raises(StepFailed, match="larger than"):
        await fetch(shop, site, site.part("/v9.9/amd64/etcd", PROGRAM))
    assert leftovers(shop) == []


async def test_a_cache_that_cannot_be_written_is_said(shop: Shop, site: Site) -> None:
    options = shop.options(cache=shop.folder / "absent")
    with pytest.raises(StepFailed, match=r"could not be stored in .*/absent: No such file or directory"):
        await download.fetch(site.part("/etcd", PROGRAM), options, lambda _: None, ssl=site.ssl)


async def test_without_a_pinned_checksum_nothing_is_downloaded(shop: Shop, site: Site) -> None:
    part = site.part("/v9.9/amd64/etcd", PROGRAM)
    with pytest.raises(StepFailed, match="no official release is pinned for linux/arm64"):
        await download.fetch(part, shop.options(arch="arm64"), lambda _: None, ssl=site.ssl)
    with pytest.raises(StepFailed, match="no official release is pinned for linux/amd64"):
        await download.fetch(dataclasses.replace(part, release=None), shop.options(), lambda _: None, ssl=site.ssl)
