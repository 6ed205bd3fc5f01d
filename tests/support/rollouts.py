"""A small world in which plans of a DPUDeployment are carried out, without event loop and without clients.

It does what an API server does to the children: server-side apply with owners of fields, patches, schema defaults,
generations, finalizers. `report` and `collect` play the controllers of the children.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
import yaml
from tests.support import dpudeployments as some
from tests.support import source

from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, Object, object_key
from dpf.kube import patches
from dpf.kube.memory import ownership
from dpf.runtime.plan import Action, Apply, Delete, Drive, Patch, Plan
from dpf.services.dpudeployment import plan as planner
from dpf.services.dpudeployment.snapshot import Snapshot

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FINALIZER = "test/stay"
Tree = dict[str, Any]
Identity = tuple[type[Object], str]

_MANAGER = ownership.Manager("dpudeploymentcontroller", "Apply")
_SOMEBODY = ownership.Manager("somebody", "Update")


class World:
    """A deployment, what it builds on, and its children as the server keeps them."""

    def __init__(self, deployment: DPUDeployment, *others: Object, finalizers: bool = False) -> None:
        """`others` replace what `dependencies_of` would give; children get a finalizer if `finalizers` says so."""
        self._finalizers = finalizers
        self._trees: dict[Identity, Tree] = {}
        self._owners: dict[Identity, ownership.Owners] = {}
        self._time = 0
        self.foreign: set[tuple[type[Object], Key]] = set()
        self.zero_trust = False
        self.log: list[str] = []
        self.plan = Plan()
        for obj in (deployment, *some.dependencies_of(deployment), *others):
            self._trees[type(obj), obj.metadata.name] = _wire(obj)

    def get(self, kind: type[Any], name: str) -> Any:
        """One object; KeyError when there is none."""
        return msgspec.convert(self._trees[kind, name], kind)

    def list(self, kind: type[Any]) -> list[Any]:
        """All objects of a kind, by name."""
        return [self.get(*identity) for identity in sorted(self._trees, key=str) if identity[0] is kind]

    def names(self, kind: type[Object]) -> list[str]:
        """Names of all objects of a kind."""
        return sorted(name for found, name in self._trees if found is kind)

    @property
    def deployment(self) -> DPUDeployment:
        """The deployment."""
        (deployment,) = self.list(DPUDeployment)
        return deployment

    def snapshot(self) -> Snapshot:
        """What the controller would observe."""
        found = some.a_snapshot(
            self.deployment, *(self.get(*identity) for identity in self._trees if identity[0] is not DPUDeployment)
        )
        return dataclasses.replace(found, foreign=frozenset(self.foreign), zero_trust=self.zero_trust)

    def step(self, *, cut: int | None = None) -> list[Action]:
        """One pass; what it did. A step with findings stops the later ones, as the executor has it.

        `cut` ends the pass after so many actions, as if the process had been killed.
        """
        snapshot = self.snapshot()
        deleting = snapshot.deployment.metadata.deletionTimestamp is not None
        self.plan = (planner.plan_teardown if deleting else planner.plan)(snapshot, NOW)
        done: list[Action] = []
        self._time += 1
        for step in self.plan.steps:
            for action in step.actions:
                if len(done) == cut:
                    return done
                self.carry_out(action)
                done.append(action)
            if step.findings and step.blocks:
                break
        return done

    def settle(self, limit: int = 12) -> int:
        """Passes until one does nothing; how many there were. Fails when there is no end."""
        for number in range(limit):
            if not self.step():
                return number
        raise AssertionError(f"no end after {limit} passes: {self.log[-6:]}")

    def converge(self) -> None:
        """Passes, and controllers of children that do their part at once, until nothing moves."""
        for _ in range(40):
            before = dict(self._trees)
            self.settle()
            self.collect()
            self.report()
            if before == self._trees:
                return
        raise AssertionError(f"no end: {self.log[-10:]}")

    def findings(self) -> list[str]:
        """Texts of the last plan."""
        return [finding.message for step in self.plan.steps for finding in step.findings]

    def report(self, *kinds: type[Object], ready: bool = True) -> None:
        """The controllers of these kinds (all) say whether their objects are ready as they are now."""
        for identity, tree in list(self._trees.items()):
            paused = tree["spec"].get("paused", False)
            if identity[0] in (kinds or some.CHILDREN) and not paused:
                self.say(*identity, ready=ready)

    def say(self, kind: type[Object], name: str, *, ready: bool = True) -> None:
        """The controller of one child says whether it is ready."""
        tree = self._trees[kind, name]
        condition = some.a_ready_condition(ready=ready, generation=tree["metadata"]["generation"])
        self._trees[kind, name] = {**tree, "status": {"conditions": [msgspec.to_builtins(condition)]}}

    def collect(self) -> None:
        """The controllers of the children finish what is being deleted, unless it is paused."""
        for identity, tree in list(self._trees.items()):
            is_going = identity[0] in some.CHILDREN and "deletionTimestamp" in tree["metadata"]
            if is_going and not tree["spec"].get("paused", False):
                del self._trees[identity]

    def edit(self, kind: type[Any], name: str, change: Callable[[Tree], Tree] | Tree) -> None:
        """Somebody changes an object: by a merge patch, or by a function from tree to tree.

        The controller of templates looks at once.
        """
        old = self._trees[kind, name]
        new = change(old) if callable(change) else patches.merge(old, change)
        self._owners[kind, name] = ownership.record(old, new, self._owners.get((kind, name), {}), _SOMEBODY)
        self._store((kind, name), new)
        if kind is DPUServiceTemplate:
            tree = self._trees[kind, name]
            observed = {"observedGeneration": tree["metadata"]["generation"]}
            self._trees[kind, name] = patches.merge(tree, {"status": observed})

    def add(self, obj: Object) -> None:
        """Somebody makes an object."""
        self._trees[type(obj), obj.metadata.name] = _wire(obj)

    def remove(self, kind: type[Object], name: str) -> None:
        """Somebody deletes an object."""
        self.carry_out(Delete(kind=kind, key=Key(some.TENANT, name), because="somebody"))

    def delete(self) -> None:
        """Somebody deletes the deployment, which has its finalizer."""
        name = self.deployment.metadata.name
        self.edit(DPUDeployment, name, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})

    def carry_out(self, action: Action) -> None:
        """One request."""
        match action:
            case Apply(object=obj):
                identity = (type(obj), obj.metadata.name)
                live = self._trees.get(identity, {})
                new, owners = ownership.apply(live, self._owners.get(identity, {}), _MANAGER, _wire(obj), force=True)
                self._owners[identity] = owners
                self._store(identity, new)
                self._note("apply" if live else "create", identity)
            case Patch(kind=kind, key=key, patch=patch):
                old = self._trees[kind, key.name]
                json = not isinstance(patch, dict)
                new = patches.json_patch(old, patch) if json else patches.merge(old, patch)
                self._store((kind, key.name), new)
                if kind in some.CHILDREN:
                    paused = {True: "pause", False: "unpause"}.get(new["spec"].get("paused"))
                    self._note("replace" if json else paused or "patch", (kind, key.name))
            case Delete(kind=kind, key=key, uid=uid):
                tree = self._trees.get((kind, key.name))
                if tree is None or uid not in (None, tree["metadata"]["uid"]):
                    return
                self._note("delete", (kind, key.name))
                if tree["metadata"].get("finalizers"):
                    metadata = {**tree["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
                    self._trees[kind, key.name] = {**tree, "metadata": metadata}
                else:
                    del self._trees[kind, key.name]
            case Drive():
                raise AssertionError("a DPUDeployment drives nothing")

    def _store(self, identity: Identity, tree: Tree) -> None:
        old = self._trees.get(identity)
        metadata = dict(tree["metadata"])
        tree = _with_defaults(identity[0], tree)
        if old is None:
            self._time += 1
            metadata |= {
                "name": identity[1], "namespace": some.TENANT, "uid": f"uid-{self._time}", "generation": 1,
                "creationTimestamp": f"2026-01-01T00:{self._time // 60:02}:{self._time % 60:02}Z",
            }
            if self._finalizers:
                metadata["finalizers"] = [FINALIZER]
        elif old.get("spec") != tree.get("spec"):
            metadata["generation"] = old["metadata"].get("generation", 0) + 1
        self._trees[identity] = {**tree, "metadata": metadata}

    def _note(self, verb: str, identity: Identity) -> None:
        self.log.append(f"{verb} {identity[0].__name__} {identity[1]}")


def service_names(world: World, *, paused: bool) -> list[str]:
    """DPUServices that are paused, or that are not."""
    return [s.metadata.name for s in world.list(DPUService) if s.spec.paused is paused]


def node_labels(world: World) -> dict[str, str]:
    """What all DPUSets together tell the nodes."""
    labels: dict[str, str] = {}
    for dpuset in world.list(DPUSet):
        labels |= dpuset.spec.dpuTemplate.spec.cluster.nodeLabels
    return labels


def follows_labels(world: World) -> set[bool]:
    """applyOnLabelChange of all DPUSets."""
    return {dpuset.spec.dpuTemplate.spec.nodeEffect.applyOnLabelChange for dpuset in world.list(DPUSet)}


def keys(objects: Iterable[Object]) -> list[str]:
    """Namespaces and names."""
    return sorted(str(object_key(obj)) for obj in objects)


def _wire(obj: Object) -> Tree:
    tree: Tree = msgspec.to_builtins(obj)
    return {**tree, "apiVersion": type(obj).resource.api_version, "kind": type(obj).resource.kind}


def _with_defaults(kind: type[Object], tree: Tree) -> Tree:
    schema = _schema(kind) if kind in (DPUService, DPUServiceInterface, DPUServiceChain, DPUSet) else {}
    return {**tree, "spec": _defaulted(tree.get("spec", {}), schema)}


@functools.cache
def _schema(kind: type[Object]) -> Tree:
    path = source.ROOT / "deploy" / "crds" / f"{kind.resource.group}_{kind.resource.plural}.yaml"
    (version,) = yaml.safe_load(path.read_text())["spec"]["versions"]
    spec: Tree = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return spec


def _defaulted(value: Any, schema: Tree) -> Any:
    if isinstance(value, dict):
        filled = {**{k: s["default"] for k, s in schema.get("properties", {}).items() if "default" in s}, **value}
        inner = schema.get("properties", {})
        other = schema.get("additionalProperties", {})
        return {key: _defaulted(entry, inner.get(key, other)) for key, entry in filled.items()}
    if isinstance(value, list):
        return [_defaulted(entry, schema.get("items", {})) for entry in value]
    return value
