"""Helm repositories over https, also slow, wrong, huge or hostile ones: what is followed, what is cut, what is said."""

from __future__ import annotations

import asyncio
import gzip
import time
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from tests.support import chartservers
from tests.support.chartservers import ANNOTATIONS, INDEX, Site, endless, hanging, page, redirect, status

from dpf.runtime import addresses
from dpf.services.helm.port import Access, ChartError, Source
from dpf.services.helm.repositories import Repositories
from dpf.services.helm.transport import Limits

QUICK = Limits(connect_s=0.5, silence_s=0.3, total_s=1.0)
OTHER = "  other:\n" + "  - name: other\n    version: 1.2.3\n    urls: [https://example.com/other.tgz]\n" * 8000


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with chartservers.a_site() as found:
        yield found


async def ask(site: Site, access: Access | None = None, *, source: Source | None = None, limits: Limits = QUICK) -> str:
    """What people would read."""
    with pytest.raises(ChartError) as caught:
        await Repositories(limits=limits).annotations(source or site.source(), access or site.access())
    return str(caught.value)


async def read(site: Site, access: Access | None = None, *, source: Source | None = None) -> dict[str, str]:
    return dict(await Repositories().annotations(source or site.source(), access or site.access()))


async def test_the_index_of_the_repository_is_read(site: Site) -> None:
    site.pages["/some/charts/index.yaml"] = page(INDEX)
    assert await read(site, source=site.source(path="/some/charts")) == ANNOTATIONS
    assert await read(site, source=site.source(path="/some/charts/")) == ANNOTATIONS
    assert await read(site, source=site.source(version="v0.0.2", path="/some/charts")) == {}
    assert set(site.paths) == {"/some/charts/index.yaml"}


async def test_a_query_of_the_repository_stays_and_is_never_shown(site: Site) -> None:
    site.pages["/index.yaml"] = status(500)
    assert "hunter2" not in await ask(site, source=site.source(path="?key=hunter2"))
    assert site.requests[0].query == {"key": "hunter2"}


async def test_a_password_is_given_to_the_repository(site: Site) -> None:
    site.pages["/index.yaml"] = page(INDEX)
    await read(site, site.access("me", "hunter2"))
    assert site.requests[0].headers["Authorization"] == chartservers.basic("me", "hunter2")
    await read(site)
    assert "Authorization" not in site.requests[1].headers


async def test_gzip_is_understood(site: Site) -> None:
    site.pages["/index.yaml"] = page(gzip.compress(INDEX), Content_Encoding="gzip")
    assert await read(site) == ANNOTATIONS


@pytest.mark.parametrize(("code", "text"), [
    (401, "401 Unauthorized"), (403, "403 Forbidden"), (404, "404 Not Found"), (500, "500 Internal Server Error"),
    (204, "204 No Content"), (599, "599"),
])
async def test_a_status_is_told(site: Site, code: int, text: str) -> None:
    site.pages["/index.yaml"] = status(code)
    said = await ask(site, site.access("me", "hunter2"))
    assert said == f"retrieving annotations from helm chart failed: http Response: {text}"


async def test_a_missing_chart_and_version_are_told(site: Site) -> None:
    site.pages["/index.yaml"] = page(INDEX)
    assert await ask(site, source=site.source("nobody")) == "chart nobody not found in index"
    assert await ask(site, source=site.source(version="9")) == "version 9 for chart producer not found"


async def test_a_server_that_does_not_answer_is_left(site: Site) -> None:
    site.pages["/index.yaml"] = hanging()
    started = time.monotonic()
    assert await ask(site) == f"{site.url} does not answer in time"
    assert time.monotonic() - started < 0.9


async def test_a_server_that_stops_in_the_middle_is_left(site: Site) -> None:
    site.pages["/index.yaml"] = hanging(after=b"entries:\n  other: []\n")
    assert await ask(site) == f"{site.url} does not answer in time"


