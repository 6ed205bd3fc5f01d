"""`dpfctl local status`: what runs, what should run and does not, and what the clusters say of themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from dpf.api import core, dpucluster
from dpf.emulation.bmc.control import ControlError, Request
from dpf.emulation.hardware import control
from dpf.kube import connect, errors
from dpf.kube.wait import condition_is_true
from dpf.local.platform import environment, hardware
from dpf.local.platform import settings as platform_settings
from dpf.local.supervisor.supervisor import ProcessStatus, Supervisor

_PATIENCE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that is as it should be or not, in words."""

    what: str
    name: str
    healthy: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything `status` shows."""

    state: str
    processes: tuple[ProcessStatus, ...]
    lines: tuple[Line, ...]

    @property
    def healthy(self) -> bool:
        """Every known process runs and every object is ready."""
        return bool(self.processes) and not self.problems

    @property
    def problems(self) -> tuple[str, ...]:
        """What is not as it should be, in words."""
        stopped = [f"process {p.name} does not run; its log: {p.log}" for p in self.processes if p.pid is None]
        return (*stopped, *(f"{x.what}/{x.name}: {x.detail}" for x in self.lines if not x.healthy))


async def observe(settings: platform_settings.Settings) -> Report:
    """Look at processes and clusters. A cluster that does not answer is a line, not an error."""
    processes, clusters, nodes, cards = await asyncio.gather(
        asyncio.to_thread(Supervisor(settings.state).status),
        _within("host", _dpu_clusters(settings)), _within("dpu", _nodes(settings)), _cards(settings),
    )
    return Report(state=str(settings.state), processes=processes, lines=(*clusters, *nodes, *cards))


async def _within(cluster: str, look: Awaitable[list[Line]]) -> list[Line]:
    """What was found, or that the cluster did not answer in time."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await look
    except TimeoutError:
        return [Line(what="cluster", name=cluster, healthy=False, detail=f"no answer within {_PATIENCE_S:g} s")]


async def _dpu_clusters(settings: platform_settings.Settings) -> list[Line]:
    try:
        async with connect.client(environment.host_kubeconfig(settings.state), name="host") as client:
            found = (await client.list(dpucluster.DPUCluster)).items
    except errors.Error as error:
        return [Line(what="cluster", name="host", healthy=False, detail=str(error))]
    return [
        Line(
            what="DPUCluster", name=f"{c.metadata.namespace}/{c.metadata.name}", healthy=_is_ready(c),
            detail=f"{c.status.phase}, {c.status.version or 'no version yet'}",
        )
        for c in found
    ]


def _is_ready(cluster: dpucluster.DPUCluster) -> bool:
    needed = (dpucluster.ConditionType.CREATED, dpucluster.ConditionType.READY)
    return all(condition_is_true(cluster, type_) for type_ in needed)


async def _cards(settings: platform_settings.Settings) -> list[Line]:
    """What the cards do, where they are installed: whatever that is, it is for their controllers to judge."""
    if not settings.is_installing:
        return []
    try:
        async with asyncio.timeout(_PATIENCE_S):
            found = await control.ask(hardware.control_socket(settings.state), Request(card=control.ALL))
    except (ControlError, TimeoutError) as error:
        detail = str(error) or f"no answer within {_PATIENCE_S:g} s"
        return [Line(what="hardware", name="cards", healthy=False, detail=detail)]
    return [Line(what="card", name=name, healthy=True, detail=card_text(card)) for name, card in found.items()]


def card_text(card: Mapping[str, Any]) -> str:
    """One card in one line, as `control` shows it."""
    faults = {k: v for k, v in card["faults"].items() if v}
    parts = [
        card["mode"], card["boot"] or "no system runs", f"{len(card['installs'])} installs",
        f"Node {card['node']}" if card["node"] else card["problem"] or "no Node",
        *([f"in {card['host']}"] if card["host"] else [f"BMC {card['address']}"]),
        *([f"faults: {', '.join(f'{k}={v}' for k, v in faults.items())}"] if faults else []),
    ]
    return ", ".join(parts)


async def _nodes(settings: platform_settings.Settings) -> list[Line]:
    path = environment.dpu_kubeconfig(settings.state)
    if not path.exists():
        return []
    try:
        async with connect.client(path, name="dpu") as client:
            found = (await client.list(core.Node)).items
    except errors.Error as error:
        return [Line(what="cluster", name="dpu", healthy=False, detail=str(error))]
    return [
        # Where DPUs are installed, one that is away may be on its way: that is for its controllers to judge.
        Line(
            what="Node", name=n.metadata.name, detail=_ready_text(n),
            healthy=condition_is_true(n, "Ready") or settings.is_installing,
        )
        for n in found
    ]


def _ready_text(node: core.Node) -> str:
    ready = next((c for c in node.status.conditions or () if c.type == "Ready"), None)
    if ready is None:
        return "no Ready condition yet"
    return "Ready" if ready.status == "True" else f"Ready is {ready.status}: {ready.message or ready.reason or ''}"


def as_json(report: Report) -> dict[str, Any]:
    """For `-o json`."""
    return {
        "state": report.state,
        "healthy": report.healthy,
        "processes": [{**asdict(p), "log": str(p.log)} for p in report.processes],
        "objects": [asdict(x) for x in report.lines],
    }


def as_table(report: Report) -> str:
    """For a person."""
    rows = [("PROCESS", "PID", "UPTIME", "PSS", "CPU")]
    rows += [_process_row(p) for p in report.processes]
    width = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    table = ["  ".join(cell.ljust(width[i]) for i, cell in enumerate(row)).rstrip() for row in rows]
    total = sum(p.pss_bytes or 0 for p in report.processes)
    objects = [f"{x.what}/{x.name}: {x.detail}" for x in report.lines]
    mend = [] if report.healthy else ["something is not right; `dpfctl local up` mends what it can"]
    return "\n".join([*table, f"total PSS {total >> 20} MiB; state in {report.state}", *objects, *mend])


def _process_row(process: ProcessStatus) -> tuple[str, str, str, str, str]:
    if process.pid is None:
        return process.name, "-", "not running", "-", "-"
    return (
        process.name, str(process.pid), f"{process.uptime_s or 0:.0f} s", f"{(process.pss_bytes or 0) >> 20} MiB",
        f"{process.cpu_s or 0:.1f} s",
    )
