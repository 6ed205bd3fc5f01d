"""The credential request controller against two real API servers, with no more rights than it declares.

What the in-memory clusters cannot vouch for: that an API server accepts what is in the Secret, that it refuses it once
the ServiceAccount is gone, and that applying again and again is settled. The credentials are used by a plain HTTPS
client, as a service would use them.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import structlog
import yaml
from tests.support import apiserver
from tests.support import credentialrequests as some
from tests.support import dpuservices as services
from tests.support.apiserver import RealAPIServer
from tests.support.credentialrequests import ACCOUNT, DPU, NAMESPACE, REQUEST, SECRET
from tools.rbacgen import roles

from dpf.api import core, names
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservicecredentialrequest import DPUServiceCredentialRequest
from dpf.api.meta import Key, Object, ObjectMeta
from dpf.kube import errors, kubeconfig, wait
from dpf.kube.client import Client
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.http import HTTPClient
from dpf.local import resources
from dpf.local.platform import manifests
from dpf.runtime.clock import SystemClock
from dpf.runtime.clusterfollower import ClusterFollower
from dpf.runtime.manager import Manager, Settings
from dpf.runtime.metrics import Metrics
from dpf.services.credentialrequest.controller import DPUServiceCredentialRequestController as Controller

pytestmark = pytest.mark.parts

TIMEOUT_S = 30.0
ROBOT = f"system:serviceaccount:{ACCOUNT.namespace}:{ACCOUNT.name}"


class FastClock(SystemClock):
    """A clock that is ahead, as when so much time had passed."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return super().now() + self._ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Both clusters, for the administrator; and the kubeconfig of our controller for the host."""

    host: HTTPClient
    dpu: HTTPClient
    ours: bytes = field(repr=False)


@pytest.fixture(scope="module")
def dpu_api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAPIServer]:
    """The DPU cluster."""
    with apiserver.running(tmp_path_factory.mktemp("dpu")) as server:
        yield server


@pytest.fixture
async def stage(real_api_server: RealAPIServer, dpu_api_server: RealAPIServer) -> AsyncIterator[Stage]:
    """CRDs, namespaces, our rights in both clusters, and a DPUCluster that is Ready."""
    host = HTTPClient(kubeconfig.load(real_api_server.kubeconfig), name="host")
    dpu = HTTPClient(kubeconfig.load(dpu_api_server.kubeconfig), name="dpu")
    crds = [
        obj for path in sorted(resources.folder("crds").glob("*.yaml"))
        if any(kind.resource.plural in path.name for kind in (DPUCluster, DPUServiceCredentialRequest))
        for obj in manifests.read(path) if isinstance(obj, core.CustomResourceDefinition)
    ]
    try:
        await manifests.ensure_crds(host, crds)
        for client, namespaces in (
            (host, (names.DPF_NAMESPACE, services.CLUSTERS, NAMESPACE, ACCOUNT.namespace)),
            (dpu, (names.DPF_NAMESPACE, ACCOUNT.namespace)),
        ):
            for name in namespaces:
                await client.apply(core.Namespace(metadata=ObjectMeta(name=name)), field_owner="tests")
        needs = [
            *roles.host_roles("us", Controller.permissions), *roles.host_roles("runtime", roles.RUNTIME_NEEDS),
        ]
        ours = await grant(host, needs)
        await add_cluster(host, await grant(dpu, roles.dpu_cluster_roles("us", Controller.permissions)))
        yield Stage(host=host, dpu=dpu, ours=ours)
        await host.delete(DPUCluster, DPU.name, DPU.namespace)
        await host.delete(core.Secret, f"{DPU.name}-admin-kubeconfig", DPU.namespace)
    finally:
        await host.aclose()
        await dpu.aclose()


