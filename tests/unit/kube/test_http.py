"""What `HTTPClient` sends, what it makes of answers, and when it tries again. (Semantics are in tests/conformance.)"""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from dpf.api.core import ConfigMap, Node, ServiceAccount, TokenRequest, TokenRequestSpec
from dpf.api.meta import ObjectMeta
from dpf.kube import connections, errors, http
from dpf.kube.client import PatchType
from dpf.kube.http import HTTPClient
from dpf.kube.kubeconfig import Connection

from .stubserver import answer, config_map, drop, failure, fixed, hang, serving

OBJ = ConfigMap(metadata=ObjectMeta(name="a", namespace="ns"), data={"x": "y"})
PATH = "/api/v1/namespaces/ns/configmaps"


class Naps:
    """A sleep that does not, and remembers."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


async def test_every_request_carries_credentials_and_asks_for_plain_json() -> None:
    async with serving(answer(config_map("a")), provider=fixed("Bearer t")) as (client, stub):
        await client.get(ConfigMap, "a", "ns")
        (seen,) = stub.seen
        assert (seen.method, seen.path, seen.query, seen.body) == ("GET", f"{PATH}/a", {}, b"")
        assert seen.headers["authorization"] == "Bearer t"
        assert seen.headers["accept"] == "application/json"
        assert seen.headers["accept-encoding"] == "identity"
        assert "cookie" not in seen.headers


async def test_writes_on_the_wire() -> None:
    async with serving(answer(config_map("a"))) as (client, stub):
        await client.create(OBJ, dry_run=True)
        await client.apply(OBJ, field_owner="me & you", force=False, subresource="status")
        await client.patch(ConfigMap, "a", "ns", patch={"data": None}, field_owner="me")
        await client.patch(ConfigMap, "a", "ns", patch=[{"op": "remove", "path": "/data"}], type=PatchType.JSON)
        await client.delete(ConfigMap, "a", "ns", uid="u", resource_version="5", propagation="Orphan", dry_run=True)
        create, apply, merge, ops, delete = stub.seen
        assert (create.method, create.path, create.query) == ("POST", PATH, {"dryRun": "All"})
        assert create.json == {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns"}, "data": {"x": "y"},
        }
        assert (apply.method, apply.path) == ("PATCH", f"{PATH}/a/status")
        assert apply.query == {"fieldManager": "me & you", "force": "false"}
        assert apply.headers["content-type"] == "application/apply-patch+yaml"
        assert (merge.query, merge.json) == ({"fieldManager": "me"}, {"data": None})
        assert merge.headers["content-type"] == "application/merge-patch+json"
        assert ops.headers["content-type"] == "application/json-patch+json"
        assert delete.json == {
            "propagationPolicy": "Orphan", "preconditions": {"uid": "u", "resourceVersion": "5"}, "dryRun": ["All"],
        }


async def test_a_subresource_on_the_wire() -> None:
    given = {"spec": {"expirationSeconds": 700}, "status": {"token": "t0ken", "expirationTimestamp": "later"}}
    body = TokenRequest(metadata=ObjectMeta(), spec=TokenRequestSpec(expirationSeconds=800))
    async with serving(answer({"metadata": {}, **given})) as (client, stub):
        got = await client.create_subresource(ServiceAccount, "a", "ns", subresource="token", body=body)
        (seen,) = stub.seen
    assert (seen.method, seen.path, seen.query) == ("POST", "/api/v1/namespaces/ns/serviceaccounts/a/token", {})
    assert (seen.json["kind"], seen.json["spec"]) == ("TokenRequest", {"expirationSeconds": 800})
    assert (got.spec.expirationSeconds, got.status.token) == (700, "t0ken")


async def test_an_answer_with_a_token_is_never_quoted() -> None:
    async with serving(answer({"metadata": {}, "status": {"token": ["t0ken"]}, "spec": "t0ken"})) as (client, _):
        with pytest.raises(errors.ServerError) as caught:
            await client.create_subresource(
                ServiceAccount, "a", "ns", subresource="token", body=TokenRequest(metadata=ObjectMeta())
            )
    assert "t0ken" not in repr(caught.value)
    assert caught.value.__cause__ is None


async def test_a_grace_period_on_the_wire() -> None:
    async with serving(answer(config_map("a"))) as (client, stub):
        await client.delete(ConfigMap, "a", "ns", grace_period_s=0)
    assert stub.seen[0].json == {"propagationPolicy": "Background", "gracePeriodSeconds": 0}


async def test_connections_are_kept_and_never_more_than_the_pool() -> None:
    async with serving(answer(config_map("a"))) as (client, stub):
        await asyncio.gather(*(client.get(ConfigMap, "a", "ns") for _ in range(50)))
        await asyncio.gather(*(client.get(ConfigMap, "a", "ns") for _ in range(50)))
        assert len(stub.seen) == 100
        assert 1 <= stub.connections <= http.POOL


async def test_waiting_for_a_free_connection_does_not_count_as_silence() -> None:
    async with serving(hang, timeout_s=0.3) as (client, stub):
        results = await asyncio.gather(
            *(client.get(ConfigMap, "a", "ns") for _ in range(http.POOL + 1)), return_exceptions=True
        )
        assert {type(result) for result in results} == {errors.Timeout}
        assert len(stub.seen) == http.POOL + 1


async def test_a_slow_server_is_a_timeout() -> None:
    async with serving(hang, timeout_s=0.05) as (client, _):
        with pytest.raises(errors.Timeout, match=r"no answer in time from http://127\.0\.0\.1") as caught:
            await client.get(ConfigMap, "a", "ns")
        assert caught.value.request == f"GET {PATH}/a"


async def test_a_cut_connection_is_unreachable() -> None:
    async with serving(drop) as (client, _):
        with pytest.raises(errors.Unreachable, match=r"no connection to http://127\.0\.0\.1"):
            await client.create(OBJ)


async def test_nobody_listens() -> None:
    client = HTTPClient(Connection(server="http://127.0.0.1:1", credentials=fixed()))
    with pytest.raises(errors.Unreachable, match=r"no connection to http://127\.0\.0\.1:1 .*GET /version.*"):
        await client.server_version()
    await client.aclose()


async def test_a_name_that_does_not_resolve() -> None:
    client = HTTPClient(Connection(server="http://no-such-host.invalid:1", credentials=fixed()))
    with pytest.raises(errors.Unreachable, match=r"no-such-host\.invalid"):
        await client.server_version()
    await client.aclose()


async def test_a_closed_client_says_so_and_closes_twice() -> None:
    async with serving(answer({"gitVersion": "v1.36.3"})) as (client, _):
        assert await client.server_version() == "v1.36.3"
        await client.aclose()
        await client.aclose()
        with pytest.raises(errors.Unreachable, match="client of host is closed"):
            await client.server_version()


@pytest.mark.parametrize("body", [b"<html>login</html>", b"", b"[]", b"{}", b'{"items":[]}', b'{"error":"tenant?"}'])
async def test_success_that_is_no_kubernetes_is_not_believed(body: bytes) -> None:
    """Least of all as an empty list: everything would look deleted."""
    async with serving(answer(body)) as (client, _):
        with pytest.raises(errors.ServerError, match="not what a Kubernetes API server sends"):
            await client.get(ConfigMap, "a", "ns")
        with pytest.raises(errors.ServerError, match="not what a Kubernetes API server sends"):
            await client.list(ConfigMap, "ns")


async def test_nonsense_instead_of_http() -> None:
    async def garbage(_seen: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")

    async with serving(garbage) as (client, _):
        with pytest.raises(errors.ServerError, match="not what a Kubernetes API server sends"):
            await client.get(ConfigMap, "a", "ns")


async def test_redirects_are_not_followed() -> None:
    async with serving(answer(b"", 302, Location="http://127.0.0.1:1/")) as (client, stub):
        with pytest.raises(errors.ServerError):
            await client.get(ConfigMap, "a", "ns")
        assert len(stub.seen) == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_respected_once(status: int) -> None:
    naps = Naps()
    busy = failure(status, "TooManyRequests", Retry_After="2")
    async with serving(busy, answer(config_map("a")), busy, busy, sleep=naps) as (client, stub):
        assert (await client.create(OBJ)).metadata.name == "a"
        assert (len(stub.seen), naps.taken) == (2, [2.0])
        with pytest.raises((errors.TooManyRequests, errors.ServerError)) as caught:
            await client.create(OBJ)
        assert (len(stub.seen), naps.taken, caught.value.retry_after_s) == (4, [2.0, 2.0], 2.0)


async def test_a_long_retry_after_is_left_to_the_caller() -> None:
    naps = Naps()
    async with serving(failure(429, "TooManyRequests", Retry_After="600"), sleep=naps) as (client, stub):
        with pytest.raises(errors.TooManyRequests) as caught:
            await client.get(ConfigMap, "a", "ns")
        assert (len(stub.seen), naps.taken, caught.value.retry_after_s) == (1, [], 600.0)


async def test_a_failed_write_is_not_repeated() -> None:
    async with serving(failure(500, "InternalError")) as (client, stub):
        with pytest.raises(errors.ServerError):
            await client.create(OBJ)
        assert len(stub.seen) == 1


async def test_refused_credentials_that_cannot_be_renewed() -> None:
    async with serving(failure(401, "Unauthorized"), provider=fixed("Bearer secret")) as (client, stub):
        with pytest.raises(errors.Unauthorized) as caught:
            await client.get(ConfigMap, "a", "ns")
        assert len(stub.seen) == 1
        assert "secret" not in str(caught.value)


async def test_an_object_that_cannot_be_sent_is_our_mistake() -> None:
    async with serving(answer({})) as (client, stub):
        with pytest.raises(errors.BadRequest, match="the patch cannot be sent"):
            await client.patch(ConfigMap, "a", "ns", patch={"data": {"a": object()}})
        assert not stub.seen


def page(*names: str, proceed: str = "") -> dict[str, object]:
    return {"metadata": {"resourceVersion": "7", "continue": proceed}, "items": [config_map(name) for name in names]}


async def test_a_list_is_read_page_by_page() -> None:
    async with serving(answer(page("a", "b", proceed="t=1&x")), answer(page("c"))) as (client, stub):
        listing = await client.list(ConfigMap, "ns", labels="app in (x,y)", fields="metadata.name=a", page_size=2)
        assert [item.metadata.name for item in listing.items] == ["a", "b", "c"]
        assert listing.resource_version == "7"
        selectors = {"labelSelector": "app in (x,y)", "fieldSelector": "metadata.name=a", "limit": "2"}
        assert [seen.query for seen in stub.seen] == [selectors, {**selectors, "continue": "t=1&x"}]


async def test_pages_that_expire_are_replaced_by_one_whole_list() -> None:
    handlers = [answer(page("a", proceed="t")), failure(410, "Expired"), answer(page("a", "b", "c"))]
    async with serving(*handlers) as (client, stub):
        listing = await client.list(ConfigMap, "ns", page_size=1)
        assert [item.metadata.name for item in listing.items] == ["a", "b", "c"]
        assert stub.seen[2].query == {}


async def test_a_whole_list_that_expires_too_is_an_error_not_a_part() -> None:
    async with serving(answer(page("a", proceed="t")), failure(410, "Expired")) as (client, stub):
        with pytest.raises(errors.Expired):
            await client.list(ConfigMap, "ns")
        assert len(stub.seen) == 3


async def test_a_page_that_fails_is_an_error_not_a_part() -> None:
    async with serving(answer(page("a", proceed="t")), failure(500, "InternalError")) as (client, _):
        with pytest.raises(errors.ServerError):
            await client.list(ConfigMap, "ns")


async def test_a_path_before_the_api_and_a_cluster_scoped_kind() -> None:
    async with serving(answer({**config_map("n"), "kind": "Node", "data": None})) as (client, stub):
        prefixed = HTTPClient(Connection(server=f"http://127.0.0.1:{stub.port}/k8s/c-1", credentials=fixed()))
        await prefixed.get(Node, "n")
        await prefixed.aclose()
        await client.get(Node, "n", "ignored")
        assert [seen.path for seen in stub.seen] == ["/k8s/c-1/api/v1/nodes/n", "/api/v1/nodes/n"]


async def test_an_error_carries_the_servers_words() -> None:
    body = json.dumps({"kind": "Status", "message": 'configmaps "a" is forbidden', "reason": "Forbidden"}).encode()
    async with serving(answer(body, 403)) as (client, _):
        with pytest.raises(errors.Forbidden, match=r'configmaps "a" is forbidden \(GET .*/configmaps/a: 403\)'):
            await client.get(ConfigMap, "a", "ns")


def test_sockets_notice_a_peer_that_vanished() -> None:
    with connections._new_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, interval, probes = (
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + interval * probes <= 30
