"""The port through which the phases of a DPU see a card, whatever its install interface is, and give it orders.

Implementations: `redfish` (a BMC), `gnoi` (a DMS on the host). The DPU controller's `observe` looks, its actions order;
planners only hold the values of this file, which has no effect of its own. One suite checks every implementation
(tests/conformance/installer).

Nothing is remembered between calls. Whether an order was carried out is seen by the next look, never concluded from the
order's return: the process may end in between. What installs is found again in one of two ways. Where the card names
the work (Redfish), its id goes into status when it is known, and until then `Sight.tasks` shows the work by the image
that was ordered. Where we name it (gNOI), the name is in status before the order, and holds the DPU's uid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Flag, StrEnum, auto
from typing import Protocol

from dpf.api.provisioning import DPUMode, DPUType
from dpf.runtime.reconciler import DriverError


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Which card, and where it is reached.

    `name` is the DPUDevice's, for the texts. `host` and `port` are the BMC's, or the DMS's. `target` is the card's
    address on the PCI bus, where one server speaks for several cards. `serial` is the one that the object expects.
    """

    name: str
    host: str
    port: int
    target: str | None = None
    serial: str | None = None

    @property
    def address(self) -> str:
        """Host and port as a URL has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Topic(Flag):
    """What a look is about: each costs the card at least one answer."""

    IDENTITY = auto()
    """serial, model, type, psid, opn, pf0_mac, mode, description."""
    FIRMWARE = auto()
    """firmware."""
    SECURE_BOOT = auto()
    """secure_boot."""
    BOOT = auto()
    """boot, power, is_standby."""
    CLOCK = auto()
    """clock_skew_s."""
    TASK = auto()
    """task: the one that was asked for."""
    TASKS = auto()
    """tasks: all that the card knows of."""
    INSTALLED = auto()
    """installed, running, activation."""


EVERYTHING = ~Topic(0)


class Component(StrEnum):
    """What has a firmware version."""

    BMC = "BMC"
    UEFI = "UEFI"
    BSP = "BSP"
    NIC = "NIC"
    OS = "OS"
    BOARD = "BOARD"


class Boot(StrEnum):
    """How far the card's own system has come."""

    OFF = "Off"
    """Nothing runs on the Arm cores."""
    UEFI = "UEFI"
    """Firmware runs."""
    OS_STARTING = "OsStarting"
    """The system starts."""
    OS_RUNNING = "OsIsRunning"
    """The system runs."""
    OTHER = "Other"
    """Something else, or nothing that we know; `Sight.boot_text` has the card's own word."""


class Power(StrEnum):
    """Power state of the Arm cores."""

    ON = "On"
    OFF = "Off"
    PAUSED = "Paused"
    OTHER = "Other"


class TaskState(StrEnum):
    """How a piece of long work stands."""

    RUNNING = "Running"
    """Not at its end; a state that we do not know counts as this one."""
    COMPLETED = "Completed"
    FAILED = "Failed"
    """It ended without success; `Task.messages` say why. Redfish calls it Exception, Killed or Cancelled."""
    LOST = "Lost"
    """The card does not know of it (any more): BMCs forget their tasks when they restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One piece of long work. `percent` is 0 to 100. `image` is what was ordered, None when the card does not tell.

    `state_text` is the card's own word for the state, `messages` its texts, cut to a length that fits a condition.
    """

    id: str
    state: TaskState
    percent: int | None = None
    image: str | None = None
    state_text: str = ""
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureBoot:
    """UEFI Secure Boot: how the card booted last, and how it will boot next."""

    current: bool | None = None
    wanted: bool | None = None


