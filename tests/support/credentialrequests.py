"""Builders for DPUServiceCredentialRequests, a stage for them, and eyes for what is made."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import yaml
from tests.support import dpuservices as some
from tests.support import world as worlds
from tests.support.world import World

from dpf.api import core
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservicecredentialrequest import DPUServiceCredentialRequest, DPUServiceCredentialRequestSpec
from dpf.api.meta import Condition, Key, ObjectMeta
from dpf.kube.memory import MemoryCluster
from dpf.kube.memory.subresources import IssuedToken
from dpf.runtime.manager import Manager
from dpf.services.credentialrequest import credential
from dpf.services.credentialrequest.controller import DPUServiceCredentialRequestController

NAMESPACE = some.TENANT
NAME = "flannel"
REQUEST = Key(NAMESPACE, NAME)
ACCOUNT = Key("services", "robot")
SECRET = Key(NAMESPACE, "robot-credential")
DPU = Key(some.CLUSTERS, "dpu-1")


def a_request(
    name: str = NAME, *, target: Key | None = DPU, account: Key = ACCOUNT, secret: Key = SECRET,
    status: dict[str, Any] | None = None, deleting: bool = False, **spec: Any,
) -> DPUServiceCredentialRequest:
    """A request for a kubeconfig of an hour in the DPU cluster `dpu-1`; `spec` is merged over that, in wire form."""
    fields: dict[str, Any] = {
        "serviceAccount": _reference(account), "secret": _reference(secret), "type": "kubeconfig", "duration": "1h",
        **({"targetCluster": _reference(target)} if target else {}), **spec,
    }
    made = DPUServiceCredentialRequest(
        metadata=ObjectMeta(
            name=name, namespace=NAMESPACE, generation=1, uid=f"uid-{name}",
            deletionTimestamp="2026-01-01T00:00:00Z" if deleting else None,
        ),
        spec=msgspec.convert({key: value for key, value in fields.items() if value is not None},
                             DPUServiceCredentialRequestSpec),
    )
    return msgspec.structs.replace(made, status=msgspec.convert(status or {}, type(made.status)))


def a_stage(*clusters: str) -> World:
    """A host with these DPUClusters (`dpu-1` when none is named), Ready and reachable; the account's namespace exists.

    The clusters keep the same time as we do.
    """
    world = worlds.a_world(dpu_clusters=clusters or (DPU.name,), namespace=some.CLUSTERS)
    world.host.add(
        *(core.Namespace(metadata=ObjectMeta(name=name)) for name in (some.DPF, NAMESPACE, ACCOUNT.namespace))
    )
    for key, cluster in world.dpus.items():
        cluster.add(core.Namespace(metadata=ObjectMeta(name=ACCOUNT.namespace)))
        world.host.add(some.a_cluster(key.name, key.namespace), some.a_kubeconfig_secret(key))
    return world


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Manager]:
    """The controller runs and has settled; leaving the block is the end of its process."""
    def build(world: World) -> list[Any]:
        return [DPUServiceCredentialRequestController(clusters=world.registry)]

    async with world.controllers(build, follow=True) as manager:
        await manager.settle()
        yield manager


async def live(world: World, then: Callable[[World, Manager], Awaitable[None]] | None = None) -> None:
    """One life of the process: settle, go through `then`, settle again."""
    async with running(world) as manager:
        if then is not None:
            await then(world, manager)
            await manager.settle()


async def edit(world: World, name: str = NAME, **spec: Any) -> None:
    """A user merges `spec` into a request; None removes a field."""
    await world.host.patch(DPUServiceCredentialRequest, name, NAMESPACE, patch={"spec": spec})


def request(world: World, name: str = NAME) -> DPUServiceCredentialRequest:
    """The request as it is now."""
    return next(r for r in world.host.objects(DPUServiceCredentialRequest) if r.metadata.name == name)


def condition(world: World, type_: str, name: str = NAME) -> Condition:
    """A condition of a request as it is now."""
    return next(c for c in request(world, name).status.conditions or () if c.type == type_)


def is_ready(world: World, name: str = NAME) -> bool:
    """Whether Ready is True for the current generation."""
    found = request(world, name)
    ready = condition(world, "Ready", name)
    return ready.status == "True" and ready.observedGeneration == found.metadata.generation


def secret(world: World, key: Key = SECRET) -> core.Secret | None:
    """The Secret as it is now."""
    return next((s for s in world.host.objects(core.Secret, key.namespace) if s.metadata.name == key.name), None)


def account(cluster: MemoryCluster, key: Key = ACCOUNT) -> core.ServiceAccount | None:
    """The ServiceAccount as it is now."""
    found = cluster.objects(core.ServiceAccount, key.namespace)
    return next((a for a in found if a.metadata.name == key.name), None)


def plain(found: core.Secret | None) -> dict[str, str]:
    """The data of a Secret that is there, decoded."""
    assert found is not None
    return {key: base64.b64decode(value).decode() for key, value in (found.data or {}).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a Secret lets somebody do: the token, and the cluster that it is shown to."""

    token: str
    server: str


