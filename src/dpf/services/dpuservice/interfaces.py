"""The DPUServiceInterfaces that a DPUService names: whether it may use them, and its claim on them (3.3 of
behaviour-service.md).

Pure. Called by this kind's planner before anything else: with an interface it cannot have, the service is not
installed. A claim is the annotation `dpu.nvidia.com/consumed-by` with the bare name of the DPUService; nothing else of
the interface is written. Each claim is conditional on the version that was read, so that of two services that want one
interface, one gets it. Claims are made in the order of names, and the first that fails stops the later ones: two
services that want the same interfaces cannot each end up with half of them.

A claim of ours whose DPUService does not exist any more is free: a finalizer that was taken off by hand, or a host
cluster that was restored from an old backup, must not lock an interface for ever. A second annotation, with the uid of
the DPUService, says that a claim is ours. Any other name in `consumed-by` is somebody's word that the interface is
taken, and is respected.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from dpf.api import names
from dpf.api.dpuserviceinterface import DPUServiceInterface, InterfaceType, ServiceDef
from dpf.api.meta import object_key
from dpf.runtime.plan import Patch
from dpf.services.dpuservice import daemonset, networks
from dpf.services.dpuservice.fleet import Unusable
from dpf.services.dpuservice.networks import NOTHING, Attachments
from dpf.services.dpuservice.snapshot import Snapshot

RESOURCE: Final = "dpuserviceinterfaces.svc.dpu.nvidia.com"
EXPECTED_FOR_S: Final = 10.0
"""How long a DPUDeployment that makes many services at a time may take for the interfaces of one."""


def definition(interface: DPUServiceInterface) -> ServiceDef | None:
    """The service block of an interface of type `service`; None of any other."""
    spec = interface.spec.template.spec.template.spec if interface.spec else None
    return spec.service if spec is not None and spec.interfaceType == InterfaceType.SERVICE else None


def consumer(interface: DPUServiceInterface) -> str:
    """The name of the DPUService that claims the interface; empty when none does."""
    return (interface.metadata.annotations or {}).get(names.CONSUMED_BY_ANNOTATION, "")


def is_our_claim(interface: DPUServiceInterface) -> bool:
    """Whether a DPUService that existed claimed the interface, rather than a person or another program."""
    return bool(consumer(interface)) and names.CONSUMED_BY_UID_ANNOTATION in (interface.metadata.annotations or {})


def resolve(snapshot: Snapshot) -> Attachments | str:
    """What the interfaces add to the chart's values, or the first thing that is wrong with them, for the user."""
    problem = next(_problems(snapshot), None)
    if problem is not None:
        return problem
    used = [found for found in _listed(snapshot) if isinstance(found, DPUServiceInterface)]
    if not used:
        return NOTHING
    wanted = [
        networks.attachment(service, object_key(interface).namespace)
        for interface in used if (service := definition(interface)) is not None
    ]
    daemon_set = snapshot.service.spec.serviceDaemonSet if snapshot.service.spec else None
    existing = ((daemon_set.annotations if daemon_set else None) or {}).get(names.NETWORKS_ANNOTATION)
    try:
        annotation = networks.merge(existing, wanted)
    except networks.NetworksError as error:
        return str(error)
    return Attachments(networks=annotation, resources=networks.count_resources(wanted, snapshot.interfaces.nads))


def are_expected(snapshot: Snapshot, now: datetime) -> bool:
    """Whether interfaces of a new service are still to be made.

    A DPUDeployment makes the service first, because the interfaces name it as an owner, and the interfaces right after.
    That they are missing in between is not worth a write. A cluster whose clock is far from ours is not waited for.
    """
    meta = snapshot.service.metadata
    if names.OWNED_BY_DPUDEPLOYMENT_LABEL not in (meta.labels or {}) or not meta.creationTimestamp:
        return False
    age = now - datetime.fromisoformat(meta.creationTimestamp).astimezone(UTC)
    return abs(age) < timedelta(seconds=EXPECTED_FOR_S) and None in _listed(snapshot)


def plan_claims(snapshot: Snapshot) -> Iterator[Patch]:
    """A claim on each listed interface that nobody holds, in the order of their names."""
    mine = snapshot.key.name
    for found in sorted(_usable(snapshot), key=object_key):
        if consumer(found) != mine:
            uid = snapshot.service.metadata.uid or ""
            claim = {names.CONSUMED_BY_ANNOTATION: mine, names.CONSUMED_BY_UID_ANNOTATION: uid}
            yield _annotate(found, claim, because=f"DPUService {snapshot.key} uses the interface")


def plan_release(snapshot: Snapshot, keep: Collection[str] = ()) -> Iterator[Patch]:
    """Takes back the service's own claims, except on interfaces named in `keep`."""
    for interface in snapshot.interfaces.claimed:
        if interface.metadata.name not in keep and consumer(interface) == snapshot.key.name:
            claim = dict.fromkeys((names.CONSUMED_BY_ANNOTATION, names.CONSUMED_BY_UID_ANNOTATION))
            yield _annotate(interface, claim, because=f"DPUService {snapshot.key} does not use the interface any more")


def _problems(snapshot: Snapshot) -> Iterator[str]:
    """What is wrong with each of `spec.interfaces`, in their order."""
    service_id = daemonset.service_id(snapshot.service)
    for name, found in zip(_wanted(snapshot), _listed(snapshot), strict=True):
        if found is None:
            yield f'{RESOURCE} "{name}" not found'
        elif isinstance(found, Unusable):
            yield f'{RESOURCE} "{name}" cannot be read: {found.why}'
        elif (service := definition(found)) is None:
            yield f"wrong service definition in DPUServiceInterface {name}"
        elif service.serviceID != service_id:
            yield f"conflicting ServiceID in DPUServiceInterface {name}"
        elif not _is_available(snapshot, found):
            yield f"dpuServiceInterface {name} is in use by another DPUService"


def _is_available(snapshot: Snapshot, interface: DPUServiceInterface) -> bool:
    owner = consumer(interface)
    return owner in ("", snapshot.key.name) or (is_our_claim(interface) and owner in snapshot.interfaces.departed)


def _wanted(snapshot: Snapshot) -> tuple[str, ...]:
    """Names of the interfaces, each once."""
    return tuple(dict.fromkeys((snapshot.service.spec.interfaces if snapshot.service.spec else None) or ()))


def _listed(snapshot: Snapshot) -> list[DPUServiceInterface | Unusable | None]:
    return [snapshot.interfaces.listed.get(name) for name in _wanted(snapshot)]


def _usable(snapshot: Snapshot) -> Iterable[DPUServiceInterface]:
    return (found for found in _listed(snapshot) if isinstance(found, DPUServiceInterface))


def _annotate(interface: DPUServiceInterface, annotations: Mapping[str, str | None], *, because: str) -> Patch:
    """The annotations alone, on exactly the version that was read."""
    metadata = {"resourceVersion": interface.metadata.resourceVersion, "annotations": annotations}
    return Patch(
        kind=DPUServiceInterface, key=object_key(interface), because=because, patch={"metadata": metadata}
    )
