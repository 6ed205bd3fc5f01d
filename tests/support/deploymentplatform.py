"""The controllers of services over a whole world of DPUDeployments, and what plays their surroundings.

    platform = a_platform(*objects)
    async with platform.running():
        await platform.deliver()      # Argo CD has installed everything
        await platform.provision()    # the DPUs have what their DPUSets say

Real are the controllers of DPUDeployments, their host node labels, DPUServices and DPUServiceTemplates, with chart
repositories in memory. Chains and interfaces have the stand-ins that the demo has, BFBs one that is here: nothing is
downloaded. DPUSets and Argo CD move only when a test says so, for it is them that an upgrade waits for.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from tests.support import dpudeployments as some
from tests.support import dpuservices
from tests.support import world as worlds
from tests.support.crash import Crash
from tests.support.world import World
from tools.standin.controllers import ChainSpokesman, InterfaceSpokesman, Spokesman

from dpf.api import core
from dpf.api.argocd import Application, AppProject
from dpf.api.bfb import BFB, Phase
from dpf.api.dpudeployment import ConditionType, DPUDeployment
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuservice import DPUService, HelmChartSource
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Condition, Key, Object, ObjectMeta
from dpf.kube.memory import MemoryCluster, Request
from dpf.runtime import conditions
from dpf.runtime.controller import Controller
from dpf.runtime.manager import Manager
from dpf.runtime.mirrors import NONE
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Reconciler, Verdict
from dpf.services.dpudeployment import revisions
from dpf.services.dpudeployment.controller import DPUDeploymentController
from dpf.services.dpudeploymentnode.controller import DPUDeploymentNodeController
from dpf.services.dpuservice.controller import DPUServiceController
from dpf.services.dpuservice.leftovers import LeftoverController
from dpf.services.dpuservicetemplate.controller import DPUServiceTemplateController
from dpf.services.helm import sources
from dpf.services.helm.memory import MemoryCharts
from dpf.services.helm.port import ChartError

T = TypeVar("T", bound=Object)
Choose = Callable[[Sequence[Controller]], Controller]

KINDS: tuple[type[Object], ...] = (
    DPUDeployment, *some.CHILDREN, *some.DEPENDENCIES, Application, core.Node, DPUNode, DPUNodeMaintenance,
)
"""What end states are compared by."""
DOWN = ChartError("the chart repository does not answer")


@dataclass(slots=True)
class Platform:
    """A world, its chart repositories, and the running controllers. `choose` picks who goes next."""

    world: World
    charts: MemoryCharts
    choose: Choose = lambda due: due[0]
    at_work: str | None = None
    """Name of the controller whose pass it is; None while the test plays somebody."""
    passes: int = 0
    """How many passes there were, of all controllers."""
    may_die: bool = True
    """Whether `kill_everywhere` may kill now; a story switches it on where it becomes interesting."""
    manager: Manager = field(init=False)

    @property
    def host(self) -> MemoryCluster:
        """The host cluster."""
        return self.world.host

    @property
    def clusters(self) -> tuple[MemoryCluster, ...]:
        """All clusters."""
        return self.world.clusters

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Platform]:
        """One life of the process; when the block is entered everything that was due is done."""
        async with self.world.controllers(self._controllers, follow=True) as manager:
            self.manager = manager
            await self.settle()
            yield self

    async def settle(self) -> None:
        """Everybody reacts, until nobody has anything to do."""
        await self.manager.settle(self._next)
        self.at_work = None

    async def wait(self, seconds: float) -> None:
        """Time passes, in steps in which everybody reacts."""
        for _ in range(10):
            self.world.clock.advance(seconds / 10)
            await self.settle()

    async def apply(self, *objects: Object) -> None:
        """A user makes objects, and everybody reacts."""
        for obj in objects:
            await self.host.create(obj)
        await self.settle()

    async def edit(
        self, kind: type[Object], name: str, spec: dict[str, Any], namespace: str = some.TENANT,
    ) -> None:
        """A user merges `spec` into an object, and everybody reacts."""
        await self.host.patch(kind, name, namespace, patch={"spec": spec})
        await self.settle()

    async def configure(self, name: str, *, interfaces: Sequence[str] | None = None, **values: Any) -> None:
        """A user edits a DPUServiceConfiguration: its interfaces, or values of its chart."""
        spec: dict[str, Any] = {}
        if values:
            spec["serviceConfiguration"] = {"helmChart": {"values": values}}
        if interfaces is not None:
            spec["interfaces"] = [{"name": interface, "network": "mynad"} for interface in interfaces]
        await self.edit(DPUServiceConfiguration, name, spec)

    async def delete(self, kind: type[Object], name: str, namespace: str = some.TENANT) -> None:
        """A user deletes an object, and everybody reacts."""
        await self.host.delete(kind, name, namespace)
        await self.settle()

    async def deliver(self) -> None:
        """Argo CD does its work on every Application that it may touch, until nothing changes any more."""
        for _ in range(12):
            before = self.host.resource_version
            for app in self.host.objects(Application):
                if app.metadata.deletionTimestamp is not None:
                    await dpuservices.finish_deletion(self.host, app)
                elif app.status.health.status != "Healthy":
                    await dpuservices.report(self.host, app)
            await self.settle()
            if self.host.resource_version == before:
                return
        raise AssertionError("no end")

    async def provision(self, *names: str) -> None:
        """The DPUs of these DPUSets, or of all, have what their DPUSet says now."""
        for dpuset in self.host.objects(DPUSet):
            chosen = not names or dpuset.metadata.name in names
            if chosen and not (revisions.is_ready(dpuset) or dpuset.metadata.deletionTimestamp):
                await some.report(self.host, dpuset)
        await self.settle()

    async def work(self) -> None:
        """Argo CD and the DPUs do their part again and again, until the world stands still."""
        for _ in range(12):
            before = self.host.resource_version
            await self.deliver()
            await self.provision()
            if self.host.resource_version == before:
                return
        raise AssertionError("no end")

    async def look_again(self) -> list[str]:
        """Every controller looks at everything once more; what that writes."""
        before = len(self.world.writes)
        for controller in self.manager.controllers:
            controller.enqueue_all()
        await self.settle()
        return self.world.writes[before:]

    def end_state(self, *kinds: type[Object]) -> dict[str, Any]:
        """All that matters, without what differs between two lives that come to the same."""
        state = self.world.state(*(kinds or KINDS))
        for tree in state.values():
            # Of several controllers each adds its own, whoever comes first.
            tree["metadata"].get("finalizers", []).sort()
            tree["metadata"].get("annotations", {}).pop("dpu.nvidia.com/consumed-by-uid", None)
            status = tree.get("status") or {}
            for told in (status, *status.get("conditions", ())):
                told.pop("observedGeneration", None)
        return state

    def set_chart(self, template: DPUServiceTemplate | HelmChartSource, answer: dict[str, str] | ChartError) -> None:
        """What the repository says about the chart of a template from now on."""
        if isinstance(template, DPUServiceTemplate):
            assert template.spec is not None
            template = template.spec.helmChart.source
        self.charts.set(sources.locate(template, NONE), answer)

    def names(self, kind: type[Object], namespace: str | None = None) -> list[str]:
        """Names of all objects of a kind."""
        return [obj.metadata.name for obj in self.host.objects(kind, namespace)]

    def left(self) -> list[str]:
        """Everything that a deployment makes, and deployments: kind and name."""
        kinds: tuple[type[Object], ...] = (DPUDeployment, *some.CHILDREN, Application)
        return [f"{kind.resource.kind} {name}" for kind in kinds for name in self.names(kind)]

    def one(self, kind: type[T], name: str, namespace: str = some.TENANT) -> T:
        """An object as it is now."""
        return next(obj for obj in self.host.objects(kind, namespace) if obj.metadata.name == name)

    def services(self, service: str) -> list[DPUService]:
        """The DPUServices for a service of a deployment, oldest first."""
        label = "svc.dpu.nvidia.com/dpudeployment-service"
        found = [s for s in self.host.objects(DPUService) if (s.metadata.labels or {}).get(label) == service]
        return sorted(found, key=lambda s: s.metadata.creationTimestamp or "")

    def condition(self, type_: ConditionType, name: str = "dd", namespace: str = some.TENANT) -> Condition:
        """A condition of a deployment as it is now."""
        found = conditions.find(self.one(DPUDeployment, name, namespace).status.conditions, type_)
        assert found is not None
        return found

    def summary(
        self, type_: ConditionType, name: str = "dd", namespace: str = some.TENANT,
    ) -> tuple[str, str, str]:
        """Status, reason and message of a condition."""
        found = self.condition(type_, name, namespace)
        return found.status, found.reason, found.message

    def node_labels(self, dpuset: str = "dd-workers") -> dict[str, str]:
        """What a DPUSet tells its nodes, without the label of the owner and without the prefix."""
        spec = self.one(DPUSet, dpuset).spec
        cluster = spec.dpuTemplate.spec.cluster if spec is not None else None
        labels = (cluster.nodeLabels if cluster is not None else None) or {}
        short = {key.removeprefix("svc.dpu.nvidia.com/"): value for key, value in labels.items()}
        return {key: value for key, value in short.items() if key != "owned-by-dpudeployment"}

    def follows_labels(self, dpuset: str = "dd-workers") -> bool:
        """applyOnLabelChange of a DPUSet."""
        spec = self.one(DPUSet, dpuset).spec
        assert spec is not None
        assert spec.dpuTemplate.spec.nodeEffect is not None
        return spec.dpuTemplate.spec.nodeEffect.applyOnLabelChange

    def _next(self, due: Sequence[Controller]) -> Controller:
        chosen = self.choose(due)
        self.at_work, self.passes = chosen.reconciler.name, self.passes + 1
        return chosen

    def _controllers(self, world: World) -> list[Reconciler[Any, Any]]:
        return [
            DPUDeploymentController(clusters=world.registry), DPUServiceController(clusters=world.registry),
            LeftoverController(clusters=world.registry),
            DPUServiceTemplateController(clusters=world.registry, charts=self.charts, clock=world.clock),
            DPUDeploymentNodeController(clusters=world.registry),
            BFBSpokesman(), ChainSpokesman(), InterfaceSpokesman(),
        ]


def a_platform(*objects: Object, clusters: Sequence[str] = ("dpu-1",)) -> Platform:
    """A host cluster with these objects and these DPUClusters; the chart of every template there is can be read."""
    world = worlds.a_world(
        dpu_clusters=clusters, namespace=dpuservices.CLUSTERS, without_status=(Application, AppProject)
    )
    world.host.add(core.Namespace(metadata=ObjectMeta(name=dpuservices.DPF)))
    for key in world.dpus:
        world.host.add(dpuservices.a_cluster(key.name, key.namespace), dpuservices.a_kubeconfig_secret(key))
    platform = Platform(world=world, charts=MemoryCharts())
    for obj in objects:
        if isinstance(obj, DPUServiceTemplate):
            platform.set_chart(obj, {})
    world.host.add(*map(unsaid, objects))
    return platform


def a_deployed(name: str = "dd", *others: Object, **spec: Any) -> Platform:
    """A platform with a deployment and everything that it names; `others` replace what would be made for it."""
    deployment = some.a_deployment(name, **spec)
    given = {(type(obj), obj.metadata.name) for obj in others}
    needed = [d for d in some.dependencies_of(deployment) if (type(d), d.metadata.name) not in given]
    return a_platform(deployment, *needed, *others)


def unsaid(obj: T) -> T:
    """`obj` without a status: what its controller is going to say, it says in the scenario."""
    if not isinstance(obj, DPUServiceTemplate):
        return obj
    return msgspec.structs.replace(obj, status=type(obj)().status)


async def kill_everywhere(make: Callable[[], Platform], live: Callable[[Platform], Awaitable[None]]) -> int:
    """Assert that a kill after any write of the controller of DPUDeployments ends as an undisturbed life does.

    `live` starts the controllers and tells a story; after a kill it is told again from its beginning. Returns how many
    kills were tried.
    """
    undisturbed = make()
    await live(undisturbed)
    expected = undisturbed.end_state()
    for n in range(1, 1000):
        platform = make()
        kill = Kill(platform, n)
        try:
            await live(platform)
        except Crash:
            platform.at_work = None
            await live(platform)
        if kill.last is None:
            return n - 1
        assert platform.end_state() == expected, f"killed after write {n}: {kill.last}"
    raise AssertionError("still writing")


class BFBSpokesman(Spokesman):
    """Says that a BFB is Ready, with the DOCA version that stands in its file name."""

    kind = BFB
    name = "standin-bfb"

    def status(self, snapshot: BFB, plan: Plan, applied: Applied, now: datetime) -> Verdict:
        """From the name alone."""
        name = (snapshot.spec.fileName or snapshot.spec.url.rsplit("/", 1)[-1]) if snapshot.spec else ""
        version = re.search(r"\d+\.\d+(\.\d+)?", name)
        versions = {"doca": version.group()} if version else None
        return Verdict(states={}, fields={"phase": Phase.READY, "fileName": name, "versions": versions})


class Kill:
    """The `at`-th write of the controller of DPUDeployments ends the process; `last` is that write."""

    def __init__(self, platform: Platform, at: int) -> None:
        self._platform, self._left = platform, at
        self.last: Request | None = None
        platform.host.after_write = self._after_write

    def _after_write(self, request: Request) -> None:
        ours = self._platform.at_work == DPUDeploymentController.name and request.kind != "Event"
        if ours and self._platform.may_die:
            self._left -= 1
            if self._left == 0:
                self.last = request
                raise Crash(f"after {request}")


def interfaces_of(platform: Platform) -> dict[str, tuple[str, str]]:
    """DPUServiceInterfaces by name: interface in the pod and service id."""
    found: dict[str, tuple[str, str]] = {}
    for obj in platform.host.objects(DPUServiceInterface):
        service = obj.spec.template.spec.template.spec.service if obj.spec is not None else None
        assert service is not None
        found[obj.metadata.name] = (service.interfaceName, service.serviceID)
    return found


def key(name: str) -> Key:
    """The key of an object of the tenant."""
    return Key(some.TENANT, name)
