"""The whole machine room in one event loop: BMCs, systems, hosts, sockets, the bundle server and the attendant.

Made by `__main__` and by tests. Everything that cards and hosts remember is in the state folder: killed and started
again, the room takes up what was going on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from dpf.emulation.bmc.emulator import Emulator
from dpf.emulation.bmc.settings import Boot, Hooks
from dpf.emulation.hardware import agents, attendant, bootsocket, control, linesocket
from dpf.emulation.hardware.bundles import BundleServer
from dpf.emulation.hardware.dmscards import DMSCards
from dpf.emulation.hardware.hosts import Hosts
from dpf.emulation.hardware.nodesfile import NodesFile
from dpf.emulation.hardware.panel import Panel
from dpf.emulation.hardware.settings import Settings, bmc_settings
from dpf.emulation.hardware.systems import StartAgent, Systems
from dpf.local import files

BMCS: Final = "bmcs"
SYSTEMS: Final = "systems"
BUNDLES: Final = "bundles"
_LOG: Final = structlog.get_logger(__name__)
_AGAIN_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is running."""

    emulator: Emulator
    systems: Systems
    hosts: Hosts
    panel: Panel
    bundles: BundleServer | None


@asynccontextmanager
async def opened(settings: Settings, *, start_agent: StartAgent = agents.start) -> AsyncIterator[Room]:
    """Everything runs for the length of a block. Raises OSError when an address or a folder cannot be used."""
    files.ensure_private_folder(Path(settings.logDir))
    hosts = Hosts(settings)
    hooks = _Hooks()
    emulator = Emulator(
        settings.state / BMCS, [bmc_settings(card, card.bmc) for card in settings.cards if card.bmc is not None],
        timings=settings.timings, hooks=Hooks(on_boot=hooks.on_boot, on_halt=hooks.on_halt),
    )
    panel = Panel(settings, emulator, hosts, DMSCards(settings))
    systems = Systems(
        folder=settings.state / SYSTEMS, logs=Path(settings.logDir), cards=settings.cards,
        nodes=NodesFile(settings.dpuKubelet), agents=start_agent, machines=panel,
    )
    panel.systems = hooks.systems = systems
    hooks.emulator = emulator
    async with AsyncExitStack() as stack:
        hosts.start()
        systems.start()
        stack.push_async_callback(systems.close)
        await stack.enter_async_context(emulator)
        await _halt_what_stopped(settings, emulator, systems)
        await stack.enter_async_context(linesocket.serving(settings.boot_socket, bootsocket.answering(systems)))
        bundles = await _serve_bundles(settings, stack)
        if settings.kubeconfig:
            task = asyncio.create_task(_attend(Path(settings.kubeconfig), panel), name="attendant")
            stack.push_async_callback(_cancel, task)
        # The last one: who is answered here finds everything else running.
        await stack.enter_async_context(linesocket.serving(settings.control_socket, control.answering(panel)))
        yield Room(emulator=emulator, systems=systems, hosts=hosts, panel=panel, bundles=bundles)


class _Hooks:
    """What the BMCs tell the systems."""

    systems: Systems
    emulator: Emulator

    async def on_boot(self, boot: Boot, bfcfg: bytes) -> None:
        """An installation that came through counts as a new disk, also with the same configuration."""
        installs = self.emulator.card(boot.name).record.installs
        done = sum(made.outcome in {"transferred", "booted"} for made in installs)
        await self.systems.boot(boot.name, bfcfg, count=boot.count, installation=f"{done}-")

    async def on_halt(self, boot: Boot) -> None:
        await self.systems.halt(boot.name)


async def _halt_what_stopped(settings: Settings, emulator: Emulator, systems: Systems) -> None:
    """A system whose card was reset or installed when we ended does not run any more."""
    for card in settings.cards:
        if card.bmc is not None and emulator.card(card.name).record.boot != "OsIsRunning":
            await systems.halt(card.name)


async def _serve_bundles(settings: Settings, stack: AsyncExitStack) -> BundleServer | None:
    if not settings.bundlePort:
        return None
    bundles = BundleServer(settings.state / BUNDLES, port=settings.bundlePort)
    await bundles.start()
    stack.push_async_callback(bundles.stop)
    return bundles


async def _attend(kubeconfig: Path, panel: Panel) -> None:
    """A fault of the attendant's is told, and it comes back."""
    while True:
        task = asyncio.create_task(attendant.attend(kubeconfig, panel.power_cycle))
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            await _cancel(task)
            raise
        _LOG.error("the attendant left; it comes back", why=repr(task.exception()))
        await asyncio.sleep(_AGAIN_S)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
