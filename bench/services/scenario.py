"""The measurements of `python -m bench.services` on real engines.

    rollout   deployments from the first apply until the last child is written; our CPU, memory, passes
    edit      one DPUServiceTemplate that all of them use gets another value, until the last child is patched
    idle      nothing happens: writes and CPU
    limit     how fast the same server takes the same writes from a bare client

Nobody plays Argo CD or the controllers of the children, so nothing becomes Ready: what is measured is ours alone.
"""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.services import audit, bare, engines, limit, load, process
from bench.services.audit import Log, Write
from bench.services.engines import Engines
from bench.services.process import Controllers

OURS: Final = "pydpf"
TIMEOUT_S: Final = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of everything."""

    deployments: int
    services: int
    clusters: int
    rounds: int
    idle_s: float

    @property
    def children(self) -> int:
        """What one round has to create, the namespaces in the DPU clusters aside."""
        each = self.services * (2 + self.clusters) + 1 + load.DPUSETS
        return self.deployments * each

    @property
    def needed(self) -> int:
        """Writes that one round cannot do without; Events aside.

        A deployment: finalizer, a mark on each dependency, its children, its status. A DPUService: finalizer, a claim,
        its status, and an Application for each cluster, which is a child already. A cluster: its namespace.
        """
        marks = 2 + 2 * self.services
        return self.deployments * (2 + marks + 3 * self.services) + self.children + self.clusters


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a piece of work took. `labels` are accepted writes until the end of the work, `later` those after it."""

    seconds: float
    labels: dict[str, int]
    later: dict[str, int]
    refused: dict[str, int]
    cpu_s: float
    rss_mib: float
    passes: dict[str, float]
    reads: int = 0


async def run(folder: Path, size: Size, program: Sequence[str]) -> dict[str, Any]:
    """Everything, as it is written to JSON. Each round has a namespace, a process of ours and a limit of its own.

    SIGTERM ends it in order, so that no engine is left behind.
    """
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with engines.running(folder, size.clusters) as servers:
        servers.index.write_bytes(msgspec.json.encode(load.index(size.services)))
        log = Log(servers.audit_logs)
        rounds = [
            await _round(servers, log, size, f"tenant-{number}", program, is_last=number == size.rounds - 1)
            for number in range(size.rounds)
        ]
    return {"rounds": rounds, "children": size.children, "needed": size.needed}


async def _round(
    servers: Engines, log: Log, size: Size, namespace: str, program: Sequence[str], *, is_last: bool,
) -> dict[str, Any]:
    log.read()
    found: dict[str, Any] = {}
    logs = servers.folder / "controllers.log"
    async with process.running(servers.kubeconfig, logs, size.clusters, program) as ours:
        found["start"] = await _start(ours, log)
        rollout = await _rollout(servers, ours, log, size, namespace)
        edit = await _edit(servers, ours, log, size, namespace)
        if is_last:
            found["idle"] = await _idle(ours, log, size.idle_s)
        found["rss_mib"] = ours.rss_mib()
    found["rates"] = await limit.measure(servers.host, namespace)
    return {**found, "rollout": _report(rollout, found["rates"]), "edit": _report(edit, found["rates"])}


async def _start(ours: Controllers, log: Log) -> dict[str, Any]:
    """What a new process costs that finds everything as it should be."""
    writes = await log.until(lambda _: True, agent=OURS, timeout_s=TIMEOUT_S)
    return {
        "cpu_s": ours.cpu_s(), "rss_mib": ours.rss_mib(), "passes": ours.passes(), "writes": audit.counts(writes)
    }


async def _rollout(servers: Engines, ours: Controllers, log: Log, size: Size, namespace: str) -> Work:
    """From the first apply of `size.deployments` until all children are written."""
    await _prepare(servers, log, size, namespace)
    wanted = size.children + size.clusters
    reads, cpu, passes = await servers.reads(), ours.cpu_s(), ours.passes()
    began = time.time()
    await bare.in_flight(
        servers.host.apply(load.deployment(namespace, f"{namespace}-{n:02}", size.services))
        for n in range(size.deployments)
    )
    writes = await log.until(lambda found: len(_children(found)) >= wanted, agent=OURS, timeout_s=TIMEOUT_S)
    work = _work(writes, began, max(w.ended for w in _children(writes)), ours, cpu, passes)
    return dataclasses.replace(work, reads=await servers.reads() - reads)


