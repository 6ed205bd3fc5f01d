"""The measurements of `python -m bench.provisioning` on real engines.

    register   cards from the factory until their DPUDevices are Ready: passwords, CAs, certificates
    install    one DPUSet, until all its DPUs are Ready
    idle       nothing happens: writes, requests, CPU
    drift      one Node, and one DPU, is not as it should be: how soon that is written
    limit      how fast the same server takes the same writes from a bare client

Hardware, systems and controllers are processes of their own. What was asked of the API servers is read in their audit
logs, so nothing is asked of them to find that out.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.provisioning import fleet, hardware, limit
from bench.services import audit, bare, engines, process
from bench.services import limit as limits
from bench.services.audit import Log, Write
from bench.services.bare import Bare
from bench.services.engines import Engines
from bench.services.process import Controllers
from dpf.local import controlplane
from dpf.local.supervisor import ports

OURS: Final = "pydpf"
BFBS: Final = "bfb"
TIMEOUT_S: Final = 900.0
DRIFTS: Final = 10
_READS: Final = frozenset({"get", "list", "watch"})
_POLL_S: Final = 0.5
_START_S: Final = 60.0
_WIDTH: Final = 16
POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "None", "users": ["system:apiserver"]}, {"level": "Metadata"}],
}
"""Reads, too. A watch is told when it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many DPUs, how many at the same time, whether the last one's BMC hangs; for how long nothing happens."""

    dpus: int
    parallel: int
    hangs: bool = False
    idle_s: float = 0.0

    @property
    def name(self) -> str:
        """For folders and headings."""
        return f"{self.dpus}-{self.parallel}{'-hang' if self.hangs else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """Everything that runs."""

    servers: Engines
    dpus: Bare
    cards: asyncio.subprocess.Process
    ports: Sequence[int]
    ours: Controllers
    log: Log


async def run(folder: Path, size: Size, program: Sequence[str]) -> dict[str, Any]:
    """Everything for one size, as it is written to JSON. SIGTERM ends it in order, so that no engine is left behind."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    (folder / BFBS).mkdir(parents=True)
    async with engines.running(folder, 1, policy=POLICY, interface="redfish") as servers:
        cluster = servers.clusters[fleet.CLUSTER]
        dpus = Bare(cluster.server, controlplane.admin_ssl(cluster))
        try:
            found = await _measured(servers, dpus, size, program)
            rates = await limit.measure(servers, dpus)
        finally:
            await dpus.aclose()
    return _with_limit(found, size, rates)


async def _measured(servers: Engines, dpus: Bare, size: Size, program: Sequence[str]) -> dict[str, Any]:
    async with _hardware(servers, size.dpus) as (cards, where):
        await _configure(servers.host, size)
        address = f"127.0.0.1:{ports.find_free_port()}"
        what = (
            "provisioning", "--bfb-folder", str(servers.folder / BFBS), "--bfb-registry-address", address,
            "--bfb-mirror", f"{fleet.BFB_SITE}=http://127.0.0.1:{where.bfbs}",
        )
        logs = [servers.folder / name for name in ("manager.log", "controllers.log", "registry.log")]
        manager = ("cluster-manager", "static")
        registry = ("bfb-registry", "--bfb-folder", str(servers.folder / BFBS), "--bfb-registry-listen", address)
        async with (
            process.running(servers.kubeconfig, logs[0], 1, program, manager),
            process.started(servers.kubeconfig, logs[2], program, registry),
            process.running(servers.kubeconfig, logs[1], 1, program, what) as ours,
        ):
            stand = Stand(
                servers=servers, dpus=dpus, cards=cards, ports=where.cards, ours=ours, log=Log(servers.audit_logs),
            )
            found: dict[str, Any] = {"dpus": size.dpus, "parallel": size.parallel, "hangs": size.hangs}
            found["register"] = await _register(stand, size)
            found["install"] = await _install(stand, size)
            if size.idle_s:
                found["idle"] = await _idle(stand, size.idle_s)
                found["drift"] = await _drift(stand)
            found["peak_rss_mib"] = ours.peak_rss_mib()
            return found


@asynccontextmanager
async def _hardware(
    servers: Engines, cards: int
) -> AsyncIterator[tuple[asyncio.subprocess.Process, hardware.Found]]:
    folder = servers.folder / "hardware"
    folder.mkdir()
    host, dpus = (servers.clusters[name] for name in (engines.HOST, fleet.CLUSTER))
    setup = hardware.Setup(
        cards=cards, folder=str(folder), found=str(folder / "found.json"),
        host=hardware.Cluster(server=host.server, folder=str(host.folder)),
        dpus=hardware.Cluster(server=dpus.server, folder=str(dpus.folder)),
    )
    (folder / "setup.json").write_bytes(msgspec.json.encode(setup))
    with (folder / "log").open("ab") as file:
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.provisioning.hardware", str(folder / "setup.json"), stdout=file, stderr=file,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    try:
        async with asyncio.timeout(_START_S):
            while (found := hardware.found(setup)) is None:
                if running.returncode is not None:
                    raise RuntimeError(f"the hardware ended with {running.returncode}; see {folder / 'log'}")
                await asyncio.sleep(0.05)
        yield running, found
    finally:
        with suppress(ProcessLookupError):
            running.terminate()
        await running.wait()


