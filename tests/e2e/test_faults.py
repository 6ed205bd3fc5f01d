"""What goes wrong in real life: each fault says what is wrong in a condition, and ends converged."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.e2e.test_dpuservice import CLUSTER, condition, until_condition
from tests.support.platform import Platform

from dpf.api import core
from dpf.api.argocd import Application
from dpf.api.dpucluster import DPUCluster
from dpf.api.names import DPF_NAMESPACE
from dpf.kube import wait

CONTROLLERS = "dpf-controllers"
LEASE_IS_LOST_AFTER_S = 14.0
"""More than the ten seconds within which the Lease must be renewed: the fault itself takes this long."""


def source_of(platform: Platform, **changes: str) -> dict[str, Any]:
    """A helmChart whose source is changed."""
    chart = platform.service("x")["spec"]["helmChart"]
    return {**chart, "source": {**chart["source"], **changes}}


@contextmanager
def service(platform: Platform, name: str, **spec: Any) -> Iterator[None]:
    """A DPUService for the length of a test."""
    platform.apply(platform.service(name, **spec))
    try:
        yield
    finally:
        platform.kubectl("delete", "dpuservice", name, "--wait=true", "--timeout=60s")


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that answers nobody for the length of a test, as a machine that hangs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        pytest.param({"chart": "no-such-chart"}, "no-such-chart", id="missing chart"),
        pytest.param({"version": "v9.9.9"}, "9.9.9", id="wrong version"),
    ],
)
async def test_a_chart_that_cannot_be_had_is_named(platform: Platform, changes: dict[str, str], cause: str) -> None:
    """The condition keeps the documented text and adds what Argo CD found."""
    with service(platform, "broken", helmChart=source_of(platform, **changes)):
        message = await until_condition(
            platform, "broken", "ApplicationsReady", lambda c: c[0] == "False" and cause in c[2]
        )
    assert f"kubectl describe application {CLUSTER}-broken -n {DPF_NAMESPACE}" in message


async def test_a_certificate_that_is_not_trusted_is_named(platform: Platform) -> None:
    """`localhost` serves the same repository, but Argo CD was given its authority for 127.0.0.1 only."""
    port = platform.environment["DPUSERVICE_HELM_REGISTRY"].rpartition(":")[2]
    with service(platform, "untrusted", helmChart=source_of(platform, repoURL=f"https://localhost:{port}/dpf")):
        await until_condition(
            platform, "untrusted", "ApplicationsReady",
            lambda c: c[0] == "False" and "certificate" in c[2],
        )


async def test_an_unreachable_cluster_holds_up_nobody_else(platform: Platform) -> None:
    """Nothing listens where the kubeconfig of a second DPUCluster points."""
    kubeconfig = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "not-a-secret"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    with static_cluster(platform, "lost", {"super-admin.conf": json.dumps(kubeconfig)}):
        async with platform.client() as host:
            await wait.until(
                host, DPUCluster, "lost", DPF_NAMESPACE, timeout_s=30,
                accept=lambda c: condition(c, "Ready")[1] == "HealthCheckFailed",
            )
        with service(platform, "partial"):
            platform.wait(f"application/{CLUSTER}-partial", "jsonpath={.status.health.status}=Healthy", DPF_NAMESPACE)
            message = await until_condition(
                platform, "partial", "ApplicationPrereqsReconciled", lambda c: c[0] == "False"
            )
            assert "lost" in message
            assert condition_of(platform, "partial", "Ready") == "False"


async def test_a_malformed_kubeconfig_secret_is_named(platform: Platform) -> None:
    """behaviour-service.md section 8."""
    with static_cluster(platform, "garbled", {"wrong-key": "x"}):
        async with platform.client() as host:
            found = await wait.until(
                host, DPUCluster, "garbled", DPF_NAMESPACE, timeout_s=30,
                accept=lambda c: condition(c, "Ready")[:2] == ("False", "HealthCheckFailed"),
            )
        assert "garbled-kubeconfig" in condition(found, "Ready")[2]
        with service(platform, "spared", dpuClusterSelector={"matchLabels": {"kubernetes.io/none": "none"}}):
            await until_condition(
                platform, "spared", "ApplicationPrereqsReconciled", lambda c: c[0] == "True"
            )


async def test_a_service_whose_namespace_is_deleted_goes_away(platform: Platform) -> None:
    """Nothing can be created in a terminating namespace, and nothing needs to be."""
    platform.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "doomed"}})
    platform.apply(platform.service("short", "doomed"))
    platform.wait("dpuservice/short", "condition=Ready", "doomed")
    platform.kubectl("delete", "namespace", "doomed", "--timeout=60s")
    async with platform.client() as host:
        names = [a.metadata.name for a in (await host.list(Application, DPF_NAMESPACE)).items]
    assert f"{CLUSTER}-short" not in names


@pytest.mark.parametrize("process", ["host-kube-apiserver", "etcd", f"{DPF_NAMESPACE}.{CLUSTER}-kube-apiserver"])
async def test_an_engine_is_killed_during_a_reconcile(platform: Platform, process: str) -> None:
    """kill -9 of an API server or of etcd while a DPUService is being made: `up` mends, and it converges."""
    pid = platform.pids()[process]
    assert pid is not None
    platform.apply(platform.service("interrupted"))
    os.kill(pid, signal.SIGKILL)
    platform.up()
    try:
        platform.wait("dpuservice/interrupted", "condition=Ready", "default", 180)
    finally:
        platform.kubectl("delete", "dpuservice", "interrupted", "--timeout=60s")


async def test_a_silent_api_server_costs_the_lease_and_nothing_else(platform: Platform) -> None:
    """Longer than the Lease can be renewed: our process must leave, and works again without anybody's help."""
    pid = platform.pids()["host-kube-apiserver"]
    assert pid is not None
    with stopped(pid):
        await asyncio.sleep(LEASE_IS_LOST_AFTER_S)
    platform.apply(platform.service("patient"))
    try:
        platform.wait("dpuservice/patient", "condition=Ready", "default", 90)
    finally:
        platform.kubectl("delete", "dpuservice", "patient", "--timeout=60s")


