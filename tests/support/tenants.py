"""A namespace with a DPUDeployment in it on the local platform, as a user has it, for end-to-end tests.

    async with tenants.tenant(platform, "some-namespace") as mine:
        mine.platform.apply(*mine.producer_consumer())
        await mine.ready()

Two DPUDeployments cannot have the same DPUs. `Where` says which a deployment takes; one that takes none is rolled out
all the same, only that its DaemonSets have no pods. At the end everything is deleted, and the DPUDeployment has to go.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar, cast

from tests.support.platform import Platform

from dpf.api import core, names
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuservice import DPUService
from dpf.api.meta import Condition, Object
from dpf.kube import wait
from dpf.kube.client import Event, EventType
from dpf.kube.http import HTTPClient
from dpf.runtime import conditions

T = TypeVar("T", bound=Object)
Manifest = dict[str, Any]

NAME = "producer-consumer"
"""Of the DPUDeployment of the users' guide."""
EXAMPLE = "003-producer-consumer.yaml"
RACK = "datacenter.nvidia.com/rack"
PATIENCE_S = 90.0
"""For what takes seconds on a machine that has nothing else to do."""


class Where(StrEnum):
    """DPUs of the platform, by the rack that the guide's DPUDeployment selects."""

    FIRST = "b-100"
    SECOND = "b-101"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A namespace, and clients of both clusters."""

    platform: Platform
    namespace: str
    host: HTTPClient
    dpu: HTTPClient

    def producer_consumer(self, where: Where | None = Where.NOWHERE) -> list[Manifest]:
        """The objects of the guide in this namespace; None: to the letter.

        Otherwise the file of the BFB has a name of its own: bundles of all namespaces are on one volume.
        """
        objects = [in_namespace(obj, self.namespace) for obj in self.platform.example(EXAMPLE)]
        if where is not None:
            for obj in objects:
                obj["spec"].pop("fileName", None)
            objects[-1]["spec"]["dpus"]["dpuSets"] = [
                {"nameSuffix": "set", "nodeSelector": {"matchLabels": {RACK: where.value}}}
            ]
        return objects

    def kubectl(self, *arguments: str, dpu: bool = False) -> str:
        """What kubectl says in this namespace."""
        return self.platform.kubectl(*arguments, "-n", self.namespace, dpu=dpu).stdout

    async def delete(self, *what: str) -> None:
        """`kubectl delete`, which waits until it is gone; meanwhile whatever a test plays goes on."""
        await asyncio.to_thread(self.kubectl, "delete", *what, f"--timeout={PATIENCE_S:.0f}s")

    def patch(self, resource: str, change: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """`kubectl patch`: a merge patch, or the operations of a JSON patch."""
        kind = "merge" if isinstance(change, Mapping) else "json"
        said = self.kubectl("patch", *resource.split("/"), f"--type={kind}", "-p", json.dumps(change))
        assert "no change" not in said, f"{resource} is like that already"

    def configure(self, name: str, **values: Any) -> None:
        """Edit the Helm values in a DPUServiceConfiguration."""
        chart = {"helmChart": {"values": values}}
        self.patch(f"dpuserviceconfiguration/{name}", {"spec": {"serviceConfiguration": chart}})

    async def ready(self, name: str = NAME) -> DPUDeployment:
        """The DPUDeployment, Ready as its spec is now."""
        return await self.until(DPUDeployment, name, is_ready)

    async def until(
        self, kind: type[T], name: str, accept: Callable[[T], bool], *, dpu: bool = False,
    ) -> T:
        """The object when it is as wanted."""
        client, namespace = (self.dpu if dpu else self.host), (self.namespace if kind.resource.namespaced else None)
        found = await wait.until(
            client, kind, name, namespace, accept=lambda obj: obj is not None and accept(obj), timeout_s=PATIENCE_S
        )
        assert found is not None
        return found

    async def until_gone(self, kind: type[Object], name: str) -> None:
        """Until there is no such object."""
        await wait.until(self.host, kind, name, self.namespace, accept=lambda obj: obj is None, timeout_s=PATIENCE_S)

    async def until_all(
        self, kind: type[T], accept: Callable[[Sequence[T]], bool], *, dpu: bool = False, namespace: str | None = None,
    ) -> tuple[T, ...]:
        """All objects of a kind in a namespace (this one), when they are as wanted."""
        client = self.dpu if dpu else self.host
        found: tuple[T, ...] = ()
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    listing = await client.list(kind, namespace or self.namespace)
                    if accept(found := listing.items):
                        return found
                    await change(client, kind, namespace or self.namespace, listing.resource_version)
        except TimeoutError:
            names_ = [obj.metadata.name for obj in found]
            raise AssertionError(f"{kind.resource.plural} are not as expected: {names_}") from None

    async def all(self, kind: type[T]) -> tuple[T, ...]:
        """All objects of a kind in this namespace of the host cluster, as they are now."""
        return (await self.host.list(kind, self.namespace)).items

    async def until_looked_at(self) -> None:
        """Until controllers that were just started have found every deployment and every service as it should be."""
        numbers = {
            "dpudeployment": len((await self.host.list(DPUDeployment)).items),
            "dpuservice": len((await self.host.list(DPUService)).items),
        }

        async def have_passed() -> bool:
            return all(self.platform.passes(controller) >= number for controller, number in numbers.items())

        await poll(have_passed)

    async def condition(
        self, type_: str, accept: Callable[[Condition], bool], *, name: str = NAME, kind: type[Object] = DPUDeployment,
    ) -> Condition:
        """A condition of an object, when it is as wanted."""
        obj = await self.until(kind, name, lambda found: (c := condition_of(found, type_)) is not None and accept(c))
        found = condition_of(obj, type_)
        assert found is not None
        return found

    async def services(self, service: str) -> tuple[DPUService, ...]:
        """The revisions of a service."""
        label = f"{names.DPUDEPLOYMENT_SERVICE_LABEL}={service}"
        return (await self.host.list(DPUService, self.namespace, labels=label)).items

    async def pods(self, service: str, number: int, *, network: str = "") -> dict[str, core.Pod]:
        """The running pods of a service by node, when there are `number` and all are ready.

        `network`: an interface that each has to have, if it matters.
        """
        def are_running(pods: Sequence[core.Pod]) -> bool:
            mine = [pod for pod in pods if _is_of(pod, service)]
            return len(mine) == number and all(_is_running(pod) and _has_interface(pod, network) for pod in mine)

        found = await self.until_all(core.Pod, are_running, dpu=True)
        return {pod.spec.nodeName or "": pod for pod in found if _is_of(pod, service)}


@asynccontextmanager
async def tenant(platform: Platform, namespace: str) -> AsyncIterator[Tenant]:
    """A fresh namespace. At the end its DPUDeployments have to go, and leave nothing that holds anything up."""
    platform.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    async with platform.client() as host, platform.client(dpu=True) as dpu:
        made = Tenant(platform=platform, namespace=namespace, host=host, dpu=dpu)
        try:
            yield made
        finally:
            await made.delete("dpudeployments", "--all")
            away = ("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")
            platform.kubectl(*away)
            platform.kubectl(*away, dpu=True)


async def poll(check: Callable[[], Awaitable[bool]]) -> None:
    """Until `check` says yes, for what cannot be watched. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await check():
                return
            await asyncio.sleep(0.1)


