"""How fast the same API server takes the same kinds of writes from a client that does nothing else.

Called when our controllers have ended. Each kind of write is repeated with the objects that the controllers made,
under other names; from the rates follows how long the writes of a run take at least.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from bench.services import bare, load
from bench.services.bare import Bare
from dpf.api import names

SAMPLE: Final = 90
ROUNDS: Final = 3
_SERVER_FIELDS: Final = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")
_CHILDREN: Final = {
    "dpuservices": (load.SVC, "DPUService"), "dpuserviceinterfaces": (load.SVC, "DPUServiceInterface"),
    "dpuservicechains": (load.SVC, "DPUServiceChain"), "dpusets": (load.PROVISIONING, "DPUSet"),
    "applications": (load.ARGO, "Application"),
}
_DEPENDENCIES: Final = {
    "bfbs": (load.PROVISIONING, "BFB", "bfb"), "dpuflavors": (load.PROVISIONING, "DPUFlavor", "flavor"),
    "dpuservicetemplates": (load.SVC, "DPUServiceTemplate", "service-0"),
    "dpuserviceconfigurations": (load.SVC, "DPUServiceConfiguration", "service-0"),
}
Writes = Mapping[str, Sequence[Callable[[], Awaitable[None]]]]


async def measure(host: Bare, namespace: str) -> dict[str, float]:
    """Writes per second by label (`audit.Write.label`), each the median of some rounds.

    `namespace` is where the controllers have worked; other namespaces are made beside it.
    """
    found: dict[str, list[float]] = {}
    samples = await _samples(host, namespace)
    for number in range(ROUNDS):
        where = f"{namespace}-limit-{number}"
        await host.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": where}})
        for label, writes in _writes(host, samples, namespace, where).items():
            began = time.perf_counter()
            await bare.in_flight(write() for write in writes)
            found.setdefault(label, []).append(len(writes) / (time.perf_counter() - began))
    return {label: statistics.median(rates) for label, rates in found.items()}


def seconds(counts: Mapping[str, int], rates: Mapping[str, float]) -> float:
    """How long these writes take at least. What was not measured counts as an average write."""
    average = statistics.mean(1 / rate for rate in rates.values())
    return sum(count * (1 / rates[label] if label in rates else average) for label, count in counts.items())


async def _samples(host: Bare, namespace: str) -> dict[str, list[dict[str, Any]]]:
    """Objects of each resource as the controllers left them."""
    found = {"dpudeployments": await host.list(load.SVC, "DPUDeployment", namespace)}
    for resource, (version, kind) in _CHILDREN.items():
        where = names.DPF_NAMESPACE if kind == "Application" else namespace
        found[resource] = await host.list(version, kind, where)
    found["events"] = await host.list("v1", "Event", namespace)
    return {resource: objects[:SAMPLE] for resource, objects in found.items()}


def _writes(
    host: Bare, samples: Mapping[str, Sequence[dict[str, Any]]], namespace: str, where: str
) -> Writes:
    """In an order in which every object is there when it is patched."""
    writes: dict[str, list[Callable[[], Awaitable[None]]]] = {}
    copies = {resource: [_copy(obj, where) for obj in objects] for resource, objects in samples.items()}
    for resource in _CHILDREN:
        writes[f"apply new {resource}"] = [_apply(host, obj) for obj in copies[resource]]
    writes["create dpudeployments"] = [_create(host, obj) for obj in copies["dpudeployments"]]
    writes["create events"] = [_create(host, obj) for obj in copies["events"]]
    for resource in ("dpudeployments", "dpuservices"):
        finalizer = {"metadata": {"finalizers": ["example.com/bench"]}}
        writes[f"patch {resource}"] = [_patch(host, obj, finalizer) for obj in copies[resource]]
        writes[f"patch {resource}/status"] = [
            _patch(host, copy, {"status": obj.get("status") or {}}, "status")
            for copy, obj in zip(copies[resource], samples[resource], strict=True)
        ]
    for resource in ("dpuservices", "applications"):
        edited = ({**obj, "spec": _edited(obj["spec"])} for obj in copies[resource])
        writes[f"apply {resource}"] = [_apply(host, obj) for obj in edited]
    claim = {"metadata": {"annotations": {names.CONSUMED_BY_ANNOTATION: "a-dpuservice"}}}
    writes["patch dpuserviceinterfaces"] = [_patch(host, obj, claim) for obj in copies["dpuserviceinterfaces"]]
    for resource, (version, kind, name) in _DEPENDENCIES.items():
        target = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
        marks = ({"metadata": {"labels": {f"example.com/{where[-1]}-{n}": ""}}} for n in range(SAMPLE // 3))
        writes[f"patch {resource}"] = [_patch(host, target, mark) for mark in marks]
    return {label: calls for label, calls in writes.items() if calls}


def _copy(obj: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The same object under another name, as somebody would write it."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _SERVER_FIELDS}
    metadata.pop("finalizers", None)
    if obj["kind"] == "Application":
        metadata["name"] = f"{where}-{metadata['name']}"[:253]
    else:
        metadata["namespace"] = where
    copy = {**obj, "metadata": metadata}
    copy.pop("status", None)
    if obj["kind"] == "Event":
        copy["involvedObject"] = {**copy["involvedObject"], "namespace": where}
    return copy


def _edited(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec with another value for its chart."""
    if "helmChart" in spec:
        chart = spec["helmChart"]
        return {**spec, "helmChart": {**chart, "values": {**chart["values"], "logLevel": "debug"}}}
    helm = {"valuesObject": {**spec["source"]["helm"]["valuesObject"], "logLevel": "debug"}}
    return {**spec, "source": {**spec["source"], "helm": {**spec["source"]["helm"], **helm}}}


def _apply(host: Bare, obj: dict[str, Any]) -> Callable[[], Awaitable[None]]:
    return lambda: host.apply(obj)


def _create(host: Bare, obj: dict[str, Any]) -> Callable[[], Awaitable[None]]:
    return lambda: host.create(obj)


def _patch(
    host: Bare, obj: Mapping[str, Any], patch: Mapping[str, Any], subresource: str = "",
) -> Callable[[], Awaitable[None]]:
    metadata = obj["metadata"]
    return lambda: host.patch(
        obj["apiVersion"], obj["kind"], metadata["namespace"], metadata["name"], patch, subresource
    )


def average(rates: Mapping[str, float], labels: Iterable[str]) -> float:
    """Writes per second of an even mix of these labels, as far as they were measured."""
    measured = [rates[label] for label in labels if label in rates]
    return len(measured) / sum(1 / rate for rate in measured) if measured else 0.0
