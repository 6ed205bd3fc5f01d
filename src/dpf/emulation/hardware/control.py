"""Steering the machine room while it runs: `bmc.control.Request` as a line of JSON, over a unix socket.

The answer is `{"cards": {NAME: ...}}` or `{"error": TEXT}`. Asked by `dpfctl local fault` and `dpfctl local status`, by
the commands of emulated hosts, and by tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from dpf.emulation.bmc import control as bmc_control
from dpf.emulation.bmc.control import ControlError, Request
from dpf.emulation.hardware import linesocket
from dpf.emulation.hardware.linesocket import Answer
from dpf.emulation.hardware.panel import Panel

ALL: Final = bmc_control.ALL


def answering(panel: Panel) -> Answer:
    """What to serve at the socket."""

    async def answer(line: bytes) -> dict[str, Any]:
        try:
            return {"cards": await panel.carry_out(msgspec.json.decode(line, type=Request))}
        except (msgspec.MsgspecError, ControlError) as error:
            return {"error": str(error)}
        except OSError as error:
            return {"error": f"that could not be kept: {error.strerror}"}

    return answer


async def ask(path: Path, request: Request) -> dict[str, dict[str, Any]]:
    """The cards that the request was about, as they are now. Raises ControlError."""
    try:
        answer = await linesocket.ask(path, request)
    except linesocket.NoAnswer as error:
        raise ControlError(str(error)) from None
    if "error" in answer:
        raise ControlError(str(answer["error"]))
    cards: dict[str, dict[str, Any]] = answer["cards"]
    return cards
