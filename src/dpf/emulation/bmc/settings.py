"""What is set for an emulated card, and who is told when its system starts and stops. Values only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec


class Timings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds that the parts of an installation take; 0 everywhere for benchmarks and tests.

    `transfer_s` is how long the bytes take at least, spread over them. `bmc_reset_s` is how long the BMC is away.
    """

    transfer_s: float = 0.0
    uefi_s: float = 0.0
    os_starting_s: float = 0.0
    bmc_reset_s: float = 0.0


NO_LATENCY: Final = Timings()
VISIBLE: Final = Timings(transfer_s=5.0, uefi_s=2.0, os_starting_s=3.0, bmc_reset_s=3.0)
"""For people who watch: every stage is seen."""

BEFORE: Final = {
    "BMC_Firmware": "BF-24.10-17", "DPU_UEFI": "4.7.0-42-g13081ae", "DPU_BSP": "4.7.0.13127",
    "DPU_NIC": "32.42.1000", "DPU_OS": "DOCA_2.7.0_BSP_4.7.0_Ubuntu_22.04", "DPU_BOARD": "MT_0000000884",
}
"""Firmware of a card that comes from the factory."""


class CardSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One card as it leaves the factory. `port` 0 takes a free one, and the same again after a restart.

    `firmware` are the versions before the first installation. `secure_boot_restarts`: so many restarts pass until a
    staged Secure Boot counts (behaviour-provisioning.md 5.5).
    """

    name: str
    serial: str
    host: str = "127.0.0.1"
    port: int = 0
    model: str = "BlueField-3 DPU"
    description: str = "NVIDIA BlueField-3 B3220 P-Series DPU, 32GB on-board DDR, integrated BMC"
    opn: str = "900-9D3B6-00CV-AA0"
    psid: str = "MT_0000000884"
    pf0_mac: str = "02:00:00:00:00:01"
    firmware: dict[str, str] = msgspec.field(default_factory=lambda: dict(BEFORE))
    secure_boot: bool = False
    secure_boot_restarts: int = 2
    bundle_limit: int = 8 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """One start of a card's system. `count` differs from start to start, also after the emulator was restarted."""

    name: str
    serial: str
    count: int


async def _nothing_boots(boot: Boot, bfcfg: bytes) -> None:
    """No system."""


async def _nothing_halts(boot: Boot) -> None:
    """No system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """The system of the cards. `on_boot` gets the bf.cfg of the last installation at every start of the system.

    After a restart of the emulator it is called again, with the same count, for each system that was running.
    `on_halt` is called when that system stops, whether it was asked to or not. Calls of one card follow each other, so
    they return soon; a system that was not installed through us is not told of.
    """

    on_boot: Callable[[Boot, bytes], Awaitable[None]] = _nothing_boots
    on_halt: Callable[[Boot], Awaitable[None]] = _nothing_halts
