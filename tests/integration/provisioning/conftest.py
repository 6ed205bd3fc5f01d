"""Our two DPUCluster controllers at work on an in-memory host cluster, making real DPU clusters on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support import controlplanes
from tests.support.controlplanes import Machine
from tests.support.dpuclusters import NAME, NAMESPACE

from dpf.api.core import Namespace
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key, ObjectMeta
from dpf.kube import wait
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.memory import MemoryCluster
from dpf.provisioning.clustermanager.local.controller import LocalClusterManager
from dpf.provisioning.dpucluster.controller import DPUClusterController
from dpf.provisioning.dpucluster.httpprober import HTTPProber
from dpf.runtime.manager import Manager

CLUSTER = Key(NAMESPACE, NAME)
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The host cluster's objects, and the machine below them."""

    host: MemoryCluster
    machine: Machine

    async def until_phase(self, phase: str) -> DPUCluster:
        found = await wait.until(
            self.host, DPUCluster, NAME, NAMESPACE, timeout_s=TIMEOUT_S,
            accept=lambda cluster: cluster is not None and cluster.status.phase == phase,
        )
        assert found is not None
        return found

    async def until_gone(self) -> None:
        await wait.until(
            self.host, DPUCluster, NAME, NAMESPACE, timeout_s=TIMEOUT_S, accept=lambda cluster: cluster is None,
        )

    @asynccontextmanager
    async def controllers(self) -> AsyncIterator[None]:
        """Let the controllers work until the block ends, as one process."""
        registry = ClusterRegistry(self.host)
        manager = Manager(registry, self.host, [
            DPUClusterController(clusters=registry, prober=HTTPProber()),
            LocalClusterManager(host=self.host, control_plane=self.machine.planes()),
        ])
        registry.start()
        running = asyncio.create_task(manager.run())
        try:
            yield
        finally:
            await manager.stop(running)
            await registry.aclose()


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    host = MemoryCluster()
    host.add(Namespace(metadata=ObjectMeta(name=NAMESPACE)))
    async with controlplanes.machine(tmp_path) as machine:
        yield Platform(host=host, machine=machine)
