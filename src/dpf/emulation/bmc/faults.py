"""What is wrong with an emulated card: changeable while it runs (behaviour-provisioning.md 14). Values only."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

MOST_S: Final = 1e9
"""Seconds that a clock may be off, or an answer be late: some thirty years, which dates can still be counted with."""
Counter = Annotated[int, msgspec.Meta(ge=-1, le=1_000_000)]


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The default is a card without faults. Counters go down as they are used up; -1 never ends.

    busy                next so many installations are answered with "Another update is in progress"
    exception           next so many installations end as Exception
    lost_task           tasks are not found any more, while the installation goes on
    uefi_unchanged      an installation leaves the UEFI version as it was
    stubborn_secure_boot  a staged Secure Boot never counts
    never_boots         an installation ends, and its system does not start
    answer_lost         next so many orders are carried out, and the connection breaks before their answer
    silent              requests are taken and never answered
    unavailable         503 to everything
    delay_s             seconds before each answer
    garbled             answers are no JSON
    serial              another serial number than its own; "" for its own
    clock_skew_s        how far its clock is ahead
    """

    busy: Counter = 0
    exception: Counter = 0
    answer_lost: Counter = 0
    lost_task: bool = False
    uefi_unchanged: bool = False
    stubborn_secure_boot: bool = False
    never_boots: bool = False
    silent: bool = False
    unavailable: bool = False
    delay_s: Annotated[float, msgspec.Meta(ge=0, le=MOST_S)] = 0.0
    garbled: bool = False
    serial: str = ""
    clock_skew_s: Annotated[float, msgspec.Meta(ge=-MOST_S, le=MOST_S)] = 0.0

    def use(self, counter: str) -> tuple[Faults, bool]:
        """Use `busy`, `exception` or `answer_lost` up by one: what is left, and whether the fault strikes."""
        left = getattr(self, counter)
        if left > 0:
            return msgspec.structs.replace(self, **{counter: left - 1}), True
        return self, left < 0
