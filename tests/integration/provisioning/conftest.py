"""One machine: a real etcd, our two DPUCluster controllers at work on an in-memory host cluster, real DPU clusters."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dpf.api import names
from dpf.api.core import Namespace
from dpf.api.dpucluster import DPUCluster, DPUClusterSpec
from dpf.api.meta import Key, ObjectMeta
from dpf.kube import errors, wait
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.memory import MemoryCluster
from dpf.local import controlplane, dpucontrolplane, parts
from dpf.local.dpucontrolplane import ProcessControlPlane, Programs
from dpf.local.supervisor import procfs
from dpf.local.supervisor.supervisor import Supervisor
from dpf.provisioning.clustermanager.local.controller import LocalClusterManager
from dpf.provisioning.dpucluster.controller import DPUClusterController
from dpf.provisioning.dpucluster.httpprober import HTTPProber
from dpf.runtime.manager import Manager

CLUSTER = Key(names.DPF_NAMESPACE, "dpu-cplane-tenant1")
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """`state` is the platform's folder."""

    state: Path
    host: MemoryCluster
    supervisor: Supervisor
    store: controlplane.Store

    async def create(self) -> DPUCluster:
        return await self.host.create(DPUCluster(
            metadata=ObjectMeta(name=CLUSTER.name, namespace=CLUSTER.namespace), spec=DPUClusterSpec(type="dpf/local"),
        ))

    async def get(self) -> DPUCluster:
        return await self.host.get(DPUCluster, CLUSTER.name, CLUSTER.namespace)

    async def until_phase(self, phase: str) -> DPUCluster:
        found = await wait.until(
            self.host, DPUCluster, CLUSTER.name, CLUSTER.namespace, timeout_s=TIMEOUT_S,
            accept=lambda cluster: cluster is not None and cluster.status.phase == phase,
        )
        assert found is not None
        return found

    async def until_gone(self) -> None:
        await wait.until(
            self.host, DPUCluster, CLUSTER.name, CLUSTER.namespace, timeout_s=TIMEOUT_S,
            accept=lambda cluster: cluster is None,
        )

    def processes(self) -> list[str]:
        return sorted(seen.command for seen in procfs.marked({"DPF_PLATFORM": str(self.state.resolve())}))

    def pid(self, component: str) -> int:
        process = self.supervisor.observe(f"{dpucontrolplane.cluster_id(CLUSTER)}-{component}")
        assert process is not None
        return process.pid


def program(name: str) -> Path:
    """A part; without it the test is skipped, except in CI, where it fails."""
    try:
        return parts.find(name)
    except parts.PartsMissing as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))


@pytest.fixture
def control_planes(tmp_path: Path) -> ProcessControlPlane:
    return ProcessControlPlane(
        state=tmp_path, store=controlplane.Store(folder=tmp_path / "etcd"),
        programs=Programs(
            apiserver=program("kube-apiserver"), controller_manager=program("kube-controller-manager"),
            scheduler=program("kube-scheduler"), version="v1.36.3",
        ),
    )


@pytest.fixture
async def machine(tmp_path: Path, control_planes: ProcessControlPlane) -> AsyncIterator[Machine]:
    store = controlplane.Store(folder=tmp_path / "etcd")
    store.folder.mkdir(mode=0o700)
    (tmp_path / "logs").mkdir(mode=0o700)
    supervisor = Supervisor(tmp_path)
    host = MemoryCluster()
    host.add(Namespace(metadata=ObjectMeta(name=CLUSTER.namespace)))
    registry = ClusterRegistry(host)
    manager = Manager(registry, host, [
        DPUClusterController(host=host, prober=HTTPProber()),
        LocalClusterManager(host=host, control_plane=control_planes),
    ])
    supervisor.ensure(controlplane.etcd_spec(store, program("etcd"), logs=tmp_path / "logs"))
    registry.start()
    running = asyncio.create_task(manager.run())
    try:
        yield Machine(state=tmp_path, host=host, supervisor=supervisor, store=store)
    finally:
        await manager.stop(running)
        await registry.aclose()
        supervisor.stop_all()
