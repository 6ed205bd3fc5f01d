"""The system that the agent runs on: what it can learn of its machine, and do with it. Implemented by the hardware."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class System(Protocol):
    """The Arm side of one card, from one boot to the next. The agent's task is cancelled when the system halts."""

    @property
    def boot_id(self) -> str:
        """A new one for each boot; the same after the emulator itself was restarted."""

    @property
    def folder(self) -> Path:
        """A folder on the card's disk: it outlives a reboot, and is empty after an installation."""

    def log(self, text: str) -> None:
        """A line in the system's log, without an end of line."""

    async def restart(self) -> None:
        """Restart the Arm cores. Returns; the agent ends, and is started again with the next boot."""

    async def shut_down(self) -> None:
        """Shut the Arm cores down and wait for the host's reset. Returns; the agent ends."""
