"""The port to the machine that the agent runs on. Implementations: `commands` (programs of a host), `memory`."""

from __future__ import annotations

from typing import Protocol

from dpf.hostagent.reboot.choice import Way


class Machine(Protocol):
    """The own host."""

    async def boot_id(self) -> str:
        """The id of the running boot, another one after each restart; "" when it cannot be read."""

    async def restart(self, way: Way) -> str | None:
        """Restart. None when the order was taken: the end of this process follows. Else why not, for people.

        Bounded in time. Never raises for what the machine does.
        """
