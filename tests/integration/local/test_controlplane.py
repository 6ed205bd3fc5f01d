"""A real etcd and API server, run by our specs: up, killed, up again on the same data, and gone."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support import needs

from dpf.local import controlplane
from dpf.local.controlplane import ClusterFiles, Store
from dpf.local.supervisor import Outcome, ProcessSpec, Supervisor, ended, ports, procfs

pytestmark = pytest.mark.parts


@dataclass
class Platform:
    """One control plane in a folder."""

    folder: Path
    files: ClusterFiles
    supervisor: Supervisor
    specs: dict[str, ProcessSpec]

    async def up(self) -> dict[str, Outcome]:
        outcomes = {name: self.supervisor.ensure(spec).outcome for name, spec in self.specs.items()}
        server = self.supervisor.observe("host-kube-apiserver")
        await controlplane.wait_ready(self.files.server, ssl=controlplane.admin_ssl(self.files), process=server)
        return outcomes

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        context = controlplane.admin_ssl(self.files)
        connection = http.client.HTTPSConnection("127.0.0.1", self.files.port, context=context, timeout=30)
        try:
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def left(self) -> list[str]:
        return [seen.command for seen in procfs.marked({"DPF_PLATFORM": str(self.folder.resolve())})]


def program(name: str) -> Path:
    return needs.program(name)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    store = Store(folder=tmp_path / "etcd")
    store.folder.mkdir(mode=0o700)
    files = controlplane.write_cluster_files(
        tmp_path / "host", name="host", port=ports.find_free_port(), now=datetime.now(UTC),
    )
    specs = [
        controlplane.etcd_spec(store, program("etcd"), logs=tmp_path),
        controlplane.apiserver_spec(files, store, program("kube-apiserver"), logs=tmp_path),
    ]
    one = Platform(tmp_path, files, Supervisor(tmp_path), {spec.name: spec for spec in specs})
    yield one
    one.supervisor.stop_all()
    assert one.left() == []


async def test_up_killed_up_again_and_gone(platform: Platform) -> None:
    assert set((await platform.up()).values()) == {Outcome.STARTED}
    config_map = {"metadata": {"name": "kept"}, "data": {"a": "b"}}
    assert platform.request("POST", "/api/v1/namespaces/default/configmaps", config_map)[0] == 201

    server = platform.supervisor.observe("host-kube-apiserver")
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    assert await ended(server) == -signal.SIGKILL
    assert platform.supervisor.observe("host-kube-apiserver") is None

    assert await platform.up() == {"etcd": Outcome.RUNNING, "host-kube-apiserver": Outcome.STARTED}
    status, found = platform.request("GET", "/api/v1/namespaces/default/configmaps/kept")
    assert (status, found.get("data")) == (200, {"a": "b"})
    assert set((await platform.up()).values()) == {Outcome.RUNNING}

    stopped = platform.supervisor.stop_all()
    assert [(one.name, one.killed) for one in stopped] == [("host-kube-apiserver", False), ("etcd", False)]
    assert platform.left() == []


async def test_anonymous_sees_health_and_nothing_else(platform: Platform) -> None:
    await platform.up()
    context = controlplane.admin_ssl(platform.files)
    anonymous = type(context)(context.protocol)
    anonymous.load_verify_locations(platform.files.folder / "ca.crt")
    statuses = {}
    for path in ("/readyz", "/livez", "/version", "/api", "/metrics", "/api/v1/namespaces/kube-public/configmaps/x"):
        connection = http.client.HTTPSConnection("127.0.0.1", platform.files.port, context=anonymous, timeout=30)
        connection.request("GET", path)
        statuses[path] = connection.getresponse().status
        connection.close()
    assert list(statuses.values()) == [200, 200, 401, 401, 401, 401]


async def test_an_occupied_port_ends_the_wait_with_the_servers_own_words(platform: Platform) -> None:
    with socket.create_server(("127.0.0.1", platform.files.port)):
        with pytest.raises(controlplane.NotReady, match="address already in use"):
            await platform.up()
        owner = ports.port_owner(platform.files.port)
        assert owner is not None
        assert owner.pid == os.getpid()


@pytest.mark.root
def test_a_process_runs_in_its_network_namespace(tmp_path: Path) -> None:
    needs.root()
    name = f"dpftest{os.getpid()}"
    subprocess.run([program("ip"), "netns", "add", name], check=True)
    supervisor = Supervisor(tmp_path)
    try:
        spec = ProcessSpec(
            name="a", argv=("/bin/sleep", "300"), cwd=tmp_path, log=tmp_path / "a.log", netns=name, nice=1,
        )
        process = supervisor.ensure(spec).process
        while procfs.command_line(process.pid) != "/bin/sleep 300":
            assert procfs.alive(process.pid, process.start_ticks) is not None, spec.log.read_text()
        inside = Path(f"/proc/{process.pid}/ns/net").stat().st_ino
        assert inside == Path(f"/run/netns/{name}").stat().st_ino != Path("/proc/self/ns/net").stat().st_ino
    finally:
        supervisor.stop_all()
        subprocess.run([program("ip"), "netns", "del", name], check=True)
