"""The processes of a Kubernetes control plane as specs, the files they need, and waiting until one serves.

Used by the platform for the host cluster and by the local cluster manager for each DPU cluster. Flags and the reasons
for them are measured (local-parts.md section 1). Builders are pure; `write_cluster_files` writes, `wait_ready` waits.
Starting and stopping is the supervisor's.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import ssl as tls
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import aiohttp

from dpf.local import errors, files
from dpf.local.pki import cluster
from dpf.local.pki.cluster import ClusterPKI
from dpf.local.supervisor import asynchronous, launch
from dpf.local.supervisor.spec import ProcessSpec, StopStage
from dpf.local.supervisor.supervisor import Process

LOOPBACK = "127.0.0.1"
DEFAULT_SERVICE_CIDR = "10.96.0.0/16"
ENGINE_ENV: Mapping[str, str] = {"GOGC": "50"}
"""Less heap for a little more CPU: the default of every Go engine."""
POLL_INTERVAL_S = 0.02
LOG_LINES = 20
_UNIX_PATH_MAX = 107
_ETCD_SOCKET = "etcd.sock:0"
"""etcd takes a unix URL only in host:port form; the socket file really has this name."""
_AUTHENTICATION = b"""\
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
  - path: /livez
  - path: /readyz
  - path: /healthz
  - path: /api/v1/namespaces/kube-public/configmaps/cluster-info
"""


class NotReady(errors.StepError):
    """A server did not begin to serve; the message has its last answer and the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """One etcd, shared by every cluster of the platform under a prefix each."""

    folder: Path

    @property
    def url(self) -> str:
        """What an API server connects to."""
        return f"unix://{self.folder / _ETCD_SOCKET}"

    @property
    def socket(self) -> Path:
        """The socket; it has no authentication of its own, so its folder is private."""
        return self.folder / _ETCD_SOCKET


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFiles:
    """A cluster's folder with everything its processes read.

    `kubeconfig_digests` change when a component has to be started again to see its new credentials.
    """

    name: str
    folder: Path
    address: str
    port: int
    service_cidr: str
    pki: ClusterPKI = field(repr=False)
    kubeconfig_digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self.pki.server

    @property
    def admin_kubeconfig(self) -> Path:
        """The kubeconfig of a client that may do everything."""
        return self.pki.kubeconfig("admin")


def write_cluster_files(
    folder: Path, *, name: str, port: int, now: datetime, address: str = LOOPBACK,
    service_cidr: str = DEFAULT_SERVICE_CIDR, extra_sans: tuple[str, ...] = (),
) -> ClusterFiles:
    """Write what is absent, due or changed of the files of cluster `name`; nothing else is touched.

    `address` and `port` are where its API server listens. Raises ValueError for a bad `service_cidr`, PKIError and
    OSError.
    """
    server = f"https://{address}:{port}"
    addresses = (address, _first_address(service_cidr), *extra_sans)
    pki = cluster.ensure(folder, name=name, server=server, addresses=addresses, now=now)
    files.write_atomic(folder / "authn.yaml", _AUTHENTICATION)
    digests = {
        client: files.digest(pki.kubeconfig(client).read_bytes()) for client in ("controller-manager", "scheduler")
    }
    return ClusterFiles(
        name=name, folder=folder, address=address, port=port, service_cidr=service_cidr, pki=pki,
        kubeconfig_digests=digests,
    )


def etcd_spec(store: Store, program: Path, *, logs: Path, env: Mapping[str, str] = ENGINE_ENV) -> ProcessSpec:
    """The one etcd, on unix sockets in its private folder (which has to exist).

    A one-member etcd elects itself: a short election is the one setting that shortens the start. Raises PreflightError
    when the folder's path is too long for a socket.
    """
    if len(str(store.socket)) > _UNIX_PATH_MAX:
        room = _UNIX_PATH_MAX - len(_ETCD_SOCKET) - 1
        raise errors.PreflightError(
            f"{store.folder}: this path is too long for a unix socket; choose a state folder so that it has at most "
            f"{room} characters",
        )
    peer, client = "unix://peer.sock:0", f"unix://{_ETCD_SOCKET}"
    argv = (
        str(program), "--name=e", "--data-dir=data", "--log-level=warn",
        "--heartbeat-interval=10", "--election-timeout=100",
        f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=e={peer}",
    )
    return ProcessSpec(
        name="etcd", argv=argv, cwd=store.folder, log=logs / "etcd.log", env=env, stop_stage=StopStage.STORES,
    )


def apiserver_spec(
    cluster_files: ClusterFiles, store: Store, program: Path, *, logs: Path, env: Mapping[str, str] = ENGINE_ENV,
) -> ProcessSpec:
    """The API server. Certificates are read again by itself when they are renewed, so they cause no restart."""
    listen = cluster_files.address
    argv = (
        str(program),
        f"--etcd-servers={store.url}", f"--etcd-prefix=/{cluster_files.name}",
        "--etcd-count-metric-poll-period=0", "--etcd-db-metric-poll-interval=0",
        f"--bind-address={listen}", f"--secure-port={cluster_files.port}", f"--advertise-address={listen}",
        # Endpoints refuse loopback addresses.
        "--endpoint-reconciler-type=none",
        "--client-ca-file=ca.crt", "--tls-cert-file=apiserver.crt", "--tls-private-key-file=apiserver.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--service-account-key-file=sa.pub", "--service-account-signing-key-file=sa.key",
        f"--service-cluster-ip-range={cluster_files.service_cidr}",
        "--authorization-mode=Node,RBAC", "--authentication-config=authn.yaml", "--enable-bootstrap-token-auth",
        "--enable-admission-plugins=NodeRestriction", "--allow-privileged", "--profiling=false",
        "--kubelet-client-certificate=apiserver-kubelet-client.crt",
        "--kubelet-client-key=apiserver-kubelet-client.key", "--kubelet-preferred-address-types=InternalIP",
        "--runtime-config=autoscaling/v1=false,autoscaling/v2=false", "--shutdown-delay-duration=0",
    )
    spec = _spec(cluster_files, "kube-apiserver", argv, logs, env, stage=StopStage.API_SERVERS)
    # It ends within 1.2 s, or not at all when its etcd is gone.
    return dataclasses.replace(spec, stop_timeout_s=5.0)