async def _configure(host: Bare, size: Size) -> None:
    configs = await host.list("operator.dpu.nvidia.com/v1alpha1", "DPFOperatorConfig", fleet.NAMESPACE)
    await host.patch(
        "operator.dpu.nvidia.com/v1alpha1", "DPFOperatorConfig", fleet.NAMESPACE, configs[0]["metadata"]["name"],
        {"spec": {"provisioningController": {"maxDPUParallelInstallations": size.parallel}}},
    )
    for obj in fleet.site():
        await host.apply(obj)


async def _register(stand: Stand, size: Size) -> dict[str, Any]:
    """Cards from the factory, until all DPUDevices are Ready."""
    host, objects = stand.servers.host, [list(fleet.card(n, port)) for n, port in enumerate(stand.ports)]
    stand.log.read()
    before, began = _meters(stand), time.time()
    await bare.in_flight((host.create(obj) for pair in objects for obj in pair), _WIDTH)
    await _until(stand, "DPUDevice", _is_ready, size.dpus)
    await _until(stand, "BFB", lambda obj: obj["status"].get("phase") == "Ready", 1)
    return _work(stand, before, began)


async def _install(stand: Stand, size: Size) -> dict[str, Any]:
    """From the creation of the DPUSet until the status of the last DPU that can be Ready was written."""
    if size.hangs:
        stand.cards.send_signal(signal.SIGUSR1)
        await asyncio.sleep(_POLL_S)
    stand.log.read()
    before, began = _meters(stand), time.time()
    await stand.servers.host.create(fleet.dpuset())
    await _until(stand, "DPU", _is_ready, size.dpus - size.hangs)
    return _work(stand, before, began)


async def _idle(stand: Stand, seconds: float) -> dict[str, Any]:
    stand.log.read()
    cpu, passes = stand.ours.cpu_s(), _sum(stand.ours.passes())
    await asyncio.sleep(seconds)
    asked = [write for write in stand.log.read() if write.agent.startswith(OURS)]
    leases = [one for one in asked if one.resource == "leases"]
    rest = [one for one in asked if one.resource != "leases" and one.verb != "watch"]
    return {
        "seconds": seconds, "writes": sum(one.verb not in _READS for one in rest), "leases": len(leases),
        "requests": len(rest), "watches": sum(one.verb == "watch" for one in asked), "labels": audit.counts(asked),
        "cpu_percent": (stand.ours.cpu_s() - cpu) / seconds * 100, "passes": _sum(stand.ours.passes()) - passes,
        "rss_mib": stand.ours.rss_mib(),
    }


async def _drift(stand: Stand) -> dict[str, Any]:
    """From the end of somebody's write to the arrival of our first one about it, in ms; one at a time."""
    nodes = sorted(node["metadata"]["name"] for node in await stand.dpus.list("v1", "Node", ""))
    of_nodes, until_right, of_dpus = [], [], []
    for name in nodes[:DRIFTS]:
        lost = {"metadata": {"labels": {fleet.NODE_LABEL: None}}}
        began, ours = await _answered(stand, name, stand.dpus.patch("v1", "Node", "", name, lost))
        of_nodes.append((ours[0].began - began) * 1000)
        until_right.append((next(w for w in ours if w.resource == "nodes").ended - began) * 1000)
    for name in nodes[:DRIFTS]:
        changed = {"spec": {"cluster": {"nodeLabels": {fleet.NODE_LABEL: "elsewhere"}}}}
        patch = stand.servers.host.patch(fleet.GROUP, "DPU", fleet.NAMESPACE, name, changed)
        began, ours = await _answered(stand, name, patch)
        of_dpus.append((ours[0].began - began) * 1000)
    stand.log.read()
    began = time.time()
    await stand.servers.host.apply(fleet.dpuset(rack="b"))
    writes = await _settled(stand, bool)
    of_dpu = [w for w in writes if w.resource == "dpus" and w.verb == "patch"]
    of_node = [w for w in writes if w.resource == "nodes" and w.verb == "patch"]
    return {
        "node_ms": of_nodes, "node_right_ms": until_right, "dpu_ms": of_dpus,
        "template_first_ms": (min(w.began for w in of_dpu) - began) * 1000,
        "template_dpus_s": max(w.ended for w in of_dpu) - began, "template_nodes": len(of_node),
        "template_nodes_s": max(w.ended for w in of_node) - began,
    }


async def _answered(stand: Stand, name: str, change: Awaitable[object]) -> tuple[float, list[Write]]:
    """When somebody's change was done, and what we wrote about `name` after it."""
    stand.log.read()
    await change
    began = time.time()
    writes = await _settled(stand, lambda found: any(w.name == name for w in found), silence_s=0.5, timeout_s=60.0)
    return began, sorted((w for w in writes if w.name == name), key=lambda w: w.began)


