"""Builders for DPUServiceTemplates and Argo CD's configuration of repositories; their controller, charts in memory."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from tests.support.clock import turns
from tests.support.world import World

from dpf.api import core, names
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpuservicetemplate import ConditionType, DPUServiceTemplate, DPUServiceTemplateSpec
from dpf.api.meta import Condition, ObjectMeta
from dpf.runtime.manager import Manager
from dpf.runtime.mirrors import NONE, Mirrors
from dpf.services.dpuservicetemplate.controller import DPUServiceTemplateController
from dpf.services.helm.memory import MemoryCharts
from dpf.services.helm.port import Source

NAMESPACE = "customer-namespace"
REPOSITORY = "https://example.com/charts"


def a_template(
    name: str = "producer", namespace: str = NAMESPACE, *, finalizer: str = "", **source: str
) -> DPUServiceTemplate:
    """The producer of the documents; `source` is merged over its helmChart.source."""
    minimal = {"repoURL": REPOSITORY, "path": name, "version": "v0.0.1"}
    return DPUServiceTemplate(
        metadata=ObjectMeta(name=name, namespace=namespace, finalizers=[finalizer] if finalizer else None),
        spec=msgspec.convert(
            {"deploymentServiceName": name, "helmChart": {"source": {**minimal, **source}}}, DPUServiceTemplateSpec
        ),
    )


def a_source(chart: str = "producer", version: str = "v0.0.1", repository: str = REPOSITORY) -> Source:
    """What the controller asks for it."""
    return Source(repository=repository, chart=chart, version=version)


def a_repository_secret(
    namespace: str = names.DPF_NAMESPACE, *, name: str = "charts", url: str = REPOSITORY, password: str = "hunter2",
) -> core.Secret:
    """A repository as Argo CD knows it."""
    values = {"type": "helm", "url": url, "username": "me", "password": password}
    return core.Secret(
        metadata=ObjectMeta(
            name=name, namespace=namespace, labels={"argocd.argoproj.io/secret-type": "repository"}
        ),
        data={key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    )


@asynccontextmanager
async def running(
    world: World, charts: MemoryCharts, *, mirrors: Mirrors = NONE
) -> AsyncIterator[Manager]:
    """The controller runs, settled; leaving the block is the end of its process."""
    async with world.controllers(lambda w: [
        DPUServiceTemplateController(clusters=w.registry, charts=charts, clock=w.clock, mirrors=mirrors)
    ]) as manager:
        await manager.settle()
        yield manager


async def pass_time(world: World, manager: Manager, seconds: float, *, step_s: float = 0.5) -> None:
    """Let time pass in small steps, working through whatever is due after each."""
    for _ in range(round(seconds / step_s)):
        world.clock.advance(step_s)
        await turns()
        await manager.settle()


async def edit(world: World, name: str = "producer", **source: str | None) -> None:
    """A user merges fields into helmChart.source."""
    patch = {"spec": {"helmChart": {"source": source}}}
    await world.host.patch(DPUServiceTemplate, name, NAMESPACE, patch=patch)


def template(world: World, name: str = "producer") -> DPUServiceTemplate:
    """The template as it is now."""
    return next(t for t in world.host.objects(DPUServiceTemplate) if t.metadata.name == name)


def condition(
    world: World, type_: str = ConditionType.DPU_SERVICE_TEMPLATE_RECONCILED, name: str = "producer"
) -> Condition:
    """A condition as it is now."""
    return next(c for c in template(world, name).status.conditions or () if c.type == type_)


def is_usable(world: World, name: str = "producer") -> bool:
    """Whether a DPUDeployment may act on the versions (behaviour-service.md 6.2)."""
    found = template(world, name)
    ready = any(c.type == ConditionType.READY and c.status == "True" for c in found.status.conditions or ())
    return ready and found.status.observedGeneration == found.metadata.generation


def an_operator_config(argocd_namespace: str) -> DPFOperatorConfig:
    """A DPFOperatorConfig that says where Argo CD is."""
    return msgspec.convert({
        "metadata": {"name": "dpfoperatorconfig", "namespace": names.DPF_NAMESPACE},
        "spec": {
            "provisioningController": {"bfbPVCName": "bfb-pvc"},
            "overrides": {"argoCDNamespace": argocd_namespace},
        },
    }, DPFOperatorConfig)
