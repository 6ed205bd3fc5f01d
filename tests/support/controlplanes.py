"""A machine for control planes of DPU clusters: a real etcd in a folder, and the real implementation over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import needs

from dpf.api.meta import Key
from dpf.local import controlplane, dpucontrolplane, etcdkeys
from dpf.local.dpucontrolplane import ProcessControlPlane, Programs
from dpf.local.parts import table
from dpf.local.supervisor import Process, Supervisor, procfs

ETCD_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """`state` is the platform's folder."""

    state: Path
    supervisor: Supervisor
    store: controlplane.Store
    programs: Programs

    def planes(self) -> ProcessControlPlane:
        """The driver, as a process that has just started would make it."""
        return ProcessControlPlane(state=self.state, store=self.store, programs=self.programs)

    def process(self, cluster: Key, component: str) -> Process | None:
        """The living process of one component."""
        return self.supervisor.observe(f"{dpucontrolplane.cluster_id(cluster)}-{component}")

    def commands(self) -> list[str]:
        """Everything that runs for this machine, etcd apart."""
        marked = procfs.marked({"DPF_PLATFORM": str(self.state.resolve())})
        return sorted(seen.command for seen in marked if seen.command != "etcd")


def program(name: str) -> Path:
    """A part; without it the test is skipped, except in CI, where it fails."""
    return needs.program(name)


def programs() -> Programs:
    """The engines of a control plane."""
    return Programs(
        apiserver=program("kube-apiserver"), controller_manager=program("kube-controller-manager"),
        scheduler=program("kube-scheduler"), version=table.KUBERNETES,
    )


@asynccontextmanager
async def machine(state: Path) -> AsyncIterator[Machine]:
    """etcd in `state` until the block ends; nothing that was started there is left then."""
    supervisor, store = Supervisor(state), controlplane.Store(folder=state / "etcd")
    for folder in (store.folder, state / "logs"):
        folder.mkdir(mode=0o700)
    made = Machine(state=state, supervisor=supervisor, store=store, programs=programs())
    try:
        supervisor.ensure(controlplane.etcd_spec(store, program("etcd"), logs=state / "logs"))
        async with asyncio.timeout(ETCD_TIMEOUT_S):
            await _until_etcd_answers(store)
        yield made
    finally:
        supervisor.stop_all()


async def _until_etcd_answers(store: controlplane.Store) -> None:
    while True:
        try:
            await etcdkeys.delete_prefix(store.socket, "/nothing/")
        except etcdkeys.EtcdError:
            await asyncio.sleep(0.01)
        else:
            return
