"""DPUServices on the local platform: real Argo CD, real API servers, emulated DPUs whose processes really run."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.support.platform import Platform

from dpf.api.argocd import Application
from dpf.api.dpuservice import DPUService
from dpf.api.meta import Object
from dpf.api.names import DPF_NAMESPACE
from dpf.kube import wait

CLUSTER = "dpu-cplane-tenant1"


def condition(obj: Object | None, type_: str) -> tuple[str, str, str]:
    """Status, reason and message; empty strings when it is not there."""
    found = getattr(getattr(obj, "status", None), "conditions", None) or ()
    return next(((c.status, c.reason, c.message) for c in found if c.type == type_), ("", "", ""))


async def ask(address: str, port: int) -> dict[str, Any]:
    """What the service answers over HTTP."""
    def fetch() -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{address}:{port}/", timeout=10) as answer:
            return json.load(answer)  # type: ignore[no-any-return]

    return await asyncio.to_thread(fetch)


async def until_condition(
    platform: Platform, name: str, type_: str, accept: Callable[[tuple[str, str, str]], bool], *,
    namespace: str = "default", timeout_s: float = 60,
) -> str:
    """Wait for a condition of a DPUService; returns its message."""
    async with platform.client() as host:
        found = await wait.until(
            host, DPUService, name, namespace, accept=lambda s: accept(condition(s, type_)), timeout_s=timeout_s
        )
    return condition(found, type_)[2]


async def test_the_guides_service_becomes_ready_and_answers(platform: Platform) -> None:
    """Seed 000 verbatim but for its placeholders."""
    (service,) = platform.example("000-dummydpuservice.yaml")
    platform.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dummydpuservice"}}, service)
    platform.wait("dpuservice/dummydpuservice", "condition=Ready", "dummydpuservice")
    pods = json.loads(platform.kubectl("get", "pods", "-n", "dummydpuservice", "-o", "json", dpu=True).stdout)["items"]
    assert sorted(p["spec"]["nodeName"] for p in pods) == ["dpu-1", "dpu-2"]
    for pod in pods:
        answer = await ask(pod["status"]["podIP"], 8080)
        assert answer["pod"]["name"] == pod["metadata"]["name"]
        assert answer["node"] == pod["spec"]["nodeName"]


async def test_config_ports_reach_the_process_on_every_node(platform: Platform) -> None:
    """behaviour-service.md 3.6: every endpoint of the host's EndpointSlice answers."""
    (service,) = platform.example("000-dummydpuservice.yaml")
    platform.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dummydpuservice"}}, service)
    platform.wait("dpuservice/dummydpuservice", "condition=Ready", "dummydpuservice")
    slices = json.loads(platform.kubectl("get", "endpointslices", "-n", "dummydpuservice", "-o", "json").stdout)
    (found,) = slices["items"]
    port = next(p["port"] for p in found["ports"] if p["name"] == "exampletcp")
    addresses = [address for endpoint in found["endpoints"] for address in endpoint["addresses"]]
    assert len(addresses) == 2
    nodes = {
        (await ask(address, port))["node"] for address in addresses
    }
    assert nodes == {"dpu-1", "dpu-2"}


async def test_describe_shows_what_the_document_shows(platform: Platform) -> None:
    """behaviour-service.md 10, seed 001."""
    platform.apply(platform.service("shown"))
    platform.wait("dpuservice/shown", "condition=Ready", "default")
    kubeconfig = platform.environment["HOST_KUBECONFIG"]
    table = platform.dpfctl("describe", "dpuservices", "--show-conditions=all", "--kubeconfig", kubeconfig).stdout
    assert table.splitlines()[0].split() == ["NAME", "NAMESPACE", "READY", "REASON", "SINCE", "MESSAGE"]
    row = next(line for line in table.splitlines() if "DPUService/shown" in line)
    assert row.split()[-4:-1] == ["default", "True", "Success"]
    assert "ApplicationsReady" in table
    document = platform.dpfctl("describe", "dpuservices", "-o", "json", "--kubeconfig", kubeconfig).stdout
    assert any(item["metadata"]["name"] == "shown" for item in json.loads(document)["dpuservices"])
    platform.kubectl("delete", "dpuservice", "shown")


