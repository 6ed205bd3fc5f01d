"""`dpf run bfb-registry`: the registry of BFBs, with a certificate of our CA.

A process of its own, without election: controllers may be killed, or the lead may change, while BMCs fetch; a transfer
that is cut would be an installation that failed. Whoever fetches trusts our CA. The certificate is renewed before it
ends; a cluster that does not answer meanwhile costs nothing but a later attempt.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
import signal
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import urlsplit

import structlog

from dpf.api import core
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.meta import object_key
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.provisioning.bfb.registry import Registry, serving_context
from dpf.provisioning.certificates import issuer as certificates
from dpf.provisioning.certificates.issuer import Issuer
from dpf.runtime.clock import Clock, SystemClock
from dpf.runtime.reconciler import DriverError, Permission

RENEW_EVERY_S: Final = 3600.0
AGAIN_S: Final = 2.0
_LONGEST_HOST: Final = 253
_LABEL: Final = "[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")

_log = structlog.get_logger()

SECRET: Final = "dpf-provisioning-registry-server-secret"  # noqa: S105 - a name

Certify = Callable[[Sequence[str]], Awaitable[tuple[bytes, bytes]]]
"""Certificate and key, PEM, for a server at these addresses; raises kube.errors.Error and DriverError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The registry over `folder` at `host` and `port`; `names` are those under which it is reached."""

    folder: Path
    host: str
    port: int
    names: tuple[str, ...]
    certify: Certify
    clock: Clock

    async def run(self) -> None:
        """Serve until cancelled. Raises OSError when the address is taken."""
        with tempfile.TemporaryDirectory(prefix="dpf-registry-") as private:
            files = (Path(private) / "tls.crt", Path(private) / "tls.key")
            while not await self._renew(files):
                await self.clock.sleep(AGAIN_S)
            registry = Registry(
                self.folder, host=self.host, port=self.port, tls=await asyncio.to_thread(serving_context, *files)
            )
            await registry.start()
            _log.info("BFB registry serves", host=self.host, port=registry.port)
            try:
                while True:
                    await self.clock.sleep(RENEW_EVERY_S)
                    await self._renew(files)
            finally:
                await registry.stop()

    async def _renew(self, files: tuple[Path, Path]) -> bool:
        """Have a valid pair in the files; whether there is one."""
        try:
            pair = await self.certify(self.names)
        except (errors.Error, DriverError) as error:
            _log.warning("no certificate for the BFB registry yet", error=str(error))
            return False
        await asyncio.to_thread(_write, files, pair)
        return True


class BFBRegistry:
    """The process, and what it may do in the host cluster."""

    name: ClassVar[str] = "bfb-registry"
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(kind=DPFOperatorConfig, verbs=("list",)), *certificates.PERMISSIONS,
    )

    def __init__(self, client: Client, namespace: str, clock: Clock | None = None) -> None:
        self._client = client
        self._namespace = namespace
        self._clock = clock or SystemClock()
        self._issuer = Issuer(client, namespace, self._clock)

    def serving(self, folder: Path, host: str, port: int, reached: str) -> Serving:
        """The registry over `folder` at `host` and `port`; `reached` is the host under which BMCs know it."""
        return Serving(
            folder=folder, host=host, port=port, names=(reached,), certify=self._certify, clock=self._clock
        )

    async def _certify(self, names: Sequence[str]) -> tuple[bytes, bytes]:
        configs = (await self._client.list(DPFOperatorConfig)).items
        await self._issuer.server_secret(SECRET, self._namespace, [*names, *_balancers(configs)])
        data = (await self._client.get(core.Secret, SECRET, self._namespace)).data or {}
        return base64.b64decode(data["tls.crt"]), base64.b64decode(data["tls.key"])


async def run_until_signal(serving: Serving, client: Client) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Raises OSError when the address is taken."""
    running = asyncio.create_task(serving.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        return 0
    finally:
        await client.aclose()
    return 1


def _balancers(configs: Sequence[DPFOperatorConfig]) -> list[str]:
    """Hosts under which a DPFOperatorConfig says that the registry is reached; what can be no host is told."""
    found = set()
    for config in configs:
        registry = config.spec.provisioningController.registry if config.spec is not None else None
        address = registry.loadBalancerAddress if registry is not None else None
        if not address:
            continue
        host = _host_of(address)
        if host is None:
            _log.warning(
                "loadBalancerAddress names no host, so that the certificate of the BFB registry is not for it; "
                "correct it", dpfoperatorconfig=str(object_key(config)),
            )
        else:
            found.add(host)
    return sorted(found)


def _host_of(address: str) -> str | None:
    """The host of a URL, as a certificate can name it; None when there is none."""
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return None
    try:
        return str(ipaddress.ip_address(host)) if "%" not in host else None
    except ValueError:
        return host if len(host) <= _LONGEST_HOST and _HOST.fullmatch(host) else None


def _write(files: tuple[Path, Path], pair: tuple[bytes, bytes]) -> None:
    """The folder is private; the registry reads both again when they have changed."""
    for path, content in zip(files, pair, strict=True):
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
