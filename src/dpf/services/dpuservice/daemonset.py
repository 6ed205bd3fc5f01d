"""The Helm values of a DPUService: its own, the typed DaemonSet settings, the exposed ports (behaviour-service.md 3.5).

Pure. Called by this kind's planner. Charts read `serviceDaemonSet` and `exposedPorts`, which seed 000 documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from dpf.api import names
from dpf.api.dpuservice import DPUService, DPUServiceSpec
from dpf.api.meta import FreeForm, object_key
from dpf.api.schema import QUANTITY_PATTERN
from dpf.runtime import digest
from dpf.services import values
from dpf.services.argocd import build
from dpf.services.dpuservice.networks import NOTHING, Attachments

_QUANTITY: Final = re.compile(QUANTITY_PATTERN)


def service_id(service: DPUService) -> str:
    """`spec.serviceID`, else an id derived from the object's identity (behaviour-service.md section 2)."""
    if service.spec and service.spec.serviceID:
        return service.spec.serviceID
    return _derived_id(service.metadata.name, service.metadata.namespace)


@lru_cache(maxsize=1024)
def _derived_id(name: str, namespace: str | None) -> str:
    """Asked for once per cluster in every pass."""
    return digest.short("DPUService.svc.dpu.nvidia.com", name, namespace)


def compute_values(
    service: DPUService, spec: DPUServiceSpec, destination: build.Destination, attachments: Attachments = NOTHING
) -> FreeForm:
    """`helm.valuesObject` of the Application at `destination`. The typed settings of the spec beat the values.

    What the service's interfaces add (`attachments`) beats both. The DPUService itself stays as the user wrote it.
    """
    typed = _daemonset(service, spec, attachments)
    if names.COMPONENT_LABEL in (service.metadata.labels or {}):
        typed["annotations"] = {**typed.get("annotations", {}), **_component_annotations(service, destination)}
        wanted: FreeForm = {"global": {"serviceDaemonSet": typed}}
    else:
        wanted = {"serviceDaemonSet": typed}
    merged = values.merge(wanted, spec.helmChart.values)
    return values.merge(merged, _exposed_ports(service, spec)) if spec.configPorts else merged


def flatten_resources(resources: Mapping[str, Any] | None) -> dict[str, Any]:
    """Resource quantities by name. One inner map `resources` is lifted (api-svc.md skew 10); outer entries win."""
    flat = dict(resources or {})
    inner = flat.get("resources")
    if isinstance(inner, Mapping):
        del flat["resources"]
        return {**inner, **flat}
    return flat


def resource_problems(spec: DPUServiceSpec) -> Iterable[str]:
    """What is wrong with `serviceDaemonSet.resources`, for the user; the schema cannot tell (api-svc.md skew 10)."""
    resources = flatten_resources(spec.serviceDaemonSet.resources if spec.serviceDaemonSet else None)
    for name, quantity in sorted(resources.items()):
        if not _is_quantity(quantity):
            yield (
                f"spec.serviceDaemonSet.resources: {name} is {quantity!r:.60}, which is not a quantity;"
                f" write an integer or a string such as 500m or 6Gi"
            )


def _is_quantity(value: object) -> bool:
    if isinstance(value, str):
        return bool(_QUANTITY.fullmatch(value))
    return isinstance(value, int) and not isinstance(value, bool)


def _daemonset(service: DPUService, spec: DPUServiceSpec, attachments: Attachments) -> dict[str, Any]:
    typed: dict[str, Any] = msgspec.to_builtins(spec.serviceDaemonSet) if spec.serviceDaemonSet else {}
    if typed.get("resources"):
        typed["resources"] = flatten_resources(typed["resources"])
    if attachments.resources:
        typed["resources"] = {**typed.get("resources", {}), **attachments.resources}
    if attachments.networks is not None:
        typed["annotations"] = {**typed.get("annotations", {}), names.NETWORKS_ANNOTATION: attachments.networks}
    typed["labels"] = {**typed.get("labels", {}), names.SERVICE_LABEL: service_id(service)}
    return typed


def _component_annotations(service: DPUService, destination: build.Destination) -> dict[str, str]:
    cluster = destination.cluster.name if destination.cluster else destination.name
    return {names.CLUSTER_LABEL: cluster, names.CLUSTER_NAMESPACE_LABEL: service.metadata.namespace or ""}


def _exposed_ports(service: DPUService, spec: DPUServiceSpec) -> FreeForm:
    ports = spec.configPorts.ports if spec.configPorts else []
    labels = build.match_labels(object_key(service))
    return {"exposedPorts": {"labels": labels, "ports": {port.name: True for port in ports}}}