@asynccontextmanager
async def recorded(tenant: Tenant, kind: type[T], *, dpu: bool = False) -> AsyncIterator[list[dict[str, T]]]:
    """Every state that the objects of a kind go through while the block runs, by name. The first is the present one."""
    client, namespace = tenant.dpu if dpu else tenant.host, tenant.namespace if kind.resource.namespaced else None
    listing = await client.list(kind, namespace)
    states = [{obj.metadata.name: obj for obj in listing.items}]

    async def follow() -> None:
        async for batch in client.watch(kind, namespace, resource_version=listing.resource_version):
            for event in batch:
                _note(states, event)

    task = asyncio.create_task(follow())
    try:
        yield states
        assert not task.done(), "the watch has ended"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def change(client: HTTPClient, kind: type[T], namespace: str, resource_version: str) -> None:
    """Until something happens to an object of the kind."""
    watch = client.watch(kind, namespace, resource_version=resource_version)
    async with aclosing(cast("AsyncGenerator[Sequence[Event[T]], None]", watch)) as batches:
        async for batch in batches:
            if any(event.type is not EventType.BOOKMARK for event in batch):
                return


def in_namespace(manifest: Manifest, namespace: str) -> Manifest:
    """A copy for another namespace."""
    made = copy.deepcopy(manifest)
    made["metadata"]["namespace"] = namespace
    return made


def condition_of(obj: Object, type_: str) -> Condition | None:
    """A condition in the status of any object."""
    return conditions.find(getattr(getattr(obj, "status", None), "conditions", None) or (), type_)


def is_ready(obj: Object) -> bool:
    """Ready, and said about the present generation."""
    found = condition_of(obj, "Ready")
    return found is not None and found.status == "True" and found.observedGeneration == obj.metadata.generation


def is_paused(service: DPUService) -> bool:
    """Whether nobody looks at it any more."""
    return service.spec is not None and bool(service.spec.paused)


def _has_interface(pod: core.Pod, interface: str) -> bool:
    networks = (pod.metadata.annotations or {}).get(names.NETWORKS_ANNOTATION, "[]")
    return not interface or any(element["interface"] == interface for element in json.loads(networks))


def _is_running(pod: core.Pod) -> bool:
    ready = any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ())
    return ready and pod.metadata.deletionTimestamp is None


def _is_of(pod: core.Pod, service: str) -> bool:
    return (pod.metadata.labels or {}).get(names.DPUDEPLOYMENT_SERVICE_LABEL) == service


def _note(states: list[dict[str, T]], event: Event[T]) -> None:
    if event.object is None:
        return
    name, rest = event.object.metadata.name, dict(states[-1])
    rest.pop(name, None)
    states.append(rest if event.type is EventType.DELETED else {**rest, name: event.object})
