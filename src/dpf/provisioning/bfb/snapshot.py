"""All that one pass over a BFB knows and what it comes to: pure values that `observe` makes for `plan` and `status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from dpf.api.bfb import BFB, BFBVersions
from dpf.api.meta import Key
from dpf.provisioning.bfb import versions
from dpf.provisioning.bfb.files import Found
from dpf.provisioning.bfb.record import Content, Failure
from dpf.provisioning.bfb.versions import Unusable
from dpf.runtime.conditions import Reason

RETRIES: Final = 3
"""Whole attempts after the first one that a BFB stays in Downloading for (resolutions.md row 6)."""
PAUSES_S: Final = (2.0, 5.0, 10.0)
"""Before each of them."""
LATER_S: Final = 600.0
"""Between the attempts of a BFB in Error."""
WINDOW: Final = timedelta(hours=6)
"""From the first failure to the last attempt."""


class Work(StrEnum):
    """What goes on beside the passes."""

    FETCHING = "fetching"
    INSPECTING = "inspecting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Something goes on in this process. `percent` moves in steps of ten, and None until it can be known."""

    work: Work
    running_s: float
    percent: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """The volume could not be looked at, which says nothing about what is there."""

    why: str
    retryable: bool


class Place(StrEnum):
    """Where the content of a BFB is."""

    NOWHERE = "nowhere"
    """It has to be downloaded."""
    WAITING = "waiting"
    """Downloaded, and not yet under its name."""
    UNREAD = "unread"
    """A file is under its name that nobody has looked into."""
    THERE = "there"
    """Under its name, and unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`refused` says why the object cannot be worked on: what is wrong in it, or which BFB has its file name.

    `owns_file`: the BFB was given its name, and no other one goes before it: a file under the name is its own. `users`
    are the objects that refer to it, as `DPUSet: name`; they are read when it is being deleted.
    """

    bfb: BFB
    file_name: str
    refused: str | None = None
    owns_file: bool = True
    files: Found | Unreadable | None = None
    activity: Activity | None = None
    users: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return Key(self.bfb.metadata.namespace or "", self.bfb.metadata.name)

    @property
    def content(self) -> Content | None:
        """What is remembered of a complete file."""
        return self.files.record.content if isinstance(self.files, Found) else None

    @property
    def failure(self) -> Failure | None:
        """The attempts that failed in a row."""
        return self.files.record.failure if isinstance(self.files, Found) else None

    @property
    def place(self) -> Place | None:
        """Where the content is; None when that cannot be told."""
        return place(self.files) if isinstance(self.files, Found) else None

    @property
    def versions(self) -> BFBVersions | Unusable | None:
        """What the bundle has, or why it cannot be used; None while there is no complete file."""
        if self.content is None or self.place not in (Place.THERE, Place.WAITING):
            return None
        declared = self.bfb.spec.versions if self.bfb.spec is not None else None
        return versions.read(declared, self.content.inventory, self.content.problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a BFB is in Error. `reason` Error: it is tried again at `retry_at`; Failure: somebody has to do something."""

    reason: Reason
    why: str
    retry_at: datetime | None = None


def place(found: Found) -> Place:
    """What the files mean.

    A file of unknown origin was put there on purpose, and is used, unless another BFB had downloaded it. A downloaded
    file that has changed is not what it was downloaded as: it counts as gone.
    """
    content = found.record.content
    if content is None:
        return Place.UNREAD if found.target is not None and not found.left_behind else Place.NOWHERE
    if found.target is not None and found.target.holds(content):
        return Place.THERE
    if content.downloaded:
        waiting = found.unfinished is not None and found.unfinished.holds(content)
        return Place.WAITING if waiting else Place.NOWHERE
    return Place.UNREAD if found.target is not None else Place.NOWHERE


def trouble(snapshot: Snapshot, now: datetime) -> Trouble | None:
    """What keeps the BFB from being downloaded; None when nothing does, or an attempt is due or goes on.

    A volume on which much is written may be slow to answer: while a download goes on, that is no trouble.
    """
    if snapshot.activity is not None:
        return None
    if isinstance(snapshot.files, Unreadable):
        reason = Reason.ERROR if snapshot.files.retryable else Reason.FAILURE
        return Trouble(reason=reason, why=snapshot.files.why)
    if isinstance(snapshot.versions, Unusable):
        return Trouble(reason=Reason.FAILURE, why=snapshot.versions.why)
    failure = snapshot.failure
    if failure is None or snapshot.versions is not None:
        return None
    if not failure.retryable or is_given_up(failure):
        return Trouble(reason=Reason.FAILURE, why=failure.why)
    if failure.count <= RETRIES or wait_s(failure, now) == 0:
        return None
    return Trouble(reason=Reason.ERROR, why=failure.why, retry_at=due_at(failure))


def is_given_up(failure: Failure) -> bool:
    """Whether the next attempt would be after the window."""
    return failure.count > RETRIES and due_at(failure) > failure.since + WINDOW


def due_at(failure: Failure) -> datetime:
    """When the next attempt may begin."""
    pause_s = PAUSES_S[failure.count - 1] if failure.count <= RETRIES else LATER_S
    return failure.at + timedelta(seconds=pause_s)


def wait_s(failure: Failure | None, now: datetime) -> float:
    """How long the next attempt has to wait. A failure of the future was noted by a clock that was wrong."""
    if failure is None or failure.at > now:
        return 0.0
    return max(0.0, (due_at(failure) - now).total_seconds())
