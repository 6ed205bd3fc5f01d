"""What runs on the cards: at every start, what the bf.cfg of the last installation asks for.

Called by the hooks of the BMCs, by `bootsocket` for cards that a DMS installs, and by `panel`. A system is a node of
the DPU cluster (the kubelet process reads `nodesfile`) and, where the configuration has one, an agent in this process.
A configuration that cannot be used is told in the card's log: the system is up, and joins nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import structlog
from msgspec.structs import replace

from dpf.api import core
from dpf.emulation.dpu import config as dpu_config
from dpf.emulation.dpu.cloudconfig import ConfigError
from dpf.emulation.dpu.config import DPUConfig
from dpf.emulation.hardware.nodesfile import NodesFile
from dpf.emulation.hardware.record import SystemFolder, SystemRecord
from dpf.emulation.hardware.settings import Card
from dpf.emulation.kubelet.config import JoinParameters, NodeConfig
from dpf.local import files

FACTORY_SF_COUNT: Final = 20
"""Scalable functions of a card whose configuration says nothing about them."""
CAPACITY: Final[Mapping[str, core.IntOrString]] = {
    "cpu": "16", "memory": "32Gi", "ephemeral-storage": "64Gi", "pods": "60",
}
_SF_RESOURCES: Final = ("nvidia.com/bf_sf", "nvidia.com/sf")
_NAMESPACE: Final = uuid.UUID("0b1c4a1e-3f0b-5d5c-8d51-5d6c2f1b6a77")
_LOG_LIMIT: Final = 1 << 20
_LOG: Final = structlog.get_logger(__name__)


class Machines(Protocol):
    """What a system can have done to the card that it runs on."""

    async def restart(self, card: str) -> None:
        """Restart the Arm cores."""

    async def shut_down(self, card: str) -> None:
        """Shut the Arm cores down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSystem:
    """One start of a card's system, as `emulation.agent` sees it."""

    card: str
    boot_id: str
    boot_count: int
    folder: Path
    console: Console
    machines: Machines

    def log(self, text: str) -> None:
        """A line in the card's log."""
        self.console.say(text)

    async def restart(self) -> None:
        """Restart the Arm cores; the agent ends."""
        await self.machines.restart(self.card)

    async def shut_down(self) -> None:
        """Shut the Arm cores down; the agent ends."""
        await self.machines.shut_down(self.card)


StartAgent = Callable[[DPUConfig, RunningSystem], Coroutine[Any, Any, None] | None]
"""The agent that a configuration asks for; None when it asks for none."""


class Console:
    """What a card's system says of itself: lines of a file, which begins anew when it has become large."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def say(self, text: str) -> None:
        """Add a line. What cannot be written is lost."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = " ".join(text.split())
        try:
            mode = "w" if self._path.exists() and self._path.stat().st_size > _LOG_LIMIT else "a"
            with self._path.open(mode) as file:
                file.write(f"{now} {line}\n")
        except OSError as error:
            _LOG.warning("the log of a card cannot be written", log=str(self._path), why=error.strerror)


