"""The chart repository: what it serves, and that nothing else can be reached."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dpf.local import chartrepository, errors
from dpf.local.pki import services


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    repository = tmp_path / "charts"
    repository.mkdir()
    (repository / "index.yaml").write_text("entries: {}\n")
    (repository / "a-v0.1.0.tgz").write_bytes(b"\x1f\x8b chart")
    (repository / ".packaged.json").write_text("{}")
    (tmp_path / "secret.yaml").write_text("hunter2")
    (repository / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    return repository


@pytest.mark.parametrize(("path", "found"), [
    ("/dpf/index.yaml", True), ("/dpf/index.yaml?x=1", True), ("/dpf/a-v0.1.0.tgz", True),
    ("/index.yaml", False), ("/dpf/", False), ("/dpf", False), ("/", False), ("", False),
    ("/dpf/../secret.yaml", False), ("/dpf/..%2fsecret.yaml", False), ("/dpf//index.yaml", False),
    ("/dpf/.packaged.json", False), ("/dpf/link.yaml", False), ("/dpf/absent.yaml", False), ("/dpf/a\0.yaml", False),
    ("/other/index.yaml", False),
])
def test_only_existing_files_under_the_prefix(folder: Path, path: str, found: bool) -> None:
    assert (chartrepository.find_file(folder, path) is not None) is found


@contextmanager
def _serving(folder: Path) -> Iterator[tuple[int, ssl.SSLContext]]:
    files = services.ensure_serving(folder.parent / "pki", "charts", ("127.0.0.1",), datetime.now(UTC))
    context = chartrepository.build_context(files.certificate, files.key)
    server = chartrepository.Server(("127.0.0.1", 0), folder, context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, ssl.create_default_context(cafile=str(files.authority))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _request(port: int, tls: ssl.SSLContext, method: str, path: str) -> tuple[int, bytes, str | None]:
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=5)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("Content-Length")
    finally:
        connection.close()


def test_serves_over_tls_and_answers_get_and_head_only(folder: Path) -> None:
    with _serving(folder) as (port, tls):
        assert _request(port, tls, "GET", "/dpf/a-v0.1.0.tgz") == (200, b"\x1f\x8b chart", "8")
        assert _request(port, tls, "HEAD", "/dpf/a-v0.1.0.tgz") == (200, b"", "8")
        assert _request(port, tls, "GET", "/dpf/")[0] == 404
        assert _request(port, tls, "POST", "/dpf/index.yaml")[0] == 501
        assert _request(port, tls, "DELETE", "/dpf/index.yaml")[0] == 501


def test_plain_http_is_refused_and_disturbs_nobody(folder: Path) -> None:
    with _serving(folder) as (port, tls):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            plain.sendall(b"GET /dpf/index.yaml HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert b"200 OK" not in plain.recv(1000)
        assert _request(port, tls, "GET", "/dpf/index.yaml")[0] == 200


def test_a_silent_client_does_not_hold_up_others(folder: Path) -> None:
    with _serving(folder) as (port, tls), socket.create_connection(("127.0.0.1", port)):
        assert _request(port, tls, "GET", "/dpf/index.yaml")[0] == 200


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.LocalError, match=r"certificate .*absent\.crt and key"):
        chartrepository.build_context(tmp_path / "absent.crt", tmp_path / "absent.key")


def test_a_chart_without_a_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "charts" / "broken").mkdir(parents=True)
    (tmp_path / "charts" / "broken" / "Chart.yaml").write_text("name: broken\n")
    with pytest.raises(errors.LocalError, match=r"broken/Chart\.yaml is not a chart's description"):
        chartrepository.package(tmp_path / "charts", tmp_path / "repository", helm=Path("/bin/true"))


def test_a_failing_helm_says_what_it_said(tmp_path: Path) -> None:
    (tmp_path / "charts" / "a").mkdir(parents=True)
    (tmp_path / "charts" / "a" / "Chart.yaml").write_text("name: a\nversion: 0.1.0\n")
    helm = tmp_path / "helm"
    helm.write_text("#!/bin/sh\necho 'no space left' >&2\nexit 1\n")
    helm.chmod(0o755)
    with pytest.raises(errors.LocalError, match=r"helm package .* failed: no space left"):
        chartrepository.package(tmp_path / "charts", tmp_path / "repository", helm=helm)
