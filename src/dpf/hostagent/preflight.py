"""What has to be true before a DMS may use the cards of a host. Called by `python -m dpf.hostagent` in init containers.

Source: behaviour-provisioning.md section 8.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from dpf.detector import pci
from dpf.hostagent import rshim
from dpf.hostagent.reboot import commands

_LOG = structlog.get_logger()
_LIMIT_S = 10.0


def rshim_owner(dev: Path) -> str | None:
    """Why the cards cannot be used: a driver of the host has them. None when nobody does."""
    found = rshim.devices(dev)
    if not found:
        return None
    return (
        f"another rshim driver on this host uses {', '.join(found)}. Next step: stop and disable the rshim service on "
        "the host"
    )


async def lift_grace_period(sysfs: Path) -> None:
    """Have the drivers of all cards recover from every fatal error: an installation resets a card more than once.

    Best effort: a card whose driver has no such setting is installed all the same. Raises pci.Unreadable.
    """
    for card in pci.cards(sysfs):
        device = f"pci/{card.address.replace('-', ':')}.0"
        command = ("devlink", "health", "set", device, "reporter", "fw_fatal", "grace_period", "0")
        trouble = await commands.run(command, {}, _LIMIT_S)
        if trouble is not None:
            _LOG.warning("the driver keeps its grace period between recoveries", device=device, error=trouble)