async def test_values_of_the_spec_win_and_edits_reach_the_pods(platform: Platform) -> None:
    """behaviour-service.md 3.5."""
    platform.apply(platform.service("edited", serviceDaemonSet={"labels": {"colour": "green"}}))
    platform.wait("dpuservice/edited", "condition=Ready", "default")
    patch = {"spec": {"serviceDaemonSet": {"labels": {"colour": "blue"}}}}
    platform.kubectl("patch", "dpuservice", "edited", "--type=merge", "-p", json.dumps(patch))
    name = f"{CLUSTER}-edited"
    platform.kubectl(
        "wait", "daemonset", name, "--for=jsonpath={.spec.template.metadata.labels.colour}=blue", "--timeout=30s",
        dpu=True,
    )
    platform.kubectl("delete", "dpuservice", "edited")
    assert platform.kubectl("get", "daemonset", name, dpu=True, check=False).returncode != 0


async def test_paused_is_left_alone_and_resumes(platform: Platform) -> None:
    """behaviour-service.md 3.8, with the JSON patches of seed 001."""
    platform.apply(platform.service("paused"))
    platform.wait("dpuservice/paused", "condition=Ready", "default")
    application = f"application/{CLUSTER}-paused"
    skip = "jsonpath={.metadata.annotations['argocd\\.argoproj\\.io/skip-reconcile']}=true"

    def patch(value: bool) -> None:
        operation = [{"op": "replace", "path": "/spec/paused", "value": value}]
        platform.kubectl("patch", "dpuservice", "paused", "--type=json", "-p", json.dumps(operation))

    patch(True)
    platform.wait(application, skip, DPF_NAMESPACE, 30)
    platform.kubectl("delete", "dpuservice", "paused", "--wait=false")
    platform.kubectl("get", "daemonset", f"{CLUSTER}-paused", dpu=True)
    patch(False)
    platform.wait("dpuservice/paused", "delete", "default", 30)
    assert platform.kubectl("get", "daemonset", f"{CLUSTER}-paused", dpu=True, check=False).returncode != 0


async def test_a_cluster_that_is_no_longer_selected_loses_the_service(platform: Platform) -> None:
    """behaviour-service.md 3.5, stale Applications."""
    label = ("label", "dpucluster", CLUSTER, "-n", DPF_NAMESPACE, "--overwrite")
    platform.kubectl(*label, "zone=a")
    platform.apply(platform.service("zoned", dpuClusterSelector={"matchLabels": {"zone": "a"}}))
    platform.wait("dpuservice/zoned", "condition=Ready", "default")
    platform.kubectl("get", "daemonset", f"{CLUSTER}-zoned", dpu=True)
    platform.kubectl(*label, "zone=b")
    platform.wait(f"application/{CLUSTER}-zoned", "delete", DPF_NAMESPACE, 30)
    assert platform.kubectl("get", "daemonset", f"{CLUSTER}-zoned", dpu=True, check=False).returncode != 0
    platform.kubectl("delete", "dpuservice", "zoned")
    platform.kubectl(*label[:3], "-n", DPF_NAMESPACE, "zone-")


async def test_deploy_in_cluster_installs_in_the_host_cluster(platform: Platform) -> None:
    """behaviour-service.md 3.5: `in-cluster`, host project."""
    platform.apply(platform.service("inside", deployInCluster=True))
    platform.wait("dpuservice/inside", "condition=Ready", "default")
    platform.kubectl("get", "daemonset", "in-cluster-inside", "-n", "default")
    async with platform.client() as host:
        application = await host.get(Application, "in-cluster-inside", DPF_NAMESPACE)
    assert application.spec.project == "doca-platform-project-host"
    platform.kubectl("delete", "dpuservice", "inside")
    assert platform.kubectl("get", "daemonset", "in-cluster-inside", check=False).returncode != 0


async def test_pull_secrets_follow_their_label(platform: Platform) -> None:
    """behaviour-service.md 3.4."""
    secret: dict[str, Any] = {
        "apiVersion": "v1", "kind": "Secret", "stringData": {".dockerconfigjson": "{}"},
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "pull", "namespace": "default", "labels": {"dpu.nvidia.com/image-pull-secret": ""}},
    }
    platform.apply(secret, platform.service("pulling"))
    platform.wait("dpuservice/pulling", "condition=Ready", "default")
    platform.kubectl("get", "secret", "pull", dpu=True)
    platform.kubectl("label", "secret", "pull", "dpu.nvidia.com/image-pull-secret-")
    platform.kubectl("wait", "--for=delete", "secret/pull", "--timeout=30s", dpu=True)
    platform.kubectl("delete", "dpuservice", "pulling")
    platform.kubectl("delete", "secret", "pull")
