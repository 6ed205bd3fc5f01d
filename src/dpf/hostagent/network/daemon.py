"""Sets up the host's side of one card and keeps it so, until it is told to end. Called by `python -m dpf.hostagent`.

Looks every few seconds and changes only what differs. What is wrong is logged once, and tried again. A file says that
the host's side is set up; at the end the function leaves the bridge, and the virtual functions stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never

import structlog

from dpf.hostagent.network import functions, plan
from dpf.hostagent.network.links import Links
from dpf.hostagent.network.plan import Action, Attach, MakeFunctions, Plan, Port, Seen, SetMTU, SetUp, Wanted

_LOG = structlog.get_logger()
PERIOD_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Which card: its `slot` on the bus, or the name `pf0` of its first interface, which is looked up in each round."""

    slot: str | None = None
    pf0: str | None = None

    def __str__(self) -> str:
        return f"at {self.slot}" if self.slot else f"with interface {self.pf0}"


class HostNetwork:
    """One card of this host, in the sysfs tree `sysfs`. `ready_file` exists while everything is as wanted.

    `make` has a port of the tree make so many virtual functions.
    """

    def __init__(
        self, card: Card, wanted: Wanted, *, sysfs: Path, links: Links, ready_file: Path | None = None,
        make: Callable[[Path, Port, int], None] = functions.make,
    ) -> None:
        self._card = card
        self._wanted = wanted
        self._sysfs = sysfs
        self._links = links
        self._make = make
        self._ready_file = ready_file
        self._told: str | None = None

    def make_functions(self) -> str:
        """Only the virtual functions, once. Empty when they are there, else what is in the way, for people."""
        return self._carry_out(plan.functions(self._look(), self._wanted, str(self._card)))

    def step(self) -> str:
        """One round. Empty when everything is as wanted, else what is in the way, for people."""
        trouble = self._carry_out(plan.plan(self._look(), self._wanted, str(self._card)))
        # What was just made may bring more to do: functions have interfaces only after they were made.
        if not trouble:
            after = plan.plan(self._look(), self._wanted, str(self._card))
            trouble = after.waits_for or self._carry_out(after)
        self._say(trouble)
        return trouble

    def leave(self) -> None:
        """Take the function out of the bridge. Raises OSError."""
        self._mark(ready=False)
        seen = self._look()
        if seen.function is not None and plan.is_attached(seen, self._wanted):
            self._links.detach(seen.function.name)
            _LOG.info("function has left the bridge", interface=seen.function.name, bridge=self._wanted.bridge)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`. Raises OSError when the function cannot be taken out of the bridge at the end."""
        while not stop.is_set():
            await asyncio.to_thread(self.step)
            try:
                async with asyncio.timeout(PERIOD_S):
                    await stop.wait()
            except TimeoutError:
                continue
        await asyncio.to_thread(self.leave)

    def _look(self) -> Seen:
        slot = self._card.slot or functions.slot_of_interface(self._sysfs, self._card.pf0 or "")
        ports = functions.ports(self._sysfs, slot) if slot else ()
        name = functions.first_function(self._sysfs, ports[0]) if ports else ""
        try:
            function = self._links.find(name) if name else None
            return Seen(ports=ports, function=function, bridge=self._links.find(self._wanted.bridge))
        except OSError as error:
            _LOG.warning("interfaces cannot be read", error=str(error))
            return Seen(ports=ports)

    def _carry_out(self, decided: Plan) -> str:
        for action in decided.actions:
            try:
                self._act(action)
            except OSError as error:
                return f"{_describe(action)}: {error.strerror or error}"
            _LOG.info("done", what=_describe(action))
        return decided.waits_for

    def _act(self, action: Action) -> None:
        match action:
            case MakeFunctions():
                self._make(self._sysfs, action.port, action.count)
            case Attach():
                self._links.attach(action.name, action.bridge)
            case SetMTU():
                self._links.set_mtu(action.name, action.mtu)
            case SetUp():
                self._links.set_up(action.name)
            case _:
                assert_never(action)

    def _say(self, trouble: str) -> None:
        self._mark(ready=not trouble)
        if trouble != self._told:
            self._told = trouble
            if trouble:
                _LOG.warning("host network is not set up", why=trouble)
            else:
                _LOG.info("host network is set up", card=str(self._card), bridge=self._wanted.bridge)

    def _mark(self, *, ready: bool) -> None:
        if self._ready_file is None:
            return
        if ready:
            self._ready_file.parent.mkdir(parents=True, exist_ok=True)
            self._ready_file.touch()
        else:
            self._ready_file.unlink(missing_ok=True)


def _describe(action: Action) -> str:
    match action:
        case MakeFunctions():
            return f"make {action.count} virtual functions on {action.port.address}"
        case Attach():
            return f"make {action.name} a port of {action.bridge}"
        case SetMTU():
            return f"give {action.name} the MTU {action.mtu}"
        case SetUp():
            return f"switch {action.name} on"
        case _:
            assert_never(action)
