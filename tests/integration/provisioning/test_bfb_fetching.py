"""One GET of a bundle from real servers: resuming, redirects, and what is never followed or sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.support import bundleserver
from tests.support.bundleserver import BundleServer, a_server

from dpf.emulation import bfb as emulated
from dpf.provisioning.bfb import fetching
from dpf.provisioning.bfb.connecting import FetchError, Limits, Stop, Stopped

BUNDLE = emulated.build(size=1 << 16)
QUICK = Limits(connect_s=2.0, silence_s=2.0, connect_pause_s=0.0)
LONG_AGO = "Thu, 01 Jan 2026 00:00:00 GMT"


@dataclass(slots=True)
class Memory:
    """A sink in memory. `free` is the room that it says to have."""

    data: bytes = b""
    validator: str = ""
    total: int | None = None
    free: int = 1 << 40

    @property
    def offset(self) -> int:
        return len(self.data)

    @offset.setter
    def offset(self, _: int) -> None:
        raise AssertionError("only what is written moves it")

    def restart(self, *, total: int | None, validator: str) -> None:
        self.data, self.total, self.validator = b"", total, validator

    def write(self, piece: bytes) -> None:
        self.data += piece

    def room(self) -> int:
        return self.free


async def fetch(url: str, sink: Memory | None = None, *, stop: Stop | None = None, limits: Limits = QUICK) -> Memory:
    sink = sink or Memory()
    await asyncio.to_thread(
        fetching.fetch, url, sink, stop or Stop(), limits=limits, tls=bundleserver.trusting
    )
    return sink


def half(etag: str) -> Memory:
    return Memory(data=BUNDLE[:30_000], validator=etag, total=len(BUNDLE))


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_whole(tls: bool) -> None:
    async with a_server(BUNDLE, tls=tls) as server:
        sink = await fetch(server.url())
    assert (sink.data, sink.total, sink.validator) == (BUNDLE, len(BUNDLE), "")
    assert server.asked[0].host == f"127.0.0.1:{server.port}"


async def test_the_rest() -> None:
    async with a_server(BUNDLE, etag='"v1"') as server:
        sink = await fetch(server.url(), half('"v1"'))
    assert sink.data == BUNDLE
    assert (server.asked[0].range, server.asked[0].if_range) == ("bytes=30000-", '"v1"')


async def test_without_a_validator_nobody_is_asked_for_the_rest() -> None:
    async with a_server(BUNDLE) as server:
        sink = await fetch(server.url(), half(""))
    assert (sink.data, server.asked[0].range) == (BUNDLE, None)


async def test_what_has_changed_comes_whole() -> None:
    async with a_server(BUNDLE, etag='"v2"') as server:
        sink = await fetch(server.url(), Memory(data=b"x" * 100, validator='"v1"', total=len(BUNDLE)))
    assert (sink.data, sink.validator) == (BUNDLE, '"v2"')


async def test_another_part_than_was_asked_for_is_not_taken() -> None:
    async with a_server(BUNDLE, etag='"v1"') as server:
        server.wrong_range = True
        sink = half('"v1"')
        with pytest.raises(FetchError, match="answers with another part of the file"):
            await fetch(server.url(), sink)
    assert (sink.data, sink.validator) == (b"", "")


async def test_a_part_of_another_size_is_not_taken() -> None:
    async with a_server(BUNDLE, etag='"v1"') as server:
        sink = Memory(data=BUNDLE[:30_000], validator='"v1"', total=len(BUNDLE) - 1)
        with pytest.raises(FetchError, match="answers with another part of the file"):
            await fetch(server.url(), sink)


async def test_a_part_beyond_the_end_is_not_asked_for_twice() -> None:
    async with a_server(BUNDLE[:100], etag='"v1"') as server:
        sink = half('"v1"')
        with pytest.raises(FetchError, match="416"):
            await fetch(server.url(), sink)
        assert (await fetch(server.url(), sink)).data == BUNDLE[:100]


@pytest.mark.parametrize(("etag", "modified", "validator"), [
    ('"v1"', None, '"v1"'), ('W/"v1"', None, ""), (None, LONG_AGO, LONG_AGO), ('W/"v1"', LONG_AGO, LONG_AGO),
    (None, "Fri, 01 Jan 2100 00:00:00 GMT", ""), (None, "yesterday", ""), (None, None, ""),
])
async def test_only_what_names_the_content_for_certain_is_kept(
    etag: str | None, modified: str | None, validator: str,
) -> None:
    async with a_server(BUNDLE, etag=etag) as server:
        server.modified = modified
        assert (await fetch(server.url())).validator == validator


async def test_a_body_of_unknown_size() -> None:
    async with a_server(BUNDLE) as server:
        server.chunked = True
        sink = await fetch(server.url())
        assert (sink.data, sink.total) == (BUNDLE, None)
        server.cut = 1000
        with pytest.raises(FetchError, match="ends early"):
            await fetch(server.url())


async def test_every_byte_before_the_end_is_kept() -> None:
    async with a_server(BUNDLE, etag='"v1"') as server:
        server.cut = 12_345
        sink = Memory()
        with pytest.raises(FetchError, match="expected 65536 bytes, got 12345 bytes"):
            await fetch(server.url(), sink)
    assert sink.data == BUNDLE[:12_345]


async def test_a_redirect_is_followed_without_credentials() -> None:
    async with a_server(BUNDLE) as server, a_server() as first:
        first.redirect = server.url("/elsewhere?signature=s")
        assert (await fetch(first.url(user="me:secret"))).data == BUNDLE
    assert first.asked[0].authorization is not None
    assert (server.asked[0].path, server.asked[0].authorization) == ("/elsewhere?signature=s", None)


async def test_a_relative_redirect() -> None:
    async with a_server(BUNDLE) as server:
        server.redirect, server.redirects = "other.bfb", 1
        assert (await fetch(server.url("/a/b.bfb"))).data == BUNDLE
    assert [asked.path for asked in server.asked] == ["/a/b.bfb", "/a/other.bfb"]


async def test_from_http_to_https_and_never_back() -> None:
    async with a_server(BUNDLE) as plain, a_server(BUNDLE, tls=True) as secure:
        plain.redirect = secure.url()
        assert (await fetch(plain.url())).data == BUNDLE
        plain.redirect, secure.redirect = None, plain.url()
        with pytest.raises(FetchError, match="from https only https is followed"):
            await fetch(secure.url())


@pytest.mark.parametrize(("target", "why"), [
    ("http://me:secret@127.0.0.1:1/x", "redirects to a URL with credentials"),
    ("file:///etc/passwd", "redirects to something that is no http or https URL"),
    ("http://[x", "redirects to something that is no http or https URL"),
])
async def test_where_nobody_goes(target: str, why: str) -> None:
    async with a_server(BUNDLE) as server:
        server.redirect = target
        with pytest.raises(FetchError, match=why) as caught:
            await fetch(server.url())
    assert "secret" not in str(caught.value)


def _never(server: BundleServer) -> None:
    server.hold_after = 0


def _midway(server: BundleServer) -> None:
    server.hold_after = 1000


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("hang", [_never, _midway])
async def test_it_can_be_stopped_wherever_it_stands(tls: bool, hang: Callable[[BundleServer], None]) -> None:
    stop = Stop()
    async with a_server(BUNDLE, tls=tls) as server:
        hang(server)
        task = asyncio.create_task(fetch(server.url(), stop=stop, limits=Limits()))
        await server.reached.wait()
        stop.set()
        with pytest.raises(Stopped):
            await asyncio.wait_for(task, 5)


async def test_it_can_be_stopped_before_it_begins() -> None:
    stop = Stop()
    stop.set()
    async with a_server(BUNDLE) as server:
        with pytest.raises(Stopped):
            await fetch(server.url(), stop=stop)
    assert server.asked == []


async def test_a_name_that_nobody_has() -> None:
    with pytest.raises(FetchError, match=r"http://does-not-exist\.invalid cannot be reached"):
        await fetch("http://does-not-exist.invalid/x.bfb")


async def test_what_does_not_fit_is_not_begun() -> None:
    async with a_server(BUNDLE) as server:
        with pytest.raises(FetchError, match="65536 bytes are needed and 100 are free"):
            await fetch(server.url(), Memory(free=100))
        whole = Memory(data=BUNDLE[:30_000], validator="", total=None, free=len(BUNDLE))
        assert (await fetch(server.url(), whole)).data == BUNDLE