async def _prepare(servers: Engines, log: Log, size: Size, namespace: str) -> None:
    """Dependencies, BFB and templates Ready."""
    host = servers.host
    await host.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for obj in load.dependencies(namespace, size.services, servers.charts):
        await host.apply(obj)
    await host.patch(load.PROVISIONING, "BFB", namespace, "bfb", subresource="status", patch={
        "status": {"phase": "Ready", "versions": {"doca": "2.9.1"}}
    })
    await log.until(
        lambda found: sum(w.label == "patch dpuservicetemplates/status" for w in found) >= size.services,
        agent=OURS, timeout_s=TIMEOUT_S,
    )


async def _edit(servers: Engines, ours: Controllers, log: Log, size: Size, namespace: str) -> Work:
    """Another value in one template, until every Application of that service has it."""
    wanted = size.deployments * (1 + size.clusters)
    reads, cpu, passes = await servers.reads(), ours.cpu_s(), ours.passes()
    began = time.time()
    await servers.host.apply(load.template(namespace, "service-0", servers.charts, edition=1))
    writes = await log.until(lambda found: len(_changes(found)) >= wanted, agent=OURS, timeout_s=TIMEOUT_S)
    work = _work(writes, began, max(w.ended for w in _changes(writes)), ours, cpu, passes)
    return dataclasses.replace(work, reads=await servers.reads() - reads)


async def _idle(ours: Controllers, log: Log, seconds: float) -> dict[str, Any]:
    log.read()
    cpu, passes = ours.cpu_s(), sum(ours.passes().values())
    await asyncio.sleep(seconds)
    writes = [write for write in log.read() if write.agent == OURS]
    return {
        "seconds": seconds, "writes": len(writes), "cpu_percent": (ours.cpu_s() - cpu) / seconds * 100,
        "passes": sum(ours.passes().values()) - passes,
    }


def _work(
    writes: Sequence[Write], began: float, ended: float, ours: Controllers, cpu: float, passes: dict[str, float],
) -> Work:
    accepted = [write for write in writes if write.accepted]
    return Work(
        seconds=ended - began, labels=audit.counts(w for w in accepted if w.ended <= ended),
        later=audit.counts(w for w in accepted if w.ended > ended),
        refused=audit.counts(w for w in writes if not w.accepted), cpu_s=ours.cpu_s() - cpu, rss_mib=ours.rss_mib(),
        passes={name: n - passes.get(name, 0) for name, n in ours.passes().items() if n > passes.get(name, 0)},
    )


def _children(writes: Sequence[Write]) -> list[Write]:
    """Creations of children."""
    return [w for w in writes if w.verb == "apply new" and w.resource in audit.CHILDREN]


def _changes(writes: Sequence[Write]) -> list[Write]:
    """Patches of children, whichever way."""
    kinds = ("dpuservices", "applications")
    return [w for w in writes if w.accepted and w.verb in ("apply", "patch") and w.resource in kinds]


def _report(work: Work, rates: dict[str, float]) -> dict[str, Any]:
    count = sum(work.labels.values())
    events = sum(n for label, n in work.labels.items() if label.endswith(f" {audit.EVENTS}"))
    least = limit.seconds(work.labels, rates)
    return {
        "seconds": work.seconds, "writes": count, "events": events, "writes_per_s": count / work.seconds,
        "limit_s": least, "fraction": least / work.seconds, "cpu_s": work.cpu_s, "rss_mib": work.rss_mib,
        "later_count": sum(n for label, n in work.later.items() if not label.endswith(f" {audit.EVENTS}")),
        "labels": work.labels, "later": work.later, "refused": work.refused, "reads": work.reads, "passes": work.passes,
    }
