"""Keeps the registry of BFBs running, with a certificate of our CA, beside the passes of the BFB controller.

Whoever fetches from it (a BMC) trusts that CA. The certificate is renewed before it ends; a cluster that does not
answer meanwhile costs nothing but a later attempt.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from dpf.kube import errors
from dpf.provisioning.bfb.registry import Registry, serving_context
from dpf.runtime.clock import Clock
from dpf.runtime.reconciler import DriverError

RENEW_EVERY_S: Final = 3600.0
AGAIN_S: Final = 2.0

_log = structlog.get_logger()

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


def _write(files: tuple[Path, Path], pair: tuple[bytes, bytes]) -> None:
    """The folder is private; the registry reads both again when they have changed."""
    for path, content in zip(files, pair, strict=True):
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
