"""`dpfctl local up`: start what is missing, leave the rest alone, return when everything is Ready.

Nothing waits that need not: etcd, the API server, redis, the chart repository and Argo CD's repository server start
together; objects go in as soon as the API server answers, before it calls itself ready. The DPU cluster is made by our
own controllers because a DPUCluster object asks for it.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dpf.api import core, dpucluster, names
from dpf.kube import client as port
from dpf.kube import connect, wait
from dpf.kube import errors as kube_errors
from dpf.local import chartrepository, controlplane, controlplanes, errors, files, resources
from dpf.local import parts as local_parts
from dpf.local.pki import certificates
from dpf.local.pki import cluster as pki
from dpf.local.pki import services as pki_services
from dpf.local.platform import (
    addresses,
    argocd,
    environment,
    fleet,
    hardware,
    manifests,
    nodes,
    objects,
    progress,
    status,
)
from dpf.local.platform import settings as platform_settings
from dpf.local.supervisor import ports
from dpf.local.supervisor.asynchronous import AsyncSupervisor
from dpf.local.supervisor.spec import ProcessSpec
from dpf.local.supervisor.supervisor import Outcome, Process, Supervisor

CONTROLLERS: Final = "dpf-controllers"
BFB_REGISTRY: Final = "bfb-registry"
CHART_REPOSITORY: Final = "chart-repository"
EXAMPLE_REPOSITORY: Final = "https://example.com/charts"
"""The repository that the producer/consumer example names; the platform's own one is its mirror."""
_LOOPBACK: Final = "127.0.0.1"
_STEP_TIMEOUT_S: Final = 60.0
_LOOK_AGAIN_S: Final = 0.2
_LISTENERS: Final = {
    "host-api": "host-kube-apiserver",
    "chart-repository": CHART_REPOSITORY,
    "argocd-repo-server": argocd.REPO_SERVER,
    "argocd-repo-server-metrics": argocd.REPO_SERVER,
    "argocd-application-controller-metrics": argocd.CONTROLLER,
    "controllers-metrics": CONTROLLERS,
    "bfb-registry": BFB_REGISTRY,
    "bfb-server": hardware.PROCESS,
}
"""Which process listens on each of the settings' ports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What the steps of one `up` share."""

    settings: platform_settings.Settings
    parts: local_parts.Parts
    supervisor: AsyncSupervisor
    meter: progress.Progress
    store: controlplane.Store
    host: controlplane.ClusterFiles
    repository: pki_services.ServingFiles

    @property
    def logs(self) -> Path:
        """Where every process of the platform writes."""
        return self.settings.state / "logs"

    @property
    def argocd(self) -> tuple[ProcessSpec, ProcessSpec, ProcessSpec]:
        """Redis, repository server, application controller."""
        return argocd.specs(self.settings, self.parts, self.host.pki.kubeconfig(argocd.CONTROLLER))

    async def ensure(self, spec: ProcessSpec) -> Process:
        """Have it running as specified."""
        return (await self.supervisor.ensure(spec)).process


async def up(settings: platform_settings.Settings, meter: progress.Progress) -> None:
    """Bring the platform to Ready. Idempotent. Raises LocalError or kube errors, which say what to do."""
    platform_settings.check(settings)
    with meter.step("parts found"):
        parts = await local_parts.resolve(local_parts.from_environment(os.environ), meter.say)
    platform = await asyncio.to_thread(_prepare, settings, parts, meter)
    async with asyncio.TaskGroup() as group:
        group.create_task(_start_repository(platform))
        group.create_task(_start_argocd_repo_server(platform))
        group.create_task(_start_clusters(platform))
    with meter.step("everything healthy"):
        await _wait_healthy(platform)


async def _wait_healthy(platform: Platform) -> None:
    """After a crash objects may still say what was true before it, until our controllers have looked again."""
    deadline = platform.meter.elapsed() + _STEP_TIMEOUT_S
    while not (report := await status.observe(platform.settings)).healthy:
        if platform.meter.elapsed() > deadline:
            raise errors.StepError("; ".join(report.problems))
        await asyncio.sleep(_LOOK_AGAIN_S)


