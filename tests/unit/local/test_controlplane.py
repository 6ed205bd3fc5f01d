"""The control plane as specs: what is exposed to whom, what is shared, what restarts what."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509

from dpf.local import controlplane, errors
from dpf.local.controlplane import ClusterFiles, Store
from dpf.local.pki import services
from dpf.local.supervisor.spec import ProcessSpec, StopStage
from dpf.local.supervisor.supervisor import Supervisor

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PROGRAM = Path("/opt/program")
LOGS = Path("/logs")


def a_cluster(folder: Path, name: str = "host", port: int = 6443, now: datetime = NOW) -> ClusterFiles:
    return controlplane.write_cluster_files(folder / name, name=name, port=port, now=now)


def flags(spec: ProcessSpec) -> dict[str, str]:
    return {flag: value for flag, _, value in (word.partition("=") for word in spec.argv[1:])}


def test_etcd_is_reachable_through_its_private_folder_only() -> None:
    store = Store(folder=Path("/state/etcd"))
    found = flags(controlplane.etcd_spec(store, PROGRAM, logs=LOGS))
    urls = {value for flag, value in found.items() if flag.endswith("-urls")}
    assert all(url.startswith("unix://") for url in urls)
    assert store.url == "unix:///state/etcd/etcd.sock:0"
    assert "--unsafe-no-fsync" not in found


@pytest.mark.parametrize(("length", "fits"), [(95, True), (96, False)])
def test_a_folder_too_long_for_a_socket_is_refused(length: int, fits: bool) -> None:
    store = Store(folder=Path("/" + "x" * (length - 1)))
    if fits:
        assert controlplane.etcd_spec(store, PROGRAM, logs=LOGS).name == "etcd"
        return
    with pytest.raises(errors.PreflightError, match="at most 95 characters"):
        controlplane.etcd_spec(store, PROGRAM, logs=LOGS)


def test_clusters_share_one_etcd_apart_by_prefix(tmp_path: Path) -> None:
    store = Store(folder=tmp_path / "etcd")
    specs = [
        controlplane.apiserver_spec(a_cluster(tmp_path, name, port), store, PROGRAM, logs=LOGS)
        for name, port in (("host", 6443), ("dpu", 7443))
    ]
    one, other = map(flags, specs)
    assert one["--etcd-servers"] == other["--etcd-servers"]
    assert (one["--etcd-prefix"], other["--etcd-prefix"]) == ("/host", "/dpu")
    assert [spec.name for spec in specs] == ["host-kube-apiserver", "dpu-kube-apiserver"]


def test_nothing_listens_beyond_loopback(tmp_path: Path) -> None:
    files = a_cluster(tmp_path)
    store = Store(folder=tmp_path)
    assert flags(controlplane.apiserver_spec(files, store, PROGRAM, logs=LOGS))["--bind-address"] == "127.0.0.1"
    for build in (controlplane.controller_manager_spec, controlplane.scheduler_spec):
        assert flags(build(files, PROGRAM, logs=LOGS))["--secure-port"] == "0"


def test_every_file_that_a_flag_names_is_there(tmp_path: Path) -> None:
    files = a_cluster(tmp_path)
    specs = [
        controlplane.apiserver_spec(files, Store(folder=tmp_path), PROGRAM, logs=LOGS),
        controlplane.controller_manager_spec(files, PROGRAM, logs=LOGS),
        controlplane.scheduler_spec(files, PROGRAM, logs=LOGS),
    ]
    ends = (".crt", ".key", ".pub", ".yaml", ".kubeconfig")
    named = {value for spec in specs for value in flags(spec).values() if value.endswith(ends)}
    assert len(named) >= 9
    assert [name for name in named if not (files.folder / name).exists()] == []
    assert {spec.cwd for spec in specs} == {files.folder}


def test_etcd_stops_last_and_the_api_server_before_it(tmp_path: Path) -> None:
    files, store = a_cluster(tmp_path), Store(folder=tmp_path)
    stages = [
        controlplane.controller_manager_spec(files, PROGRAM, logs=LOGS).stop_stage,
        controlplane.scheduler_spec(files, PROGRAM, logs=LOGS).stop_stage,
        controlplane.apiserver_spec(files, store, PROGRAM, logs=LOGS).stop_stage,
        controlplane.etcd_spec(store, PROGRAM, logs=LOGS).stop_stage,
    ]
    assert stages == [StopStage.CLIENTS, StopStage.CLIENTS, StopStage.API_SERVERS, StopStage.STORES]


def test_renewed_credentials_restart_those_who_read_them_once(tmp_path: Path) -> None:
    before, after = a_cluster(tmp_path), a_cluster(tmp_path, now=NOW + timedelta(days=340))
    store = Store(folder=tmp_path)

    def specs(files: ClusterFiles) -> tuple[ProcessSpec, ...]:
        return (
            controlplane.controller_manager_spec(files, PROGRAM, logs=LOGS),
            controlplane.scheduler_spec(files, PROGRAM, logs=LOGS),
            controlplane.apiserver_spec(files, store, PROGRAM, logs=LOGS),
        )

    assert [one == other for one, other in zip(specs(before), specs(after), strict=True)] == [False, False, True]
    assert specs(after) == specs(a_cluster(tmp_path, now=NOW + timedelta(days=341)))


def test_the_serving_certificate_covers_the_first_service_address(tmp_path: Path) -> None:
    controlplane.write_cluster_files(tmp_path, name="dpu", port=1, now=NOW, service_cidr="10.128.0.0/12")
    pem = (tmp_path / "apiserver.crt").read_bytes()
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"127.0.0.1", "10.128.0.1"} == {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)


class Server:
    """An https server that answers what it is told to, and counts connections."""

    def __init__(self, url: str, ssl: ssl.SSLContext) -> None:
        self.url = url
        self.ssl = ssl
        self.answers: list[tuple[int, str]] = []
        self.connections: set[object] = set()

    async def answer(self, request: web.Request) -> web.Response:
        self.connections.add(request.transport)
        status, text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, text=text)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = services.ensure_serving(tmp_path / "tls", "server", ("127.0.0.1",), datetime.now(UTC))
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(made.certificate, made.key)
    one = Server("", ssl.create_default_context(cafile=str(made.authority)))
    application = web.Application()
    application.router.add_get("/readyz", one.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving).start()
    one.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    yield one
    await runner.cleanup()


async def test_waiting_ends_with_the_first_200_over_one_connection(server: Server) -> None:
    server.answers = [(500, "no"), (500, "no"), (200, "ok")]
    assert 0 < await controlplane.wait_ready(server.url, ssl=server.ssl) < 30
    assert (server.answers, len(server.connections)) == ([(200, "ok")], 1)


async def test_a_deadline_says_what_was_missing(server: Server) -> None:
    server.answers = [(500, "[+]ping ok\n[-]poststarthook/rbac failed: reason withheld\nreadyz check failed")]
    with pytest.raises(controlplane.NotReady, match=r"after 0\.3 s; last answer: 500: \[-\]poststarthook/rbac"):
        await controlplane.wait_ready(server.url, ssl=server.ssl, deadline_s=0.3)


async def test_a_server_that_cannot_be_trusted_is_not_ready(server: Server) -> None:
    server.answers = [(200, "ok")]
    with pytest.raises(controlplane.NotReady, match="certificate verify failed"):
        await controlplane.wait_ready(server.url, ssl=ssl.create_default_context(), deadline_s=0.3)


async def test_a_process_that_dies_ends_the_wait_with_its_last_words(tmp_path: Path) -> None:
    program = ("/bin/sh", "-c", "seq 1 30; echo 'bind: address already in use'; exit 1")
    spec = ProcessSpec(name="a", argv=program, cwd=tmp_path, log=tmp_path / "a.log")
    process = Supervisor(tmp_path).ensure(spec).process
    with pytest.raises(controlplane.NotReady) as caught:
        await controlplane.wait_ready("https://127.0.0.1:1", ssl=ssl.create_default_context(), process=process)
    lines = str(caught.value).splitlines()
    assert "ended with status 1 before it was ready" in lines[0]
    assert lines[2:] == [*(f"  {n}" for n in range(12, 31)), "  bind: address already in use"]
