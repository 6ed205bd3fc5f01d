"""Worlds for scenarios of DPUServices: made with one call, lived through with another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from tests.support import dpuservices as some
from tests.support import world as worlds
from tests.support.world import World

from dpf.api import core
from dpf.api.argocd import Application, AppProject
from dpf.api.dpuservice import ConditionType, DPUService
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.meta import Condition, Key, Object, ObjectMeta
from dpf.kube.memory import MemoryCluster
from dpf.runtime.manager import Manager
from dpf.runtime.mirrors import NONE, Mirrors
from dpf.services.dpuservice.controller import DPUServiceController
from dpf.services.dpuservice.leftovers import LeftoverController

KINDS = (
    DPUService, DPUServiceInterface, Application, AppProject, core.Secret, core.Namespace, core.Service,
    core.EndpointSlice, core.Endpoints,
)
"""What end states are compared by."""


def a_stage(*clusters: str, namespace: str = some.CLUSTERS, **labels: dict[str, str]) -> World:
    """A host cluster with these DPUClusters, Ready and reachable; `labels` of a cluster by its name, `-` as `_`."""
    world = worlds.a_world(dpu_clusters=clusters, namespace=namespace, without_status=(Application, AppProject))
    world.host.add(core.Namespace(metadata=ObjectMeta(name=some.DPF)))
    for key in world.dpus:
        world.host.add(
            some.a_cluster(key.name, key.namespace, labels=labels.get(key.name.replace("-", "_"))),
            some.a_kubeconfig_secret(key),
        )
    return world


def add_cluster(world: World, name: str, namespace: str, **fields: Any) -> MemoryCluster:
    """One more DPUCluster, reachable, with fields of `some.a_cluster`."""
    key = Key(namespace, name)
    cluster = world.dpus[key] = MemoryCluster(str(key), now=world.clock.now)
    world.host.add(some.a_cluster(name, namespace, **fields), some.a_kubeconfig_secret(key))
    return cluster


@asynccontextmanager
async def running(world: World, mirrors: Mirrors = NONE) -> AsyncIterator[Manager]:
    """The controllers run, that of DPUServices first; leaving the block is the end of their process."""
    async with world.controllers(lambda w: [
        DPUServiceController(clusters=w.registry, mirrors=mirrors), LeftoverController(clusters=w.registry),
    ], follow=True) as manager:
        await manager.settle()
        yield manager


async def live(world: World, then: Callable[[World, Manager], Awaitable[None]] | None = None) -> None:
    """One life of the process: settle, go through `then`, settle again."""
    async with running(world) as manager:
        if then is not None:
            await then(world, manager)
            await manager.settle()


async def deliver(world: World, manager: Manager) -> None:
    """Argo CD does its work on every Application, until nothing changes any more."""
    for _ in range(4):
        for app in world.host.objects(Application):
            if app.metadata.deletionTimestamp is None:
                await some.report(world.host, app)
            else:
                await some.finish_deletion(world.host, app)
        await manager.settle()


async def edit(world: World, kind: type[Object], key: Key, spec: dict[str, Any]) -> None:
    """A user merges `spec` into an object."""
    await world.host.patch(kind, key.name, key.namespace, patch={"spec": spec})


def service(world: World, name: str = "blueman", namespace: str = some.TENANT) -> DPUService:
    """The DPUService as it is now."""
    return next(s for s in world.host.objects(DPUService, namespace) if s.metadata.name == name)


def condition(world: World, type_: ConditionType, name: str = "blueman", namespace: str = some.TENANT) -> Condition:
    """A condition of a DPUService as it is now."""
    return next(c for c in service(world, name, namespace).status.conditions or () if c.type == type_)


def applications(world: World) -> dict[str, Application]:
    """All Applications by name."""
    return {app.metadata.name: app for app in world.host.objects(Application)}


def interface(world: World, name: str = "app", namespace: str = some.TENANT) -> DPUServiceInterface:
    """A DPUServiceInterface as it is now."""
    return next(i for i in world.host.objects(DPUServiceInterface, namespace) if i.metadata.name == name)


def daemonset(world: World, application: str = "dpu-1-blueman") -> dict[str, Any]:
    """What the chart of an Application gets under `serviceDaemonSet`."""
    source = applications(world)[application].spec.source
    assert source is not None
    assert source.helm is not None
    return dict((source.helm.valuesObject or {})["serviceDaemonSet"])


def at_random(seed: int) -> Callable[[Any], Any]:
    """Chooses what goes next, for `Manager.settle`."""
    return Random(seed).choice
