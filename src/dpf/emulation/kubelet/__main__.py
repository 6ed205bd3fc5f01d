"""`python -m dpf.emulation.kubelet --config nodes.json`: run the configured nodes, or (`remove`) take them away.

The file is read again on SIGHUP and when it changes. SIGTERM stops the kubelets and leaves containers running, as a
real kubelet does; `remove` ends every container and takes every namespace and interface of the platform away.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from pathlib import Path
from typing import Final

import structlog

from dpf.emulation.kubelet import config, nodes, removal
from dpf.emulation.kubelet.config import ConfigError
from dpf.runtime import logs
from dpf.runtime.clock import SystemClock

_LOG: Final = structlog.get_logger(__name__)
_LOOK_EVERY_S: Final = 0.5


def main(arguments: list[str] | None = None) -> int:
    """Parse arguments and run. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dpf.emulation.kubelet", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON file with the nodes")
    parser.add_argument("action", nargs="?", choices=("run", "remove"), default="run")
    parsed = parser.parse_args(arguments)
    logs.configure(console=sys.stderr.isatty())
    try:
        loaded = config.load(parsed.config)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the program's answer to a person
        return 2
    if parsed.action == "remove":
        removal.remove_all(loaded)
        return 0
    return asyncio.run(_run(parsed.config, loaded))


async def _run(path: Path, loaded: config.Config) -> int:
    stop, look = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, look.set)
    running = nodes.Nodes(SystemClock())
    await running.configure(loaded)
    gc.freeze()
    follower = asyncio.create_task(_follow(path, running, look))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({follower, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (follower, stopping):
        task.cancel()
    failure, _ = await asyncio.gather(follower, stopping, return_exceptions=True)
    await running.close()
    if stop.is_set():
        return 0
    _LOG.critical("the kubelet process ends", exc_info=failure)
    return 1


async def _follow(path: Path, running: nodes.Nodes, look: asyncio.Event) -> None:
    """Apply the file whenever it changes; one that cannot be used is reported and the nodes stay as they are."""
    seen = _stamp(path)
    while True:
        try:
            async with asyncio.timeout(_LOOK_EVERY_S):
                await look.wait()
        except TimeoutError:
            if _stamp(path) == seen:
                continue
        look.clear()
        seen = _stamp(path)
        try:
            await running.configure(config.load(path))
        except ConfigError as error:
            _LOG.error("the new configuration cannot be used, keeping the old one", why=str(error))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


if __name__ == "__main__":
    sys.exit(main())
