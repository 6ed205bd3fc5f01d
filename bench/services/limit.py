"""How fast the same API server takes the same kinds of writes from a client that does nothing else.

Called right after a run, when our controllers have ended, because the speed of a machine changes by the minute. Each
kind of write is repeated with the objects that the run made, under other names; from the rates follows how long the
writes of the run take at least, and how much CPU. The latter is the same when somebody else uses the machine as well.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.services import bare, load
from bench.services.bare import Bare
from bench.services.engines import Engines
from dpf.api import names

SAMPLE: Final = 60
COPIES: Final = 30
_LABEL: Final = "example.com/limit"
_SERVER_FIELDS: Final = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "finalizers")
_CHILDREN: Final = {
    "dpuservices": (load.SVC, "DPUService"), "dpuserviceinterfaces": (load.SVC, "DPUServiceInterface"),
    "dpuservicechains": (load.SVC, "DPUServiceChain"), "dpusets": (load.PROVISIONING, "DPUSet"),
    "applications": (load.ARGO, "Application"),
}
_DEPENDENCIES: Final = {
    "bfbs": (load.PROVISIONING, "BFB"), "dpuflavors": (load.PROVISIONING, "DPUFlavor"),
    "dpuservicetemplates": (load.SVC, "DPUServiceTemplate"),
    "dpuserviceconfigurations": (load.SVC, "DPUServiceConfiguration"),
}
Tree = dict[str, Any]
Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How fast one kind of write is, and what it costs: the servers' CPU and that of the bare client together."""

    per_s: float
    cpu_ms: float


async def measure(servers: Engines, namespace: str) -> dict[str, Rate]:
    """The rate of each label (`audit.Write.label`).

    `namespace` is where the controllers have worked; another one is made beside it, and its objects are removed again.
    """
    host, where = servers.host, f"{namespace}-limit"
    await host.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": where}})
    samples = await _samples(host, namespace)
    rates = {}
    for label, calls in _calls(host, samples, where):
        cpu, began = servers.cpu_s() + time.process_time(), time.perf_counter()
        await bare.in_flight(call() for call in calls)
        seconds, spent = time.perf_counter() - began, servers.cpu_s() + time.process_time() - cpu
        rates[label] = Rate(per_s=len(calls) / seconds, cpu_ms=spent / len(calls) * 1000)
    for version, kind in (*_CHILDREN.values(), *_DEPENDENCIES.values(), (load.SVC, "DPUDeployment")):
        home = names.DPF_NAMESPACE if kind == "Application" else where
        await host.request("DELETE", f"{bare.collection(version, kind, home)}?labelSelector={_LABEL}")
    return rates


def least(counts: Mapping[str, int], rates: Mapping[str, Rate]) -> tuple[float, float]:
    """Seconds and seconds of CPU that these writes take at least. What was not measured counts as an average write."""
    average = Rate(
        per_s=1 / statistics.mean(1 / rate.per_s for rate in rates.values()),
        cpu_ms=statistics.mean(rate.cpu_ms for rate in rates.values()),
    )
    found = [(count, rates.get(label, average)) for label, count in counts.items()]
    return sum(n / rate.per_s for n, rate in found), sum(n * rate.cpu_ms for n, rate in found) / 1000


async def _samples(host: Bare, namespace: str) -> dict[str, list[Tree]]:
    """Objects of each resource as the controllers left them; of dependencies there are few, so one is repeated."""
    found = {"dpudeployments": await host.list(load.SVC, "DPUDeployment", namespace)}
    for resource, (version, kind) in _CHILDREN.items():
        where = names.DPF_NAMESPACE if kind == "Application" else namespace
        found[resource] = await host.list(version, kind, where)
    found["events"] = await host.list("v1", "Event", namespace)
    for resource, (version, kind) in _DEPENDENCIES.items():
        one = (await host.list(version, kind, namespace))[0]
        found[resource] = [{**one, "metadata": {**one["metadata"], "name": f"copy-{n}"}} for n in range(COPIES)]
    return {resource: objects[:SAMPLE] for resource, objects in found.items()}


def _calls(host: Bare, samples: Mapping[str, Sequence[Tree]], where: str) -> Iterator[tuple[str, list[Call]]]:
    """Requests by label, in an order in which every object is there when it is patched."""
    copies = {resource: [_copy(obj, where) for obj in objects] for resource, objects in samples.items()}
    for resource in _CHILDREN:
        yield f"apply new {resource}", [_apply(host, obj) for obj in copies[resource]]
    for resource in ("dpudeployments", "events", *_DEPENDENCIES):
        yield f"create {resource}", [_create(host, obj) for obj in copies[resource]]
    for resource in ("dpudeployments", "dpuservices", "dpuserviceinterfaces", *_DEPENDENCIES):
        mark = {"metadata": {"annotations": {"example.com/mark": "set"}}}
        yield f"patch {resource}", [_patch(host, obj, mark) for obj in copies[resource]]
    for resource in ("dpudeployments", "dpuservices"):
        pairs = zip(copies[resource], samples[resource], strict=True)
        yield f"patch {resource}/status", [
            _patch(host, copy, {"status": obj.get("status") or {}}, "status") for copy, obj in pairs
        ]
    yield "apply dpuservices", [_apply(host, _edited_service(obj)) for obj in copies["dpuservices"]]
    yield "patch applications", [_replace(host, obj) for obj in copies["applications"]]


def _copy(obj: Tree, where: str) -> Tree:
    """The same object in another place, as somebody would write it."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _SERVER_FIELDS}
    metadata["labels"] = {**metadata.get("labels", {}), _LABEL: ""}
    if obj["kind"] == "Application":
        metadata["name"] = f"{where}-{metadata['name']}"
    else:
        metadata["namespace"] = where
    copy = {key: value for key, value in obj.items() if key != "status"} | {"metadata": metadata}
    if obj["kind"] == "Event":
        copy["involvedObject"] = {**copy["involvedObject"], "namespace": where}
    return copy


def _edited_service(obj: Tree) -> Tree:
    """Another value for its chart."""
    chart = obj["spec"]["helmChart"]
    edited = {**chart, "values": {**chart["values"], "logLevel": "debug"}}
    return {**obj, "spec": {**obj["spec"], "helmChart": edited}}


def _replace(host: Bare, obj: Tree) -> Call:
    """Of an Application: the whole spec, with another value for its chart."""
    helm = obj["spec"]["source"]["helm"]
    edited = {**helm, "valuesObject": {**helm["valuesObject"], "logLevel": "debug"}}
    spec = {**obj["spec"], "source": {**obj["spec"]["source"], "helm": edited}}
    path = f"{bare.collection(obj['apiVersion'], obj['kind'], names.DPF_NAMESPACE)}/{obj['metadata']['name']}"
    return lambda: host.patch_json(path, [{"op": "replace", "path": "/spec", "value": spec}])


def _apply(host: Bare, obj: Tree) -> Call:
    return lambda: host.apply(obj)


def _create(host: Bare, obj: Tree) -> Call:
    return lambda: host.create(obj)


def _patch(host: Bare, obj: Tree, patch: Tree, subresource: str = "") -> Call:
    metadata = obj["metadata"]
    return lambda: host.patch(
        obj["apiVersion"], obj["kind"], metadata["namespace"], metadata["name"], patch, subresource
    )
