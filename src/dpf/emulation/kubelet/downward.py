"""What a pod may be told about itself: fieldRef and resourceFieldRef.

Pure. Source of the paths: Kubernetes, "Downward API". Quantities are read as Kubernetes writes them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from dpf.api.core import Container, IntOrString, Pod
from dpf.emulation.kubelet.sources import MissingReference

_SUBSCRIPT: Final = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")
_QUANTITY: Final = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E)?")
_SUFFIXES: Final = {
    None: Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal(10**3),
    "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the pod runs, as its kubelet knows before the API server does."""

    pod_ip: str
    host_ip: str
    allocatable: Mapping[str, IntOrString]


def field_value(pod: Pod, path: str, placement: Placement) -> str:
    """The value of `fieldRef.fieldPath`. Raises MissingReference for a path that is not offered."""
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript:
        source = pod.metadata.labels if subscript[1] == "labels" else pod.metadata.annotations
        return (source or {}).get(subscript[2], "")
    values = {
        "metadata.name": pod.metadata.name, "metadata.namespace": pod.metadata.namespace,
        "metadata.uid": pod.metadata.uid, "metadata.labels": _lines(pod.metadata.labels),
        "metadata.annotations": _lines(pod.metadata.annotations), "spec.nodeName": pod.spec.nodeName,
        "spec.serviceAccountName": pod.spec.serviceAccountName, "status.hostIP": placement.host_ip,
        "status.hostIPs": placement.host_ip, "status.podIP": placement.pod_ip, "status.podIPs": placement.pod_ip,
    }
    if path not in values:
        raise MissingReference(f"fieldRef {path!r} is not a field that a pod can be told")
    return values[path] or ""


def resource_value(container: Container, reference: Mapping[str, Any], placement: Placement) -> str:
    """The value of a resourceFieldRef in units of its divisor, rounded up; without a limit, what the node has."""
    kind, _, name = str(reference.get("resource", "")).partition(".")
    amounts = container.resources.limits if kind == "limits" else container.resources.requests
    if kind not in {"limits", "requests"} or not name:
        resource = reference.get("resource")
        raise MissingReference(f"resourceFieldRef {resource!r} must be limits.<name> or requests.<name>")
    amount = (amounts or {}).get(name, placement.allocatable.get(name, 0) if kind == "limits" else 0)
    divisor = parse_quantity(reference.get("divisor") or 1) or Decimal(1)
    return str(math.ceil(parse_quantity(amount) / divisor))


def parse_quantity(quantity: IntOrString) -> Decimal:
    """A Kubernetes quantity as a number. Raises MissingReference when it is none."""
    match = _QUANTITY.fullmatch(str(quantity))
    try:
        if match:
            return Decimal(match[1]) * _SUFFIXES[match[2]]
    except InvalidOperation:
        pass
    raise MissingReference(f"{quantity!r} is not a quantity")


def _lines(pairs: Mapping[str, str] | None) -> str:
    return "\n".join(f'{key}="{_escape(value)}"' for key, value in sorted((pairs or {}).items()))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