def _prepare(
    settings: platform_settings.Settings, parts: local_parts.Parts, meter: progress.Progress,
) -> Platform:
    """Folders, ports, keys. Writes only what is not there."""
    state = settings.state
    platform_settings.claim(state)
    with meter.step("keys and folders"):
        settings = platform_settings.complete(settings)
        check_ports(settings)
        platform_settings.save(settings)
        files.ensure_private_folder(state / "logs")
        store = controlplane.Store(folder=files.ensure_private_folder(state / "etcd"))
        now = datetime.now(UTC)
        host = controlplane.write_cluster_files(
            state / "host", name="host", port=settings.port("host-api"), now=now
        )
        repository = pki_services.ensure_serving(state / "pki", CHART_REPOSITORY, (_LOOPBACK, "localhost"), now)
        argocd.layout(state).prepare(_LOOPBACK, repository.authority.read_bytes())
        argocd.ensure_kubeconfig(host.pki, now)
        request = certificates.Request(common_name=objects.CONTROLLERS_USER)
        pki.ensure_kubeconfig(host.pki, CONTROLLERS, request, now=now)
    return Platform(
        settings=settings, parts=parts, supervisor=AsyncSupervisor(state), meter=meter, store=store, host=host,
        repository=repository,
    )


def check_ports(settings: platform_settings.Settings) -> None:
    """Raise PreflightError for a port of ours on which somebody else listens."""
    supervisor = Supervisor(settings.state)
    for name, process in _LISTENERS.items():
        number = settings.port(name)
        if ports.is_free(number) or supervisor.observe(process) is not None:
            continue
        raise errors.PreflightError(
            f"{ports.port_owner(number) or f'port {number} is in use'}, and the platform needs it ({name}); end that "
            f"process, or choose another port with --port {name}=NUMBER"
        )
    if settings.install_interface == "redfish" and supervisor.observe(hardware.PROCESS) is None:
        _check_bmc_port(settings)


def _check_bmc_port(settings: platform_settings.Settings) -> None:
    """BMCs are at addresses of the platform's own: only who listens on all addresses is in their way."""
    number, address = settings.port("bmc"), addresses.of_bmc(settings.id, 1)
    if not ports.is_free(number, address):
        raise errors.PreflightError(
            f"{ports.port_owner(number) or f'port {number} cannot be used at {address}'}, and the emulated BMCs need "
            "it (bmc); end that process, or choose another port with --port bmc=NUMBER"
        )


async def _start_repository(platform: Platform) -> None:
    with platform.meter.step("chart repository (https)"):
        charts = await asyncio.to_thread(
            chartrepository.package, resources.folder("charts"), platform.settings.state / "charts",
            helm=platform.parts["helm"],
        )
        process = await platform.ensure(ProcessSpec(
            name=CHART_REPOSITORY, cwd=platform.settings.state, log=platform.logs / f"{CHART_REPOSITORY}.log",
            argv=(
                sys.executable, "-m", "dpf.local.chartrepository", "--dir", str(charts),
                "--port", str(platform.settings.port("chart-repository")),
                "--cert", str(platform.repository.certificate), "--key", str(platform.repository.key),
            ),
        ))
        await controlplane.wait_ready(
            _repository_url(platform.settings), process=process, path="/index.yaml",
            ssl=ssl.create_default_context(cafile=str(platform.repository.authority)),
        )


def _repository_url(settings: platform_settings.Settings) -> str:
    return f"https://{_LOOPBACK}:{settings.port('chart-repository')}{chartrepository.PATH_PREFIX}"


async def _start_argocd_repo_server(platform: Platform) -> None:
    redis, repo_server, _ = platform.argocd
    with platform.meter.step("redis, Argo CD repository server"):
        await platform.ensure(redis)
        process = await platform.ensure(repo_server)
        await _healthy(platform, "argocd-repo-server-metrics", process, "/healthz")


