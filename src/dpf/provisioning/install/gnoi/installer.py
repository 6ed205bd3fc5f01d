"""The install interface `gNOI`: implements `install.port.Installer` with a DMS on each host, by client certificate.

Made once per process by the wiring; `aclose` at its end. What it keeps are connections. The name of an activation, e.g.
`a.bfb;b-<uid>.cfg`, is known before the order, and the card tells it to whoever asks later: it takes the place of a
task's id.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, assert_never

from dpf.provisioning.install.gnoi import errors, reading
from dpf.provisioning.install.gnoi.channels import DEFAULT, Channels, IdentitySource, Limits
from dpf.provisioning.install.gnoi.dms import DMS
from dpf.provisioning.install.port import (
    EVERYTHING,
    Activate,
    Card,
    ForceReset,
    Install,
    InstallError,
    Order,
    PrepareRShim,
    Restart,
    SetMode,
    SetSecureBoot,
    Sight,
    Silence,
    Task,
    TaskState,
    Topic,
    Transfer,
)

_ABOUT_ACTIVATION: Final = Topic.INSTALLED | Topic.TASK | Topic.TASKS


class GNOIInstaller:
    """See `Installer`. `credentials` are asked before each use, so that renewed ones count at once."""

    def __init__(self, credentials: IdentitySource, *, limits: Limits = DEFAULT) -> None:
        self._channels = Channels(credentials, limits=limits)
        self._limits = limits

    async def aclose(self) -> None:
        """Close every connection."""
        await self._channels.aclose()

    async def look(self, card: Card, *, topics: Topic = EVERYTHING, task: str | None = None) -> Sight | Silence:
        """See `Installer.look`. `task` is the version of an activation.

        `mode` is told of the identity. `installed` is certain but need not be complete: a DMS lists nothing, so it has
        the names of the version that was activated last, and those of `task` that the card has. `running` is the
        version that was activated last, also while that is under way, and after it has failed.
        """
        try:
            async with asyncio.timeout(self._limits.look_s), self._channels.line(card.address) as line:
                return await _look(DMS(line, card, self._limits), topics, task)
        except TimeoutError:
            return errors.Unreachable(f"the DMS at {card.address} does not answer in time").silence
        except errors.GNOIError as error:
            return error.silence

    async def order(self, card: Card, order: Order) -> str | None:
        """See `Installer.order`: SetMode, Transfer and Activate. Returns None."""
        what = describe(order)
        if what is None:
            raise InstallError(f"{type(order).__name__} is not possible through gNOI", retryable=False)
        try:
            async with self._channels.line(card.address) as line:
                await _carry_out(DMS(line, card, self._limits), order)
        except errors.GNOIError as error:
            raise errors.install_error(error, what, repeatable=not isinstance(order, Activate)) from None
        except OSError as error:
            raise InstallError(f"{what}: the file cannot be read: {error.strerror}") from None
        return None


def describe(order: Order) -> str | None:
    """What an order does, for texts; None when gNOI has no such order."""
    match order:
        case SetMode():
            return f"setting the mode {order.mode.value}"
        case Transfer():
            return f"transferring {order.version}"
        case Activate():
            return f"activating {order.version}"
        case Install() | PrepareRShim() | SetSecureBoot() | Restart() | ForceReset():
            return None
        case _:
            assert_never(order)


async def _carry_out(dms: DMS, order: Order) -> None:
    match order:
        case SetMode():
            await dms.set_mode(order.mode)
        case Transfer():
            await dms.transfer(order.version, order.path)
        case Activate():
            await _check_idle(dms)
            await dms.activate(order.version)


async def _check_idle(dms: DMS) -> None:
    """Raises Refused while the card activates something. Whatever else is raised, nothing was ordered."""
    try:
        activation = await dms.activation()
    except errors.GNOIError as error:
        error.sent = False
        raise
    if activation.is_active:
        raise errors.Refused("another activation is in progress on this card", busy=True)


async def _holds(dms: DMS, name: str) -> bool:
    """A card that does not tell is given the file: that does no harm."""
    try:
        return await dms.holds(name)
    except errors.Refused:
        return False


async def _look(dms: DMS, topics: Topic, task: str | None) -> Sight:
    facts: dict[str, Any] = {}
    troubles: list[str] = []
    if Topic.IDENTITY in topics:
        try:
            facts["mode"] = await dms.mode()
        except errors.Refused as error:
            troubles.append(str(error))
    if topics & _ABOUT_ACTIVATION:
        facts.update(await _activation(dms, topics, task))
    if troubles and not facts:
        raise errors.Unreadable(troubles[0])
    return Sight(**facts, troubles=tuple(troubles))


async def _activation(dms: DMS, topics: Topic, task: str | None) -> dict[str, Any]:
    """The version is asked for first: if another one is activated in between, that shows as under way."""
    running = await dms.running()
    activation = await dms.activation()
    facts: dict[str, Any] = {}
    if Topic.INSTALLED in topics:
        held = list(reading.names(running))
        for name in reading.names(task or ""):
            if name not in held and await _holds(dms, name):
                held.append(name)
        facts.update(running=running or None, activation=activation, installed=tuple(held))
    known = reading.task(running, activation)
    if Topic.TASK in topics and task is not None:
        facts["task"] = known if running and task == running else Task(id=task, state=TaskState.LOST)
    if Topic.TASKS in topics:
        facts["tasks"] = (known,) if running else ()
    return facts
