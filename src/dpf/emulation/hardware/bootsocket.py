"""Where the DMS of a host says that it has activated a card: the system of that card starts.

A line is `{"card": NAME, "count": N, "bfcfg": BASE64}`, answered by `{"ok": true}` or `{"error": TEXT}`. The sender
repeats it until it is answered, so the same start, told twice, starts once.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from dpf.emulation.hardware.linesocket import Answer
from dpf.emulation.hardware.systems import Systems


class BootLine(msgspec.Struct, frozen=True, kw_only=True):
    """See the module. `install` tells one installation from the next, where the sender counts them."""

    card: str
    count: int
    bfcfg: str
    install: str = ""


def answering(systems: Systems) -> Answer:
    """What to serve at the socket."""

    async def answer(line: bytes) -> dict[str, Any]:
        try:
            boot = msgspec.json.decode(line, type=BootLine)
            bfcfg = base64.b64decode(boot.bfcfg, validate=True)
        except (msgspec.MsgspecError, binascii.Error):
            return {"error": "this is no line about a boot"}
        try:
            await systems.boot(boot.card, bfcfg, count=boot.count, installation=boot.install)
        except KeyError:
            return {"error": f"there is no card {boot.card!r}"}
        except OSError as error:
            return {"error": f"the system of {boot.card} cannot be kept: {error.strerror}"}
        return {"ok": True}

    return answer