async def grant(client: Client, needs: list[Object]) -> bytes:
    """The kubeconfig of somebody who has these roles and nothing else."""
    rbac, us = "rbac.authorization.k8s.io", ObjectMeta(name="dpf-us", namespace=names.DPF_NAMESPACE)
    subjects = [core.Subject(kind="ServiceAccount", name=us.name, namespace=us.namespace)]
    await client.apply(core.ServiceAccount(metadata=us), field_owner="tests")
    for role in needs:
        await client.apply(role, field_owner="tests")
        meta = ObjectMeta(name=role.metadata.name, namespace=role.metadata.namespace)
        reference = core.RoleRef(apiGroup=rbac, kind=role.resource.kind, name=meta.name)
        binding = core.ClusterRoleBinding if isinstance(role, core.ClusterRole) else core.RoleBinding
        await client.apply(binding(metadata=meta, roleRef=reference, subjects=subjects), field_owner="tests")
    given = await client.create_subresource(
        core.ServiceAccount, us.name, us.namespace, subresource="token", body=core.TokenRequest(metadata=ObjectMeta())
    )
    authority = base64.b64encode(client.endpoint.ca_pem or b"").decode()
    return msgspec.json.encode({
        "clusters": [{"name": "tenant1", "cluster": {
            "server": client.endpoint.server, "certificate-authority-data": authority,
        }}],
        "users": [{"name": "us", "user": {"token": given.status.token}}],
    })


async def add_cluster(host: Client, content: bytes) -> None:
    cluster = services.a_cluster(DPU.name, DPU.namespace)
    await host.apply(services.a_kubeconfig_secret(DPU, content), field_owner="tests")
    await host.apply(
        DPUCluster(metadata=ObjectMeta(name=DPU.name, namespace=DPU.namespace), spec=cluster.spec), field_owner="tests"
    )
    await host.patch(DPUCluster, DPU.name, DPU.namespace, patch={"status": {"phase": "Ready"}}, subresource="status")


@asynccontextmanager
async def a_process(
    stage: Stage, *, metrics: Metrics | None = None, ahead: timedelta = timedelta()
) -> AsyncIterator[Manager]:
    """Everything of one process, caches complete and the DPU cluster connected, no pass made."""
    host = HTTPClient(kubeconfig.from_secret(stage.ours, source="ours"), name="host")
    registry = ClusterRegistry(host)
    follower = ClusterFollower(registry)
    manager = Manager(registry, host, [Controller(clusters=registry)], Settings(
        metrics=metrics or Metrics(), clock=FastClock(ahead),
    ))
    connected = asyncio.Event()
    registry.subscribe_health(lambda key, _old, _new: connected.set() if key == DPU else None)
    registry.start()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await registry.host.cache.wait_synced()
            await follower.run()
            await connected.wait()
            await registry.clusters()[DPU].cache.wait_synced()
        yield manager
    finally:
        await registry.aclose()


@asynccontextmanager
async def at_work(stage: Stage, **process: Any) -> AsyncIterator[None]:
    """A process that does its work until the block ends."""
    async with a_process(stage, **process) as manager:
        running = asyncio.create_task(manager.run())
        try:
            yield
        finally:
            await manager.stop(running)


async def ask(stage: Stage, **spec: Any) -> None:
    """A user applies the request."""
    request = some.a_request(**spec)
    await stage.host.apply(
        DPUServiceCredentialRequest(
            metadata=ObjectMeta(name=REQUEST.name, namespace=REQUEST.namespace), spec=request.spec
        ), field_owner="user",
    )


async def until(stage: Stage, accept: Callable[[DPUServiceCredentialRequest], bool]) -> DPUServiceCredentialRequest:
    def ready(request: DPUServiceCredentialRequest | None) -> bool:
        if request is None:
            return False
        holds = next((c for c in request.status.conditions or () if c.type == "Ready"), None)
        return (
            holds is not None and holds.status == "True"
            and holds.observedGeneration == request.metadata.generation and accept(request)
        )

    found = await wait.until(
        stage.host, DPUServiceCredentialRequest, REQUEST.name, REQUEST.namespace, accept=ready, timeout_s=TIMEOUT_S
    )
    assert found is not None
    return found


async def remove(stage: Stage) -> None:
    await stage.host.delete(DPUServiceCredentialRequest, REQUEST.name, REQUEST.namespace)
    await wait.until(
        stage.host, DPUServiceCredentialRequest, REQUEST.name, REQUEST.namespace, timeout_s=TIMEOUT_S,
        accept=lambda request: request is None,
    )


async def secret(stage: Stage, key: Key = SECRET) -> core.Secret:
    return await stage.host.get(core.Secret, key.name, key.namespace)


