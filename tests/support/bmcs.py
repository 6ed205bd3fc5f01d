"""Emulated BMCs for tests: their CA, our client certificate, a server of images, and everything set up and connected.

    async with a_rig(tmp_path) as rig:
        rig.images.put("a.bfb", bundle + bfcfg)
        await rig.installer.order(rig.at(), Install(image=rig.images.uri("a.bfb")))

`a_rig` gives cards whose BMCs are ours already; `factory_new=True` leaves them as they come.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from dpf.emulation import bfb
from dpf.emulation.bmc import certificates as bmc_certificates
from dpf.emulation.bmc.card import Card as EmulatedCard
from dpf.emulation.bmc.emulator import Emulator
from dpf.emulation.bmc.settings import NO_LATENCY, Boot, CardSettings, Hooks, Timings
from dpf.local.pki import certificates
from dpf.provisioning.install.port import Card, Sight, Task, TaskState, Topic
from dpf.provisioning.install.redfish.installer import RedfishInstaller
from dpf.provisioning.install.redfish.tls import Identity
from dpf.provisioning.install.redfish.transport import Limits, Transport

PASSWORD = "a-password-for-tests"
BFCFG = b"# bf.cfg of a test\nubuntu_PASSWORD='x'\n"
NEW = bfb.Versions(doca="2.9.3008-1", bsp="4.9.3.13617", uefi="4.9.3-25-gf0aa3d6a62")
QUICK = Limits(connect_s=1.0, silence_s=1.0, total_s=2.0)


def authority(name: str = "bmc-ca") -> certificates.Authority:
    """The CA of BMCs, image servers and our client certificate; another name is another CA."""
    return _authority(name)


@cache
def _authority(name: str) -> certificates.Authority:
    return certificates.new_authority(name, certificates.new_key(), datetime.now(UTC))


def identity(issuer: certificates.Authority | None = None, trusts: certificates.Authority | None = None) -> Identity:
    """Our client certificate."""
    request = certificates.Request(common_name="dpf-provisioning")
    pair = certificates.issue(issuer or authority(), request, datetime.now(UTC))
    return Identity(ca_pem=(trusts or authority()).pem, certificate_pem=pair.certificate, key_pem=pair.key)


def sign(request_pem: str, issuer: certificates.Authority | None = None, *, life_s: float = 3600) -> str:
    """The certificate for a request, as the CA of the cluster would issue it; a negative life is over."""
    issuer, now = issuer or authority(), datetime.now(UTC)
    request = x509.load_pem_x509_csr(request_pem.encode())
    builder = (
        x509.CertificateBuilder().subject_name(request.subject).issuer_name(issuer.certificate.subject)
        .public_key(request.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2)).not_valid_after(now + timedelta(seconds=life_s))
    )
    for extension in request.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@dataclass(slots=True)
class Images:
    """What the registry of BFBs serves. While `gate` is clear, an image stops after its first half."""

    host: str = "127.0.0.1"
    port: int = 0
    content: dict[str, bytes] = field(default_factory=dict)
    served: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, name: str, content: bytes) -> str:
        """Serve it; returns its URI without a scheme."""
        self.content[name] = content
        return self.uri(name)

    def bundle(self, name: str = "a.bfb", bfcfg: bytes = BFCFG, versions: bfb.Versions | None = NEW) -> str:
        """A bundle with a bf.cfg behind it."""
        return self.put(name, bfb.build(versions) + bfcfg)

    def uri(self, name: str) -> str:
        return f"{self.host}:{self.port}/{name}"

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        content = self.content.get(request.path.lstrip("/"))
        if content is None:
            return web.Response(status=404)
        self.served.append(request.path.lstrip("/"))
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        half = len(content) // 2
        await response.write(content[:half])
        await self.gate.wait()
        await response.write(content[half:])
        await response.write_eof()
        return response


@dataclass(slots=True)
class Systems:
    """What was booted: (card, count, bf.cfg); and what was halted."""

    booted: list[tuple[str, int, bytes]] = field(default_factory=list)
    halted: list[tuple[str, int]] = field(default_factory=list)

    @property
    def hooks(self) -> Hooks:
        async def on_boot(boot: Boot, bfcfg: bytes) -> None:
            self.booted.append((boot.name, boot.count, bfcfg))

        async def on_halt(boot: Boot) -> None:
            self.halted.append((boot.name, boot.count))

        return Hooks(on_boot=on_boot, on_halt=on_halt)


@dataclass(slots=True)
class Rig:
    """Everything that one test needs."""

    emulator: Emulator
    images: Images
    transport: Transport
    installer: RedfishInstaller
    systems: Systems

    def card(self, name: str = "dpu-0") -> EmulatedCard:
        return self.emulator.card(name)

    def at(self, name: str = "dpu-0") -> Card:
        """The card, as controllers name it."""
        card = self.card(name)
        return Card(
            name=name, host=card.settings.host, port=card.record.port or card.settings.port,
            serial=card.settings.serial,
        )

    async def see(self, topics: Topic, *, task: str | None = None, name: str = "dpu-0") -> Sight:
        """A look that has to succeed."""
        sight = await self.installer.look(self.at(name), topics=topics, task=task)
        assert isinstance(sight, Sight), sight
        return sight

    async def until(
        self, accept: Callable[[Sight], bool], topics: Topic, *, task: str | None = None, name: str = "dpu-0"
    ) -> Sight:
        """Look again and again, over the network, until it is so."""
        async with asyncio.timeout(20):
            while not accept(sight := await self.see(topics, task=task, name=name)):
                continue
        return sight

    async def finished(self, task: str, *, name: str = "dpu-0") -> Task:
        """The task at its end."""
        sight = await self.until(lambda s: s.task is not None and s.task.state is not TaskState.RUNNING, Topic.TASK,
                                 task=task, name=name)
        assert sight.task is not None
        return sight.task


def some_cards(count: int = 1, **fields: object) -> list[CardSettings]:
    """Cards `dpu-0`, `dpu-1`, ... on free ports."""
    return [
        CardSettings(name=f"dpu-{n}", serial=f"MT2334XZ0{n:03d}", **fields) for n in range(count)  # type: ignore[arg-type]
    ]


def make_ours(card: EmulatedCard) -> None:
    """As the set-up leaves a BMC, without the way to get there."""
    key = bmc_certificates.new_key()
    host = card.settings.host
    card.trust(authority().pem.decode())
    card.set_password("root", PASSWORD)
    card.change(
        key_pem=key, certificate_pem=sign(bmc_certificates.request(key, host, [host])), is_tls_login_on=True,
        is_host_rshim_on=False, is_bmc_rshim_on=True,
    )


@asynccontextmanager
async def a_rig(
    folder: Path, *, cards: int = 1, factory_new: bool = False, timings: Timings = NO_LATENCY,
    limits: Limits = QUICK, who: Identity | None = None, **fields: object,
) -> AsyncIterator[Rig]:
    """The emulator in `folder`, which may hold cards from before, the server of images, and a client."""
    systems = Systems()
    async with AsyncExitStack() as stack:
        images = await stack.enter_async_context(an_image_server())
        emulator = Emulator(folder / "bmc", some_cards(cards, **fields), timings=timings, hooks=systems.hooks)
        if not factory_new:
            for card in emulator.cards.values():
                if not card.record.is_tls_login_on:
                    make_ours(card)
        await stack.enter_async_context(emulator)
        ours = who or identity()
        transport = Transport(lambda: ours, limits=limits)
        stack.push_async_callback(transport.aclose)
        yield Rig(emulator, images, transport, RedfishInstaller(transport, look_s=5.0), systems)
        images.gate.set()


@asynccontextmanager
async def an_image_server(issuer: certificates.Authority | None = None) -> AsyncIterator[Images]:
    """The registry's place, over TLS."""
    images = Images()
    images.gate.set()
    async with a_tls_server(images.serve, issuer or authority()) as images.port:
        yield images


@asynccontextmanager
async def a_tls_server(
    answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], issuer: certificates.Authority,
    sans: tuple[str, ...] = ("127.0.0.1",),
) -> AsyncIterator[int]:
    """Any answers at all, from a server with a certificate of `issuer`; gives its port."""
    context = server_tls(issuer, sans)
    server = web.Server(answer, access_log=None)  # type: ignore[arg-type]
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await server.shutdown(timeout=0.1)


def server_tls(issuer: certificates.Authority, sans: tuple[str, ...] = ("127.0.0.1",)) -> ssl.SSLContext:
    """A certificate of `issuer` for a server."""
    request = certificates.Request(common_name="server", sans=sans, usage=certificates.Usage.SERVER)
    pair = certificates.issue(issuer, request, datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    descriptor = os.memfd_create("server")
    with os.fdopen(descriptor, "wb") as file:
        file.write(pair.certificate + pair.key)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    return context
