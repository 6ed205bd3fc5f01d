"""Charts in OCI registries: the manifest's annotations, logging in, and registries that are wrong or hostile."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from tests.support import chartservers
from tests.support.chartservers import (
    ANNOTATIONS,
    HELM_CONFIG,
    Registry,
    Site,
    endless,
    hanging,
    page,
    redirect,
    status,
)

from dpf.runtime import addresses
from dpf.services.helm.oci import registry_url
from dpf.services.helm.port import Access, ChartError, Source
from dpf.services.helm.repositories import Repositories
from dpf.services.helm.transport import Limits

QUICK = Limits(connect_s=0.5, silence_s=0.3, total_s=1.0)
NAME, MANIFEST = "team/charts/producer", "/v2/team/charts/producer/manifests/v0.0.1"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with chartservers.a_site() as found:
        yield found


def a_source(site: Site, chart: str = "producer", version: str = "v0.0.1", path: str = "/team/charts") -> Source:
    return Source(repository=f"oci://{site.host}:{site.port}{path}", chart=chart, version=version)


async def read(site: Site, access: Access | None = None, **source: str) -> dict[str, str]:
    found = await Repositories(limits=QUICK).annotations(a_source(site, **source), access or site.access())
    return {key: value for key, value in found.items() if not key.startswith("org.opencontainers")}


async def ask(site: Site, access: Access | None = None, **source: str) -> str:
    with pytest.raises(ChartError) as caught:
        await read(site, access, **source)
    assert "not-for-eyes" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    return str(caught.value)


async def test_annotations_of_the_manifest_are_read(site: Site) -> None:
    Registry(site).push(NAME, "v0.0.1")
    assert await read(site) == ANNOTATIONS
    assert site.paths == [MANIFEST]
    assert "application/vnd.oci.image.manifest.v1+json" in site.requests[0].headers["Accept"]


async def test_a_plus_of_the_version_is_an_underscore_of_the_tag(site: Site) -> None:
    Registry(site).push(NAME, "1.0.0_build.5")
    assert await read(site, version="1.0.0+build.5") == ANNOTATIONS


async def test_a_manifest_without_annotations_has_none(site: Site) -> None:
    Registry(site).put(NAME, "v0.0.1", {"schemaVersion": 2, "annotations": None})
    assert await read(site) == {}


async def test_of_an_index_the_chart_is_taken(site: Site) -> None:
    registry = Registry(site)
    chart = registry.push(NAME, "chart")
    other = registry.push(NAME, "other", {"dpu.nvidia.com/doca-version": "wrong"})
    registry.push_index(
        NAME, "v0.0.1", {"digest": other, "artifactType": "application/x"},
        {"digest": chart, "artifactType": HELM_CONFIG},
    )
    assert await read(site) == ANNOTATIONS


async def test_of_an_index_without_types_the_first_is_taken(site: Site) -> None:
    registry = Registry(site)
    registry.push_index(NAME, "v0.0.1", {"digest": registry.push(NAME, "chart")})
    assert await read(site) == ANNOTATIONS


async def test_an_index_in_an_index_is_not_followed_on(site: Site) -> None:
    registry = Registry(site)
    inner = registry.push_index(NAME, "inner", {"digest": registry.push(NAME, "chart")})
    registry.push_index(NAME, "v0.0.1", {"digest": inner})
    assert await read(site) == {}
    assert len(site.requests) == 2


async def test_a_manifest_that_is_not_the_one_of_the_digest_is_refused(site: Site) -> None:
    registry = Registry(site)
    digest = registry.push(NAME, "chart")
    registry.push_index(NAME, "v0.0.1", {"digest": digest})
    site.pages[f"/v2/{NAME}/manifests/{digest}"] = page(b'{"annotations": {"a": "b"}}')
    assert await ask(site) == f"{site.url} answers with another manifest than the one asked for"


@pytest.mark.parametrize("digest", ["", "sha256:../../x", "sha512:" + "0" * 128, "latest"])
async def test_an_index_that_names_no_digest_is_refused(site: Site, digest: str) -> None:
    Registry(site).push_index(NAME, "v0.0.1", {"digest": digest})
    assert "without a sha256 digest" in await ask(site)


async def test_a_token_is_fetched_with_the_password(site: Site) -> None:
    registry = Registry(site, password="hunter2")
    registry.push(NAME, "v0.0.1")
    registry.serve_tokens()
    assert await read(site, site.access("me", "hunter2")) == ANNOTATIONS
    assert site.paths == [MANIFEST, "/token", MANIFEST]
    assert site.requests[1].query == {"service": "registry", "scope": "repository:x:pull"}
    assert "Authorization" not in site.requests[0].headers


async def test_a_token_is_fetched_once_for_an_index_and_its_chart(site: Site) -> None:
    registry = Registry(site, password="hunter2")
    registry.push_index(NAME, "v0.0.1", {"digest": registry.push(NAME, "chart")})
    registry.serve_tokens()
    assert await read(site, site.access("me", "hunter2")) == ANNOTATIONS
    assert site.paths.count("/token") == 1


async def test_a_token_is_given_to_everybody_by_a_public_registry(site: Site) -> None:
    registry = Registry(site)
    registry.push(NAME, "v0.0.1")
    registry.serve_tokens()
    assert await read(site) == ANNOTATIONS


async def test_access_token_is_another_name_of_it(site: Site) -> None:
    registry = Registry(site)
    registry.push(NAME, "v0.0.1")
    registry.serve_tokens()
    site.pages["/token"] = page(json.dumps({"access_token": registry.token, "expires_in": 60}).encode())
    assert await read(site) == ANNOTATIONS


async def test_a_registry_without_tokens_gets_the_password(site: Site) -> None:
    Registry(site, password="hunter2", basic=True).push(NAME, "v0.0.1")
    assert await read(site, site.access("me", "hunter2")) == ANNOTATIONS


@pytest.mark.parametrize("basic", [False, True])
async def test_a_wrong_password_is_told_and_not_tried_again(site: Site, basic: bool) -> None:
    registry = Registry(site, password="right", basic=basic)
    registry.push(NAME, "v0.0.1")
    registry.serve_tokens()
    said = await ask(site, site.access("me", "hunter2"))
    assert said == "retrieving annotations from helm chart failed: http Response: 401 Unauthorized"
    assert len(site.requests) == 2


@pytest.mark.parametrize("basic", [False, True])
async def test_no_password_is_told_too(site: Site, basic: bool) -> None:
    registry = Registry(site, password="right", basic=basic)
    registry.push(NAME, "v0.0.1")
    registry.serve_tokens()
    assert "401 Unauthorized" in await ask(site)


async def test_a_token_that_is_not_accepted_is_not_asked_for_again(site: Site) -> None:
    registry = Registry(site, password="hunter2")
    registry.push(NAME, "v0.0.1")
    registry.serve_tokens()
    site.pages["/token"] = page(b'{"token": "another"}')
    assert "401 Unauthorized" in await ask(site, site.access("me", "hunter2"))
    assert site.paths == [MANIFEST, "/token", MANIFEST]


async def test_a_log_in_at_another_site_is_not_given_the_password(site: Site) -> None:
    async with chartservers.a_site("127.0.0.2") as other:
        registry = Registry(site, password="hunter2", realm=f"{other.url}/token")
        registry.push(NAME, "v0.0.1")
        other.pages["/token"] = registry.give_token
        said = await ask(site, site.access("me", "hunter2"))
        assert said == f"{site.url} has its log-in at {other.url}, another site, which is not given the password"
        assert "Authorization" not in other.requests[0].headers


async def test_a_log_in_at_another_site_may_give_tokens_to_everybody(site: Site) -> None:
    async with chartservers.a_site("127.0.0.2") as other:
        registry = Registry(site, realm=f"{other.url}/token")
        registry.push(NAME, "v0.0.1")
        other.pages["/token"] = registry.give_token
        assert await read(site, site.access("me", "hunter2")) == ANNOTATIONS
        assert "Authorization" not in other.requests[0].headers


async def test_a_log_in_further_inside_the_network_is_not_asked() -> None:
    where = {"127.0.0.2": addresses.Reach.PUBLIC, "127.0.0.1": addresses.Reach.LOCAL}
    async with chartservers.a_site("127.0.0.2") as outside, chartservers.a_site("127.0.0.1") as inside:
        registry = Registry(outside, realm=f"{inside.url}/token")
        registry.push(NAME, "v0.0.1")
        with pytest.raises(ChartError, match="further inside this network"):
            await Repositories(reach=where.__getitem__).annotations(a_source(outside), outside.access())
        assert not inside.requests


@pytest.mark.parametrize("realm", [
    "http://127.0.0.1/token", "file:///etc/passwd", "/token", "https://me:hunter2@127.0.0.1/", "https://[", "https:///",
])
async def test_a_log_in_that_is_no_plain_https_is_not_asked(site: Site, realm: str) -> None:
    Registry(site, password="hunter2", realm=realm).push(NAME, "v0.0.1")
    assert "has its log-in at something that is no plain https URL" in await ask(site, site.access("me", "hunter2"))


@pytest.mark.parametrize(("handler", "text"), [
    pytest.param(page(b"{}"), "without a usable token", id="no token"),
    pytest.param(page(b'{"token": "a\\r\\nX-Injected: not-for-eyes"}'), "without a usable token", id="a header in it"),
    pytest.param(page(b"<html>"), "neither a manifest nor a token", id="a page"),
    pytest.param(page(b"[" * 100_000), "neither a manifest nor a token", id="depth"),
    pytest.param(status(500), "500 Internal Server Error", id="broken"),
    pytest.param(hanging(), "does not answer in time", id="hanging"),
    pytest.param(redirect("/token"), "redirects more than 5 times", id="a circle"),
    pytest.param(redirect("file:///etc/passwd"), "redirects to file:", id="a file"),
    pytest.param(endless(b"x" * 65536), "more than 1 MiB", id="endless"),
])
async def test_a_log_in_that_goes_wrong_is_told(site: Site, handler: chartservers.Handler, text: str) -> None:
    registry = Registry(site, password="hunter2")
    registry.push(NAME, "v0.0.1")
    registry.serve_tokens()
    site.pages["/token"] = handler
    assert text in await ask(site, site.access("me", "hunter2"))


@pytest.mark.parametrize(("handler", "text"), [
    pytest.param(status(403), "http Response: 403 Forbidden", id="403"),
    pytest.param(status(404), "http Response: 404 Not Found", id="404"),
    pytest.param(status(500), "http Response: 500 Internal Server Error", id="500"),
    pytest.param(status(401, **{"WWW-Authenticate": "Negotiate"}), "401 Unauthorized", id="what we do not speak"),
    pytest.param(page(b"<html>"), "neither a manifest nor a token", id="a page"),
    pytest.param(page(b"null"), "neither a manifest nor a token", id="null"),
    pytest.param(page(b'{"annotations": {"a": 1}}'), "neither a manifest nor a token", id="a number"),
    pytest.param(page(b'{"x": ' + b"[" * 100_000), "neither a manifest nor a token", id="depth"),
    pytest.param(hanging(), "does not answer in time", id="hanging"),
    pytest.param(endless(b"x", pause_s=0.02), "did not answer completely within 1 s", id="a drip"),
    pytest.param(endless(b"x" * 65536, announce=2 << 30), "more than 4 MiB", id="two gigabytes"),
    pytest.param(redirect("file:///etc/passwd"), "redirects to file:", id="a file"),
    pytest.param(redirect("http://127.0.0.1/"), "redirects to http:", id="http"),
])
async def test_a_registry_that_goes_wrong_is_told(site: Site, handler: chartservers.Handler, text: str) -> None:
    site.pages[MANIFEST] = handler
    assert text in await ask(site)


async def test_a_token_does_not_follow_a_redirect_to_another_origin(site: Site) -> None:
    async with chartservers.a_site() as other:
        registry = Registry(site, password="hunter2")
        registry.push(NAME, "v0.0.1")
        registry.serve_tokens()
        manifest = registry.blobs[MANIFEST]
        plain = site.pages[MANIFEST]

        async def answer(request: web.Request) -> web.StreamResponse:
            if "Authorization" in request.headers:
                return await redirect(f"{other.url}/blob")(request)
            return await plain(request)

        site.pages[MANIFEST] = answer
        other.pages["/blob"] = page(manifest)
        assert await read(site, site.access("me", "hunter2")) == ANNOTATIONS
        assert "Authorization" not in other.requests[0].headers


@pytest.mark.parametrize(("chart", "version", "text"), [
    ("../producer", "1", "cannot be the name of a chart"),
    ("Producer", "1", "cannot be the name of a chart"),
    ("producer?x", "1", "cannot be the name of a chart"),
    ("producer", "1/../../x", "cannot be a tag"),
    ("producer", "sha256:" + "0" * 64, "cannot be a tag"),
    ("producer", "x" * 129, "cannot be a tag"),
    ("producer", ">=1.0", "cannot be a tag"),
])
async def test_names_that_no_registry_has_are_not_asked_for(site: Site, chart: str, version: str, text: str) -> None:
    assert text in await ask(site, chart=chart, version=version)
    assert not site.requests


@pytest.mark.parametrize(("repository", "url"), [
    ("oci://docker.io/bitnamicharts", "https://registry-1.docker.io/v2/bitnamicharts/x/"),
    ("oci://ghcr.io/nvidia", "https://ghcr.io/v2/nvidia/x/"),
    ("oci://localhost:5000", "https://localhost:5000/v2/x/"),
])
def test_where_a_registry_is(repository: str, url: str) -> None:
    assert str(registry_url(Source(repository=repository, chart="x", version="1"))) == url
