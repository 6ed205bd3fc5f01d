"""How fast the same API server takes the same kinds of writes from a client that does nothing else.

Called right after a run, when our controllers and the cards have ended, because the speed of a machine changes by the
minute. Each kind of write is repeated with the objects that the run made, under another namespace.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

from bench.provisioning import fleet
from bench.services import bare
from bench.services.bare import Bare
from bench.services.engines import Engines
from bench.services.limit import Rate

SAMPLE: Final = 300
WHERE: Final = "limit"
_SERVER_FIELDS: Final = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "finalizers")
_RBAC: Final = "rbac.authorization.k8s.io/v1"
_PHASES: Final = ("Pending", "Prepare BFB", "DPU Config")
Tree = dict[str, Any]
Call = Callable[[], Awaitable[object]]


async def measure(servers: Engines, dpus: Bare) -> dict[str, Rate]:
    """The rate of each label (`audit.Write.label`); `dpus` is the DPU cluster."""
    host = servers.host
    await host.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": WHERE}})
    rates = {}
    async for label, calls in _works(host, dpus):
        cpu, began = servers.cpu_s() + time.process_time(), time.perf_counter()
        await bare.in_flight(call() for call in calls)
        seconds, spent = time.perf_counter() - began, servers.cpu_s() + time.process_time() - cpu
        rates[label] = Rate(per_s=len(calls) / seconds, cpu_ms=spent / len(calls) * 1000)
    return rates


async def _works(host: Bare, dpus: Bare) -> Any:  # noqa: ANN401 - an asynchronous iterator of labels and calls
    """Requests by label, in an order in which every object is there when it is changed."""
    found = (await host.list(fleet.GROUP, "DPU", fleet.NAMESPACE))[:SAMPLE]
    copies = [_copy(dpu) for dpu in found]
    yield "create dpus", [_create(host, copy) for copy in copies]
    yield "patch dpus", [_patch(host, copy, {"metadata": {"finalizers": ["example.com/limit"]}}) for copy in copies]
    yield "patch dpus/status", list(_statuses(host, copies, found))
    for label, calls in _access(host, [copy["metadata"]["name"] for copy in copies]):
        yield label, calls
    events = (await host.list("v1", "Event", fleet.NAMESPACE))[:SAMPLE]
    yield "create events", [_create(host, _copy(event)) for event in events]
    nodes = [_copy(node) for node in (await dpus.list("v1", "Node", ""))[:SAMPLE]]
    for node in nodes:
        node["metadata"]["name"] += ".limit"
    yield "create nodes", [_create(dpus, node) for node in nodes]
    yield "patch nodes", [_patch(dpus, node, {"metadata": {"labels": {"example.com/limit": "x"}}}) for node in nodes]


def _statuses(host: Bare, copies: Sequence[Tree], found: Sequence[Tree]) -> Iterator[Call]:
    """As it ends, and on the way there: more conditions each time, the phase with it. Never two of one DPU together."""
    for number, phase in enumerate(_PHASES, start=1):
        for copy, dpu in zip(copies, found, strict=True):
            told = dpu["status"].get("conditions") or []
            conditions = told[:max(1, len(told) * number // len(_PHASES))]
            facts = dpu["status"] if number == 1 else {}
            status = {**facts, "conditions": conditions, "previousPhase": phase}
            yield _patch(host, copy, {"status": status}, "status")


def _access(host: Bare, dpus: Sequence[str]) -> Iterator[tuple[str, list[Call]]]:
    """Secrets, Roles and RoleBindings of about the size of ours."""
    secrets = [_named("v1", "Secret", name, stringData={
        "token-id": "abcdef", "token-secret": "0123456789abcdef", "expiration": "2026-01-01T00:00:00Z",
        "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true", "description": name * 3,
    }) for name in dpus]
    yield "create secrets", [_create(host, secret) for secret in secrets]
    yield "delete secrets", [_delete(host, secret) for secret in secrets]
    yield "apply new secrets", [_apply(host, secret) for secret in secrets]
    rules = [
        {"apiGroups": ["provisioning.dpu.nvidia.com"], "resources": [kind], "verbs": ["get", "list", "watch", "patch"]}
        for kind in ("dpus", "dpus/status", "dpuflavors")
    ]
    yield "apply new roles", [_apply(host, _named(_RBAC, "Role", name, rules=rules)) for name in dpus]
    yield "apply new rolebindings", [_apply(host, _named(
        _RBAC, "RoleBinding", name, subjects=[{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
    )) for name in dpus]


def _named(version: str, kind: str, name: str, **fields: object) -> Tree:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": WHERE}, **fields}


def _copy(obj: Tree) -> Tree:
    """The same object in another place, as somebody would write it."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _SERVER_FIELDS}
    metadata.pop("ownerReferences", None)
    kept = ("status",) if obj["kind"] == "DPU" else ()
    copy = {key: value for key, value in obj.items() if key not in kept} | {"metadata": metadata}
    if "namespace" in metadata:
        metadata["namespace"] = WHERE
    if obj["kind"] == "Event":
        copy["involvedObject"] = {**copy["involvedObject"], "namespace": WHERE}
    return copy


def _create(client: Bare, obj: Tree) -> Call:
    return lambda: client.create(obj)


def _apply(client: Bare, obj: Tree) -> Call:
    return lambda: client.apply(obj)


def _patch(client: Bare, obj: Tree, patch: Tree, subresource: str = "") -> Call:
    metadata = obj["metadata"]
    return lambda: client.patch(
        obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"], patch, subresource
    )


def _delete(client: Bare, obj: Tree) -> Call:
    metadata = obj["metadata"]
    path = bare.collection(obj["apiVersion"], obj["kind"], metadata["namespace"])
    return lambda: client.request("DELETE", f"{path}/{metadata['name']}")
