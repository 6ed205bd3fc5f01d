"""The own host, through its programs and device files: ipmitool for its power, mlxfwreset and rshim for its cards.

Called by the reboot controller. Which programs, the command line says: parts of a command may hold the places
`{action}` (cycle or reset), `{device}` and `{level}`. Source: behaviour-provisioning.md section 7.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dpf.hostagent import rshim
from dpf.hostagent.reboot.choice import Power, Way
from dpf.runtime.clock import Clock, SystemClock

POWER: Final = ("ipmitool", "chassis", "power", "{action}")
RESET: Final = ("mlxfwreset", "-d", "{device}", "--level", "{level}", "-y", "reset")
BOOT_ID_FILE: Final = Path("/proc/sys/kernel/random/boot_id")
_SHUT_DOWN: Final = "1"
_RESTART_HOST: Final = "4"
_POWER_LIMIT_S: Final = 60.0
_RESET_LIMIT_S: Final = 480.0
_OFF_LIMIT_S: Final = 60.0
_LOOK_EVERY_S: Final = 1.0
_MAX_TEXT: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """`restart`, when given, restarts the host in every case, and the others are not used.

    `dev` is the folder with the device files of rshim; None: nobody waits for the systems of the cards to be off.
    """

    power: Sequence[str] = POWER
    reset: Sequence[str] = RESET
    restart: Sequence[str] = ()
    dev: Path | None = Path("/dev")
    boot_id_file: Path = BOOT_ID_FILE
    clock: Clock = field(default_factory=SystemClock)


class CommandMachine:
    """`port.Machine` of a real host, or of an emulated one with programs of its own."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    async def boot_id(self) -> str:
        """See Machine."""
        try:
            return (await asyncio.to_thread(self._programs.boot_id_file.read_text)).strip()
        except OSError:
            return ""

    async def restart(self, way: Way) -> str | None:
        """See Machine."""
        if self._programs.restart:
            return await run(self._programs.restart, {}, _RESET_LIMIT_S)
        if isinstance(way, Power):
            return await run(self._programs.power, {"action": way.action}, _POWER_LIMIT_S)
        return await self._reset(way.cards)

    async def _reset(self, cards: tuple[str, ...]) -> str | None:
        """All systems off, then one card resets the host with all of them."""
        troubles = await asyncio.gather(*(self._shut_down(card) for card in cards))
        trouble = next((trouble for trouble in troubles if trouble is not None), None)
        return trouble or await self._mlxfwreset(cards[0], _RESTART_HOST)

    async def _shut_down(self, card: str) -> str | None:
        trouble = await self._mlxfwreset(card, _SHUT_DOWN)
        if trouble is not None or self._programs.dev is None:
            return trouble
        clock = self._programs.clock
        limit = clock.monotonic() + _OFF_LIMIT_S
        while not await asyncio.to_thread(rshim.is_off, self._programs.dev, card):
            if clock.monotonic() > limit:
                return f"The system of the card at {card} has not shut down within {_OFF_LIMIT_S:.0f} s"
            await clock.sleep(_LOOK_EVERY_S)
        return None

    async def _mlxfwreset(self, card: str, level: str) -> str | None:
        return await run(self._programs.reset, {"device": card, "level": level}, _RESET_LIMIT_S)


async def run(command: Sequence[str], places: Mapping[str, str], limit_s: float) -> str | None:
    """Run a program to its end. None when it succeeded, else what went wrong, for people and without its arguments."""
    argv = [_filled(part, places) for part in command]
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        return f"{argv[0]} cannot be run: {error.strerror}. Next step: install it on the host or in the agent's image"
    try:
        async with asyncio.timeout(limit_s):
            output, _ = await process.communicate()
    except TimeoutError:
        return f"{argv[0]} has not ended within {limit_s:.0f} s"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode == 0:
        return None
    said = " ".join(output.decode(errors="replace").split())[-_MAX_TEXT:]
    return f"{argv[0]} failed with exit code {process.returncode}" + (f": {said}" if said else "")


def _filled(part: str, places: Mapping[str, str]) -> str:
    """Only these places: any other brace is the command's own."""
    for place, value in places.items():
        part = part.replace(f"{{{place}}}", value)
    return part
