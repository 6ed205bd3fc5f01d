"""The network attachments that a service's pods ask for: the annotation that Multus reads, and their devices.

Pure. Called by `interfaces` (behaviour-service.md 3.3). The result goes into the chart's values only and is never
written to the user's object.

Version-dependent rule, not followed here: the original of 2026 adds one more element, `invalid-network` in namespace
`invalid-namespace` as `invalid-interface`, that keeps a pod from starting until an injector in the DPU cluster has
given it its addresses and taken the element away. The documents that come before that version do not show it, and
without such an injector no pod would ever start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from dpf.api import names
from dpf.api.dpuserviceinterface import ServiceDef
from dpf.api.dpuservicenad import DPUServiceNAD, ResourceType
from dpf.api.meta import Key

WITHOUT_NAD: Final = frozenset({"mybrhbn", "iprequest"})
"""Networks that exist without a DPUServiceNAD."""

_SF, _TRUSTED_SF, _VF = "nvidia.com/bf_sf", "nvidia.com/bf_sf_trusted", "nvidia.com/bf_vf"
_FIELDS: Final = ("name", "namespace", "ips", "mac", "infiniband-guid", "interface", "portMappings", "bandwidth",
                  "cni-args", "default-route", "ipam-claim-reference")
"""Fields of an element in the order in which they are written; what else a user wrote follows them."""
_SHAPES: Final[Mapping[str, tuple[type, str]]] = {
    "name": (str, "a string"), "namespace": (str, "a string"), "interface": (str, "a string"),
    "cni-args": (dict, "an object"),
}

Element = dict[str, Any]
"""One element of the annotation, as in the de-facto standard of the network plumbing working group."""


class NetworksError(ValueError):
    """The user's annotation cannot be read; the text is the documented one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One interface of a pod. `nad` is where the DPUServiceNAD of its network would be; None where there is none.

    `namespace` is empty when the network is looked for in the pod's own namespace.
    """

    name: str
    namespace: str
    interface: str
    nad: Key | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachments:
    """What the interfaces of a service add to its DaemonSet settings. `networks` None: nothing."""

    networks: str | None = None
    resources: Mapping[str, str] = field(default_factory=dict)


NOTHING: Final = Attachments()


def attachment(service: ServiceDef, namespace: str) -> Attachment:
    """The attachment of an interface that lives in `namespace`."""
    before, slash, after = service.network.partition("/")
    name, own = (after, before) if slash else (before, "")
    nad = None if name in WITHOUT_NAD else Key(own or namespace, name)
    return Attachment(name=name, namespace=own, interface=service.interfaceName, nad=nad)


def merge(existing: str | None, wanted: Sequence[Attachment]) -> str:
    """The annotation: the user's elements, completed by what is generated for the same interface, and the others.

    Sorted by network, then interface; `cni-args` is always written. Raises NetworksError.
    """
    elements = _parse(existing) if existing and existing.strip() else []
    for one in wanted:
        generated = {"name": one.name, "namespace": one.namespace, "interface": one.interface}
        same = [e for e in elements if e.get("interface") == one.interface]
        for element in same:
            element.update({key: value for key, value in generated.items() if not element.get(key)})
        if not same:
            elements.append(generated)
    elements.sort(key=lambda e: (e.get("name") or "", e.get("interface") or ""))
    return msgspec.json.encode([_ordered(element) for element in elements]).decode()


def count_resources(wanted: Iterable[Attachment], nads: Mapping[Key, DPUServiceNAD]) -> dict[str, str]:
    """How many devices of each kind the attachments take, as quantities. A network without a NAD takes none."""
    found = [nads.get(one.nad) for one in wanted if one.nad is not None]
    counted = Counter(name for nad in found if nad is not None and (name := resource_name(nad)) is not None)
    return {name: str(count) for name, count in sorted(counted.items())}


def resource_name(nad: DPUServiceNAD) -> str | None:
    """The extended resource behind an attachment; None where it takes no device."""
    if nad.spec is None or nad.spec.resourceType == ResourceType.VETH:
        return None
    if nad.spec.resourceType == ResourceType.VF:
        return _VF
    return _TRUSTED_SF if names.TRUSTED_SFS_ANNOTATION in (nad.metadata.annotations or {}) else _SF


def _parse(text: str) -> list[Element]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _unreadable(str(error)) from None
    if found is None:
        return []
    if not isinstance(found, list):
        raise _unreadable("it is not a list")
    for position, element in enumerate(found):
        _check(position, element)
    return found


def _check(position: int, element: object) -> None:
    if not isinstance(element, dict):
        raise _unreadable(f"element {position} is not an object")
    for key, (shape, said) in _SHAPES.items():
        if element.get(key) is not None and not isinstance(element[key], shape):
            raise _unreadable(f"element {position}: {key} is not {said}")


def _ordered(element: Element) -> Element:
    """The known fields first, those without a value left out, except for `cni-args`."""
    known = {key: element.get(key) for key in _FIELDS if element.get(key) or key in ("name", "cni-args")}
    return known | {key: value for key, value in element.items() if key not in _FIELDS}


def _unreadable(why: str) -> NetworksError:
    return NetworksError(f"failed to unmarshal existing networks: {why}, expected format is a list of objects")
