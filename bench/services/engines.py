"""The engines of `python -m bench.services`: one etcd, a host API server and one for each DPU cluster, and charts.

They run as the local platform runs them (`dpf.local`), with an audit log besides: the servers' own record of every
write is what is measured. There is no Argo CD, controller manager or scheduler: nobody acts on what is written. The
benchmark of provisioning uses them, too.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.services import process
from bench.services.bare import Bare
from dpf.api import names
from dpf.kube import codec, kubeconfig
from dpf.kube.http import HTTPClient
from dpf.local import chartrepository, controlplane, parts
from dpf.local.controlplane import LOOPBACK, ClusterFiles
from dpf.local.pki import services as pki
from dpf.local.platform import manifests, objects
from dpf.local.platform.settings import InstallInterface
from dpf.local.supervisor import ports
from dpf.local.supervisor.spec import ProcessSpec
from dpf.local.supervisor.supervisor import Supervisor

HOST: Final = "host"
AUDIT_LOG: Final = "audit.log"
_READ: Final = re.compile('verb="(GET|LIST)"')
_KIND: Final = re.compile(r'group="(\w+\.dpu\.nvidia\.com|argoproj\.io)"')
WRITES: Final = {
    "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "verbs": ["get", "list", "watch"]},
        {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Running servers. `charts` is the URL of a chart repository, `index` its index; `pids` are all other servers."""

    folder: Path
    clusters: dict[str, ClusterFiles]
    host: Bare
    charts: str
    index: Path
    pids: tuple[int, ...]

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, of the host cluster."""
        return self.clusters[HOST].admin_kubeconfig

    @property
    def audit_logs(self) -> dict[str, Path]:
        """By cluster."""
        return {name: cluster.folder / AUDIT_LOG for name, cluster in self.clusters.items()}

    def cpu_s(self) -> float:
        """What etcd and the API servers have used so far."""
        return sum(process.cpu_s(pid) for pid in self.pids)

    async def reads(self) -> int:
        """Reads of single objects and lists of our kinds that the host's API server has answered so far."""
        lines = (await self.host.request("GET", "/metrics")).decode().splitlines()
        found = (line for line in lines if line.startswith("apiserver_request_total{"))
        return sum(int(float(line.rsplit(" ", 1)[1])) for line in found if _READ.search(line) and _KIND.search(line))


@asynccontextmanager
async def running(
    folder: Path, dpu_clusters: int, *, policy: Mapping[str, Any] = WRITES, interface: InstallInterface = "none",
) -> AsyncIterator[Engines]:
    """All of them in `folder` until the block ends, with CRDs, DPF's namespace and DPUClusters that are Ready.

    `policy` is that of the audit log, `interface` how DPUs are installed.
    """
    store, supervisor = controlplane.Store(folder=folder / "etcd"), Supervisor(folder)
    store.folder.mkdir(mode=0o700)
    clusters = {name: _files(folder, name, policy) for name in (HOST, *(f"dpu-{n}" for n in range(dpu_clusters)))}
    port = ports.find_free_port()
    serving = pki.ensure_serving(folder / "charts-pki", "charts", (LOOPBACK,), datetime.now(UTC))
    (folder / "charts").mkdir()
    try:
        pids = [supervisor.ensure(controlplane.etcd_spec(store, parts.find("etcd"), logs=folder)).process.pid]
        supervisor.ensure(_charts(folder, serving, port))
        async with asyncio.TaskGroup() as group:
            for cluster in clusters.values():
                server = supervisor.ensure(_apiserver(cluster, store, folder)).process
                pids.append(server.pid)
                tls = controlplane.admin_ssl(cluster)
                group.create_task(controlplane.wait_ready(cluster.server, ssl=tls, process=server))
        host = Bare(clusters[HOST].server, controlplane.admin_ssl(clusters[HOST]))
        try:
            await _install(host, clusters, serving.authority.read_text(), interface)
            yield Engines(
                folder=folder, clusters=clusters, host=host, index=folder / "charts" / chartrepository.INDEX,
                pids=tuple(pids),
                charts=f"https://{LOOPBACK}:{port}{chartrepository.PATH_PREFIX}",
            )
        finally:
            await host.aclose()
    finally:
        supervisor.stop_all()


def _files(folder: Path, name: str, policy: Mapping[str, Any]) -> ClusterFiles:
    cluster = controlplane.write_cluster_files(
        folder / name, name=name, port=ports.find_free_port(), now=datetime.now(UTC)
    )
    (cluster.folder / "audit.yaml").write_bytes(msgspec.json.encode(policy))
    (cluster.folder / AUDIT_LOG).touch()
    return cluster


def _apiserver(cluster: ClusterFiles, store: controlplane.Store, logs: Path) -> ProcessSpec:
    spec = controlplane.apiserver_spec(cluster, store, parts.find("kube-apiserver"), logs=logs)
    return dataclasses.replace(
        spec, argv=(*spec.argv, "--audit-policy-file=audit.yaml", f"--audit-log-path={AUDIT_LOG}")
    )


def _charts(folder: Path, serving: pki.ServingFiles, port: int) -> ProcessSpec:
    argv = (
        sys.executable, "-m", "dpf.local.chartrepository", "--dir", str(folder / "charts"), "--port", str(port),
        "--cert", str(serving.certificate), "--key", str(serving.key),
    )
    return ProcessSpec(
        name="charts", argv=argv, cwd=folder, log=folder / "charts.log", env={"PYTHONPATH": os.pathsep.join(sys.path)}
    )


async def _install(
    host: Bare, clusters: dict[str, ClusterFiles], authority: str, interface: InstallInterface,
) -> None:
    client = HTTPClient(kubeconfig.load(str(clusters[HOST].admin_kubeconfig)))
    try:
        await manifests.ensure_crds(client, objects.crds(parts.find("argocd-crds")))
    finally:
        await client.aclose()
    await host.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": names.DPF_NAMESPACE}})
    await host.apply(msgspec.json.decode(codec.encode(objects.operator_config(interface))))
    await host.apply(_object("v1", "ConfigMap", "argocd-tls-certs-cm", data={LOOPBACK: authority}))
    for name, cluster in clusters.items():
        if name != HOST:
            await _register(host, name, cluster)


async def _register(host: Bare, name: str, cluster: ClusterFiles) -> None:
    """A DPUCluster as its cluster manager leaves it behind."""
    secret = f"{name}-admin-kubeconfig"
    content = base64.b64encode(cluster.admin_kubeconfig.read_bytes()).decode()
    await host.apply(_object("v1", "Secret", secret, data={"super-admin.conf": content}))
    await host.apply(_object(
        "provisioning.dpu.nvidia.com/v1alpha1", "DPUCluster", name, spec={"type": "static", "kubeconfig": secret}
    ))
    await host.patch(
        "provisioning.dpu.nvidia.com/v1alpha1", "DPUCluster", names.DPF_NAMESPACE, name, {"status": {"phase": "Ready"}},
        subresource="status",
    )


def _object(version: str, kind: str, name: str, **fields: object) -> dict[str, Any]:
    metadata = {"name": name, "namespace": names.DPF_NAMESPACE}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}
