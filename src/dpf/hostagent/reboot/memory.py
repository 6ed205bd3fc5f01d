"""A machine in memory, for tests: it counts its restarts and goes down when the test says so."""

from __future__ import annotations

from dpf.hostagent.reboot.choice import Way


class MemoryMachine:
    """`trouble` is what the next orders come to. A restart is over when `come_back` is called, as after a real one."""

    def __init__(self) -> None:
        self.boots = 1
        self.ordered: list[Way] = []
        self.trouble: str | None = None

    async def boot_id(self) -> str:
        """See Machine."""
        return f"boot-{self.boots}"

    async def restart(self, way: Way) -> str | None:
        """See Machine."""
        if self.trouble is None:
            self.ordered.append(way)
        return self.trouble

    def come_back(self) -> None:
        """Another boot runs."""
        self.boots += 1
