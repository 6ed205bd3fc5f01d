"""The small web server that probes and Prometheus talk to: /healthz, /readyz, /metrics.

`process` starts one per process. It decides nothing: it asks the functions it was given. `/healthz` fails when a part
of the process died that cannot come back by itself; `/readyz` fails until the caches are complete.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from dpf.runtime.metrics import Metrics

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Check = Callable[[], str | None]
"""None when all is well, else one sentence about what is not."""


class AddressError(ValueError):
    """The address to listen on cannot be read."""


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, `:port` (every interface) or `[v6]:port`. Raises AddressError."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:
        raise AddressError(f"metrics address {text!r} is not of the form host:port, for example 127.0.0.1:8080")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - what an empty host means everywhere


class HealthServer:
    """Serves until `stop`. Port 0 takes a free one; `port` tells which."""

    def __init__(self, *, address: str, metrics: Metrics, alive: Check, ready: Check) -> None:
        self._host, self.port = parse_address(address)
        self._metrics = metrics
        self._alive = alive
        self._ready = ready
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        app = web.Application()
        app.add_routes([
            web.get("/healthz", _probe(self._alive)),
            web.get("/readyz", _probe(self._ready)),
            web.get("/metrics", self._exposition),
        ])
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self.port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the socket. Idempotent."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _exposition(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.exposition(), headers={"Content-Type": METRICS_TYPE})


def _probe(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_request: web.Request) -> web.Response:
        trouble = check()
        return web.Response(text="ok\n") if trouble is None else web.Response(status=503, text=f"{trouble}\n")

    return answer
