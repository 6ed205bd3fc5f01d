"""`python -m dpf.emulation.hardware --config FILE`: all cards and hosts of a local platform, until a signal."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from pathlib import Path

from dpf.emulation.hardware import room
from dpf.emulation.hardware import settings as hardware_settings
from dpf.emulation.hardware.settings import Settings, SettingsError
from dpf.runtime import logs


def main(arguments: list[str] | None = None) -> int:
    """Parse arguments and run. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dpf.emulation.hardware", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON file with cards and hosts")
    parsed = parser.parse_args(arguments)
    logs.configure(console=sys.stderr.isatty())
    try:
        settings = hardware_settings.load(parsed.config)
        asyncio.run(_run(settings))
    except (SettingsError, OSError) as error:
        print(f"emulated hardware: {error}", file=sys.stderr)  # noqa: T201 - the program's answer to a person
        return 2
    return 0


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with room.opened(settings):
        gc.freeze()
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
