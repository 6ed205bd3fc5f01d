"""`python -m dpf.emulation.dms`: the DMS of one emulated host, as the container of its pod.

Cards, their files and their faults are below `--folder`; the hardware's process hears of each start of a system through
`--boot-socket`. SIGTERM ends it; whatever was going on is taken up by the next one.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from dpf.emulation.dms import bootsocket
from dpf.emulation.dms.server import DMS
from dpf.emulation.dms.settings import NO_LATENCY, VISIBLE, Hooks, Timings
from dpf.emulation.dms.tlsfolder import TLSFolder
from dpf.runtime import logs


def main(arguments: list[str] | None = None) -> int:
    """Parse arguments and run. Returns the exit code."""
    parsed = _parser().parse_args(arguments)
    logs.configure(console=sys.stderr.isatty())
    try:
        return asyncio.run(_run(parsed))
    except (OSError, ValueError) as error:
        print(f"the DMS cannot run: {error}", file=sys.stderr)  # noqa: T201 - the program's answer to a person
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dpf.emulation.dms", description=__doc__)
    parser.add_argument("--listen", required=True, help="address and port, e.g. 10.0.0.1:9339")
    parser.add_argument("--tls-dir", type=Path, required=True, help="folder with tls.crt, tls.key and ca.crt")
    parser.add_argument("--folder", type=Path, required=True, help="where the cards keep what they know")
    parser.add_argument(
        "--target", type=_target, action="append", required=True, metavar="PCI=CARD", help="a card, e.g. 0000:0e:00.0=a"
    )
    parser.add_argument("--bfb-folder", type=Path, help="folder of software bundles that is shared with controllers")
    parser.add_argument("--boot-socket", type=Path, help="who is told that a system starts")
    parser.add_argument("--flash-s", type=float, default=VISIBLE.flash_s, help="how long it takes to write a card")
    parser.add_argument("--boot-s", type=float, default=VISIBLE.boot_s, help="how long a system takes to start")
    parser.add_argument("--no-latency", action="store_true", help="everything at once")
    return parser


def _target(text: str) -> tuple[str, str]:
    address, separator, name = text.rpartition("=")
    if not separator or not address or not name or "/" in name or name.startswith("."):
        raise argparse.ArgumentTypeError(f"{text!r} is not PCI=CARD")
    return address, name


async def _run(parsed: argparse.Namespace) -> int:
    tls = TLSFolder(parsed.tls_dir)
    hooks = bootsocket.hooks(parsed.boot_socket) if parsed.boot_socket is not None else Hooks()
    timings = NO_LATENCY if parsed.no_latency else Timings(flash_s=parsed.flash_s, boot_s=parsed.boot_s)
    dms = DMS(
        parsed.folder, dict(parsed.target), identity=tls.identity, listen=parsed.listen, shared=parsed.bfb_folder,
        timings=timings, hooks=hooks,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with dms:
        await stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