def credential_in(found: core.Secret | None) -> Credential:
    """The credential of a Secret that is there, in either layout."""
    data = plain(found)
    if "kubeconfig" in data:
        config = yaml.safe_load(data["kubeconfig"])
        return Credential(
            token=config["users"][0]["user"]["token"], server=config["clusters"][0]["cluster"]["server"]
        )
    host, port = data["KUBERNETES_SERVICE_HOST"], data["KUBERNETES_SERVICE_PORT"]
    return Credential(token=data["TOKEN_FILE"], server=f"https://{host}:{port}")


def accepts(cluster: MemoryCluster, token: str) -> IssuedToken | None:
    """The grant behind a token that `cluster` would accept now; None when it would refuse it."""
    for issued in cluster.tokens.issued:
        holder = account(cluster, issued.account)
        if issued.token == token and holder is not None and holder.metadata.uid == issued.account_uid:
            return issued if issued.expires > cluster._now() else None
    return None


def end_state(world: World) -> dict[str, Any]:
    """All that counts.

    In the place of a token stands what it is worth: for which ServiceAccount, where, and how long; of uids and
    generations, whether they are current.
    """
    state = world.state(core.ServiceAccount)
    uids = {f"{c.metadata.namespace}/{c.metadata.name}": c.metadata.uid for c in world.host.objects(DPUCluster)}
    for found_request in world.host.objects(DPUServiceCredentialRequest):
        status = found_request.status
        state[f"request {found_request.metadata.name}"] = (
            found_request.spec, status.serviceAccount, status.targetCluster, status.secret,
            _life(status.issuedAt, status.expirationTimestamp),
            status.targetClusterUID == uids.get(status.targetCluster or ""),
            [(c.type, c.status, c.reason, c.message, c.observedGeneration == found_request.metadata.generation)
             for c in status.conditions or ()],
        )
    for found in world.host.objects(core.Secret, NAMESPACE):
        shown = credential_in(found)
        worth = [(cluster.name, str(grant.account)) for cluster in world.clusters
                 if (grant := accepts(cluster, shown.token)) is not None]
        annotations = dict(found.metadata.annotations or {})
        mark = json.loads(annotations.pop(credential.MARK_ANNOTATION))
        state[f"secret {found.metadata.name}"] = (
            found.metadata.labels, annotations, sorted(found.data or ()), shown.server, worth,
            _life(mark["issued"], mark["expires"]),
        )
    return state


def _life(issued: str | None, expires: str | None) -> timedelta | None:
    return datetime.fromisoformat(expires) - datetime.fromisoformat(issued) if issued and expires else None


def _reference(key: Key) -> dict[str, str]:
    return {"name": key.name, **({"namespace": key.namespace} if key.namespace else {})}