def who(server: str, ca_pem: str, token: str) -> str | None:
    """Whom the API server takes the holder of `token` for; None when it does not accept it."""
    where = urlsplit(server)
    connection = http.client.HTTPSConnection(
        str(where.hostname), where.port, context=ssl.create_default_context(cadata=ca_pem), timeout=10
    )
    try:
        connection.request(
            "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        response = connection.getresponse()
        body = json.loads(response.read())
    finally:
        connection.close()
    if response.status == 401:
        return None
    assert response.status == 201, response.status
    return str(body["status"]["userInfo"]["username"])


def parts_of(found: core.Secret) -> tuple[str, str, str]:
    """Server, CA and token of a kubeconfig, each read out as a program would."""
    config = yaml.safe_load(some.plain(found)["kubeconfig"])
    cluster = config["clusters"][0]["cluster"]
    ca_pem = base64.b64decode(cluster["certificate-authority-data"]).decode()
    return cluster["server"], ca_pem, config["users"][0]["user"]["token"]


async def until_refused(server: str, ca_pem: str, token: str) -> None:
    """Return once the API server does not accept `token` any more; it remembers for ten seconds whom it accepted."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            if await asyncio.to_thread(who, server, ca_pem, token) is None:
                return
            await asyncio.sleep(0.2)


async def test_43_the_kubeconfig_works_in_the_dpu_cluster_until_the_request_is_deleted(stage: Stage) -> None:
    await ask(stage)
    async with at_work(stage):
        request = await until(stage, lambda _: True)
        held = await secret(stage)
        server, ca_pem, token = parts_of(held)
        assert server == stage.dpu.endpoint.server
        assert await asyncio.to_thread(who, server, ca_pem, token) == ROBOT
        life = datetime.fromisoformat(request.status.expirationTimestamp or "") - datetime.fromisoformat(
            request.status.issuedAt or ""
        )
        assert life == timedelta(hours=1)
        account = await stage.dpu.get(core.ServiceAccount, ACCOUNT.name, ACCOUNT.namespace)
        assert account.automountServiceAccountToken is False
        with pytest.raises(errors.NotFound):
            await stage.host.get(core.ServiceAccount, ACCOUNT.name, ACCOUNT.namespace)

        service = HTTPClient(kubeconfig.from_secret(some.plain(held)["kubeconfig"].encode(), source="credential"))
        try:
            with pytest.raises(errors.Forbidden, match=ROBOT):
                await service.list(core.Secret, ACCOUNT.namespace)
        finally:
            await service.aclose()

        await remove(stage)
        with pytest.raises(errors.NotFound):
            await secret(stage)
        with pytest.raises(errors.NotFound):
            await stage.dpu.get(core.ServiceAccount, ACCOUNT.name, ACCOUNT.namespace)
        await until_refused(server, ca_pem, token)


async def test_43_token_file_works_in_the_host_cluster(stage: Stage) -> None:
    await ask(stage, target=None, type="tokenFile")
    async with at_work(stage):
        await until(stage, lambda _: True)
        data = some.plain(await secret(stage))
        server = f"https://{data['KUBERNETES_SERVICE_HOST']}:{data['KUBERNETES_SERVICE_PORT']}"
        assert server == stage.host.endpoint.server
        assert await asyncio.to_thread(who, server, data["KUBERNETES_CA_DATA"], data["TOKEN_FILE"]) == ROBOT
        await remove(stage)


async def test_every_edit_arrives_and_nothing_is_left(stage: Stage) -> None:
    await ask(stage, metadata={"labels": {"team": "a"}, "annotations": {"note": "x"}})
    renamed = Key(NAMESPACE, "renamed")
    async with at_work(stage):
        await until(stage, lambda _: True)
        first = await secret(stage)
        await ask(stage, secret=renamed, metadata={"labels": {"unit": "b"}})
        await until(stage, lambda request: request.status.secret == str(renamed))
        moved = await secret(stage, renamed)
        assert moved.data == first.data
        assert (moved.metadata.labels or {}).get("unit") == "b"
        assert "team" not in (moved.metadata.labels or {})
        with pytest.raises(errors.NotFound):
            await secret(stage)

        await ask(stage, secret=renamed, target=None, type="tokenFile")
        await until(stage, lambda request: request.status.targetCluster is None)
        held = await secret(stage, renamed)
        assert set(held.data or ()) == {
            "TOKEN_FILE", "KUBERNETES_CA_DATA", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT",
        }
        assert "unit" not in (held.metadata.labels or {})
        with pytest.raises(errors.NotFound):
            await stage.dpu.get(core.ServiceAccount, ACCOUNT.name, ACCOUNT.namespace)
        await remove(stage)


async def test_44_a_token_is_renewed_after_most_of_its_life(stage: Stage) -> None:
    await ask(stage, duration="10m")
    async with at_work(stage):
        await until(stage, lambda _: True)
        first = await secret(stage)
    async with at_work(stage, ahead=timedelta(minutes=7)):
        await until(stage, lambda _: True)
        assert (await secret(stage)).data == first.data
    async with at_work(stage, ahead=timedelta(minutes=8)):
        second = await wait.until(
            stage.host, core.Secret, SECRET.name, SECRET.namespace, timeout_s=TIMEOUT_S,
            accept=lambda found: found is not None and found.data != first.data,
        )
        assert second is not None
        server, ca_pem, token = parts_of(second)
        assert await asyncio.to_thread(who, server, ca_pem, token) == ROBOT
        assert await asyncio.to_thread(who, server, ca_pem, parts_of(first)[2]) == ROBOT, "the former goes on working"
        await remove(stage)


async def test_a_settled_request_is_not_written_again(stage: Stage) -> None:
    await ask(stage, metadata={"labels": {"team": "a"}})
    async with at_work(stage):
        await until(stage, lambda _: True)

    metrics = Metrics()
    async with a_process(stage, metrics=metrics) as manager:
        (controller,) = manager.controllers
        controller.enqueue_all()
        passes = 0
        while (key := controller.queue.take()) is not None:
            await controller.work(key)
            passes += 1
        assert passes >= 2, "one that names all roots, and one for the only root"
    (family,) = metrics.writes.collect()
    assert [s for s in family.samples if s.name.endswith("_total") and s.value] == []

    async with at_work(stage):
        await remove(stage)


async def test_a_secret_and_a_service_account_that_are_deleted_by_hand_come_back(stage: Stage) -> None:
    await ask(stage)
    async with at_work(stage):
        await until(stage, lambda _: True)
        first = await secret(stage)
        await stage.dpu.delete(core.ServiceAccount, ACCOUNT.name, ACCOUNT.namespace)
        await stage.host.delete(core.Secret, SECRET.name, SECRET.namespace)
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                listed = (await stage.host.list(core.Secret, NAMESPACE, fields=f"metadata.name={SECRET.name}")).items
                account = (await stage.dpu.list(core.ServiceAccount, ACCOUNT.namespace)).items
                if listed and any(a.metadata.name == ACCOUNT.name for a in account) and listed[0].data != first.data:
                    server, ca_pem, token = parts_of(listed[0])
                    if await asyncio.to_thread(who, server, ca_pem, token) == ROBOT:
                        break
                await asyncio.sleep(0.05)
        await until(stage, lambda _: True)
        await remove(stage)


async def test_no_token_in_any_log_event_or_status(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens: list[str] = []
    with structlog.testing.capture_logs() as logs:
        await ask(stage, metadata={"labels": {"not a label": "x"}})
        async with at_work(stage):
            await wait.until(
                stage.host, DPUServiceCredentialRequest, REQUEST.name, REQUEST.namespace, timeout_s=TIMEOUT_S,
                accept=lambda r: r is not None and "cannot write Secret" in str(r.status.conditions),
            )
            await ask(stage)
            request = await until(stage, lambda _: True)
            tokens.append(parts_of(await secret(stage))[2])
            events = (await stage.host.list(core.Event, NAMESPACE)).items
            await remove(stage)
    shown = "\n".join([*map(str, logs), caplog.text, *map(repr, events), msgspec.json.encode(request).decode()])
    assert "there is no token that fits" in shown
    assert tokens
    assert tokens[0] not in shown
    assert "eyJ" not in shown, "nor any other token: that is how they begin"