async def _start_clusters(platform: Platform) -> None:
    """The host cluster, then everything that lives on it."""
    with platform.meter.step("host cluster: API server answers"):
        await _start_etcd(platform)
        api_server = await platform.ensure(controlplane.apiserver_spec(
            platform.host, platform.store, platform.parts["kube-apiserver"], logs=platform.logs
        ))
        crds = await asyncio.to_thread(objects.crds, platform.parts["argocd-crds"])
        # It serves its administrator a second before /readyz: what does not need more starts here.
        await _host_answers(platform, api_server, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?limit=1")
    async with connect.client(platform.host.admin_kubeconfig) as host, asyncio.TaskGroup() as group:
        group.create_task(_start_host_controllers(platform, api_server))
        # Our controllers take as long to start as the CRDs and roles that they wait for.
        group.create_task(_start_dpf(platform))
        with platform.meter.step("CRDs and RBAC"):
            await _install(platform, host, crds)
        group.create_task(_start_argocd_controller(platform))
        dpu_cluster = group.create_task(_start_dpu_cluster(platform, host))
        await _start_hardware(platform, host)
        await dpu_cluster
        await _provision(platform, host)


async def _start_etcd(platform: Platform) -> None:
    """An API server that lost its etcd waits up to two minutes before it tries again: it is started anew instead."""
    spec = controlplane.etcd_spec(platform.store, platform.parts["etcd"], logs=platform.logs)
    if (await platform.supervisor.ensure(spec)).outcome is not Outcome.RUNNING:
        running = [process.name for process in await platform.supervisor.status() if process.pid is not None]
        await platform.supervisor.stop(name for name in running if name.endswith("-kube-apiserver"))


async def _start_host_controllers(platform: Platform, api_server: Process) -> None:
    with platform.meter.step("host cluster: ready"):
        await _host_answers(platform, api_server, "/readyz")
        for build, part in (
            (controlplane.controller_manager_spec, "kube-controller-manager"),
            (controlplane.scheduler_spec, "kube-scheduler"),
        ):
            await platform.ensure(build(platform.host, platform.parts[part], logs=platform.logs))


async def _install(
    platform: Platform, host: port.Client, crds: Sequence[core.CustomResourceDefinition],
) -> None:
    repository_ca, interface = platform.repository.authority.read_bytes(), platform.settings.install_interface
    async with asyncio.TaskGroup() as group:
        group.create_task(manifests.ensure_crds(host, crds))
        # Our controllers are starting meanwhile, and need their roles first.
        await manifests.ensure(host, [objects.namespace()])
        await manifests.ensure(host, [*objects.controllers_rbac(), *argocd.objects(_LOOPBACK, repository_ca)])
    await manifests.ensure(host, [objects.dpu_cluster(), objects.operator_config(interface)])
    if interface == "redfish":
        await _ensure_bmc_password(host)
    if interface == "gnoi":
        await manifests.apply_files(
            platform.parts["kubectl"], platform.host.admin_kubeconfig, resources.folder("host-agent")
        )


async def _ensure_bmc_password(host: port.Client) -> None:
    """Made once: BMCs that were set up with another one would be lost."""
    try:
        await host.get(core.Secret, objects.BMC_PASSWORD, names.DPF_NAMESPACE)
    except kube_errors.NotFound:
        await manifests.ensure(host, [objects.bmc_password(secrets.token_urlsafe(18))])


async def _start_argocd_controller(platform: Platform) -> None:
    with platform.meter.step("Argo CD application controller"):
        process = await platform.ensure(platform.argocd[2])
        await _healthy(platform, "argocd-application-controller-metrics", process, "/healthz")


async def _start_dpf(platform: Platform) -> None:
    with platform.meter.step("our controllers"):
        process = await platform.ensure(ProcessSpec(
            name=CONTROLLERS, cwd=platform.settings.state, log=platform.logs / f"{CONTROLLERS}.log",
            env=controlplanes.environment(platform.parts),
            argv=(
                sys.executable, "-m", "dpf", "run", "all",
                "--kubeconfig", str(platform.host.pki.kubeconfig(CONTROLLERS)),
                "--local-state", str(platform.settings.state),
                "--metrics-address", f"127.0.0.1:{platform.settings.port('controllers-metrics')}",
                *controllers_options(platform.settings),
            ),
        ))
        await platform.ensure(ProcessSpec(
            name=BFB_REGISTRY, cwd=platform.settings.state, log=platform.logs / f"{BFB_REGISTRY}.log",
            argv=(
                sys.executable, "-m", "dpf", "run", BFB_REGISTRY,
                "--kubeconfig", str(platform.host.pki.kubeconfig(CONTROLLERS)),
                "--bfb-folder", str(hardware.bfb_folder(platform.settings.state)),
                "--bfb-registry-listen", _registry_address(platform.settings),
            ),
        ))
        await _healthy(platform, "controllers-metrics", process, "/readyz")


def controllers_options(settings: platform_settings.Settings) -> tuple[str, ...]:
    """What our controllers are told of the platform: where sites of the users' guide are mirrored, where BFBs are."""
    return (
        "--repository-mirror", f"{EXAMPLE_REPOSITORY}={_repository_url(settings)}",
        "--bfb-folder", str(hardware.bfb_folder(settings.state)),
        "--bfb-registry-address", _registry_address(settings),
        "--bfb-mirror", f"{hardware.BFB_SITE}=http://{_LOOPBACK}:{settings.port('bfb-server')}",
    )


def _registry_address(settings: platform_settings.Settings) -> str:
    return f"{_LOOPBACK}:{settings.port('bfb-registry')}"


async def _start_dpu_cluster(platform: Platform, host: port.Client) -> None:
    with platform.meter.step("DPU cluster Ready"):
        found = await wait.until(
            host, dpucluster.DPUCluster, objects.DPU_CLUSTER, names.DPF_NAMESPACE,
            accept=lambda cluster: wait.condition_is_true(cluster, "Ready"), timeout_s=_STEP_TIMEOUT_S,
        )
        await _save_dpu_kubeconfig(platform, host, found)
    kubeconfig_path = environment.dpu_kubeconfig(platform.settings.state)
    async with connect.client(kubeconfig_path, name="dpu") as dpu:
        # After a crash of everything the DPUCluster still says Ready until somebody has looked.
        await wait.until(dpu, core.Namespace, "kube-system", accept=bool, timeout_s=_STEP_TIMEOUT_S)
        if platform.settings.is_installing:
            return
        with platform.meter.step(f"emulated DPUs joined and Ready: {platform.settings.dpus}"):
            await platform.ensure(await nodes.prepare(platform.settings, dpu, kubeconfig_path))
            await nodes.remove_others(dpu, platform.settings.dpu_names)
            await nodes.wait_ready(dpu, platform.settings.dpu_names, _STEP_TIMEOUT_S)


async def _start_hardware(platform: Platform, host: port.Client) -> None:
    """Cards and hosts, and the kubelets that read from them which nodes there are."""
    settings = platform.settings
    with platform.meter.step(f"emulated hardware ({settings.install_interface})"):
        await platform.ensure(await hardware.prepare(settings, host))
        await hardware.wait_answering(settings.state)
        for spec in hardware.kubelets(settings):
            await platform.ensure(spec)
    if settings.host_names:
        with platform.meter.step(f"emulated hosts joined and Ready: {len(settings.host_names)}"):
            await nodes.remove_others(host, settings.host_names)
            await nodes.wait_ready(host, settings.host_names, _STEP_TIMEOUT_S)


async def _provision(platform: Platform, host: port.Client) -> None:
    """Have all DPUs installed, if that is wanted."""
    if not platform.settings.provision:
        return
    with platform.meter.step(f"DPUs installed, joined and Ready: {platform.settings.dpus}"):
        await manifests.ensure(host, fleet.objects(platform.settings))
        await fleet.wait_ready(host, platform.settings.dpus)


async def _save_dpu_kubeconfig(
    platform: Platform, host: port.Client, cluster: dpucluster.DPUCluster | None,
) -> None:
    """Put the administrator's kubeconfig where `dpfctl local env` points."""
    if cluster is None or not cluster.spec.kubeconfig:
        raise errors.StepError(f"DPUCluster {objects.DPU_CLUSTER} is Ready but names no kubeconfig Secret")
    secret = await host.get(core.Secret, cluster.spec.kubeconfig, names.DPF_NAMESPACE)
    content = base64.b64decode((secret.data or {})["super-admin.conf"])
    await asyncio.to_thread(files.write_atomic, environment.dpu_kubeconfig(platform.settings.state), content)


async def _host_answers(platform: Platform, process: Process, path: str) -> None:
    await controlplane.wait_ready(
        platform.host.server, ssl=controlplane.admin_ssl(platform.host), process=process, path=path
    )


async def _healthy(platform: Platform, port_name: str, process: Process, path: str) -> None:
    url = f"http://127.0.0.1:{platform.settings.port(port_name)}"
    await controlplane.wait_ready(url, ssl=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), process=process, path=path)
