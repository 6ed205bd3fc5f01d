"""The API server as one emulated node sees it: a cluster in memory that tests can wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from dpf.api import core
from dpf.api.meta import Object
from dpf.kube import errors
from dpf.kube.client import PatchType
from dpf.kube.memory import MemoryCluster

T = TypeVar("T", bound=Object)


class NodeAPI(MemoryCluster):
    """Adds strategic patches of pod status, and `until`: waiting for a state of the world, not for time to pass."""

    def __init__(self) -> None:
        super().__init__()
        self.refuse_status: errors.Error | None = None
        self._moved = asyncio.Condition()

    async def patch(
        self, kind: type[T], name: str, namespace: str | None = None, *,
        patch: Mapping[str, Any] | Sequence[Mapping[str, Any]], type: PatchType = PatchType.MERGE,
        subresource: str | None = None, field_owner: str | None = None, dry_run: bool = False,
    ) -> T:
        """A strategic patch of a pod's status merges conditions by type; lists of containers are replaced."""
        if kind is core.Pod and type is PatchType.STRATEGIC and isinstance(patch, Mapping):
            if self.refuse_status is not None:
                raise self.refuse_status
            pod = await self.get(core.Pod, name, namespace)
            if patch["metadata"]["uid"] != pod.metadata.uid:
                raise errors.Conflict("the pod is another one")
            patch = {"status": _merged(pod, patch["status"])}
        result = await super().patch(
            kind, name, namespace, patch=patch, subresource=subresource, field_owner=field_owner, dry_run=dry_run
        )
        await self._announce()
        return result

    async def delete(
        self, kind: type[T], name: str, namespace: str | None = None, *, uid: str | None = None,
        resource_version: str | None = None, propagation: str = "Background", grace_period_s: int | None = None,
        dry_run: bool = False,
    ) -> None:
        """As everywhere, and whoever waits looks again."""
        await super().delete(
            kind, name, namespace, uid=uid, resource_version=resource_version, propagation=propagation,
            grace_period_s=grace_period_s, dry_run=dry_run,
        )
        await self._announce()

    async def until(self, accept: Callable[[core.Pod | None], bool], name: str = "p", *, timeout_s: float = 10) -> Any:
        """The pod of namespace `ns` as soon as `accept` says yes to it; None stands for no pod."""
        async with asyncio.timeout(timeout_s), self._moved:
            while True:
                pods = {pod.metadata.name: pod for pod in self.objects(core.Pod, "ns")}
                if accept(pods.get(name)):
                    return pods.get(name)
                await self._moved.wait()

    async def _announce(self) -> None:
        async with self._moved:
            self._moved.notify_all()


def _merged(pod: core.Pod, status: Mapping[str, Any]) -> dict[str, Any]:
    if "conditions" not in status:
        return dict(status)
    merged = {c.type: {"type": c.type, "status": c.status, "reason": c.reason, "message": c.message,
                       "lastTransitionTime": c.lastTransitionTime} for c in pod.status.conditions or ()}
    for condition in status["conditions"]:
        merged[condition["type"]] = {**merged.get(condition["type"], {}), **condition}
    conditions = [{k: v for k, v in condition.items() if v is not None} for condition in merged.values()]
    return {**status, "conditions": conditions}