async def test_a_drip_is_left_when_the_time_is_up(site: Site) -> None:
    site.pages["/index.yaml"] = endless(b"#", begin=b"entries:\n  other: []\n", pause_s=0.02)
    started = time.monotonic()
    assert await ask(site) == f"{site.url} did not answer completely within 1 s"
    assert time.monotonic() - started < 1.6


async def test_a_server_without_tls_or_words_is_left() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await reader.read()
        writer.close()

    async def talking(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    for behaviour, text in ((silent, "does not answer in time"), (talking, "TLS cannot be agreed on")):
        server = await asyncio.start_server(behaviour, "127.0.0.1", 0)
        async with server:
            nobody = Site("127.0.0.1", server.sockets[0].getsockname()[1])
            assert text in await ask(nobody)


async def test_a_closed_port_and_an_unknown_name_are_told(site: Site) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    assert await ask(Site("127.0.0.1", port)) == f"https://127.0.0.1:{port} cannot be reached: Connection refused"
    assert (await ask(Site("no-such-host.invalid", 443))).startswith("https://no-such-host.invalid cannot be reached: ")


@pytest.mark.parametrize("repository", ["https://a\\b/p", "oci://a{b}/p", "oci://a|b", "https://\u3002/p"])
async def test_a_host_that_cannot_be_is_told_and_no_fault_of_ours(repository: str) -> None:
    """The schema of the repoURL lets them in."""
    with pytest.raises(ChartError, match="names no possible host; correct") as caught:
        await Repositories().annotations(Source(repository=repository, chart="c", version="1"), Access())
    assert not caught.value.retryable


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(site: Site, code: int) -> None:
    site.pages |= {"/index.yaml": redirect("elsewhere/index.yaml", code), "/elsewhere/index.yaml": page(INDEX)}
    assert await read(site) == ANNOTATIONS


async def test_five_redirects_are_followed_and_not_six(site: Site) -> None:
    site.pages |= {f"/{n}": redirect(f"/{n + 1}") for n in range(1, 9)}
    site.pages |= {"/index.yaml": redirect("/1"), "/5": page(INDEX)}
    assert await read(site) == ANNOTATIONS
    site.pages |= {"/5": redirect("/6"), "/6": page(INDEX)}
    assert await ask(site) == f"{site.url} redirects more than 5 times"


async def test_a_redirect_in_a_circle_ends(site: Site) -> None:
    site.pages["/index.yaml"] = redirect("/index.yaml")
    assert await ask(site) == f"{site.url} redirects more than 5 times"
    assert len(site.requests) == 6


@pytest.mark.parametrize(("location", "text"), [
    ("file:///etc/passwd", "redirects to file:, only https: is followed"),
    ("http://127.0.0.1/index.yaml", "redirects to http:, only https: is followed"),
    ("ftp://127.0.0.1/index.yaml", "redirects to ftp:, only https: is followed"),
    ("https://me:hunter2@127.0.0.1/", "redirects to something that is no plain https URL"),
    ("https://[/", "redirects to something that is no plain https URL"),
])
async def test_a_redirect_to_anything_but_https_is_not_followed(site: Site, location: str, text: str) -> None:
    site.pages["/index.yaml"] = redirect(location)
    said = await ask(site)
    assert said == f"{site.url} {text}"


async def test_a_redirect_without_a_place_is_told(site: Site) -> None:
    site.pages["/index.yaml"] = status(302)
    assert "no plain https URL" in await ask(site)


async def test_credentials_do_not_follow_to_another_origin_and_do_not_come_back(site: Site) -> None:
    async with chartservers.a_site() as other:
        site.pages |= {"/index.yaml": redirect(f"{other.url}/x"), "/y": page(INDEX)}
        other.pages["/x"] = redirect(f"{site.url}/y")
        assert await read(site, site.access("me", "hunter2")) == ANNOTATIONS
        assert "Authorization" not in other.requests[0].headers
        assert "Authorization" not in site.requests[1].headers
        assert "Authorization" in site.requests[0].headers


async def test_a_client_certificate_is_shown_to_the_repository_only(site: Site) -> None:
    pair = chartservers.a_client_certificate()
    access = site.access(certificate_pem=pair.certificate.decode(), key_pem=pair.key.decode())
    seen: list[bool] = []

    def noting(then: chartservers.Handler) -> chartservers.Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            seen.append(bool(request.transport.get_extra_info("peercert")))
            return await then(request)

        return answer

    async with chartservers.a_site() as other:
        site.pages["/index.yaml"] = noting(redirect(f"{other.url}/x"))
        other.pages["/x"] = noting(page(INDEX))
        assert await read(site, access) == ANNOTATIONS
    assert seen == [True, False]


async def test_a_client_certificate_that_is_none_is_told_without_it(site: Site) -> None:
    said = await ask(site, site.access(certificate_pem="hunter2", key_pem="hunter2"))
    assert "the client certificate and key are not a matching" in said
    assert "hunter2" not in said


async def test_a_repository_that_nobody_vouches_for_is_not_asked() -> None:
    async with chartservers.a_site(trusted=False) as site:
        said = await ask(site)
        assert said.startswith(f"{site.url} is not trusted: ")
        assert "argocd-tls-certs-cm" in said
        assert not site.requests


async def test_a_certificate_for_another_name_is_not_accepted() -> None:
    async with chartservers.a_site(names=("charts.example.com",)) as site:
        assert "is not trusted" in await ask(site)
        assert not site.requests


async def test_without_argo_cds_certificates_only_the_systems_are_trusted(site: Site) -> None:
    site.pages["/index.yaml"] = page(INDEX)
    assert "is not trusted" in await ask(site, Access())


async def test_an_administrator_may_leave_a_repository_unchecked_but_not_where_it_leads() -> None:
    async with chartservers.a_site(trusted=False) as site, chartservers.a_site(trusted=False) as other:
        site.pages["/index.yaml"] = page(INDEX)
        assert await read(site, site.access(insecure=True)) == ANNOTATIONS
        site.pages["/index.yaml"] = redirect(f"{other.url}/x")
        assert (await ask(site, site.access(insecure=True))).startswith(f"{other.url} is not trusted")


async def test_a_broken_entry_of_argo_cds_certificates_is_told(site: Site) -> None:
    said = await ask(site, Access(authorities={"127.0.0.1": "not PEM"}))
    assert said.startswith(f"{site.url}: its entry in Argo CD's ConfigMap argocd-tls-certs-cm is not a PEM")


async def test_two_gigabytes_are_cut_at_the_limit_and_never_held(site: Site) -> None:
    site.pages["/index.yaml"] = endless(OTHER.encode(), begin=b"entries:\n", announce=2 << 30)
    tracemalloc.start()
    try:
        said = await ask(site, limits=Limits())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert said == f"{site.url} answers with more than 128 MiB"
    assert peak < 24 << 20


async def test_reading_ends_where_the_chart_ends(site: Site) -> None:
    begin = INDEX[: INDEX.index(b"generated")] + b"  zeta: []\n"
    site.pages["/index.yaml"] = endless(OTHER.encode(), begin=begin, announce=2 << 30)
    assert await read(site) == ANNOTATIONS


async def test_a_gzip_bomb_is_cut_at_the_limit(site: Site) -> None:
    bomb = gzip.compress(b"entries:\n" + b"#\n" * (256 << 20), compresslevel=1)
    site.pages["/index.yaml"] = page(bomb, Content_Encoding="gzip")
    tracemalloc.start()
    try:
        said = await ask(site, limits=Limits())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "more than" in said
    assert peak < 24 << 20


@pytest.mark.parametrize(("body", "encoding", "text"), [
    (gzip.compress(INDEX)[:40], "gzip", "ends early"),
    (INDEX, "gzip", "not valid gzip"),
    (INDEX, "br", "an encoding that was not asked for"),
    (b"<html>Welcome</html>", "identity", "index.yaml is not a Helm index"),
    (b"\x00" * 100, "identity", "index.yaml is not valid YAML"),
    (b"entries:\n  producer:\n  - {", "identity", "index.yaml is not valid YAML"),
    (b"entries:\n  producer:\n  - &a [x]\n  - [*a, *a]\n", "identity", "aliases"),
    (b"entries:\n  producer: null\n", "identity", "chart producer not found in index"),
    (b"entries: null\n", "identity", "chart producer not found in index"),
    (b"entries:\n  producer:\n  - null\n  - version: null\n    annotations: null\n", "identity",
     "version v0.0.1 for chart producer not found"),
    (b"", "identity", "index.yaml"),
])
async def test_a_body_that_is_wrong_is_told(site: Site, body: bytes, encoding: str, text: str) -> None:
    site.pages["/index.yaml"] = page(body, Content_Encoding=encoding)
    assert text in await ask(site)


async def test_a_connection_that_breaks_is_told(site: Site) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 1000
        await response.prepare(request)
        await response.write(b"entries:\n")
        assert request.transport is not None
        request.transport.abort()
        return response

    site.pages["/index.yaml"] = answer
    said = await ask(site)
    assert "ends early" in said or "was lost" in said


def as_if(**reaches: addresses.Reach) -> Repositories:
    """Addresses of loopback (`_` for `.`) that count as lying elsewhere."""
    return Repositories(limits=QUICK, reach=lambda address: reaches["a" + address.replace(".", "_")])


async def test_a_redirect_leads_no_further_inside_the_network() -> None:
    public, local = addresses.Reach.PUBLIC, addresses.Reach.LOCAL
    async with chartservers.a_site("127.0.0.2") as outside, chartservers.a_site("127.0.0.1") as inside:
        outside.pages["/index.yaml"] = redirect(f"{inside.url}/index.yaml")
        inside.pages["/index.yaml"] = page(INDEX)
        with pytest.raises(ChartError, match="further inside this network") as caught:
            await as_if(a127_0_0_2=public, a127_0_0_1=local).annotations(outside.source(), outside.access())
        assert str(caught.value).startswith(f"{outside.url} sends us to {inside.url}, ")
        assert not inside.requests

        found = await as_if(a127_0_0_2=local, a127_0_0_1=local).annotations(outside.source(), outside.access())
        assert found == ANNOTATIONS


async def test_a_name_is_connected_to_where_it_was_judged_to_be(site: Site) -> None:
    """The address is looked up once per request: a second answer of the name server counts for nothing."""
    site.pages["/index.yaml"] = page(INDEX)
    answers = iter([("127.0.0.1",)])

    async def resolve(host: str, port: int) -> tuple[str, ...]:
        assert (host, port) == ("charts.example.com", site.port)
        return next(answers)

    async with chartservers.a_site(names=("charts.example.com",)) as named:
        named.pages["/index.yaml"] = page(INDEX)
        site.port = named.port
        source = Source(repository=f"https://charts.example.com:{named.port}", chart="producer", version="v0.0.1")
        access = Access(authorities={"charts.example.com": chartservers.authority().pem.decode()})
        assert await Repositories(resolve=resolve).annotations(source, access) == ANNOTATIONS


async def test_a_host_is_asked_by_few_at_a_time_and_others_do_not_wait_for_it(site: Site) -> None:
    site.pages["/index.yaml"] = hanging()
    repositories = Repositories(limits=QUICK)
    async with chartservers.a_site() as other:
        other.pages["/index.yaml"] = page(INDEX)
        waiting = [
            asyncio.create_task(repositories.annotations(site.source(), site.access())) for _ in range(12)
        ]
        await asyncio.sleep(0)
        started = time.monotonic()
        assert await repositories.annotations(other.source(), other.access()) == ANNOTATIONS
        assert time.monotonic() - started < QUICK.silence_s
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {str(outcome) for outcome in outcomes} == {f"{site.url} does not answer in time"}
    assert site.most == 4


async def test_giving_up_leaves_nothing_behind(site: Site) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return web.Response()

    site.pages["/index.yaml"] = answer
    asking = asyncio.create_task(Repositories().annotations(site.source(), site.access()))
    async with asyncio.timeout(5):
        await asked.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await left.wait()
