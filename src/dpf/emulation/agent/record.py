"""What the agent keeps on the card's disk about boots, so that it knows a reboot from its own restart.

`next_boot` is pure; `begin` is the only effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from dpf.local import files
from dpf.runtime.clock import rfc3339

FILE_NAME: Final = "boot.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """The present boot. `started` is RFC 3339; `initial` is the boot in which the agent ran first; `reboots` since."""

    id: str
    initial: str
    started: str
    reboots: int = 0

    @property
    def is_first(self) -> bool:
        """Whether nothing was restarted since the installation."""
        return self.id == self.initial


def next_boot(before: Boot | None, boot_id: str, now: datetime) -> Boot:
    """The boot `boot_id`, after what was recorded `before`. A later boot starts later, whatever the clock says."""
    if before is None:
        return Boot(id=boot_id, initial=boot_id, started=rfc3339(now))
    if before.id == boot_id:
        return before
    started = max(now, datetime.fromisoformat(before.started) + timedelta(seconds=1))
    return Boot(id=boot_id, initial=before.initial, started=rfc3339(started), reboots=before.reboots + 1)


def begin(folder: Path, boot_id: str, now: datetime) -> Boot:
    """The present boot, recorded. A record that cannot be read counts as none. Raises OSError."""
    content = files.read_if_exists(folder / FILE_NAME)
    try:
        before = msgspec.json.decode(content, type=Boot) if content is not None else None
        boot = next_boot(before, boot_id, now)
    except (msgspec.DecodeError, ValueError):
        boot = next_boot(None, boot_id, now)
    files.ensure_private_folder(folder)
    files.write_atomic(folder / FILE_NAME, msgspec.json.encode(boot), durable=True)
    return boot
