"""The registry over real sockets, asked by the standard library's client as a BMC would ask it."""

from __future__ import annotations

import asyncio
import http.client
import io
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dpf.emulation import bfb as emulated
from dpf.local.pki import certificates
from dpf.provisioning.bfb import imageuri
from dpf.provisioning.bfb.registry import Registry, serving_context

HOST = "127.0.0.1"
CONFIGURATION = "ns_dpu-1_3f0c9f0e-8d1f-4b8e-9d5e-6a2f0f8b1c11"
BFCFG = b"ubuntu_PASSWORD='x'\n" * 50
BUNDLE = emulated.build(size=3 << 20)
PATH = imageuri.build("ns-x.bfb", CONFIGURATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bfb"
    (folder / "bfcfg").mkdir(parents=True)
    (folder / "ns-x.bfb").write_bytes(BUNDLE)
    (folder / "bfcfg" / CONFIGURATION).write_bytes(BFCFG)
    (folder / "bfb-uid").write_bytes(b"unfinished")
    (tmp_path / "secret").write_bytes(b"secret")
    return folder


@pytest.fixture
async def registry(folder: Path) -> AsyncIterator[Registry]:
    registry = Registry(folder, host=HOST, port=0)
    await registry.start()
    yield registry
    await registry.stop()


async def ask(
    registry: Registry, path: str = PATH, *, method: str = "GET", tls: ssl.SSLContext | None = None, **headers: str,
) -> Answer:
    return await asyncio.to_thread(_ask, registry.port, path, method, tls, headers)


def _ask(port: int, path: str, method: str, tls: ssl.SSLContext | None, headers: dict[str, str]) -> Answer:
    with _connected(port, tls) as connection:
        connection.putrequest(method, path)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        return Answer(status=response.status, headers=dict(response.getheaders()), body=response.read())


@contextmanager
def _connected(port: int, tls: ssl.SSLContext | None) -> Iterator[http.client.HTTPConnection]:
    if tls is None:
        connection = http.client.HTTPConnection(HOST, port, timeout=20)
    else:
        connection = http.client.HTTPSConnection(HOST, port, timeout=20, context=tls)
    try:
        yield connection
    finally:
        connection.close()


async def test_bundle_and_configuration_come_as_one_stream(registry: Registry) -> None:
    answer = await ask(registry)
    assert answer.status == 200
    assert answer.headers["Content-Length"] == str(len(BUNDLE) + len(BFCFG))
    assert answer.body == BUNDLE + BFCFG
    assert emulated.length(io.BytesIO(answer.body)) == len(BUNDLE), "a BMC finds where the configuration begins"


async def test_the_bundle_alone(registry: Registry) -> None:
    assert (await ask(registry, imageuri.build("ns-x.bfb"))).body == BUNDLE


async def test_head_tells_the_size(registry: Registry) -> None:
    answer = await ask(registry, method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(BUNDLE) + len(BFCFG))


@pytest.mark.parametrize(("asked", "begin", "end"), [
    ("bytes=0-99", 0, 100), (f"bytes={len(BUNDLE) - 10}-{len(BUNDLE) + 9}", len(BUNDLE) - 10, len(BUNDLE) + 10),
    (f"bytes={len(BUNDLE)}-", len(BUNDLE), None), ("bytes=-100", -100, None),
])
async def test_a_part(registry: Registry, asked: str, begin: int, end: int | None) -> None:
    answer = await ask(registry, Range=asked)
    whole = BUNDLE + BFCFG
    first = begin % len(whole)
    last = (len(whole) if end is None else end) - 1
    assert (answer.status, answer.body) == (206, whole[begin:end])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole)}"
    assert answer.headers["Content-Length"] == str(len(answer.body))


async def test_a_part_that_is_not_there(registry: Registry) -> None:
    answer = await ask(registry, Range=f"bytes={len(BUNDLE) + len(BFCFG)}-")
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(BUNDLE) + len(BFCFG)}")


async def test_a_part_of_something_else_is_the_whole(registry: Registry, folder: Path) -> None:
    tag = (await ask(registry, method="HEAD")).headers["ETag"]
    assert (await ask(registry, Range="bytes=10-", If_Range=tag)).status == 206
    (folder / "bfcfg" / CONFIGURATION).write_bytes(b"another")
    answer = await ask(registry, Range="bytes=10-", If_Range=tag)
    assert (answer.status, answer.body) == (200, BUNDLE + b"another")


@pytest.mark.parametrize("path", [
    "/", "/bfb/", "/bfb/ns-x.bfb", "/bfb/bfcfg/", f"/bfb/bfcfg/{CONFIGURATION}", "/bfb/??bfb-uid", "/bfb/??absent.bfb",
    "/bfb/??ns-x.bfb,bfcfg/absent", "/bfb/??ns-x.bfb,bfcfg/../../secret", "/bfb/??ns-x.bfb,../secret",
    "/bfb/??%2e%2e/secret", "/bfb/??/etc/passwd", "/../secret",
])
async def test_nothing_else_is_served_and_nothing_is_told(registry: Registry, path: str) -> None:
    answer = await ask(registry, path)
    assert (answer.status, answer.body) == (404, b"there is no such bundle\n")