async def _settled(
    stand: Stand, done: Callable[[Sequence[Write]], bool], *, silence_s: float = audit.SILENCE_S,
    timeout_s: float = TIMEOUT_S,
) -> list[Write]:
    """Our writes from now on until `done` accepts them and none came for a while. Raises TimeoutError."""
    found: list[Write] = []
    deadline, silent_since = time.monotonic() + timeout_s, time.monotonic()
    while True:
        new = [one for one in stand.log.read() if one.agent.startswith(OURS) and one.verb not in _READS]
        found += new
        now = time.monotonic()
        silent_since = now if new else silent_since
        if now - silent_since >= silence_s and done(found):
            return found
        if now > deadline:
            raise TimeoutError(f"not done after {timeout_s:g} s: {audit.counts(found)}")
        await asyncio.sleep(audit.POLL_S)


async def _until(stand: Stand, kind: str, done: Callable[[dict[str, Any]], bool], count: int) -> None:
    """All of a kind are done. They are asked for only when we have written nothing for a while. Raises TimeoutError."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        await _settled(stand, lambda _: True)
        objects = await stand.servers.host.list(fleet.GROUP, kind, fleet.NAMESPACE)
        if sum(map(done, objects)) >= count:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{sum(map(done, objects))} of {count} {kind}s are done")
        await asyncio.sleep(_POLL_S)


def _is_ready(obj: dict[str, Any]) -> bool:
    told = (obj.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in told)


def _meters(stand: Stand) -> dict[str, Any]:
    return {
        "cpu_s": stand.ours.cpu_s(), "server_cpu_s": stand.servers.cpu_s(),
        "hardware_cpu_s": process.cpu_s(stand.cards.pid), "passes": stand.ours.passes(), "seen": len(stand.log.writes),
    }


def _work(stand: Stand, before: dict[str, Any], began: float) -> dict[str, Any]:
    """`seconds` until our last accepted write, Events aside. `labels` are our writes, `system` those of the cards."""
    after = _meters(stand)
    seen = stand.log.writes[before["seen"]:]
    ours = [one for one in seen if one.agent.startswith(OURS)]
    writes = [one for one in ours if one.verb not in _READS]
    done = [one for one in writes if one.accepted]
    last = max(one.ended for one in done if one.resource != audit.EVENTS)
    found = {name: after[name] - before[name] for name in ("cpu_s", "server_cpu_s", "hardware_cpu_s")}
    passes = {name: count - before["passes"].get(name, 0) for name, count in after["passes"].items()}
    return {
        "seconds": last - began, **found, "labels": audit.counts(done),
        "refused": audit.counts(one for one in writes if not one.accepted),
        "reads": audit.counts(one for one in ours if one.verb in _READS),
        "system": audit.counts(
            one for one in seen if one.agent == hardware.AGENT and one.accepted and one.verb not in _READS
        ),
        "passes": {name: count for name, count in passes.items() if count}, "quantiles": _quantiles(done, began),
    }


def _quantiles(done: Sequence[Write], began: float) -> list[float]:
    """When a tenth, a half, nine tenths of the DPUs had their last status, in seconds."""
    last: dict[str, float] = {}
    for one in done:
        if one.resource == "dpus/status":
            last[one.name] = max(last.get(one.name, 0.0), one.ended - began)
    if len(last) < DRIFTS:
        return []
    found = statistics.quantiles(last.values(), n=10)
    return [found[0], found[4], found[8]]


def _with_limit(found: dict[str, Any], size: Size, rates: dict[str, limits.Rate]) -> dict[str, Any]:
    """`limit_s`: what the least writes take; `made_s`: what those take that were made."""
    count = size.dpus - size.hangs
    work = found["install"]
    least = {label: each * count for label, each in fleet.NEEDED.items()}
    system = dict(work["system"])
    ours_s, ours_cpu = limits.least(least, rates)
    system_s, system_cpu = limits.least(system, rates)
    made_s, made_cpu = limits.least(work["labels"], rates)
    needed = sum(least.values()) + sum(system.values())
    work |= {
        "needed": sum(fleet.NEEDED.values()), "made": sum(work["labels"].values()) / count,
        "made_without_events": sum(n for label, n in work["labels"].items() if audit.EVENTS not in label) / count,
        "per_s": count / work["seconds"], "limit_s": ours_s + system_s, "limit_ours_s": ours_s,
        "made_s": made_s + system_s,
        "write_rate": needed / (ours_s + system_s), "fraction": (ours_s + system_s) / work["seconds"],
        "cpu_fraction": (ours_cpu + system_cpu) / (work["cpu_s"] + work["server_cpu_s"]),
        "made_cpu_s": made_cpu + system_cpu,
    }
    return {**found, "rates": {label: dataclasses.asdict(rate) for label, rate in rates.items()}}


def _sum(series: dict[str, float]) -> float:
    return sum(series.values())
