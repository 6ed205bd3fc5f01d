"""Emulated DMSs for tests: CA, certificates, a folder of bundles, and a client that is connected.

    async with a_rig(tmp_path) as rig:
        await rig.install(rig.at())
        await rig.ended()
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from dpf.emulation import bfb
from dpf.emulation.dms.card import Card as EmulatedCard
from dpf.emulation.dms.server import DMS
from dpf.emulation.dms.settings import NO_LATENCY, Boot, Hooks, Timings
from dpf.local.pki import certificates
from dpf.provisioning.install.gnoi.channels import Limits
from dpf.provisioning.install.gnoi.installer import GNOIInstaller
from dpf.provisioning.install.port import Activate, Activation, Card, Sight, Topic, Transfer
from dpf.provisioning.install.redfish.tls import Identity

BUNDLE = "a.bfb"
CONFIGURATION = "dpu-0-0b1c.cfg"
VERSION = f"{BUNDLE};{CONFIGURATION}"
BFCFG = b"# bf.cfg of a test\nubuntu_PASSWORD='x'\n"
QUICK = Limits(connect_s=2.0, ask_s=2.0, order_s=2.0, stall_s=2.0, transfer_s=20.0, look_s=5.0, idle_s=60.0)


@cache
def authority(name: str = "dms-ca") -> certificates.Authority:
    """The CA of DMSs and of our client certificate; another name is another CA."""
    return certificates.new_authority(name, certificates.new_key(), datetime.now(UTC))


def identity(
    issuer: str = "dms-ca", *, trusts: str = "dms-ca", server: str | None = None, expired: bool = False
) -> Identity:
    """A certificate for a client, or for a server at the address `server`."""
    usage = certificates.Usage.CLIENT if server is None else certificates.Usage.SERVER
    request = certificates.Request(common_name="x", sans=(server,) if server else (), usage=usage)
    moment = datetime(2020, 1, 1, tzinfo=UTC) if expired else datetime.now(UTC)
    pair = certificates.issue(authority(issuer), request, moment)
    return Identity(ca_pem=authority(trusts).pem, certificate_pem=pair.certificate, key_pem=pair.key)


@dataclass(slots=True)
class Systems:
    """What was booted: (card, count, bf.cfg). `refusals` are raised first."""

    booted: list[tuple[str, int, bytes]] = field(default_factory=list)
    refusals: list[OSError] = field(default_factory=list)

    @property
    def hooks(self) -> Hooks:
        async def on_boot(boot: Boot, bfcfg: bytes) -> None:
            if self.refusals:
                raise self.refusals.pop()
            self.booted.append((boot.card, boot.count, bfcfg))

        return Hooks(on_boot=on_boot)


@dataclass(slots=True)
class Rig:
    """Everything that one test needs. `shows` and `ours` are the certificates of both sides as they are now."""

    folder: Path
    systems: Systems
    shows: Identity
    ours: Identity | None
    dms: DMS
    installer: GNOIInstaller

    @property
    def shared(self) -> Path:
        return self.folder / "bundles"

    def card(self, name: str = "dpu-0") -> EmulatedCard:
        return self.dms.card(name)

    def at(self, number: int = 0) -> Card:
        """The card, as controllers name it."""
        return Card(name=f"dpu-{number}", host="127.0.0.1", port=self.dms.port, target=target(number))

    def file(self, name: str, content: bytes) -> str:
        """A file that the DMS does not see; returns its path."""
        path = self.folder / "outside" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return str(path)

    async def install(self, card: Card, *, bundle: bytes = b"", bfcfg: bytes = BFCFG) -> None:
        """Transfer and activate."""
        await self.transfer(card, bundle=bundle, bfcfg=bfcfg)
        await self.installer.order(card, Activate(version=VERSION))

    async def transfer(self, card: Card, *, bundle: bytes = b"", bfcfg: bytes = BFCFG) -> None:
        """Both files."""
        path = self.file(BUNDLE, bundle or bfb.build())
        await self.installer.order(card, Transfer(version=BUNDLE, path=path))
        await self.installer.order(card, Transfer(version=CONFIGURATION, path=self.file(CONFIGURATION, bfcfg)))

    async def see(self, topics: Topic, *, task: str | None = None, number: int = 0) -> Sight:
        """A look that has to succeed."""
        sight = await self.installer.look(self.at(number), topics=topics, task=task)
        assert isinstance(sight, Sight), sight
        return sight

    async def until(
        self, accept: Callable[[Sight], bool], topics: Topic = Topic.INSTALLED, *, number: int = 0
    ) -> Sight:
        """Look again and again, over the network, until it is so."""
        async with asyncio.timeout(20):
            while not accept(sight := await self.see(topics, number=number)):
                continue
        return sight

    async def ended(self, number: int = 0) -> Activation:
        """The activation, when it is over."""
        sight = await self.until(lambda s: s.activation is not None and not s.activation.is_active, number=number)
        assert sight.activation is not None
        return sight.activation

    async def restart(self, *, timings: Timings = NO_LATENCY) -> None:
        """The DMS's process ends, and the next one begins at the same address."""
        port = self.dms.port
        await self.dms.close()
        self.dms = _dms(self, len(self.dms.cards), f"127.0.0.1:{port}", timings)
        await self.dms.start()


async def until(wanted: Callable[[], object]) -> None:
    """Let everybody else go on until it is so."""
    async with asyncio.timeout(20):
        while not wanted():  # noqa: ASYNC110 - what is looked at is files, sockets and other processes
            await asyncio.sleep(0)


def target(number: int) -> str:
    """PCI address of a card of the rig."""
    return f"0000:{number:02x}:00.0"


@asynccontextmanager
async def a_rig(
    folder: Path, *, cards: int = 1, timings: Timings = NO_LATENCY, limits: Limits = QUICK, **limit: float
) -> AsyncIterator[Rig]:
    """One DMS with its cards in `folder`, which may hold cards from before, and a client."""
    (folder / "bundles" / "bfcfg").mkdir(parents=True, exist_ok=True)
    rig = Rig(folder, Systems(), identity(server="127.0.0.1"), identity(), dms=None, installer=None)  # type: ignore[arg-type]
    rig.dms = _dms(rig, cards, "127.0.0.1:0", timings)
    rig.installer = GNOIInstaller(lambda: rig.ours, limits=replace(limits, **limit))
    await rig.dms.start()
    try:
        yield rig
    finally:
        await rig.installer.aclose()
        await rig.dms.close()


def _dms(rig: Rig, cards: int, listen: str, timings: Timings) -> DMS:
    return DMS(
        rig.folder / "cards", {target(n): f"dpu-{n}" for n in range(cards)}, identity=lambda: rig.shows, listen=listen,
        shared=rig.shared, timings=timings, hooks=rig.systems.hooks,
    )
