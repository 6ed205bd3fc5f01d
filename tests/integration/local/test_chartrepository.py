"""The chart repository with the real helm: what is packaged can be pulled by both spellings of its version."""

from __future__ import annotations

import os
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from tests.support import needs

from dpf.local import chartrepository, resources
from dpf.local.pki import services

pytestmark = pytest.mark.parts


@pytest.fixture
def helm() -> Path:
    return needs.program("helm")


def test_packaging_again_touches_nothing_until_a_chart_changes(helm: Path, tmp_path: Path) -> None:
    charts, repository = tmp_path / "charts", tmp_path / "repository"
    subprocess.run(["cp", "-r", str(resources.folder("charts")), str(charts)], check=True)

    def state() -> dict[str, tuple[int, int]]:
        found = chartrepository.package(charts, repository, helm=helm)
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found.iterdir()}

    first = state()
    assert state() == first
    values = charts / "dummydpuservice" / "values.yaml"
    values.write_text(values.read_text() + "# changed\n")
    assert state() != first


def test_a_chart_that_is_gone_is_no_longer_offered(helm: Path, tmp_path: Path) -> None:
    charts, repository = tmp_path / "charts", tmp_path / "repository"
    subprocess.run(["cp", "-r", str(resources.folder("charts")), str(charts)], check=True)
    chartrepository.package(charts, repository, helm=helm)
    assert list(repository.glob("dummydpuservice-chart-*.tgz"))
    subprocess.run(["rm", "-r", str(charts / "dummydpuservice")], check=True)
    chartrepository.package(charts, repository, helm=helm)
    assert not list(repository.glob("dummydpuservice-chart-*.tgz"))


@pytest.mark.parametrize("version", ["v0.1.0", "0.1.0", ">= 0.1.0"])
def test_helm_pulls_over_tls_by_every_spelling(helm: Path, tmp_path: Path, version: str) -> None:
    repository = chartrepository.package(resources.folder("charts"), tmp_path / "repository", helm=helm)
    files = services.ensure_serving(tmp_path / "pki", "charts", ("127.0.0.1",), datetime.now(UTC))
    context = chartrepository.build_context(files.certificate, files.key)
    server = chartrepository.Server(("127.0.0.1", 0), repository, context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        subprocess.run([
            str(helm), "pull", "dummydpuservice-chart", "--repo", f"https://127.0.0.1:{server.server_port}/dpf",
            "--version", version, "--ca-file", str(files.authority), "--untar", "--destination", str(tmp_path),
        ], check=True, timeout=60, env={"PATH": os.defpath, "HOME": str(tmp_path)})
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    chart = yaml.safe_load((tmp_path / "dummydpuservice-chart" / "Chart.yaml").read_text())
    assert chart["version"] == "v0.1.0"
