"""A kind and its controller for the runtime's own tests: ConfigMaps on the host and in DPU clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from dpf.api.core import ConfigMap
from dpf.api.meta import Condition, Key, Model, Object, ObjectMeta, Resource, object_key
from dpf.kube.cache import Cache
from dpf.kube.clusters import Cluster, ClusterRegistry
from dpf.runtime import conditions, diff
from dpf.runtime.plan import HOST, Action, Applied, Apply, Delete, Finding, Plan, Severity, Step
from dpf.runtime.reconciler import Reconciler, Verdict, Watch

FINALIZER = "test.dpu.nvidia.com/toy"
OWNER_LABEL = "test.dpu.nvidia.com/toy"
NAMESPACE = "toys"


class ToySpec(Model):
    parts: dict[str, str] = {}
    """ConfigMaps to have, name to content."""
    clusters: list[str] | None = None
    """DPU clusters to have them in as well."""
    paused: bool = False
    complaint: str = ""
    """Something the planner finds invalid."""
    wake_after_s: float | None = None


class ToyStatus(Model):
    conditions: list[Condition] | None = None
    observedGeneration: int | None = None
    parts: dict[str, str] | None = None


class Toy(Object, kw_only=True):
    resource: ClassVar[Resource] = Resource("test.dpu.nvidia.com", "v1", "Toy", "toys")
    spec: ToySpec = ToySpec()
    status: ToyStatus = ToyStatus()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    toy: Toy
    maps: Mapping[tuple[Key, Key], ConfigMap] = field(default_factory=dict)


class ToyController(Reconciler[Toy, Snapshot]):
    kind = Toy
    name = "toy"
    field_owner = "toy-controller"
    finalizer = FINALIZER
    condition_types = (conditions.READY, "PartsReconciled")

    def __init__(self, clusters: ClusterRegistry) -> None:
        self._clusters = clusters

    @property
    def watches(self) -> Sequence[Watch]:
        indexes = {"toy": _owner}
        return (
            Watch(kind=ConfigMap, maps=_owners, labels=OWNER_LABEL, indexes=indexes),
            Watch(kind=ConfigMap, maps=_owners, labels=OWNER_LABEL, indexes=indexes, everywhere=True),
        )

    async def observe(self, root: Toy) -> Snapshot:
        maps = _read(HOST, self._clusters.host.cache, root)
        for key in self._clusters.clusters():
            cluster = self._clusters.get(key)
            if isinstance(cluster, Cluster):
                maps |= _read(key, cluster.cache, root)
        return Snapshot(toy=root, maps=maps)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:
        spec = snapshot.toy.spec
        if spec.paused:
            return Plan(paused=True)
        findings = (Finding(severity=Severity.INVALID, message=spec.complaint),) if spec.complaint else ()
        return Plan(
            steps=(Step(name="parts", actions=tuple(_actions(snapshot)), findings=findings),),
            wake_after_s=spec.wake_after_s,
        )

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:
        if not snapshot.maps:
            return Plan(release=True)
        actions = tuple(
            Delete(cluster=cluster, kind=ConfigMap, key=key, because="toy is being deleted")
            for cluster, key in snapshot.maps
        )
        return Plan(steps=(Step(name="parts", actions=actions),))

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:
        step = applied.step("parts")
        if step.errors:
            return Verdict(states={"PartsReconciled": conditions.false("Error", "; ".join(step.errors))})
        return Verdict(
            states={"PartsReconciled": conditions.true()},
            fields={"parts": dict(snapshot.toy.spec.parts) or None},
        )


def a_toy(name: str = "toy", *, finalizers: list[str] | None = None, **spec: Any) -> Toy:
    """A toy as a user makes it."""
    return Toy(metadata=ObjectMeta(name=name, namespace=NAMESPACE, finalizers=finalizers), spec=ToySpec(**spec))


def _actions(snapshot: Snapshot) -> list[Action]:
    toy = snapshot.toy
    places = [HOST, *(Key("dpf-operator-system", name) for name in toy.spec.clusters or ())]
    wanted = {
        (place, Key(NAMESPACE, f"{toy.metadata.name}-{name}")): _config_map(toy, name, content)
        for place in places for name, content in toy.spec.parts.items()
    }
    applies: list[Action] = [
        Apply(cluster=place, object=obj, because="toy wants this part") for (place, key), obj in wanted.items()
        if (place, key) not in snapshot.maps or not diff.covers(snapshot.maps[place, key], obj)
    ]
    return applies + [
        Delete(cluster=place, kind=ConfigMap, key=key, because="toy has dropped this part")
        for place, key in snapshot.maps if (place, key) not in wanted
    ]


def _config_map(toy: Toy, name: str, content: str) -> ConfigMap:
    return ConfigMap(
        metadata=ObjectMeta(
            name=f"{toy.metadata.name}-{name}", namespace=NAMESPACE, labels={OWNER_LABEL: toy.metadata.name}
        ),
        data={"content": content},
    )


def _read(place: Key, cache: Cache, root: Toy) -> dict[tuple[Key, Key], ConfigMap]:
    return {(place, object_key(found)): found for found in cache.by_index(ConfigMap, "toy", root.metadata.name)}


def _owner(obj: ConfigMap) -> tuple[str, ...]:
    name = (obj.metadata.labels or {}).get(OWNER_LABEL)
    return (name,) if name else ()


def _owners(old: ConfigMap | None, new: ConfigMap | None) -> set[Key]:
    return {Key(NAMESPACE, name) for obj in (old, new) if obj is not None for name in _owner(obj)}
