"""The measurements of `python -m bench.services` on real engines.

    rollout   deployments from the first apply until the last child is written; our CPU, memory, passes
    edit      one DPUServiceTemplate that all of them use gets another value, until the last child is patched
    idle      nothing happens: writes and CPU
    limit     how fast the same server takes the same writes from a bare client

Nobody plays Argo CD or the controllers of the children meanwhile: what is measured is ours alone.
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
from bench.services.limit import Rate
from bench.services.process import Controllers
from dpf.api import names

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
class Meters:
    """Everything that only grows: reads of the API server, CPU of the servers and ours, our passes."""

    reads: int
    server_cpu_s: float
    cpu_s: float
    passes: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a piece of work took until all was quiet again.

    `labels` are accepted writes until the end of the work (after `seconds`), `later` those after it.
    """

    seconds: float
    labels: dict[str, int]
    later: dict[str, int]
    refused: dict[str, int]
    meters: Meters


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
        await _deliver(servers, log)
        if is_last:
            found["idle"] = await _idle(ours, log, size.idle_s)
        found["rss_mib"] = ours.rss_mib()
    rates = await limit.measure(servers, namespace)
    found["rates"] = {label: dataclasses.asdict(rate) for label, rate in rates.items()}
    return {**found, "rollout": _report(rollout, rates), "edit": _report(edit, rates)}


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
    meters, began = await _meters(servers, ours), time.time()
    await bare.in_flight(
        servers.host.apply(load.deployment(namespace, f"{namespace}-{n:02}", size.services))
        for n in range(size.deployments)
    )
    writes = await log.until(lambda found: len(_children(found)) >= wanted, agent=OURS, timeout_s=TIMEOUT_S)
    return _work(writes, began, max(w.ended for w in _children(writes)), meters, await _meters(servers, ours))


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
    meters, began = await _meters(servers, ours), time.time()
    await servers.host.apply(load.template(namespace, "service-0", servers.charts, edition=1))
    writes = await log.until(lambda found: len(_changes(found)) >= wanted, agent=OURS, timeout_s=TIMEOUT_S)
    return _work(writes, began, max(w.ended for w in _changes(writes)), meters, await _meters(servers, ours))


async def _deliver(servers: Engines, log: Log) -> None:
    """Says what Argo CD would say: a service whose Application nobody looks at complains about it after a minute."""
    host = servers.host
    new = [app for app in await host.list(load.ARGO, "Application", names.DPF_NAMESPACE) if "status" not in app]
    status = {"status": {"sync": {"status": "Synced"}, "health": {"status": "Healthy"}}}
    await bare.in_flight(
        host.patch(load.ARGO, "Application", names.DPF_NAMESPACE, app["metadata"]["name"], status) for app in new
    )
    await log.until(lambda _: True, agent=OURS, timeout_s=TIMEOUT_S)


async def _idle(ours: Controllers, log: Log, seconds: float) -> dict[str, Any]:
    log.read()
    cpu, passes = ours.cpu_s(), sum(ours.passes().values())
    await asyncio.sleep(seconds)
    writes = [write for write in log.read() if write.agent == OURS]
    return {
        "seconds": seconds, "writes": len(writes), "cpu_percent": (ours.cpu_s() - cpu) / seconds * 100,
        "passes": sum(ours.passes().values()) - passes,
    }


async def _meters(servers: Engines, ours: Controllers) -> Meters:
    return Meters(
        reads=await servers.reads(), server_cpu_s=servers.cpu_s(), cpu_s=ours.cpu_s(), passes=ours.passes()
    )


def _work(writes: Sequence[Write], began: float, ended: float, before: Meters, after: Meters) -> Work:
    accepted = [write for write in writes if write.accepted]
    passes = {name: n - before.passes.get(name, 0) for name, n in after.passes.items()}
    return Work(
        seconds=ended - began, labels=audit.counts(w for w in accepted if w.ended <= ended),
        later=audit.counts(w for w in accepted if w.ended > ended),
        refused=audit.counts(w for w in writes if not w.accepted), meters=Meters(
            reads=after.reads - before.reads, server_cpu_s=after.server_cpu_s - before.server_cpu_s,
            cpu_s=after.cpu_s - before.cpu_s, passes={name: n for name, n in passes.items() if n},
        ),
    )


def _children(writes: Sequence[Write]) -> list[Write]:
    """Creations of children."""
    return [w for w in writes if w.verb == "apply new" and w.resource in audit.CHILDREN]


def _changes(writes: Sequence[Write]) -> list[Write]:
    """Patches of children, whichever way."""
    kinds = ("dpuservices", "applications")
    return [w for w in writes if w.accepted and w.verb in ("apply", "patch") and w.resource in kinds]


def _report(work: Work, rates: dict[str, Rate]) -> dict[str, Any]:
    """`fraction` compares seconds until the end of the work, `cpu_fraction` all CPU until all was quiet."""
    count = sum(work.labels.values())
    limit_s, _ = limit.least(work.labels, rates)
    _, limit_cpu_s = limit.least({k: work.labels.get(k, 0) + work.later.get(k, 0) for k in work.labels}, rates)
    return {
        "seconds": work.seconds, "writes": count, "events": _events(work.labels), "writes_per_s": count / work.seconds,
        "limit_s": limit_s, "fraction": limit_s / work.seconds,
        "cpu_fraction": limit_cpu_s / (work.meters.server_cpu_s + work.meters.cpu_s),
        "settled_writes": count - _events(work.labels) + sum(work.later.values()) - _events(work.later),
        "labels": work.labels, "later": work.later, "refused": work.refused, **dataclasses.asdict(work.meters),
    }


def _events(labels: dict[str, int]) -> int:
    return labels.get(f"create {audit.EVENTS}", 0)
