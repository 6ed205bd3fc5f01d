"""Emulated nodes against a real control plane: joined, running pods, surviving their own death, leaving nothing."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec.structs import replace
from tests.support import needs
from tests.support.joinable import Cluster
from tests.support.kubelets import Kubelet, a_pod, is_ready, until_gone, until_node, until_pod

from dpf.api import core
from dpf.api.meta import ObjectMeta
from dpf.emulation.kubelet import network, node
from dpf.kube import errors, wait
from dpf.kube.http import HTTPClient
from dpf.local import parts
from dpf.local.supervisor import procfs

pytestmark = pytest.mark.parts


@pytest_asyncio.fixture
async def admin(cluster: Cluster) -> AsyncIterator[HTTPClient]:
    async with cluster.admin() as client:
        yield client


@pytest.fixture(params=["host", pytest.param("namespaces", marks=pytest.mark.root)])
def kubelet(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> Iterator[Kubelet]:
    mode = request.param
    if mode == "namespaces":
        needs.root()
    prefix = f"t{mode[0]}{os.getpid() % 10000}"
    made = Kubelet(
        folder=tmp_path, cluster=cluster, platform=prefix, mode=mode, names=[f"{prefix}-0", f"{prefix}-1"]
    )
    made.configure(asyncio.run(cluster.mint()))
    made.start()
    yield made
    made.kill()
    made.remove()
    asyncio.run(_forget(cluster, made.names))


async def _forget(cluster: Cluster, names: list[str]) -> None:
    async with cluster.admin() as client:
        for name in names:
            try:
                await client.delete(core.Node, name)
            except errors.NotFound:
                continue


async def test_a_node_is_ready_has_a_lease_and_says_what_it_is(kubelet: Kubelet, admin: HTTPClient) -> None:
    found = await until_node(admin, kubelet.names[0])
    assert (found.metadata.labels or {})["dpu"] == kubelet.platform
    assert found.status.nodeInfo is not None
    assert found.status.nodeInfo.containerRuntimeVersion.startswith("dpf-emulated://")
    lease = await wait.until(
        admin, core.Lease, kubelet.names[0], node.LEASE_NAMESPACE, accept=lambda it: it is not None, timeout_s=10
    )
    assert lease is not None
    renewed = datetime.fromisoformat(lease.spec.renewTime or "")
    assert datetime.now(UTC) - renewed < timedelta(seconds=30)
    assert (lease.metadata.ownerReferences or [])[0].uid == found.metadata.uid


async def test_pods_run_answer_and_go(kubelet: Kubelet, admin: HTTPClient) -> None:
    for name in kubelet.names:
        await until_node(admin, name)
    variable = core.EnvVar(name="LISTEN_ADDRESS", valueFrom={"fieldRef": {"fieldPath": "status.podIP"}})
    container = core.Container(name="c0", image="x/dummydpuservice:v1", env=[variable], readinessProbe={
        "httpGet": {"path": "/healthz", "port": 8080},
    })
    for name in kubelet.names:
        await admin.create(a_pod(f"web-{name}", name, containers=[container]))
    pods = [await until_pod(admin, f"web-{name}", is_ready) for name in kubelet.names]
    assert len({pod.status.podIP for pod in pods}) == 2
    for pod in pods:
        assert await asyncio.to_thread(_told_ip, str(pod.status.podIP)) == pod.status.podIP
    for pod in pods:
        await admin.delete(core.Pod, pod.metadata.name, "default")
        await until_gone(admin, pod.metadata.name)
    assert _processes(kubelet) == 0


async def test_logs_reach_kubectl(kubelet: Kubelet, admin: HTTPClient) -> None:
    await until_node(admin, kubelet.names[0])
    await admin.create(a_pod("talker", kubelet.names[0], "for i in 1 2 3; do echo line $i; done; exec sleep 600"))
    await until_pod(admin, "talker", is_ready)
    await _until(lambda: _kubectl(kubelet, "logs", "talker") == "line 1\nline 2\nline 3\n")
    assert _kubectl(kubelet, "logs", "talker", "--tail=1") == "line 3\n"
    await admin.delete(core.Pod, "talker", "default")
    await until_gone(admin, "talker")


async def test_a_node_port_leads_to_the_pod_on_that_node(kubelet: Kubelet, admin: HTTPClient) -> None:
    found, name = await until_node(admin, kubelet.names[0]), f"ported-{kubelet.platform}"
    environment = [
        core.EnvVar(name="LISTEN_ADDRESS", valueFrom={"fieldRef": {"fieldPath": "status.podIP"}}),
    ]
    pod = a_pod(name, kubelet.names[0], containers=[core.Container(
        name="c0", image="x/dummydpuservice:v1", env=environment,
        ports=[core.ContainerPort(containerPort=8080, name="web")],
        readinessProbe={"httpGet": {"path": "/healthz", "port": "web"}},
    )])
    await admin.create(replace(pod, metadata=replace(pod.metadata, labels={"app": name})))
    service = await admin.create(core.Service(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=core.ServiceSpec(
            type="NodePort", selector={"app": name}, externalTrafficPolicy="Local",
            ports=[core.ServicePort(name="web", port=80, targetPort="web")],
        ),
    ))
    running = await until_pod(admin, name, is_ready)
    address = next(a.address for a in found.status.addresses or () if a.type == "InternalIP")
    number = (service.spec.ports or [])[0].nodePort
    await _until(lambda: _told_ip_or_none(address, number) == running.status.podIP)
    await admin.delete(core.Service, name, "default")
    await _until(lambda: _told_ip_or_none(address, number) is None)
    await admin.delete(core.Pod, name, "default")
    await until_gone(admin, name)


async def test_configuration_and_token_come_from_the_cluster(kubelet: Kubelet, admin: HTTPClient) -> None:
    await until_node(admin, kubelet.names[0])
    where = "$DPF_VOLUME_ROOT/var/run/secrets/kubernetes.io/serviceaccount"
    script = f"echo $COLOR; cut -c1-3 {where}/token; cat {where}/namespace; exec sleep 600"
    await admin.create(a_pod("reader", kubelet.names[0], containers=[core.Container(
        name="c0", image="shell:1", args=[script],
        env=[core.EnvVar(name="COLOR", valueFrom={"configMapKeyRef": {"name": "colors", "key": "color"}})],
    )]))
    waiting = await until_pod(admin, "reader", lambda pod: _reason(pod) == "CreateContainerConfigError")
    assert "colors" in str((waiting.status.containerStatuses or [])[0].state.waiting)
    await admin.create(core.ConfigMap(metadata=ObjectMeta(name="colors", namespace="default"), data={"color": "red"}))
    await until_pod(admin, "reader", is_ready)
    await _until(lambda: _kubectl(kubelet, "logs", "reader") == "red\neyJ\ndefault")
    await admin.delete(core.Pod, "reader", "default")
    await admin.delete(core.ConfigMap, "colors", "default")
    await until_gone(admin, "reader")


async def test_a_killed_kubelet_finds_its_pods_again(kubelet: Kubelet, admin: HTTPClient) -> None:
    await until_node(admin, kubelet.names[0])
    for name in ("stays", "goes"):
        await admin.create(a_pod(name, kubelet.names[0], "exec sleep 600"))
        await until_pod(admin, name, is_ready)
    before = {seen.pid for seen in _marked(kubelet)}
    kubelet.kill()
    assert {seen.pid for seen in _marked(kubelet)} == before
    await admin.delete(core.Pod, "goes", "default", propagation="Background")
    kubelet.start()
    await until_gone(admin, "goes")
    stays = await until_pod(admin, "stays", is_ready)
    assert [c.restartCount for c in stays.status.containerStatuses or ()] == [0]
    assert len(before & {seen.pid for seen in _marked(kubelet)}) == 1
    await admin.delete(core.Pod, "stays", "default")
    await until_gone(admin, "stays")


async def test_nodes_come_and_go_with_the_configuration(kubelet: Kubelet, admin: HTTPClient) -> None:
    for name in kubelet.names:
        await until_node(admin, name)
    first, second = kubelet.names
    lost = f"lost-{kubelet.platform}"
    await admin.create(a_pod(lost, second, "exec sleep 600"))
    await until_pod(admin, lost, is_ready)
    added = f"{kubelet.platform}-2"
    kubelet.names = [first, added]
    kubelet.configure()
    await until_node(admin, added)
    await _until(lambda: _processes(kubelet) == 0)
    await admin.delete(core.Pod, lost, "default")
    await admin.delete(core.Node, second)


async def test_a_node_joins_as_soon_as_its_token_is_good(kubelet: Kubelet, admin: HTTPClient) -> None:
    waiting = f"{kubelet.platform}-3"
    kubelet.names = [*kubelet.names, waiting]
    await asyncio.to_thread((kubelet.folder / "token").write_text, "no token at all")
    kubelet.configure()
    log = kubelet.folder / "log"
    await _until(lambda: "the bootstrap token is malformed" in log.read_text())
    assert "no token at all" not in await asyncio.to_thread(log.read_text)
    kubelet.configure(await kubelet.cluster.mint())
    await until_node(admin, waiting)


async def test_removal_leaves_nothing_on_the_machine(kubelet: Kubelet, admin: HTTPClient) -> None:
    await until_node(admin, kubelet.names[0])
    left = f"left-{kubelet.platform}"
    await admin.create(a_pod(left, kubelet.names[0], "exec sleep 600"))
    await until_pod(admin, left, is_ready)
    assert kubelet.stop() == 0
    assert _processes(kubelet) == 1, "a kubelet that stops leaves its pods running"
    kubelet.remove()
    assert _processes(kubelet) == 0
    assert not (kubelet.folder / "nodes").exists()
    assert _traces(kubelet.platform) == []
    network.remove_all(kubelet.platform)
    kubelet.start()


def _reason(pod: core.Pod) -> str | None:
    statuses = pod.status.containerStatuses
    return statuses[0].state.waiting.reason if statuses and statuses[0].state.waiting else None


def _told_ip_or_none(address: str, port: int | None) -> str | None:
    try:
        return _told_ip(address, port)
    except OSError:
        return None


def _told_ip(address: str, port: int | None = 8080) -> str:
    with urllib.request.urlopen(f"http://{address}:{port}/", timeout=5) as answer:
        return str(json.load(answer)["addresses"]["request"])


def _kubectl(kubelet: Kubelet, *arguments: str) -> str:
    command = [str(parts.find("kubectl")), "--kubeconfig", str(kubelet.cluster.kubeconfig), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout


def _marked(kubelet: Kubelet) -> list[procfs.Stat]:
    """The first process of every container of the kubelet."""
    marks = [{"DPF_NODE_STATE": str(kubelet.folder / "nodes" / f"{kubelet.platform}-{n}")} for n in range(3)]
    return [seen for mark in marks for seen in procfs.marked(mark) if seen.session == seen.pid]


def _processes(kubelet: Kubelet) -> int:
    return len(_marked(kubelet))


def _traces(platform: str) -> list[str]:
    """Interfaces and namespaces of the platform, as the kernel lists them."""
    links = [path.name for path in Path("/sys/class/net").iterdir()]
    folder = Path("/run/netns")
    namespaces = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return [name for name in (*links, *namespaces) if name.startswith(platform)]


async def _until(accept: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(accept):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
