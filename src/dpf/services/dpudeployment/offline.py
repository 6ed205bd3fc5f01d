"""A Snapshot from documents on disk, so that the planner can be asked without a cluster.

Pure: takes decoded YAML or JSON documents, reads no file. Called by whoever wants to know what manifests would do. What
only a controller can say and the documents do not is assumed to be well: a BFB or BlueFieldSoftware without status is
Ready with the versions in its spec (so a version constraint can be checked only where those are declared), and a
DPUServiceTemplate without status is Ready without constraints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from dpf.api import bfb, bluefieldsoftware, dpuservicetemplate, names
from dpf.api.bfb import BFB
from dpf.api.bluefieldsoftware import BlueFieldSoftware
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpuflavortemplate import DPUFlavorTemplate
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Condition, Key, Object, object_key
from dpf.runtime import digest
from dpf.services.dpudeployment import dpusets, naming
from dpf.services.dpudeployment.snapshot import Children, Dependency, Snapshot

T = TypeVar("T", bound=Object)
Document = Mapping[str, Any]

DEFAULT_NAMESPACE: Final = "default"
_KINDS: Final[tuple[type[Object], ...]] = (
    DPUDeployment, BFB, BlueFieldSoftware, DPUFlavor, DPUFlavorTemplate, DPUServiceTemplate, DPUServiceConfiguration,
    DPUService, DPUServiceInterface, DPUServiceChain, DPUSet, DPFOperatorConfig,
)
_BY_NAME: Final = {(kind.resource.api_version, kind.resource.kind): kind for kind in _KINDS}


class OfflineError(ValueError):
    """The documents hold no DPUDeployment that can be planned; the message says what to do."""


def load(documents: Iterable[Document | None], deployment: Key | None = None) -> Snapshot:
    """The world as `documents` say, around `deployment` or the only DPUDeployment among them.

    Other kinds are passed over. What does not fit our types is in `unreadable`; a DPUDeployment that does not raises
    OfflineError, as do none and several.
    """
    found: dict[tuple[type[Object], Key], Object] = {}
    unreadable: dict[tuple[type[Object], Key], str] = {}
    for kind, document in _known(documents):
        key = _key(document)
        try:
            obj = _completed(msgspec.convert(document, kind))
        except (msgspec.ValidationError, RecursionError) as error:
            unreadable[kind, key] = str(error)
        else:
            found[kind, object_key(obj)] = obj
    return _around(_chosen(found, unreadable, deployment), found, unreadable)


def _known(documents: Iterable[Document | None]) -> Iterator[tuple[type[Object], Document]]:
    """Objects of our kinds with a namespace, also those inside lists."""
    for document in documents:
        if not isinstance(document, Mapping):  # an empty YAML document is None
            continue
        items = document.get("items")
        if str(document.get("kind", "")).endswith("List") and isinstance(items, list):
            yield from _known(items)
        kind = _BY_NAME.get((str(document.get("apiVersion")), str(document.get("kind"))))
        metadata = document.get("metadata")
        if kind is not None and isinstance(metadata, Mapping):
            namespace = metadata.get("namespace") or DEFAULT_NAMESPACE
            yield kind, {**document, "metadata": {**metadata, "namespace": namespace}}


def _key(document: Document) -> Key:
    return Key(str(document["metadata"]["namespace"]), str(document["metadata"].get("name", "")))


def _completed(obj: Object) -> Object:
    """`obj` with what a cluster would have added: identity, generation, and the word of its controller."""
    metadata = obj.metadata
    kind = type(obj).resource.kind
    metadata = msgspec.structs.replace(
        metadata, generation=metadata.generation or 1,
        uid=metadata.uid or digest.short("offline", kind, metadata.namespace, metadata.name),
    )
    obj = msgspec.structs.replace(obj, metadata=metadata)
    match obj:
        case BFB() if obj.status == BFB().status:
            versions = obj.spec.versions if obj.spec is not None else None
            return msgspec.structs.replace(obj, status=bfb.BFBStatus(phase=bfb.Phase.READY, versions=versions))
        case BlueFieldSoftware() if obj.status == BlueFieldSoftware().status:
            ready = bluefieldsoftware.BlueFieldSoftwareStatus(phase=bluefieldsoftware.Phase.READY)
            return msgspec.structs.replace(obj, status=ready)
        case DPUServiceTemplate() if obj.status == DPUServiceTemplate().status:
            return msgspec.structs.replace(obj, status=dpuservicetemplate.DPUServiceTemplateStatus(
                observedGeneration=metadata.generation,
                conditions=[Condition(type="Ready", status="True", reason="Success")],
            ))
        case _:
            return obj


def _chosen(
    found: Mapping[tuple[type[Object], Key], Object], unreadable: Mapping[tuple[type[Object], Key], str],
    wanted: Key | None,
) -> DPUDeployment:
    choice = {key: obj for (_, key), obj in found.items() if isinstance(obj, DPUDeployment)}
    broken = [(key, why) for (kind, key), why in unreadable.items() if kind is DPUDeployment]
    key = wanted if wanted is not None else next(iter(choice), None) if len(choice) == 1 else None
    if key is not None and key in choice:
        return choice[key]
    for broken_key, why in broken:
        if wanted in (None, broken_key):
            raise OfflineError(f"DPUDeployment {broken_key} cannot be read: {why}; correct the manifest")
    if wanted is not None:
        raise OfflineError(f"there is no DPUDeployment {wanted} in the manifests")
    if not choice:
        raise OfflineError("there is no DPUDeployment in the manifests")
    raise OfflineError(f"the manifests hold several DPUDeployments, say which: {', '.join(map(str, sorted(choice)))}")


def _around(
    deployment: DPUDeployment, found: Mapping[tuple[type[Object], Key], Object],
    unreadable: Mapping[tuple[type[Object], Key], str],
) -> Snapshot:
    namespace = object_key(deployment).namespace
    near = [obj for (_, key), obj in found.items() if key.namespace == namespace]
    mine = [obj for obj in near if _is_child(obj, deployment)]
    dpus = deployment.spec.dpus if deployment.spec is not None else None
    kept = {(type(obj), object_key(obj)) for obj in mine}
    return Snapshot(
        deployment=deployment,
        zero_trust=any(dpusets.is_zero_trust(obj) for obj in found.values() if isinstance(obj, DPFOperatorConfig)),
        bfb=_named(near, BFB).get(dpus.bfb or "") if dpus else None,
        bluefield_software=_named(near, BlueFieldSoftware).get(dpus.blueFieldSoftware or "") if dpus else None,
        flavor=_named(near, DPUFlavor).get(dpus.flavor or "") if dpus else None,
        flavor_template=_named(near, DPUFlavorTemplate).get(dpus.flavorTemplate or "") if dpus else None,
        templates=_named(near, DPUServiceTemplate), configurations=_named(near, DPUServiceConfiguration),
        unreadable={identity: why for identity, why in unreadable.items() if identity[1].namespace == namespace},
        marked=tuple(obj for obj in near if isinstance(obj, Dependency) and _is_marked(obj, deployment)),
        children=Children(
            services=tuple(_named(mine, DPUService).values()), chains=tuple(_named(mine, DPUServiceChain).values()),
            interfaces=tuple(_named(mine, DPUServiceInterface).values()),
            dpusets=tuple(_named(mine, DPUSet).values()),
        ),
        foreign=frozenset((type(obj), object_key(obj)) for obj in near if (type(obj), object_key(obj)) not in kept),
    )


def _named(objects: Iterable[Object], kind: type[T]) -> dict[str, T]:
    return {obj.metadata.name: obj for obj in objects if isinstance(obj, kind)}


def _is_child(obj: Object, deployment: DPUDeployment) -> bool:
    """By its controller if it has one, else by label. A manifest has no uid to go by."""
    controller = next((ref for ref in obj.metadata.ownerReferences or () if ref.controller), None)
    if controller is not None:
        return (controller.kind, controller.name) == (DPUDeployment.resource.kind, deployment.metadata.name)
    owner = (obj.metadata.labels or {}).get(names.OWNED_BY_DPUDEPLOYMENT_LABEL)
    return owner == naming.owner_value(object_key(deployment))


def _is_marked(obj: Object, deployment: DPUDeployment) -> bool:
    return naming.consumer_label(object_key(deployment)) in (obj.metadata.labels or {})
