"""An install interface without cards: what tests of the phases use in place of `redfish` and `gnoi`.

It takes the orders of both. Nothing happens by itself: a test says how far an installation has come. Cards are found by
their address; `MemoryCard.installs` counts what was begun, and forgets nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from dpf.api.provisioning import DPUMode, DPUType
from dpf.provisioning.install.port import (
    EVERYTHING,
    Activate,
    Activation,
    Boot,
    Card,
    Cause,
    Component,
    ForceReset,
    Install,
    InstallError,
    Order,
    Outcome,
    Power,
    PrepareRShim,
    Restart,
    SecureBoot,
    SetMode,
    SetSecureBoot,
    Sight,
    Silence,
    Task,
    TaskState,
    Topic,
    Transfer,
)

NEW: Final = Sight(
    serial="MT0001", model="BlueField-3 DPU", type=DPUType.BLUEFIELD_3, mode=DPUMode.DPU, psid="MT_0000000884",
    opn="900-9D3B6-00CV-AA0", firmware={Component.UEFI: "4.7.0", Component.BSP: "4.7.0"},
    secure_boot=SecureBoot(current=False, wanted=False), power=Power.ON, is_standby=False, boot=Boot.OS_RUNNING,
    boot_text="OsIsRunning", clock_skew_s=0.0, installed=(), activation=Activation(is_active=False),
)
"""A card that comes from the factory."""

_TOPICS: Final[Mapping[Topic, tuple[str, ...]]] = {
    Topic.IDENTITY: ("serial", "model", "type", "mode", "description", "psid", "opn", "pf0_mac"),
    Topic.FIRMWARE: ("firmware",), Topic.SECURE_BOOT: ("secure_boot",),
    Topic.BOOT: ("boot", "boot_text", "power", "is_standby"), Topic.CLOCK: ("clock_skew_s",),
    Topic.INSTALLED: ("installed", "running", "activation"),
}


@dataclass(slots=True)
class MemoryCard:
    """One card. `silence` answers every look and order; `refusals` answer the next orders, which are not carried out.

    `loses_answer`: the next order is carried out, and its answer gets lost.
    """

    sight: Sight = NEW
    silence: Silence | None = None
    refusals: list[InstallError] = field(default_factory=list)
    loses_answer: bool = False
    orders: list[Order] = field(default_factory=list)
    installs: list[str] = field(default_factory=list)
    tasks: dict[str, Task] = field(default_factory=dict)
    staged_mode: DPUMode | None = None
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def is_busy(self) -> bool:
        """Whether an installation is under way."""
        active = self.sight.activation is not None and self.sight.activation.is_active
        return active or any(task.state is TaskState.RUNNING for task in self.tasks.values())

    def set(self, **facts: Any) -> None:  # noqa: ANN401 - fields of Sight
        """Change what is seen."""
        self.sight = replace(self.sight, **facts)

    def progress(self, percent: int) -> None:
        """How far the running task is."""
        self._running(percent=percent)

    def finish(self, **facts: Any) -> None:  # noqa: ANN401 - fields of Sight
        """The installation ends well, the system runs, and `facts` are seen from now on, such as new versions."""
        self._running(state=TaskState.COMPLETED, percent=100, state_text="Completed")
        done = Activation(is_active=False, outcome=Outcome.SUCCESS)
        self.set(**{"boot": Boot.OS_RUNNING, "boot_text": "OsIsRunning", "activation": done, **facts})

    def fail(self, why: str, outcome: Outcome = Outcome.FAILURE) -> None:
        """The installation ends without success."""
        self._running(state=TaskState.FAILED, state_text="Exception", messages=(why,))
        self.set(activation=Activation(is_active=False, outcome=outcome, reason=why))

    def forget_tasks(self) -> None:
        """As a BMC does when it restarts."""
        self.tasks.clear()

    def power_cycle(self) -> None:
        """The host goes off and on: a staged mode counts."""
        self.set(mode=self.staged_mode or self.sight.mode, boot=Boot.OS_RUNNING, boot_text="OsIsRunning")
        self.staged_mode = None

    def _running(self, **changes: Any) -> None:  # noqa: ANN401 - fields of Task
        for number, task in self.tasks.items():
            if task.state is TaskState.RUNNING:
                self.tasks[number] = replace(task, **changes)


class MemoryInstaller:
    """See `Installer`. `cards` are by address, host and port."""

    def __init__(self, cards: Mapping[str, MemoryCard]) -> None:
        self.cards = dict(cards)

    async def look(self, card: Card, *, topics: Topic = EVERYTHING, task: str | None = None) -> Sight | Silence:
        """See `Installer.look`."""
        found = self.cards.get(card.address)
        if found is None:
            return unreachable(card)
        if found.silence is not None:
            return found.silence
        told = {name for topic, names in _TOPICS.items() if topic in topics for name in names}
        hidden: dict[str, Any] = {one.name: one.default for one in fields(Sight) if one.name not in told}
        sight = replace(found.sight, **hidden)
        if Topic.TASK in topics and task is not None:
            sight = replace(sight, task=found.tasks.get(task, Task(id=task, state=TaskState.LOST)))
        return replace(sight, tasks=tuple(found.tasks.values())) if Topic.TASKS in topics else sight

    async def order(self, card: Card, order: Order) -> str | None:
        """See `Installer.order`."""
        found = self.cards.get(card.address)
        silence = unreachable(card) if found is None else found.silence
        if found is None or silence is not None:
            why = silence.why if silence is not None else ""
            raise InstallError(why, silence=silence)
        if found.refusals:
            raise found.refusals.pop(0)
        answer = _carry_out(found, order)
        found.orders.append(order)
        if found.loses_answer:
            found.loses_answer = False
            raise InstallError(f"{card.address} does not answer", doubtful=True, silence=unreachable(card))
        return answer


def unreachable(card: Card) -> Silence:
    """What is said of a card that is not there."""
    return Silence(cause=Cause.UNREACHABLE, why=f"{card.address} cannot be reached: Connection refused")


def _carry_out(card: MemoryCard, order: Order) -> str | None:
    begins = isinstance(order, Install | Activate)
    if begins and card.is_busy:
        raise InstallError("Another update is in progress", busy=True)
    effect = _EFFECTS.get(type(order))
    return effect(card, order) if effect is not None else None


def _install(card: MemoryCard, order: Install) -> str:
    number = str(next(card.numbers))
    card.installs.append(order.image)
    card.tasks[number] = Task(id=number, state=TaskState.RUNNING, percent=0, image=order.image, state_text="Running")
    card.set(boot=Boot.UEFI, boot_text="UEFI")
    return number


def _transfer(card: MemoryCard, order: Transfer) -> None:
    card.set(installed=tuple(dict.fromkeys((*(card.sight.installed or ()), order.version))))


def _activate(card: MemoryCard, order: Activate) -> None:
    missing = set(order.version.split(";")) - set(card.sight.installed or ())
    if missing:
        raise InstallError(f"the card has no version {min(missing)}")
    card.installs.append(order.version)
    card.set(activation=Activation(is_active=True), running=order.version, boot=Boot.UEFI, boot_text="UEFI")


def _set_mode(card: MemoryCard, order: SetMode) -> None:
    card.staged_mode = order.mode


def _set_secure_boot(card: MemoryCard, order: SetSecureBoot) -> None:
    card.set(secure_boot=replace(card.sight.secure_boot or SecureBoot(), wanted=order.enabled))


def _restart(card: MemoryCard, order: Order) -> None:  # noqa: ARG001 - one signature for all
    secure_boot = card.sight.secure_boot or SecureBoot()
    card.set(secure_boot=replace(secure_boot, current=secure_boot.wanted))


_EFFECTS: Final[Mapping[type, Callable[..., str | None]]] = {
    Install: _install, Transfer: _transfer, Activate: _activate, SetMode: _set_mode, Restart: _restart,
    SetSecureBoot: _set_secure_boot, ForceReset: _restart, PrepareRShim: lambda card, order: None,  # noqa: ARG005
}