class Outcome(StrEnum):
    """How the last activation ended."""

    SUCCESS = "SUCCESS"
    RETRIABLE_FAILURE = "RETRIABLE_FAILURE"
    FAILURE = "FAILURE"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """An activation of what was transferred (gNOI). `is_active`: it is under way, and `outcome` says nothing yet.

    `count` is how many restarts the card has had.
    """

    is_active: bool
    outcome: Outcome = Outcome.UNKNOWN
    reason: str = ""
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a card said. None is "not told": not asked for, not supported, or not answered. Nothing follows from it.

    `clock_skew_s` is positive when the card's clock is ahead of ours. `is_standby`: the system was shut down and the
    card waits (Status.State StandbyOffline). `firmware` has the components that the card lists. `installed` are the
    version names that the card holds, `running` the one that it runs (gNOI). `troubles` are texts about what was asked
    for and failed for a reason of its own, while the rest was answered.
    """

    serial: str | None = None
    model: str | None = None
    type: DPUType | None = None
    mode: DPUMode | None = None
    description: str | None = None
    psid: str | None = None
    opn: str | None = None
    pf0_mac: str | None = None
    firmware: Mapping[Component, str] | None = None
    secure_boot: SecureBoot | None = None
    power: Power | None = None
    is_standby: bool | None = None
    boot: Boot | None = None
    boot_text: str = ""
    task: Task | None = None
    tasks: tuple[Task, ...] | None = None
    clock_skew_s: float | None = None
    installed: tuple[str, ...] | None = None
    running: str | None = None
    activation: Activation | None = None
    troubles: tuple[str, ...] = ()


class Cause(StrEnum):
    """Why a card told us nothing. Each has another person to mend it."""

    UNREACHABLE = "unreachable"
    """No answer, or none in time, or one that says: not now."""
    REJECTED = "rejected"
    """It answered, and refuses who we are."""
    UNTRUSTED = "untrusted"
    """Something answered that cannot prove to be the card: wrong CA, wrong address, expired."""
    UNREADABLE = "unreadable"
    """It answered what we cannot make sense of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """The card told nothing. `why` is for people: stable while the cause is, names the address and the next step."""

    cause: Cause
    why: str


class InstallError(DriverError):
    """An order was not carried out, as far as we know; the text is for people, without secrets, within 1024 characters.

    `busy`: the card works on something else and took nothing; waiting costs no attempt. `retryable`: the same order may
    succeed later. `doubtful`: the order may have been taken, because the answer to it got lost: look before ordering
    again. `silence`: why there was no answer.
    """

    def __init__(
        self, message: str, *, busy: bool = False, retryable: bool = True, doubtful: bool = False,
        silence: Silence | None = None,
    ) -> None:
        super().__init__(message, retryable=retryable)
        self.busy = busy
        self.doubtful = doubtful
        self.silence = silence


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMode:
    """Make it a DPU or a plain network card, from its next power cycle on (Redfish), or at once (gNOI)."""

    mode: DPUMode


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareRShim:
    """Take the RShim from the host and give it to the BMC, which installs through it (Redfish)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSecureBoot:
    """Stage UEFI Secure Boot for the next restart (Redfish)."""

    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Restart the Arm cores (Redfish ForceRestart)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForceReset:
    """Reset the whole chip of a card without a host (Redfish SOC.ForceReset)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """Fetch `image` and boot it (Redfish). `image` is host, port and path without a scheme, unique per DPU uid.

    The answer is the id of the task.
    """

    image: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Give the card the file at `path` under the name `version` (gNOI). A version that the card has is not sent again.

    Takes as long as the file needs; cancelling it leaves nothing behind that a repeat would trip over.
    """

    version: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Activate:
    """Boot the transferred versions, e.g. `a.bfb;b-<uid>.cfg` (gNOI). Never ordered while one is active."""

    version: str


Order = SetMode | PrepareRShim | SetSecureBoot | Restart | ForceReset | Install | Transfer | Activate


class Installer(Protocol):
    """One install interface, for any number of cards. A card that hangs delays no other."""

    async def look(self, card: Card, *, topics: Topic = EVERYTHING, task: str | None = None) -> Sight | Silence:
        """What the card says about `topics` now, changing nothing; `task` is the id (or the name) of long work.

        Topics that this interface does not have stay None. Bounded in time. Never raises for what the card does.
        """

    async def order(self, card: Card, order: Order) -> str | None:
        """Carry out one order; may be repeated, except Install and Activate, which begin anew each time.

        Returns the id of the task that an Install began, else None. Raises InstallError; its text says so when this
        interface does not have the order.
        """
