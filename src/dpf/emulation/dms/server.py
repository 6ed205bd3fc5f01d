"""The socket of an emulated DMS: mutual TLS, and all cards of one host behind it.

Made by `__main__`, by tests and by benchmarks:

    async with DMS(folder, {"0000:0e:00.0": "dpu-0"}, identity=lambda: identity, hooks=hooks) as dms:
        dms.card("dpu-0").set_faults(Faults(failure=1))

What a card remembers is in `folder`, below its name, so that the DMS may be killed and started again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from dpf.emulation.dms.card import Card
from dpf.emulation.dms.services import Services
from dpf.emulation.dms.settings import NO_LATENCY, Hooks, Timings
from dpf.provisioning.install.redfish.tls import Identity

IdentitySource = Callable[[], Identity]
"""The DMS's certificate and key, and the CA of those who may call; asked at every new connection, in any thread."""


class DMS:
    """`cards` are names by PCI address. Use as a context, or `start` and `close`, in one event loop.

    `listen` is host and port, where port 0 takes a free one. `shared` is the folder of software bundles: what is there,
    or below `bfcfg` there, need not be transferred.
    """

    def __init__(
        self, folder: Path, cards: Mapping[str, str], *, identity: IdentitySource, listen: str = "127.0.0.1:0",
        shared: Path | None = None, timings: Timings = NO_LATENCY, hooks: Hooks | None = None,
    ) -> None:
        hooks = hooks or Hooks()
        made = {
            target.lower(): Card(name, folder / name, shared=shared, timings=timings, hooks=hooks)
            for target, name in cards.items()
        }
        self._cards = {card.name: card for card in made.values()}
        self._services = Services(made)
        self._identity = identity
        self._listen = listen
        self._server: grpc.aio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen, and take up what was going on. Raises OSError when the address cannot be had."""
        server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        server.add_generic_rpc_handlers(self._services.handlers())
        try:
            self.port = server.add_secure_port(self._listen, self._door())
        except RuntimeError:
            raise OSError(f"{self._listen} cannot be listened on: is it in use?") from None
        await server.start()
        self._server = server
        for card in self._cards.values():
            card.start()

    async def close(self) -> None:
        """Cut everything off; the cards stay as they are."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None
        for card in self._cards.values():
            await card.close()

    @property
    def cards(self) -> Mapping[str, Card]:
        """By name."""
        return self._cards

    def card(self, name: str) -> Card:
        """Raises KeyError."""
        return self._cards[name]

    def _door(self) -> grpc.ServerCredentials:
        """Nobody comes in without a certificate of the CA."""
        shown = self._identity()

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal shown
            now = self._identity()
            if now == shown:
                return None
            shown = now
            return _configuration(now)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(shown), renewed,  # type: ignore[arg-type] # None says that nothing has changed
            require_client_authentication=True,
        )


def _configuration(identity: Identity) -> grpc.ServerCertificateConfiguration:
    pairs = [(identity.key_pem, identity.certificate_pem)]
    return grpc.ssl_server_certificate_configuration(pairs, root_certificates=identity.ca_pem)