def controller_manager_spec(
    cluster_files: ClusterFiles, program: Path, *, logs: Path, env: Mapping[str, str] = ENGINE_ENV,
) -> ProcessSpec:
    """The controller manager: all default controllers, and those that sign and clean up bootstrap tokens."""
    argv = (
        str(program), "--kubeconfig=controller-manager.kubeconfig", "--use-service-account-credentials",
        "--leader-elect=false", "--secure-port=0", "--profiling=false", "--kube-api-qps=200", "--kube-api-burst=400",
        "--controllers=*,bootstrap-signer-controller,token-cleaner-controller",
        "--root-ca-file=ca.crt", "--service-account-private-key-file=sa.key",
        "--cluster-signing-cert-file=ca.crt", "--cluster-signing-key-file=ca.key",
    )
    inputs = cluster_files.kubeconfig_digests.get("controller-manager", "")
    return _spec(cluster_files, "kube-controller-manager", argv, logs, env, inputs=inputs)


def scheduler_spec(
    cluster_files: ClusterFiles, program: Path, *, logs: Path, env: Mapping[str, str] = ENGINE_ENV,
) -> ProcessSpec:
    """The scheduler."""
    argv = (
        str(program), "--kubeconfig=scheduler.kubeconfig", "--leader-elect=false", "--secure-port=0",
        "--profiling=false", "--kube-api-qps=200", "--kube-api-burst=400",
    )
    inputs = cluster_files.kubeconfig_digests.get("scheduler", "")
    return _spec(cluster_files, "kube-scheduler", argv, logs, env, inputs=inputs)


def admin_ssl(cluster_files: ClusterFiles) -> tls.SSLContext:
    """TLS towards the API server as its administrator."""
    context = tls.create_default_context(cafile=str(cluster_files.folder / "ca.crt"))
    context.load_cert_chain(cluster_files.folder / "admin.crt", cluster_files.folder / "admin.key")
    return context


async def wait_ready(
    url: str, *, ssl: tls.SSLContext, process: Process | None = None, path: str = "/readyz", deadline_s: float = 60.0,
) -> float:
    """Wait until `url` + `path` answers 200; returns the seconds it took.

    One connection is kept: a TLS handshake for each look costs the server CPU that it needs for its start. Raises
    NotReady after `deadline_s`, and at once when `process` (the server) ends.
    """
    began = time.monotonic()
    answer = ["no connection yet"]
    polling = asyncio.create_task(_poll(f"{url}{path}", ssl, answer))
    watching = {asyncio.create_task(asynchronous.ended(process))} if process is not None else set()
    try:
        await asyncio.wait({polling, *watching}, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
        if polling.done():
            polling.result()
            return time.monotonic() - began
        over = next((task for task in watching if task.done()), None)
        if over is not None:
            raise NotReady(_explain(url, _how_it_ended(over.result()), process))
        raise NotReady(_explain(url, f"was not ready after {deadline_s:g} s; last answer: {answer[0]}", process))
    finally:
        for task in (polling, *watching):
            task.cancel()
        await asyncio.gather(polling, *watching, return_exceptions=True)


async def _poll(url: str, ssl: tls.SSLContext, answer: list[str]) -> None:
    """Ask until the answer is 200; what was answered last stands in `answer`."""
    connector = aiohttp.TCPConnector(limit=1, ssl=ssl)
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
        while True:
            try:
                async with session.get(url) as response:
                    text = await response.text(errors="replace")
                    if response.status == 200:
                        return
                    answer[0] = f"{response.status}: {_unfinished(text)}"
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                answer[0] = str(error) or type(error).__name__
            await asyncio.sleep(POLL_INTERVAL_S)


def _unfinished(text: str) -> str:
    """The checks of a /readyz answer that have not passed, or its first line."""
    lines = text.splitlines()
    failed = [line for line in lines if line.startswith("[-]")]
    return "; ".join(failed or lines[:1])


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return "ended before it was ready"
    return f"ended with status {code} before it was ready" if code >= 0 else f"was ended by signal {-code}"


def _explain(url: str, what: str, process: Process | None) -> str:
    if process is None:
        return f"the server at {url} {what}"
    tail = "\n".join(f"  {line}" for line in launch.log_tail(process.log, LOG_LINES))
    return f"{process.name} (pid {process.pid}, {url}) {what}\nthe end of {process.log}:\n{tail}"


def _spec(
    cluster_files: ClusterFiles, component: str, argv: tuple[str, ...], logs: Path, env: Mapping[str, str], *,
    inputs: str = "", stage: StopStage = StopStage.CLIENTS,
) -> ProcessSpec:
    name = f"{cluster_files.name}-{component}"
    return ProcessSpec(
        name=name, argv=argv, cwd=cluster_files.folder, log=logs / f"{name}.log", env=env, inputs=inputs,
        stop_stage=stage,
    )


def _first_address(service_cidr: str) -> str:
    """The address of the Service `kubernetes`: the first of the range."""
    return str(next(ipaddress.ip_network(service_cidr).hosts()))
