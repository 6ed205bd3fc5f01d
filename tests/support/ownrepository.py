"""A chart repository of one's own for end-to-end tests: https on a loopback address, with a CA of its own.

    with ownrepository.serving(platform, folder) as repository:
        template["spec"]["helmChart"]["source"] = repository.source("v0.0.2")
        with repository.down():
            ...

It offers the producer of the users' guide in three versions.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.support import needs
from tests.support.platform import ROOT, Platform

from dpf.api.names import DPF_NAMESPACE
from dpf.local import chartrepository
from dpf.local.pki import certificates
from dpf.local.platform import argocd
from dpf.services.helm.credentials import TLS_CERTS

HOST = "127.0.0.2"
CHART = "producer"
VERSIONS = {"0.0.1": ">= 2.9", "0.0.2": ">= 2.9", "0.0.3": ">= 3.0"}
"""Versions of the chart, and the DOCA versions that each works with."""


@dataclass(slots=True)
class Repository:
    """The repository; it answers from `start` to `stop`."""

    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def place(self) -> str:
        """As people are told about it."""
        return f"{HOST}:{self.port}"

    def source(self, version: str = "v0.0.1") -> dict[str, str]:
        """A helmChart.source."""
        url = f"https://{self.place}{chartrepository.PATH_PREFIX}"
        return {"repoURL": url, "chart": CHART, "version": version}

    def start(self) -> None:
        """Serve; returns when somebody listens."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-m", "dpf.local.chartrepository", "--dir", str(self.folder / "repository"),
                    "--address", HOST, "--port", str(self.port), "--cert", str(self.folder / "server.crt"),
                    "--key", str(self.folder / "server.key"),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        while not listens(self.port):
            assert self._process.poll() is None, (self.folder / "server.log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """Nobody listens there any more, and whoever is connected is cut off."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def down(self) -> Iterator[None]:
        """As a repository that cannot be reached, for the length of a block."""
        self.stop()
        try:
            yield
        finally:
            self.start()


@contextmanager
def serving(platform: Platform, folder: Path) -> Iterator[Repository]:
    """The repository, with its files in `folder`; Argo CD and our controllers on `platform` trust it."""
    for version, doca in VERSIONS.items():
        _write_chart(folder / "charts" / version, version, doca)
    chartrepository.package(folder / "charts", folder / "repository", helm=needs.program("helm"))
    authority = certificates.new_authority("charts of the tests", certificates.new_key(), datetime.now(UTC))
    request = certificates.Request(common_name=HOST, sans=(HOST,), usage=certificates.Usage.SERVER)
    pair = certificates.issue(authority, request, datetime.now(UTC))
    (folder / "server.crt").write_bytes(pair.certificate)
    (folder / "server.key").write_bytes(pair.key)
    _trust(platform, authority.pem)
    repository = Repository(folder=folder, port=free_port())
    repository.start()
    try:
        yield repository
    finally:
        repository.stop()


def free_port() -> int:
    """A port on `HOST` that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _write_chart(folder: Path, version: str, doca: str) -> None:
    shutil.copytree(ROOT / "deploy" / "charts" / CHART, folder)
    description = folder / "Chart.yaml"
    text = description.read_text().replace("0.0.1", version).replace(">= 2.9", doca)
    description.write_text(text)


def _trust(platform: Platform, authority: bytes) -> None:
    """In both places where the platform keeps certificates of repositories."""
    (argocd.layout(platform.state).certificate_authorities / HOST).write_bytes(authority)
    patch = {"data": {HOST: authority.decode()}}
    platform.kubectl("patch", "configmap", TLS_CERTS, "-n", DPF_NAMESPACE, "--type=merge", "-p", json.dumps(patch))
