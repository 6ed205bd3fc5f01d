"""One card behind a DMS: the calls of behaviour-provisioning.md section 8, each with its deadline.

Called by `installer`. It remembers nothing. Every method raises GNOIError.
"""

from __future__ import annotations

from typing import Any

from dpf.api.provisioning import DPUMode
from dpf.provisioning.install.gnoi import conversation, errors, messages, reading
from dpf.provisioning.install.gnoi.channels import Limits, Line
from dpf.provisioning.install.gnoi.messages import Method
from dpf.provisioning.install.port import Activation, Card


class DMS:
    """`card` over `line`."""

    def __init__(self, line: Line, card: Card, limits: Limits) -> None:
        self._line = line
        self._card = card
        self._limits = limits

    async def running(self) -> str:
        """The version that was activated last, "" when there is none."""
        answer = await self._ask(messages.VERIFY, messages.VerifyRequest())
        return str(answer.version)

    async def activation(self) -> Activation:
        """How the last activation stands."""
        arm = messages.SystemPath(elem=[messages.SystemPathElem(name="CPU")])
        answer = await self._ask(messages.REBOOT_STATUS, messages.RebootStatusRequest(subcomponents=[arm]))
        return reading.activation(answer)

    async def mode(self) -> DPUMode | None:
        """DPU or NIC; None when the DMS does not tell."""
        request = messages.GetRequest(path=[messages.path(*messages.MODE)])
        try:
            return reading.mode(await self._ask(messages.GET, request))
        except errors.Unsupported:
            return None

    async def set_mode(self, mode: DPUMode) -> None:
        """Make it a DPU or a network card."""
        value = messages.TypedValue(string_val="NIC" if mode is DPUMode.NIC else "DPU")
        update = messages.Update(path=messages.path(*messages.MODE), val=value)
        await self._ask(messages.SET, messages.SetRequest(update=[update]), timeout_s=self._limits.order_s)

    async def activate(self, version: str) -> None:
        """Boot what was transferred, e.g. `a.bfb;b-<uid>.cfg`. Raises Refused when the card lacks one of them."""
        request = messages.ActivateRequest(version=version, no_reboot=False)
        answer = await self._ask(messages.ACTIVATE, request, timeout_s=self._limits.order_s)
        if answer.WhichOneof("response") == "activate_ok":
            return
        detail = errors.one_line(answer.activate_error.detail)
        lacks = answer.activate_error.type == messages.NotActivated.NON_EXISTENT_VERSION
        why = "does not have this version" if lacks else "does not activate it"
        raise errors.Refused(f"{self._line} {why}{errors.said(detail)}")

    async def holds(self, version: str) -> bool:
        """Whether the card has it: the beginning of a transfer tells, and goes no further."""
        async with self._transfer() as talk:
            return await talk.begin(version, size=0, timeout_s=self._limits.ask_s)

    async def transfer(self, version: str, path: str) -> None:
        """Send the file unless the card has this version. Raises OSError when the file cannot be read."""
        with conversation.Source(path) as source:
            async with self._transfer() as talk:
                if not await talk.begin(version, size=source.size, timeout_s=self._limits.order_s):
                    await talk.send(source)

    def _transfer(self) -> conversation.Conversation:
        return conversation.Conversation(self._line, self._card, self._limits)

    async def _ask(self, method: Method, request: Any, *, timeout_s: float = 0.0) -> Any:  # noqa: ANN401 - messages
        return await self._line.ask(self._card, method, request, timeout_s=timeout_s or self._limits.ask_s)