class Systems:
    """The systems of all cards."""

    def __init__(
        self, *, folder: Path, logs: Path, cards: Iterable[Card], nodes: NodesFile, agents: StartAgent,
        machines: Machines,
    ) -> None:
        self._cards = {card.name: card for card in cards}
        self._folders = {name: SystemFolder(folder / name) for name in self._cards}
        self._records = {name: self._folders[name].load() for name in self._cards}
        self._consoles = {name: Console(logs / f"card-{name}.log") for name in self._cards}
        self._locks = {name: asyncio.Lock() for name in self._cards}
        self._agents: dict[str, asyncio.Task[None]] = {}
        self._nodes = nodes
        self._start_agent = agents
        self._machines = machines

    def start(self) -> None:
        """Take up what was running when we ended. Raises OSError."""
        self._publish()
        for name, record in self._records.items():
            if record.running:
                self._run_agent(name, self._read(name, self._folders[name].bfcfg()))

    async def close(self) -> None:
        """End the agents; the nodes go on."""
        for name in list(self._agents):
            await self._end_agent(name)

    def record(self, name: str) -> SystemRecord:
        """What is known of a card's system. Raises KeyError."""
        return self._records[name]

    def problem(self, name: str) -> str:
        """Why a running system joins nothing; empty when there is no reason."""
        record = self._records[name]
        return record.problem if record.running else ""

    async def boot(self, name: str, bfcfg: bytes, *, count: int, installation: str = "") -> None:
        """The system starts from `bfcfg`. The same start, told again, changes nothing.

        `count` is how the BMC or DMS counts starts, `installation` how it tells one installation from the next. Raises
        KeyError for a card that is not there, OSError.
        """
        disk = f"{installation}{hashlib.sha256(bfcfg).hexdigest()[:16]}"
        async with self._locks[name]:
            before = self._records[name]
            if before.running and (before.count, before.disk) == (count, disk):
                return
            await self._end_agent(name)
            config = self._install(name, bfcfg) if before.disk != disk else self._read(name, bfcfg)
            boots = 1 + (before.boots if before.disk == disk else 0)
            self._begin(name, config, replace(before, disk=disk, count=count, boots=boots))

    async def restart(self, name: str) -> None:
        """Start the system of a card without a BMC once more, also when it was halted. Raises KeyError, OSError."""
        async with self._locks[name]:
            before = self._records[name]
            await self._end_agent(name)
            if before.disk:
                config = self._read(name, self._folders[name].bfcfg())
                self._begin(name, config, replace(before, boots=before.boots + 1))

    async def halt(self, name: str) -> None:
        """The system stops: its node says nothing any more. Raises KeyError, OSError."""
        async with self._locks[name]:
            await self._end_agent(name)
            if self._records[name].running:
                self._consoles[name].say("the system has stopped")
                self._keep(name, replace(self._records[name], running=False, node=None, problem=""))
                self._publish()

    def _install(self, name: str, bfcfg: bytes) -> DPUConfig | None:
        """A disk that was written anew has nothing of before on it."""
        folder = self._folders[name]
        shutil.rmtree(folder.agent, ignore_errors=True)
        folder.save_bfcfg(bfcfg)
        config = self._read(name, bfcfg)
        if config is not None:
            folder.save_token(config.join.token.bearer)
        return config

    def _read(self, name: str, bfcfg: bytes) -> DPUConfig | None:
        try:
            return dpu_config.parse_bfcfg(bfcfg)
        except ConfigError as error:
            self._consoles[name].say(f"the configuration cannot be used: {error}")
            return None

    def _begin(self, name: str, config: DPUConfig | None, record: SystemRecord) -> None:
        if config is not None and config.reboots and config.agent is None and record.boots == 1:
            self._consoles[name].say("the first boot restarts the Arm cores once, as the configuration says")
            record = replace(record, boots=2)
        node, problem = self._node(name, config, record)
        rest = f"it joins as Node {node.name}" if node is not None else problem
        self._consoles[name].say(f"the system runs (boot {record.boots}); {rest}")
        self._keep(name, replace(record, running=True, node=node, problem=problem))
        self._publish()
        self._run_agent(name, config)

    def _node(
        self, name: str, config: DPUConfig | None, record: SystemRecord
    ) -> tuple[NodeConfig | None, str]:
        """The node that the configuration asks for, or why there is none."""
        if config is None:
            return None, "its configuration cannot be used, so that it joins no cluster"
        functions = config.sf_count or FACTORY_SF_COUNT
        node = NodeConfig(
            name=config.node_name, index=self._cards[name].index, labels=dict(config.labels),
            capacity={**CAPACITY, **dict.fromkeys(_SF_RESOURCES, str(functions))},
            disk=record.disk, boot=f"{record.disk}.{record.boots}",
            join=JoinParameters(
                server=config.join.server, tokenFile=str(self._folders[name].token), caPins=sorted(config.join.pins),
            ),
        )
        others = [other.node for card, other in self._records.items() if card != name and other.node is not None]
        problem = self._nodes.problem(node, others)
        return (None, f"it cannot join: {problem}") if problem else (node, "")

    def _run_agent(self, name: str, config: DPUConfig | None) -> None:
        if config is None or name in self._agents:
            return
        record = self._records[name]
        files.ensure_private_folder(self._folders[name].agent)
        boot_id = str(uuid.uuid5(_NAMESPACE, f"{name}/{record.disk}/{record.boots}"))
        agent = self._start_agent(config, RunningSystem(
            card=name, boot_id=boot_id, boot_count=record.boots, folder=self._folders[name].agent,
            console=self._consoles[name], machines=self._machines,
        ))
        if agent is not None:
            task = asyncio.create_task(agent, name=f"agent of {name}")
            self._agents[name] = task
            task.add_done_callback(lambda ended: self._agent_ended(name, ended))

    def _agent_ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._agents.get(name) is task:
            del self._agents[name]
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("the agent of a card failed", card=name, why=repr(task.exception()))
            self._consoles[name].say("the agent failed; it starts again with the next boot")

    async def _end_agent(self, name: str) -> None:
        """An agent that restarts its own system asks for its own end: it is not waited for then."""
        task = self._agents.pop(name, None)
        if task is None:
            return
        task.cancel()
        if task is not asyncio.current_task():
            await asyncio.gather(task, return_exceptions=True)

    def _keep(self, name: str, record: SystemRecord) -> None:
        self._records[name] = record
        self._folders[name].save(record)

    def _publish(self) -> None:
        self._nodes.write({name: r.node for name, r in self._records.items() if r.running and r.node is not None})
