"""A cluster that nodes can join: control plane processes, and what `kubeadm init` leaves behind for joiners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.support import apiserver

from dpf.api import core
from dpf.emulation.join import discovery
from dpf.kube import connect, wait
from dpf.kube.http import HTTPClient
from dpf.local import controlplane, parts
from dpf.local.supervisor import ports
from dpf.local.supervisor.supervisor import Supervisor
from dpf.provisioning.dpucluster import bootstrap, token


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A running control plane."""

    server: str
    ca_pem: bytes
    kubeconfig: Path

    @property
    def pin(self) -> str:
        (pin,) = discovery.ca_pins(self.ca_pem)
        return pin

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[HTTPClient]:
        async with connect.client(self.kubeconfig) as client:
            yield client

    async def mint(self, ttl_s: float = 600.0) -> str:
        async with self.admin() as client:
            return (await token.mint_token(client, ttl_s)).bearer


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """One control plane in `folder` until the block ends; nothing of it is left then."""
    etcd, server = apiserver.programs()
    manager, scheduler = parts.find("kube-controller-manager"), parts.find("kube-scheduler")
    store = controlplane.Store(folder=folder / "etcd")
    store.folder.mkdir(mode=0o700)
    supervisor = Supervisor(folder)
    files = controlplane.write_cluster_files(
        folder / "cluster", name="joinable", port=ports.find_free_port(), now=datetime.now(UTC)
    )
    try:
        supervisor.ensure(controlplane.etcd_spec(store, etcd, logs=folder))
        process = supervisor.ensure(controlplane.apiserver_spec(files, store, server, logs=folder)).process
        with asyncio.Runner() as runner:
            runner.run(controlplane.wait_ready(files.server, ssl=controlplane.admin_ssl(files), process=process))
        supervisor.ensure(controlplane.controller_manager_spec(files, manager, logs=folder))
        supervisor.ensure(controlplane.scheduler_spec(files, scheduler, logs=folder))
        found = Cluster(
            server=files.server, ca_pem=(files.folder / "ca.crt").read_bytes(), kubeconfig=files.admin_kubeconfig
        )
        with asyncio.Runner() as runner:
            runner.run(_prepare(found))
        yield found
    finally:
        supervisor.stop_all()


async def _prepare(cluster: Cluster) -> None:
    async with cluster.admin() as client:
        version = await client.server_version()
        for obj in bootstrap.joining_objects(endpoint=cluster.server, ca_pem=cluster.ca_pem, version=version):
            await client.create(obj)
        await wait.until(
            client, core.ServiceAccount, "default", "default", accept=lambda found: found is not None, timeout_s=30
        )
