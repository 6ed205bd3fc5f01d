"""Looks for DPUs on this host again and again, and tells node feature discovery. Called by `__main__`."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from dpf.detector import pci, scan
from dpf.hostagent.host import Host

_LOG = structlog.get_logger()
PERIOD_S: Final = 60.0


def look(host: Host, bridge: str) -> str:
    """One look. Empty, or what is in the way, for people; then the file stays as it is."""
    try:
        host.features.mkdir(parents=True, exist_ok=True)
        changed = scan.detect(sysfs=host.sysfs, proc=host.procfs, features=host.features, bridge_name=bridge)
    except pci.Unreadable as error:
        return str(error)
    except OSError as error:
        return f"cannot write {host.features / scan.FILE}: {error.strerror}"
    if changed:
        _LOG.info("features have changed", file=str(host.features / scan.FILE))
    return ""


async def run(host: Host, bridge: str, stop: asyncio.Event) -> None:
    """Until `stop`."""
    told = ""
    while not stop.is_set():
        trouble = await asyncio.to_thread(look, host, bridge)
        if trouble != told:
            told = trouble
            _LOG.warning("features are as they were", error=trouble) if trouble else _LOG.info("features are current")
        try:
            async with asyncio.timeout(PERIOD_S):
                await stop.wait()
        except TimeoutError:
            continue
