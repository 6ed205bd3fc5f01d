"""What one pass costs when nothing has changed: the deployments of `load` on an in-process cluster.

The same controllers without a network: what is left is to observe, to plan and to compare.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import structlog
from tests.scenario.services import stage
from tests.support.world import World

from bench.services import load
from dpf.api import core
from dpf.api.bfb import BFB
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpuservice import DPUService
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.meta import Object, ObjectMeta, object_key
from dpf.runtime.manager import Manager
from dpf.services.dpudeployment.controller import DPUDeploymentController
from dpf.services.dpuservice.controller import DPUServiceController

ROUNDS: Final = 9
_KINDS: Final[dict[str, type[Object]]] = {
    kind.resource.kind: kind
    for kind in (BFB, DPUFlavor, DPUServiceTemplate, DPUServiceConfiguration, DPUDeployment)
}
_READY: Final = {"type": "Ready", "status": "True", "reason": "Success", "observedGeneration": 1, "message": ""}
_STATUS: Final = {
    "BFB": {"phase": "Ready", "versions": {"doca": "2.9.1"}},
    "DPUServiceTemplate": {
        "observedGeneration": 1, "versions": {"dpu.nvidia.com/doca-version": ">= 2.9"},
        "conditions": [{**_READY, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    },
}


async def measure(deployments: int, services: int, clusters: int) -> dict[str, dict[str, float]]:
    """Milliseconds of CPU for each pass, the median of some rounds, by kind; and how much was written in them."""
    structlog.configure(processors=[_drop])
    world = stage.a_stage(*(f"dpu-{n}" for n in range(clusters)))
    world.host.add(*_objects(deployments, services))
    factory: Callable[[World], list[Any]] = lambda w: [  # noqa: E731
        DPUDeploymentController(clusters=w.registry), DPUServiceController(clusters=w.registry),
    ]
    async with world.controllers(factory, follow=True) as manager:
        await manager.settle()
        gc.collect()
        gc.freeze()
        return {kind.resource.kind: await _measure(world, manager, kind) for kind in (DPUDeployment, DPUService)}


async def _measure(world: World, manager: Manager, kind: type[Object]) -> dict[str, float]:
    controller = next(c for c in manager.controllers if c.reconciler.kind is kind)
    keys = [object_key(obj) for obj in world.host.objects(kind)]
    written, spent = len(world.host.writes), []
    for _ in range(ROUNDS):
        controller.enqueue(keys)
        began = time.process_time()
        await manager.settle()
        spent.append(time.process_time() - began)
    return {
        "ms": statistics.median(spent) / len(keys) * 1000, "roots": len(keys),
        "writes": len(world.host.writes) - written,
    }


def _objects(deployments: int, services: int) -> Iterator[Object]:
    namespace = "tenant"
    yield core.Namespace(metadata=ObjectMeta(name=namespace))
    trees = [
        *load.dependencies(namespace, services, "https://charts.example.com"),
        *(load.deployment(namespace, f"deployment-{n:02}", services) for n in range(deployments)),
    ]
    for tree in trees:
        kind = tree["kind"]
        made = {"uid": f"uid-{kind}-{tree['metadata']['name']}", "generation": 1}
        status = {"status": _STATUS[kind]} if kind in _STATUS else {}
        yield msgspec.convert({**tree, "metadata": {**tree["metadata"], **made}, **status}, _KINDS[kind])


def _drop(_logger: object, _name: str, _event: Any) -> Any:  # noqa: ANN401 - structlog's signature
    raise structlog.DropEvent
