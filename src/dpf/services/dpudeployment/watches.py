"""What triggers a pass over a DPUDeployment, and the indexes by which its observation finds things (6.1).

Called by the controller (declarations) and the observation (names of the indexes). A mapping names the DPUDeployments
that an event concerns with one look into an index. It names none when nothing changed that a decision could depend on:
children and dependencies report on themselves all the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from dpf.api import names
from dpf.api.bfb import BFB
from dpf.api.bluefieldsoftware import BlueFieldSoftware
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.meta import Key, Object, object_key
from dpf.runtime import conditions
from dpf.runtime.reconciler import Watch
from dpf.services.dpudeployment import dependencies, dpusets, naming

BY_DEPENDENCY: Final = "dpudeployment-by-dependency"
"""DPUDeployments by everything that they name, see `dependency_value`."""
BY_OWNER_VALUE: Final = "dpudeployment-by-owner-value"
"""DPUDeployments by what stands on their children, see `owner_value`."""
BY_CONSUMER_LABEL: Final = "dpudeployment-by-consumer-label"
"""DPUDeployments by what stands on their dependencies, see `consumer_value`."""
BY_OWNER: Final = "dpudeployment-child"
"""Children by `owner_value` of their DPUDeployment."""
BY_CONSUMER: Final = "dpudeployment-dependency"
"""Dependencies by `consumer_value` of every DPUDeployment that uses them."""

Lookup = Callable[[type[Object], str, str], Iterable[Key]]
"""`lookup(kind, index, value)`: the objects of the host cluster that are filed under a value."""


def build(keys: Callable[[], Iterable[Key]], lookup: Lookup) -> list[Watch]:
    """All watches. `keys` names every DPUDeployment."""

    def of_config(old: DPFOperatorConfig | None, new: DPFOperatorConfig | None) -> Iterable[Key]:
        return keys() if dpusets.is_zero_trust(old) != dpusets.is_zero_trust(new) else ()

    def of_child(old: Object | None, new: Object | None) -> Iterable[Key]:
        if _child_facts(old) == _child_facts(new):
            return ()
        owners = {value for obj in (old, new) if obj is not None for value in owner_index(obj)}
        return [key for value in sorted(owners) for key in lookup(DPUDeployment, BY_OWNER_VALUE, value)]

    def of_dependency(old: Object | None, new: Object | None) -> Iterable[Key]:
        obj = new if new is not None else old
        if obj is None:
            return ()
        if _dependency_facts(old) != _dependency_facts(new) or _lost_finalizer(old, new):
            return lookup(DPUDeployment, BY_DEPENDENCY, dependency_value(type(obj), object_key(obj)))
        return [key for value in sorted(_moved(old, new)) for key in lookup(DPUDeployment, BY_CONSUMER_LABEL, value)]

    return [
        Watch(kind=DPUDeployment, maps=_nobody, indexes={
            BY_DEPENDENCY: _by_dependency, BY_OWNER_VALUE: by_owner_value, BY_CONSUMER_LABEL: _by_consumer_label,
        }),
        Watch(kind=DPFOperatorConfig, maps=of_config),
        *(Watch(kind=kind, maps=of_child, indexes={BY_OWNER: owner_index}) for kind in dependencies.CHILD_KINDS),
        *(Watch(kind=kind, maps=of_dependency, indexes={BY_CONSUMER: consumer_index}) for kind in dependencies.KINDS),
    ]


def dependency_value(kind: type[Object], key: Key) -> str:
    """Kind, namespace and name of a dependency in one word."""
    return f"{kind.resource.kind}/{key}"


def owner_value(deployment: Key) -> str:
    """The owner label's value with the namespace of the children before it, where alone it means anything."""
    return f"{deployment.namespace}/{naming.owner_value(deployment)}"


def consumer_value(deployment: Key) -> str:
    """The consumed-by label with the namespace of the dependencies before it."""
    return f"{deployment.namespace}/{naming.consumer_label(deployment)}"


def owner_index(obj: Object) -> Iterable[str]:
    """`owner_value` of the DPUDeployment that a child belongs to: by its controller if it has one, else by label."""
    metadata = obj.metadata
    namespace = metadata.namespace or ""
    controller = next((ref for ref in metadata.ownerReferences or () if ref.controller), None)
    if controller is not None:
        group = controller.apiVersion.split("/", 1)[0]
        ours = (group, controller.kind) == (DPUDeployment.resource.group, DPUDeployment.resource.kind)
        return (owner_value(Key(namespace, controller.name)),) if ours else ()
    value = (metadata.labels or {}).get(names.OWNED_BY_DPUDEPLOYMENT_LABEL)
    return (f"{namespace}/{value}",) if value else ()


def consumer_index(obj: Object) -> Iterable[str]:
    """`consumer_value` of every DPUDeployment that uses a dependency."""
    return tuple(f"{obj.metadata.namespace or ''}/{label}" for label in dependencies.consumer_labels(obj))


def by_owner_value(deployment: DPUDeployment) -> Iterable[str]:
    """Its own `owner_value`."""
    return (owner_value(object_key(deployment)),)


def _nobody(old: Object | None, new: Object | None) -> Iterable[Key]:  # noqa: ARG001 - the contract of mappings
    """The runtime follows the root kind itself; this watch only declares indexes."""
    return ()


def _by_dependency(deployment: DPUDeployment) -> Iterator[str]:
    namespace = deployment.metadata.namespace or ""
    for kind, name in dependencies.references(deployment):
        yield dependency_value(kind, Key(namespace, name))


def _by_consumer_label(deployment: DPUDeployment) -> Iterable[str]:
    return (consumer_value(object_key(deployment)),)


def _child_facts(child: Object | None) -> object:
    """What planner and status read of a child: its wishes, its marks, whether it is ready.

    Not its other conditions, and not by which DPUService an interface is claimed.
    """
    if child is None:
        return None
    meta = child.metadata
    annotations = {
        key: value for key, value in (meta.annotations or {}).items()
        if not key.startswith(names.CONSUMED_BY_ANNOTATION)
    }
    return (
        meta.uid, meta.generation, meta.labels, annotations, meta.ownerReferences, meta.deletionTimestamp,
        _readiness(child),
    )


def _dependency_facts(dependency: Object | None) -> object:
    """What the planner reads of a dependency beside the marks."""
    if dependency is None:
        return None
    meta = dependency.metadata
    facts: tuple[Any, ...] = (meta.uid, meta.generation, meta.annotations)
    match dependency:
        case BFB() | BlueFieldSoftware():
            return (*facts, dependency.status.phase, dependency.status.versions)
        case DPUServiceTemplate():
            status = dependency.status
            return (*facts, status.observedGeneration, status.versions, _readiness(dependency))
        case _:
            return facts


def _readiness(obj: Object) -> object:
    """Of what is not ready it does not matter how."""
    found = conditions.find(getattr(getattr(obj, "status", None), "conditions", None), conditions.READY)
    return found is not None and found.status == conditions.Status.TRUE and (found.observedGeneration,)


def _lost_finalizer(old: Object | None, new: Object | None) -> bool:
    before, after = ((obj.metadata.finalizers or ()) if obj is not None else () for obj in (old, new))
    return names.DPUDEPLOYMENT_FINALIZER in before and names.DPUDEPLOYMENT_FINALIZER not in after


def _moved(old: Object | None, new: Object | None) -> set[str]:
    """Consumers whose label came or went: only theirs is the matter."""
    before, after = (set(consumer_index(obj)) if obj is not None else set() for obj in (old, new))
    return before ^ after