@pytest.mark.parametrize("make", [
    lambda path: path.symlink_to("../../secret"), os.mkfifo, lambda path: path.mkdir(),
], ids=["link", "pipe", "folder"])
async def test_only_regular_files_are_served(registry: Registry, folder: Path, make: object) -> None:
    make(folder / "bfcfg" / "odd")  # type: ignore[operator]
    assert (await ask(registry, imageuri.build("ns-x.bfb", "odd"))).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_nothing_can_be_written(registry: Registry, method: str) -> None:
    assert (await ask(registry, method=method)).status == 405


async def test_a_file_that_is_replaced_while_it_is_sent_is_sent_as_it_was(registry: Registry, folder: Path) -> None:
    reader, writer = await _begin(registry)
    head = await reader.readexactly(1)
    fresh = folder / "fresh"
    fresh.write_bytes(b"x" * len(BUNDLE))
    fresh.replace(folder / "ns-x.bfb")
    (_, _, body) = (head + await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert body == BUNDLE + BFCFG


async def test_a_file_that_shrinks_is_not_passed_off_as_whole(registry: Registry, folder: Path) -> None:
    sparse = folder / "big.bfb"
    with sparse.open("wb") as file:
        file.truncate(64 << 20)
    reader, writer = await _begin(registry, imageuri.build("big.bfb"))
    assert await reader.readexactly(1000)
    os.truncate(sparse, 1000)
    received = 0
    try:
        while piece := await reader.read(1 << 20):
            received += len(piece)
    except ConnectionError:
        pass
    writer.close()
    assert received < 64 << 20


async def test_clients_that_go_away_leave_nothing_open(registry: Registry, folder: Path) -> None:
    with (folder / "big.bfb").open("wb") as file:
        file.truncate(64 << 20)
    before = _open_files(folder)
    for _ in range(10):
        reader, writer = await _begin(registry, imageuri.build("big.bfb"))
        await reader.readexactly(1000)
        writer.transport.abort()
    for _ in range(500):
        if _open_files(folder) == before:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{_open_files(folder)} files are open")


async def test_memory_does_not_grow_with_the_file(registry: Registry, folder: Path) -> None:
    """A client that takes nothing holds one piece, not a bundle."""
    with (folder / "big.bfb").open("wb") as file:
        file.truncate(1 << 30)
    before = _resident()
    clients = [await _begin(registry, imageuri.build("big.bfb")) for _ in range(20)]
    for reader, _ in clients:
        await reader.readexactly(100_000)
    grown = _resident() - before
    for _, writer in clients:
        writer.transport.abort()
    assert grown < 64 << 20


async def test_over_tls_with_a_certificate_that_is_renewed(folder: Path, tmp_path: Path) -> None:
    authority = certificates.new_authority("x", certificates.new_key(), datetime.now(UTC))
    first = _issue(authority, tmp_path)
    registry = Registry(folder, host=HOST, port=0, tls=serving_context(tmp_path / "tls.crt", tmp_path / "tls.key"))
    await registry.start()
    try:
        trusting = ssl.create_default_context(cadata=authority.pem.decode())
        assert (await ask(registry, tls=trusting)).body == BUNDLE + BFCFG
        assert await asyncio.to_thread(_served, registry.port) == first
        second = _issue(authority, tmp_path)
        assert second != first
        assert await asyncio.to_thread(_served, registry.port) == second
        (tmp_path / "tls.key").write_bytes(b"half of a new pair")
        assert await asyncio.to_thread(_served, registry.port) == second
        with pytest.raises((http.client.HTTPException, OSError)):
            await ask(registry)
    finally:
        await registry.stop()


async def _begin(registry: Registry, path: str = PATH) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(HOST, registry.port, limit=1 << 16)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


def _issue(authority: certificates.Authority, folder: Path) -> bytes:
    request = certificates.Request(common_name=HOST, sans=(HOST,), usage=certificates.Usage.SERVER)
    pair = certificates.issue(authority, request, datetime.now(UTC))
    (folder / "tls.crt").write_bytes(pair.certificate)
    (folder / "tls.key").write_bytes(pair.key)
    return ssl.PEM_cert_to_DER_cert(pair.certificate.decode())


def _served(port: int) -> bytes:
    """The certificate that a new connection sees."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((HOST, port)) as plain, context.wrap_socket(plain) as connection:
        return connection.getpeercert(binary_form=True) or b""


def _open_files(folder: Path) -> int:
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found += link.readlink().is_relative_to(folder)
    return found


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
