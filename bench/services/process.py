"""Our controllers in a process of their own, as `dpf run` runs them, and what they cost."""

from __future__ import annotations

import asyncio
import os
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dpf.local.supervisor import ports

MODULE: Final = ("-m", "dpf")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_START_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Controllers:
    """The running process."""

    pid: int
    metrics_port: int

    def cpu_s(self) -> float:
        """User and system time so far."""
        return cpu_s(self.pid)

    def rss_mib(self) -> float:
        """Resident memory now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def peak_rss_mib(self) -> float:
        """The most resident memory so far."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024

    def metrics(self) -> dict[str, float]:
        """All series."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {series: float(value) for series, value in pairs}

    def passes(self) -> dict[str, float]:
        """Passes so far, by controller and result."""
        return {
            series.partition("{")[2].rstrip("}"): value
            for series, value in self.metrics().items() if series.startswith("dpf_reconcile_total")
        }


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@asynccontextmanager
async def running(
    kubeconfig: Path, log: Path, dpu_clusters: int, program: Sequence[str] = MODULE,
    what: Sequence[str] = ("services",),
) -> AsyncIterator[Controllers]:
    """`dpf run` with `what`, from when all clusters are connected until the block ends. Raises TimeoutError."""
    port = ports.find_free_port()
    options = ("--no-leader-elect", "--metrics-address", f"127.0.0.1:{port}")
    async with started(kubeconfig, log, program, (*what, *options)) as process:
        found = Controllers(process.pid, port)
        async with asyncio.timeout(_START_S):
            while not _is_connected(found, dpu_clusters):
                if process.returncode is not None:
                    raise RuntimeError(f"the controllers ended with {process.returncode}; see {log}")
                await asyncio.sleep(0.05)
        yield found


@asynccontextmanager
async def started(
    kubeconfig: Path, log: Path, program: Sequence[str], what: Sequence[str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`dpf run` with `what`, until the block ends."""
    argv = [sys.executable, *program, "run", *what, "--kubeconfig", str(kubeconfig)]
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *argv, stdout=file, stderr=file, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _is_connected(controllers: Controllers, dpu_clusters: int) -> bool:
    try:
        series = controllers.metrics()
    except (urllib.error.URLError, ConnectionError):
        return False
    return sum(value for name, value in series.items() if name.startswith("dpf_cluster_connected")) >= dpu_clusters
