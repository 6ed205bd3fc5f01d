"""A host cluster, DPU clusters and Argo CD in memory, with the DPUService controller in between.

Scenario tests make a `World`, put objects in place, call `settle`, and look at what exists. `restart` is what a killed
process leaves behind: the clusters stay, everything that our process knew is gone.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from dpf.api import core, names
from dpf.api.argocd import Application, AppProject
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpucluster import DPUCluster, DPUClusterSpec, DPUClusterStatus, Phase
from dpf.api.dpuservice import DPUService, DPUServiceSpec, HelmChart, HelmChartSource
from dpf.api.meta import Condition, Key, Object, ObjectMeta, object_key
from dpf.kube import errors
from dpf.kube.clusters import ClusterRegistry, Connected
from dpf.kube.memory import MemoryCluster, Request, Write
from dpf.kube.reflector import Timing
from dpf.runtime.clusterfollower import ClusterFollower
from dpf.runtime.controller import Controller
from dpf.runtime.manager import Manager, Settings
from dpf.services.dpuservice.controller import DPUServiceController

START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
DPF = names.DPF_NAMESPACE


class Killed(BaseException):
    """The process is gone after this write."""


class Clock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self._elapsed = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nothing here may sleep, not even {seconds} s")

    def advance(self, seconds: float) -> None:
        self._elapsed += seconds


class Naps:
    """Sleeps of background loops: they last until the test wakes them."""

    def __init__(self) -> None:
        self._sleeping: list[asyncio.Future[None]] = []

    async def sleep(self, _seconds: float) -> None:
        nap = asyncio.get_running_loop().create_future()
        self._sleeping.append(nap)
        await nap

    def wake(self) -> None:
        for nap in self._sleeping:
            if not nap.done():
                nap.set_result(None)
        self._sleeping.clear()


@dataclass
class Process:
    """What dies with our process."""

    registry: ClusterRegistry
    manager: Manager


@dataclass
class World:
    """The clusters outlive the process; `dpu` are DPU clusters by the host name in their kubeconfig."""

    clock: Clock = field(default_factory=Clock)
    naps: Naps = field(default_factory=Naps)
    dpu: dict[str, MemoryCluster] = field(default_factory=dict)
    choose: Callable[[Sequence[Controller]], Controller] = lambda due: due[0]

    def __post_init__(self) -> None:
        self.host = MemoryCluster(
            "host", now=self.clock.now, without_status=(Application, AppProject),
        )
        self.host.add(core.Namespace(metadata=ObjectMeta(name=DPF)))
        self.process: Process | None = None

    # Objects.

    def add(self, *objects: Object) -> None:
        self.host.add(*objects)

    def add_cluster(
        self, name: str, *, namespace: str = "dpf-clusters", labels: dict[str, str] | None = None,
        phase: Phase = Phase.READY, created: str | None = None, kubeconfig: bytes | None = None,
    ) -> MemoryCluster:
        """A DPUCluster, its kubeconfig Secret and the cluster behind it."""
        server = f"{name}.{namespace}.example"
        cluster = self.dpu[server] = MemoryCluster(f"{namespace}/{name}", now=self.clock.now)
        self.add(
            a_cluster(name, namespace=namespace, labels=labels, phase=phase, created=created),
            a_kubeconfig_secret(name, namespace=namespace, content=kubeconfig or a_kubeconfig(server)),
        )
        return cluster

    def service(self, name: str = "blueman", namespace: str = "tenant") -> DPUService:
        return self.one(DPUService, namespace, name)

    def one[T: Object](self, kind: type[T], namespace: str, name: str) -> T: ...


def a_cluster(
    name: str, *, namespace: str = "dpf-clusters", labels: dict[str, str] | None = None, phase: Phase = Phase.READY,
    created: str | None = None,
) -> DPUCluster:
    return DPUCluster()
