"""`python -m bench.provisioning.hardware FILE`: BMCs without latency, the systems that they boot, and the site's BFBs.

A process of its own, as hardware is. A system takes from its bf.cfg which Node it is, registers that as Ready, and
reports as its agent would: two writes by an administrator's client, in the manner of KWOK. SIGUSR1 makes the last card
hang: from then on its BMC takes requests and never answers.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from bench.provisioning import fleet
from bench.services.bare import Bare
from dpf.emulation.bmc.emulator import Emulator
from dpf.emulation.bmc.faults import Faults
from dpf.emulation.bmc.settings import Boot, CardSettings, Hooks
from dpf.emulation.dpu import config as dpu_config
from dpf.emulation.hardware.bundles import BundleServer
from dpf.runtime import logs

AGENT: Final = "bench-system"


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """An API server, and the folder with the certificates of its administrator."""

    server: str
    folder: str


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is told. It writes `Found` to the file `found` when everything listens."""

    cards: int
    folder: str
    host: Cluster
    dpus: Cluster
    found: str


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything listens: ports of the cards in their order, and of the server with BFBs."""

    cards: list[int]
    bfbs: int


class Systems:
    """What runs on the cards."""

    def __init__(self, host: Bare, dpus: Bare) -> None:
        self._host = host
        self._dpus = dpus
        self._tasks: set[asyncio.Task[None]] = set()

    async def boot(self, boot: Boot, bfcfg: bytes) -> None:  # noqa: ARG002 - the hook's signature
        """Start a system; the BMC does not wait for it."""
        task = asyncio.create_task(self._join(dpu_config.parse_bfcfg(bfcfg).node_name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, name: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        await self._dpus.create(fleet.node(name, now))
        await self._host.patch(
            fleet.GROUP, "DPU", fleet.NAMESPACE, name, fleet.agent_report(now), subresource="status",
        )


async def main(setup: Setup) -> None:
    """Until SIGTERM."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    folder = Path(setup.folder)
    host, dpus = (_client(cluster) for cluster in (setup.host, setup.dpus))
    cards = [
        CardSettings(
            name=fleet.device_name(n), serial=fleet.serial(n),
            pf0_mac=f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}",
        ) for n in range(setup.cards)
    ]
    bundles = BundleServer(folder / "bundles", port=0)
    await bundles.start()
    async with Emulator(folder / "cards", cards, hooks=Hooks(on_boot=Systems(host, dpus).boot)) as emulator:
        last = emulator.card(fleet.device_name(setup.cards - 1))
        loop.add_signal_handler(signal.SIGUSR1, lambda: last.set_faults(Faults(silent=True)))
        ports = [emulator.card(card.name).record.port for card in cards]
        _tell(Path(setup.found), Found(cards=ports, bfbs=bundles.port))
        await ended.wait()
    await bundles.stop()
    await host.aclose()
    await dpus.aclose()


def found(setup: Setup) -> Found | None:
    """What the process says; None as long as it does not run."""
    path = Path(setup.found)
    return msgspec.json.decode(path.read_bytes(), type=Found) if path.exists() else None


def _tell(path: Path, found: Found) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_bytes(msgspec.json.encode(found))
    temporary.replace(path)


def _client(cluster: Cluster) -> Bare:
    folder = Path(cluster.folder)
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
    return Bare(cluster.server, context, AGENT)


if __name__ == "__main__":
    logs.configure(console=False, level="WARNING")
    asyncio.run(main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Setup)))
