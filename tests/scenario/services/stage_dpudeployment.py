"""Worlds for scenarios of DPUDeployments: made with one call, lived through with another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from tests.support import dpudeployments as some
from tests.support import world as worlds
from tests.support.world import World

from dpf.api import core
from dpf.api.dpudeployment import ConditionType, DPUDeployment
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Condition, Key, Object
from dpf.runtime import conditions
from dpf.runtime.manager import Manager
from dpf.services.dpudeployment import revisions
from dpf.services.dpudeployment.controller import DPUDeploymentController
from dpf.services.dpudeploymentnode.controller import DPUDeploymentNodeController

T = TypeVar("T", bound=Object)

KINDS: tuple[type[Object], ...] = (
    DPUDeployment, *some.CHILDREN, *some.DEPENDENCIES, core.Node, DPUNode, DPUNodeMaintenance,
)
"""What end states are compared by."""


def a_stage(*objects: Object) -> World:
    """A host cluster that holds these objects."""
    world = worlds.a_world()
    world.host.add(*objects)
    return world


def a_full_stage(name: str = "dd", **spec: Any) -> World:
    """A deployment with everything that it names, ready."""
    deployment = some.a_deployment(name, **spec)
    return a_stage(deployment, *some.dependencies_of(deployment))


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Manager]:
    """The controllers run; leaving the block is the end of their process."""
    def controllers(w: World) -> list[Any]:
        return [DPUDeploymentController(clusters=w.registry), DPUDeploymentNodeController(clusters=w.registry)]

    async with world.controllers(controllers) as manager:
        await manager.settle()
        yield manager


async def live(world: World, then: Callable[[World, Manager], Awaitable[None]] | None = None) -> None:
    """One life of the process: settle, go through `then`, settle again."""
    async with running(world) as manager:
        if then is not None:
            await then(world, manager)
            await manager.settle()


async def work(world: World, manager: Manager) -> None:
    """The children's own controllers do their work, until nothing changes any more."""
    for _ in range(8):
        busy = False
        for child in children(world):
            if child.metadata.deletionTimestamp is not None and "test/stay" in (child.metadata.finalizers or ()):
                await some.let_go(world.host, child)
            elif not revisions.is_ready(child):
                busy = True
                await some.report(world.host, child)
        await manager.settle()
        if not busy:
            return


def children(world: World) -> list[Object]:
    """All children of all deployments."""
    return [child for kind in some.CHILDREN for child in world.host.objects(kind)]


def names(world: World, kind: type[Object]) -> list[str]:
    """Names of all objects of a kind."""
    return [obj.metadata.name for obj in world.host.objects(kind)]


def one(world: World, kind: type[T], name: str, namespace: str = some.TENANT) -> T:
    """An object as it is now."""
    return next(obj for obj in world.host.objects(kind, namespace) if obj.metadata.name == name)


def condition(world: World, type_: ConditionType, name: str = "dd") -> Condition:
    """A condition of a deployment as it is now."""
    found = conditions.find(one(world, DPUDeployment, name).status.conditions, type_)
    assert found is not None
    return found


def summary(world: World, type_: ConditionType, name: str = "dd") -> tuple[str, str, str]:
    """Status, reason and message of a condition."""
    found = condition(world, type_, name)
    return found.status, found.reason, found.message


async def edit(world: World, manager: Manager, kind: type[Object], name: str, spec: dict[str, Any]) -> None:
    """A user merges `spec` into an object, and everybody reacts."""
    await world.host.patch(kind, name, some.TENANT, patch={"spec": spec})
    await manager.settle()


async def delete(world: World, manager: Manager, kind: type[Object], name: str) -> None:
    """A user deletes an object, and everybody reacts."""
    await world.host.delete(kind, name, some.TENANT)
    await manager.settle()


def key(name: str) -> Key:
    """The key of an object of the tenant."""
    return Key(some.TENANT, name)