async def test_a_lost_control_plane_is_not_ready_and_comes_back(platform: Platform) -> None:
    """The local cluster manager starts it again; nobody runs `up`."""
    pid = platform.pids()[f"{DPF_NAMESPACE}.{CLUSTER}-kube-apiserver"]
    assert pid is not None
    async with platform.client() as host:
        with stopped(pid):
            lost = await wait.until(
                host, DPUCluster, CLUSTER, DPF_NAMESPACE, timeout_s=90,
                accept=lambda c: condition(c, "Ready")[0] == "False",
            )
            assert lost is not None
            assert lost.status.phase == "NotReady"
            assert condition(lost, "Ready")[1] == "HealthCheckFailed"
            assert condition(lost, "Ready")[2]
            os.kill(pid, signal.SIGKILL)
        await wait.until(
            host, DPUCluster, CLUSTER, DPF_NAMESPACE, timeout_s=60,
            accept=lambda c: c is not None and c.status.phase == "Ready",
        )


async def test_argo_cd_is_down(platform: Platform) -> None:
    """The condition says that nobody looks at the Application, and what to check."""
    pid = platform.pids()["argocd-application-controller"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with service(platform, "waiting"):
        await until_condition(
            platform, "waiting", "ApplicationsReady", lambda c: "argocd-application-controller" in c[2], timeout_s=100,
        )
        platform.up()
        platform.wait("dpuservice/waiting", "condition=Ready", "default", 60)


async def test_our_process_is_killed_after_every_single_write(platform: Platform) -> None:
    """A process that dies after each write still gets the work done, one write further each time."""
    pid = platform.pids()[CONTROLLERS]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with service(platform, "stubborn"):
        try:
            lives = run_until_ready(platform, "stubborn")
        finally:
            platform.up()
        platform.wait("dpuservice/stubborn", "condition=Ready", "default", 60)
    assert lives > 3


async def test_two_controllers_at_once(platform: Platform) -> None:
    """The second waits for the Lease, and takes over when the first is gone."""
    lease = "dpf-all"
    async with platform.client() as host:
        holder = (await host.get(core.Lease, lease, DPF_NAMESPACE)).spec.holderIdentity
        second = controllers(platform, {})
        try:
            pid = platform.pids()[CONTROLLERS]
            assert pid is not None
            platform.apply(platform.service("shared"))
            platform.wait("dpuservice/shared", "condition=Ready", "default")
            assert (await host.get(core.Lease, lease, DPF_NAMESPACE)).spec.holderIdentity == holder
            os.kill(pid, signal.SIGTERM)
            await wait.until(
                host, core.Lease, lease, DPF_NAMESPACE, timeout_s=60,
                accept=lambda found: found is not None and found.spec.holderIdentity not in (holder, "", None),
            )
            platform.kubectl("delete", "dpuservice", "shared", "--timeout=60s")
        finally:
            second.terminate()
            second.wait(timeout=30)


def run_until_ready(platform: Platform, name: str) -> int:
    """Start controllers that die after their first write, again and again until there is nothing left to write."""
    for lives in range(1, 40):
        process = controllers(platform, {"DPF_CRASH_AFTER_WRITES": "1"})
        try:
            code = process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait(timeout=30)
            assert condition_of(platform, name, "Ready") == "True"
            return lives
        assert code == 137, f"life {lives} ended with {code}"
    raise AssertionError("it never became Ready")


def controllers(platform: Platform, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Another process with the platform's own credentials."""
    with (platform.state / "logs" / "second.log").open("ab") as log:
        return subprocess.Popen(
            platform.controllers_argv(), env={**os.environ, **platform.controllers_environment(), **environment},
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=platform.state,
        )


def condition_of(platform: Platform, name: str, type_: str) -> str:
    """Status of a DPUService's condition now."""
    path = f"jsonpath={{.status.conditions[?(@.type=='{type_}')].status}}"
    return platform.kubectl("get", "dpuservice", name, "-o", path).stdout


@contextmanager
def static_cluster(platform: Platform, name: str, data: dict[str, str]) -> Iterator[None]:
    """A DPUCluster of type static whose kubeconfig Secret holds `data`."""
    secret = {
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": f"{name}-kubeconfig", "namespace": DPF_NAMESPACE},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }
    cluster = {
        "apiVersion": "provisioning.dpu.nvidia.com/v1alpha1", "kind": "DPUCluster",
        "metadata": {"name": name, "namespace": DPF_NAMESPACE},
        "spec": {"type": "static", "kubeconfig": f"{name}-kubeconfig"},
    }
    platform.apply(secret, cluster)
    try:
        yield
    finally:
        platform.kubectl("delete", "dpucluster", name, "-n", DPF_NAMESPACE, "--timeout=30s")
        platform.kubectl("delete", "secret", f"{name}-kubeconfig", "-n", DPF_NAMESPACE)
