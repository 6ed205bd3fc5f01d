"""A real etcd and kube-apiserver for tests, and a plain HTTP client for them.

The processes run as the local platform runs them (`dpf.local.controlplane`), in a folder of the test session, on
loopback. The client is deliberately not ours: what it reports is the server's answer, unseen by the code under test.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support import needs

from dpf.local import controlplane
from dpf.local.supervisor import ports
from dpf.local.supervisor.supervisor import Supervisor

APPLY_PATCH = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """HTTP status and decoded body."""

    status: int
    body: dict[str, Any]

    @property
    def causes(self) -> list[str]:
        """The messages of a refusal: one for each field, or the one message there is."""
        details = self.body.get("details", {}).get("causes")
        return [cause["message"] for cause in details] if details else [self.body.get("message", "")]

    def expect(self, *statuses: int) -> dict[str, Any]:
        """The body, when the status is one of these (or any 2xx)."""
        assert self.status in (statuses or (200, 201)), self.body.get("message")
        return self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class RealAPIServer:
    """A running API server; `kubeconfig` is the administrator's."""

    url: str
    kubeconfig: Path
    tls: ssl.SSLContext = field(repr=False)

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | Sequence[Any] | None = None, *,
        content_type: str = "application/json", accept: str = "application/json",
    ) -> Answer:
        """One request over a connection of its own."""
        connection = self._connect()
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": content_type, "Accept": accept})
            response = connection.getresponse()
            return Answer(status=response.status, body=json.loads(response.read()))
        finally:
            connection.close()

    def watch(self, path: str, *, timeout_s: int = 30) -> Iterator[dict[str, Any]]:
        """Events of a watch until the server ends it; the present objects come first."""
        connection = self._connect()
        try:
            connection.request("GET", f"{path}{'&' if '?' in path else '?'}watch=1&timeoutSeconds={timeout_s}")
            response = connection.getresponse()
            assert response.status == 200, response.read()
            for line in response:
                yield json.loads(line)
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPSConnection:
        where = urlsplit(self.url)
        return http.client.HTTPSConnection(str(where.hostname), where.port, context=self.tls, timeout=60)


def programs() -> tuple[Path, Path]:
    """etcd and kube-apiserver. Without them the test is skipped, except in CI, where it fails."""
    return needs.program("etcd"), needs.program("kube-apiserver")


@contextmanager
def running(folder: Path) -> Iterator[RealAPIServer]:
    """etcd and an API server in `folder` until the block ends; nothing of them is left then."""
    etcd, apiserver = programs()
    store = controlplane.Store(folder=folder / "etcd")
    store.folder.mkdir(mode=0o700)
    supervisor = Supervisor(folder)
    files = controlplane.write_cluster_files(
        folder / "cluster", name="tests", port=ports.find_free_port(), now=datetime.now(UTC)
    )
    tls = controlplane.admin_ssl(files)
    try:
        supervisor.ensure(controlplane.etcd_spec(store, etcd, logs=folder))
        server = supervisor.ensure(controlplane.apiserver_spec(files, store, apiserver, logs=folder)).process
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(controlplane.wait_ready(files.server, ssl=tls, process=server))
        yield RealAPIServer(url=files.server, kubeconfig=files.admin_kubeconfig, tls=tls)
    finally:
        supervisor.stop_all()
